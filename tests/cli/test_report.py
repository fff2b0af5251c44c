"""`glihamba report` shows first, writes on demand, and holds nothing that names a person or opens a door."""

from __future__ import annotations

import getpass
import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from glihamba import __version__
from glihamba.commands.report import redacted

TOKEN = "s3cret-of_the-studio-0123456789"
PROGRAM = [sys.executable, "-m", "glihamba", "report"]


@pytest.fixture
def written(own_home: Path, tmp_path: Path) -> Path:
    """A log as a daemon leaves it, with what must not get out."""
    logs = own_home / "logs"
    logs.mkdir(parents=True)
    lines = [{"event": f"line {number}"} for number in range(200)]
    lines.append(
        {"event": "a job failed", "path": str(tmp_path / "private.png"), "peer": "192.0.2.33", "token": TOKEN}
    )
    (logs / "daemon.log").write_text("\n".join(map(json.dumps, lines)))
    (logs / "launch.log").write_bytes(b"\x1b[31mcolour\xff\n")
    return own_home


def test_it_shows_then_writes(written: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.txt"
    refused = subprocess.run([*PROGRAM, "-o", str(output)], input="n\n", capture_output=True, text=True)
    assert refused.returncode == 130
    assert not output.exists()
    assert f"GLIHamba {__version__}" in refused.stdout
    assert f"Write this to {output}?" in refused.stdout
    done = subprocess.run([*PROGRAM, "-o", str(output), "--yes"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = output.read_text("utf-8")
    assert text.splitlines()[0] in done.stdout
    for words in (
        "torch 2.",
        "grpcio 1.",
        "pillow ",
        "GLIHAMBA_DATA_DIR=~",
        "ok  Python: ",
        "line 199",
        "a job failed",
    ):
        assert words in text, words
    assert "line 100" not in text, "the last lines only"
    for secret in (TOKEN, str(tmp_path), "192.0.2.33", platform.node()):
        assert secret not in text
    endpoint = json.loads((written / "run" / "endpoint.json").read_text())
    assert endpoint["token"] not in text
    assert "\x1b" not in done.stdout


@pytest.mark.usefixtures("own_home")
def test_what_is_redacted(tmp_path: Path) -> None:
    said = redacted(
        f"{tmp_path}/a.png by {getpass.getuser()} at {platform.node()} from 10.1.2.3:80 with {TOKEN}"
    )
    assert said == "~/a.png by PERSON at MACHINE from ADDRESS:80 with …"
    kept = "127.0.0.1:5050, version 2.13.0, glihamba-tiny, 4,096 bytes, a-name-of_23-characters"
    assert redacted(kept) == kept
