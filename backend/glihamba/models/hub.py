"""Models in Hugging Face repositories, by `huggingface_hub`. Needs the extra `hub`.

A repository holds `NAME.safetensors`, with the model's record in its header, and a card. The library reads
its own variables: HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glihamba.errors import BadRequest, HarmonizeError, ModelNotInstalled, NotAllowed
from glihamba.models import store
from glihamba.models.registry import Record

CARD = "README.md"
_SUFFIX = ".safetensors"
_TRANSPORTS = (
    "requests",
    "urllib3",
    "httpx",
    "httpx2",
    "httpcore",
)  # one of them is the library's, by version
_LICENCES = ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0")
"""Those licences of records that Hugging Face knows by the same name; it calls the others `other`."""


def push(record: Record, repository: str, *, private: bool = False) -> str:
    """Upload a model's weights and, where the repository has none, a card. Returns the page's address.

    The repository, `USER/NAME`, is created if there is none. Raises BadRequest for a model without weights or
    a bad repository name, NotAllowed without a token that may write, ModelNotInstalled if nothing answers.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    if not record.has_weights:
        raise BadRequest(f"'{record.name}' needs no weights: there is nothing to upload.")
    weights = store.open_weights(record)
    with _in_words(repository), tempfile.TemporaryDirectory() as folder:
        api = HfApi(library_name="glihamba")
        path = Path(folder, record.name + _SUFFIX)
        store.save(path, weights, record)
        where = api.create_repo(repository, private=private, exist_ok=True)
        files = [CommitOperationAdd(path.name, path)]
        if CARD not in api.list_repo_files(repository):
            files.append(CommitOperationAdd(CARD, card(record, repository).encode()))
        api.create_commit(repository, files, commit_message=f"{record.name}, by glihamba models push")
    return str(where)


def pull(
    repository: str, *, file: str | None = None, revision: str | None = None, name: str | None = None
) -> Record:
    """Download a model of a repository, check it as `store.add` does, and add it. Returns its record.

    file: which .safetensors, if the repository has several. revision: a branch, tag or commit. name: the
    model's name here. Raises BadRequest where there is no such file or several, and what `store.add` raises.
    """
    from huggingface_hub import HfApi

    with _in_words(repository), tempfile.TemporaryDirectory() as folder:
        api = HfApi(library_name="glihamba")
        found = [
            each for each in api.list_repo_files(repository, revision=revision) if each.endswith(_SUFFIX)
        ]
        path = api.hf_hub_download(
            repository, _chosen(found, file, repository), revision=revision, local_dir=folder
        )
        return store.add(Path(path), name=name)


def card(record: Record, repository: str) -> str:
    """A model card: what Hugging Face indexes, then the record in words."""
    from huggingface_hub import ModelCardData

    known = record.licence.strip().lower()
    data = ModelCardData(
        license=known if known in _LICENCES else "other",
        library_name="glihamba",
        pipeline_tag="image-to-image",
        tags=["image-harmonization", record.architecture],
    )
    lines = [f"---\n{data.to_yaml()}\n---\n", f"# {record.title}\n", f"{record.description}\n"]
    for label, text in (
        ("Network", record.architecture),
        ("Paper", record.paper),
        ("Trained on", record.training_data),
        ("Licence", record.licence),
    ):
        if text.strip():
            lines.append(f"- **{label}**: {text.strip()}")
    if record.metrics:
        lines.append("\n| measured | figures |\n|---|---|")
        lines += [
            f"| {what} | {', '.join(f'{key} {value:g}' for key, value in figures.items())} |"
            for what, figures in record.metrics.items()
        ]
    lines.append(
        f"\n```sh\nglihamba models pull {repository}\nglihamba harmonize composite.png --mask mask.png -o"
        f" harmonized.png --model {record.name}\n```\n"
    )
    return "\n".join(lines)


def _chosen(found: list[str], file: str | None, repository: str) -> str:
    """The file that is meant."""
    if file is not None and file in found:
        return file
    if not found:
        raise BadRequest(f"There is no .safetensors file in {repository}: it holds no model for GLIHamba.")
    if file is not None or len(found) > 1:
        raise BadRequest(f"Choose one of the files in {repository} with --file: {', '.join(sorted(found))}.")
    return found[0]


@contextmanager
def _in_words(repository: str) -> Iterator[None]:
    """What the library raises, as one sentence each."""
    from huggingface_hub import errors

    log_in = f"{repository} cannot be used without permission: log in with `hf auth login`, or set HF_TOKEN."
    try:
        yield
    except HarmonizeError:
        raise
    except errors.HFValidationError:
        raise BadRequest(
            f"'{repository}' is not the name of a repository: write USER/NAME, as in its page's address."
        ) from None
    except errors.OfflineModeIsEnabled:
        raise ModelNotInstalled("HF_HUB_OFFLINE is set, so nothing is fetched or sent.") from None
    except (errors.GatedRepoError, errors.LocalTokenNotFoundError):
        raise NotAllowed(log_in) from None
    except errors.RevisionNotFoundError:
        raise BadRequest(f"{repository} has no such branch, tag or commit.") from None
    except errors.RepositoryNotFoundError:
        raise BadRequest(f"There is no repository {repository}, or you may not see it.") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise NotAllowed(log_in) from None
        raise ModelNotInstalled(f"Hugging Face answered with status {status}: try again later.") from None
    except Exception as error:
        if type(error).__module__.split(".")[0] not in _TRANSPORTS and not isinstance(error, OSError):
            raise
        reason = [*str(error).strip().splitlines(), type(error).__name__][0][:200]
        raise ModelNotInstalled(
            f"Hugging Face could not be reached ({reason}): check your connection and try again."
        ) from None
