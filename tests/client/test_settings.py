"""Settings are kept, and the client is pure Python."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import glihamba
import glihamba_client
from glihamba.daemon import service
from glihamba_client import client, settings
from glihamba_client.errors import ClientError
from glihamba_client.settings import Settings

PACKAGE = Path(glihamba_client.__file__).parent


def test_settings_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "data" / "settings.json"
    assert settings.read(path) == Settings()
    mine = Settings(model="statistics", strength=0.5, remote="studio:50051", language="de")
    settings.save(mine, path)
    assert settings.read(path) == mine
    assert [p.name for p in path.parent.iterdir()] == ["settings.json"]
    path.write_text(json.dumps({"strength": 1, "from_the_future": True}))
    assert settings.read(path) == Settings(strength=1)


@pytest.mark.parametrize("name", ["file/settings.json", "s" * 256])
def test_settings_that_cannot_be_written_are_said(tmp_path: Path, name: str) -> None:
    """A file in place of the folder and a name that is too long stop root too."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ClientError) as failure:
        settings.save(Settings(), tmp_path / name)
    assert failure.value.sentence("en").startswith(f"The settings could not be saved to {tmp_path / name} (")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"strength": "much"}', '{"strength": 7}', '{"model": null}', '{"strength": true}']
)
def test_damaged_settings_are_named_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(ClientError) as failure:
        settings.read(path)
    said = failure.value.sentence("en")
    assert said.startswith(f"The settings in {path} cannot be read")
    assert said.endswith("Correct or delete the file.")
    assert path.read_text() == text


def test_one_version_and_one_protocol() -> None:
    assert glihamba_client.__version__ == glihamba.__version__
    assert client.PROTOCOL is service.PROTOCOL  # type: ignore[attr-defined]  # both import it


def test_nothing_but_pure_python_is_imported() -> None:
    """An editor's modules: the standard library, the vendored wheels, this package, the contract."""
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
