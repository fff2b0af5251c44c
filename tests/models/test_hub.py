"""`glihamba models push` and `pull`, by the real library, to and from a server of its API's shape."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_pictures import glihamba
from hugging_face import TOKEN, Repositories, repositories

from glihamba.models import registry

pytest.importorskip("huggingface_hub")


@pytest.fixture
def server() -> Iterator[Repositories]:
    with repositories() as running:
        yield running


@pytest.fixture
def run(server: Repositories, tmp_path: Path):
    def call(*words: str, **environment: str):
        ours = {
            "HF_ENDPOINT": server.endpoint,
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "GLIHAMBA_DATA_DIR": str(tmp_path / "data"),
        }
        return glihamba("models", *words, env={**os.environ, **ours, **environment})

    return call


def test_what_one_pushes_another_pulls(run, server, tmp_path):
    pushed = run("push", "glihamba-tiny", "somebody/tiny")
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout == f"“glihamba-tiny” is at {server.endpoint}/somebody/tiny\n"
    files = server.files["somebody/tiny"]
    assert files.keys() == {"glihamba-tiny.safetensors", "README.md"}
    card = files["README.md"].decode()
    assert "library_name: glihamba" in card
    assert "pipeline_tag: image-to-image" in card
    assert registry.get("glihamba-tiny").licence in card
    assert "glihamba models pull somebody/tiny" in card

    pulled = run("pull", "somebody/tiny", "--name", "theirs", "--json")
    assert pulled.returncode == 0, pulled.stderr
    assert json.loads(pulled.stdout)["name"] == "theirs"
    info = json.loads(run("info", "theirs", "--json").stdout)
    assert info["installed"]
    assert info["training_data"] == registry.get("glihamba-tiny").training_data
    weights = tmp_path / "data" / "models" / "theirs.safetensors"
    assert weights.read_bytes() == files["glihamba-tiny.safetensors"]


def test_a_card_of_the_owners_own_stays(run, server):
    server.files["somebody/tiny"] = {"README.md": b"# Mine"}
    assert run("push", "glihamba-tiny", "somebody/tiny").returncode == 0
    assert server.files["somebody/tiny"]["README.md"] == b"# Mine"


def _of_files(**files: bytes):
    return lambda server: server.files.update(
        {"a/b": {name.replace("_", "."): data for name, data in files.items()}}
    )


@pytest.mark.parametrize(
    ("words", "prepare", "environment", "sentence"),
    [
        (("pull", "a/b"), lambda s: None, {}, "There is no repository a/b, or you may not see it."),
        (
            ("pull", "a/b"),
            _of_files(),
            {},
            "There is no .safetensors file in a/b: it holds no model for GLIHamba.",
        ),
        (
            ("pull", "a/b"),
            _of_files(x_safetensors=b"", y_safetensors=b""),
            {},
            "Choose one of the files in a/b with --file: x.safetensors, y.safetensors.",
        ),
        (("pull", "a/b"), _of_files(x_safetensors=b"no weights"), {}, "is not a whole safetensors file"),
        (("pull", "a/b", "--revision", "v9"), _of_files(), {}, "a/b has no such branch, tag or commit."),
        (
            ("pull", "a//b"),
            lambda s: None,
            {},
            "'a//b' is not the name of a repository: write USER/NAME, as in its page's address.",
        ),
        (
            ("push", "glihamba-tiny", "a/b"),
            lambda s: None,
            {"HF_TOKEN": "hf_of_a_stranger"},
            "a/b cannot be used without permission: log in with `hf auth login`, or set HF_TOKEN.",
        ),
        (
            ("push", "statistics", "a/b"),
            lambda s: None,
            {},
            "'statistics' needs no weights: there is nothing to upload.",
        ),
        (
            ("pull", "a/b"),
            lambda s: None,
            {"HF_HUB_OFFLINE": "1"},
            "HF_HUB_OFFLINE is set, so nothing is fetched or sent.",
        ),
    ],
)
def test_each_trouble_has_its_sentence(run, server, tmp_path, words, prepare, environment, sentence):
    prepare(server)
    before = {name: dict(files) for name, files in server.files.items()}
    done = run(*words, **environment)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert server.files == before
    assert not list(tmp_path.glob("data/models/*.safetensors"))


def test_a_server_that_does_not_answer_is_named(run):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        done = run("pull", "a/b", HF_ENDPOINT=f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert done.returncode == 1
    assert "Hugging Face could not be reached" in done.stderr
    assert "check your connection and try again." in done.stderr


def test_a_server_in_trouble_is_named(run, server):
    server.broken = True
    done = run("pull", "a/b")
    assert done.returncode == 1
    assert "Hugging Face answered with status 500: try again later." in done.stderr
