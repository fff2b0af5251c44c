"""Every failure has a sentence in every language; settings keep what the person set."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from string import Formatter

import pytest

import glihamba
import glihamba_client
from glihamba.settings import PROTOCOL
from glihamba_client import client, messages, settings
from glihamba_client.errors import ClientError
from glihamba_client.settings import Settings
from glihamba_proto import harmonizer_pb2 as pb

PACKAGE = Path(glihamba_client.__file__).parent


@pytest.mark.parametrize("language", messages.languages())
def test_every_code_and_stage_has_its_words(language: str) -> None:
    texts = messages.catalogue(language)
    assert set(pb.ErrorCode.keys()) <= set(texts)
    stages = {
        f"STAGE_{name}" for name in pb.Progress.Stage.DESCRIPTOR.values_by_name if name != "STAGE_UNSPECIFIED"
    }
    assert stages <= set(texts)
    assert all(text[-1] in ".“" for code, text in texts.items() if not code.startswith("STAGE_"))


def test_the_languages_say_the_same() -> None:
    assert messages.languages() == ["de", "en"]
    english, german = messages.catalogue("en"), messages.catalogue("de")
    assert list(english) == list(german)
    for code, text in english.items():
        names = {name for _, name, _, _ in Formatter().parse(text) if name}
        assert names == {name for _, name, _, _ in Formatter().parse(german[code]) if name}, code
        assert code.startswith("STAGE_") or text != german[code]


def test_every_code_that_the_client_raises_has_words_and_fields() -> None:
    """Read from the source: each `ClientError("CODE", field=...)` fills what its sentence needs."""
    english, raised = messages.catalogue("en"), set()
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (
                isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ClientError" and node.args
            ):
                continue
            codes = [n.value for n in ast.walk(node.args[0]) if isinstance(n, ast.Constant)]
            for code in codes:
                raised.add(code)
                if len(node.args) == 1:
                    needed = {name for _, name, _, _ in Formatter().parse(english[code]) if name}
                    assert needed <= {keyword.arg for keyword in node.keywords}, (path.name, code)
    assert {"NOT_INSTALLED", "START_FAILED", "DAEMON_LOST", "NO_ANSWER"} <= raised


def test_details_for_english_the_table_for_the_rest() -> None:
    error = ClientError("SIZE_MISMATCH", "The mask is 3 x 4 pixels.")
    assert messages.sentence(error, "en") == "The mask is 3 x 4 pixels."
    assert messages.sentence(error, "de").startswith("Maske und Bild sind verschieden groß.")
    assert messages.sentence(ClientError("FROM_THE_FUTURE", "It says so."), "de") == "It says so."
    assert messages.sentence(ClientError("FROM_THE_FUTURE"), "en") == messages.catalogue("en")["INTERNAL"]


def test_the_language_is_the_person_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "de_AT:en")
    assert messages.choose() == "de"
    assert messages.choose("en") == "en"
    monkeypatch.setenv("LANGUAGE", "xx")
    assert messages.choose() == "en"


def test_settings_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "data" / "settings.json"
    assert settings.load(path) == Settings()
    mine = Settings(model="statistics", strength=0.5, remote="studio:50051", language="de")
    settings.save(mine, path)
    assert settings.load(path) == mine
    assert [p.name for p in path.parent.iterdir()] == ["settings.json"]
    path.write_text(json.dumps({"strength": 1, "from_the_future": True}))
    assert settings.load(path) == Settings(strength=1)


@pytest.mark.parametrize("name", ["file/settings.json", "s" * 250])
def test_settings_that_cannot_be_written_are_said(tmp_path: Path, name: str) -> None:
    """No folder can be made where a file is, no part file beside so long a name: also for root."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ClientError) as failure:
        settings.save(Settings(), tmp_path / name)
    assert messages.sentence(failure.value, "en").startswith(
        f"The settings could not be saved to {tmp_path / name} ("
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"strength": "much"}', '{"strength": 7}', '{"model": null}', '{"strength": true}']
)
def test_damaged_settings_are_named_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(ClientError) as failure:
        settings.load(path)
    said = messages.sentence(failure.value, "en")
    assert said.startswith(f"The settings in {path} cannot be read")
    assert said.endswith("Correct or delete the file.")
    assert path.read_text() == text


def test_one_version_and_one_protocol() -> None:
    assert glihamba_client.__version__ == glihamba.__version__
    assert client.PROTOCOL == PROTOCOL


def test_nothing_but_pure_python_is_imported() -> None:
    """What an editor's Python has: the standard library, the vendored wheels, this package, the contract."""
    program = (
        "import sys; before = set(sys.modules);"
        "import glihamba_client.service, glihamba_client.harmonize_layer, glihamba_client.settings;"
        "new = {name.split('.')[0] for name in set(sys.modules) - before};"
        "print(*sorted(new - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found = {name for name in done.stdout.split() if not name.startswith("_")}
    vendored = {
        "grpclib",
        "h2",
        "hpack",
        "hyperframe",
        "multidict",
        "propcache",
        "typing_extensions",
        "google",
    }
    assert found <= vendored | {"propcache", "typing_extensions", "glihamba_client", "glihamba_proto"}
    assert "grpclib" in found


def test_the_syntax_is_python_3_10_s() -> None:
    for path in PACKAGE.rglob("*.py"):
        ast.parse(path.read_text("utf-8"), str(path), feature_version=(3, 10))
