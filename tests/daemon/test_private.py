"""What is the owner's alone stays so; a deleted endpoint file comes back; an old daemon ends."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from glihamba.daemon import installation
from glihamba.daemon.discovery import CannotServe
from glihamba.daemon.server import readable_by_others
from glihamba_client import launcher
from glihamba_client.errors import ClientError
from glihamba_proto import endpoint as record
from glihamba_proto import places

pytestmark = pytest.mark.skipif(os.name != "posix", reason="this system has no POSIX modes and owners")
as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)
STRANGER = 4711


@pytest.fixture
def careless() -> Iterator[None]:
    """A umask that lets everybody read and write."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.usefixtures("careless")
def test_nobody_else_reads_or_writes_whatever_the_umask(start: Callable[..., Any], home: Path) -> None:
    """The installer of version 0.2.0 made folder and log readable by everybody."""
    (home / "logs").mkdir(parents=True, mode=0o777)
    (home / "run").mkdir(mode=0o777)
    (home / "logs" / "daemon.log").touch(0o666)
    start()
    for folder in ("run", "logs"):
        assert mode(home / folder) == 0o700
        assert {
            path.name: mode(path) & 0o077 for path in (home / folder).iterdir() if path.suffix != ".lock"
        } == {path.name: 0 for path in (home / folder).iterdir() if path.suffix != ".lock"}


def test_secrets_that_others_can_read_are_warned_of(tmp_path: Path) -> None:
    for name, bits in (("open", 0o644), ("group", 0o640), ("private", 0o600)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(bits)
    found = readable_by_others(tmp_path / "open", str(tmp_path / "group"), tmp_path / "private", None)
    assert found == [str(tmp_path / "open"), str(tmp_path / "group")]


def test_wrong_tokens_are_counted_in_the_log(
    start: Callable[..., Any], connect: Callable[..., Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glihamba.daemon.calls.TOLD_EVERY", 0.0)
    daemon = start()
    stranger = connect(daemon, "a-token-of-someone-else")
    for _ in range(7):
        with pytest.raises(grpc.RpcError):
            stranger.info()
    daemon.tick()
    daemon.tick()
    lines = [json.loads(line) for line in (home / "logs" / "daemon.log").read_text().splitlines()]
    told = [line for line in lines if line["event"] == "calls without the right token were refused"]
    assert [line["calls"] for line in told] == [7]


@as_root
@pytest.mark.parametrize("folder", ["run", "logs"])
def test_a_folder_of_a_stranger_s_is_refused(start: Callable[..., Any], home: Path, folder: str) -> None:
    (home / folder).mkdir(parents=True)
    os.chown(home / folder, STRANGER, STRANGER)
    with pytest.raises(CannotServe, match="belongs to another person"):
        start()


def test_a_named_folder_that_others_can_write_to_is_refused(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(CannotServe, match="others can write to it"):
        start(log_dir=open_to_all)
    assert mode(open_to_all) == 0o777, "it is not ours to change"


def test_a_link_in_place_of_the_log_is_not_followed(start: Callable[..., Any], home: Path) -> None:
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "daemon.log").symlink_to(home / "precious")
    (home / "precious").write_text("as it was")
    with pytest.raises(CannotServe, match=re.escape(str(home / "logs" / "daemon.log"))):
        start()
    assert (home / "precious").read_text() == "as it was"


@as_root
def test_a_lock_of_root_s_has_its_sentence(home: Path) -> None:
    """A person who has run GLIHamba once with sudo finds root's files in the own folder."""
    (home / "run").mkdir(parents=True, mode=0o700)
    lock = home / "run" / "daemon.lock"
    lock.touch(0o600)
    for path in (home.parent, home, home / "run"):
        os.chown(path, STRANGER, STRANGER)
    code = (  # whoever has no rights may not even read this Python's library
        "import os; from glihamba import settings; from glihamba.daemon import discovery; "
        f"table = settings.in_force(); os.setuid({STRANGER}); discovery.take_lock(table)"
    )
    path = home.parent
    while path != path.parent:
        path.chmod(path.stat().st_mode | 0o011)
        path = path.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert (
        f"The file {lock} can't be used, perhaps because GLIHamba ran once with sudo: delete it"
        in done.stderr
    )


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "harm",
    [lambda path: path.chmod(0o666), pytest.param(lambda path: os.chown(path, STRANGER, -1), marks=as_root)],
)
def test_a_command_that_a_stranger_may_have_written_is_not_run(harm: Callable[[Path], Any]) -> None:
    note = places.command_file()
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"command": [sys.executable]}))
    assert launcher.installed_command() == [sys.executable]
    harm(note)
    with pytest.raises(ClientError) as refused:
        launcher.installed_command()
    assert refused.value.code == "COMMAND_REFUSED"
    assert str(note) in refused.value.sentence("de")


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_text("{")])
def test_an_endpoint_file_that_is_gone_is_written_again(
    start: Callable[..., Any], harm: Callable[[Path], Any]
) -> None:
    daemon = start()
    file = daemon.settings.endpoint_file
    before = record.read(file)
    harm(file)
    assert not daemon.tick()
    assert record.read(file) == before


def test_the_daemon_notes_its_process_and_takes_the_note_away(start: Callable[..., Any], home: Path) -> None:
    daemon = start()
    assert (home / "run" / "daemon.pid").read_text() == str(os.getpid())
    daemon.__exit__()
    assert sorted(path.name for path in (home / "run").iterdir() if path.name != "planes") == ["daemon.lock"]


@pytest.mark.parametrize("other", [True, False])
def test_after_an_update_the_old_daemon_ends_when_it_has_no_job(
    start: Callable[..., Any], other: bool
) -> None:
    note = places.command_file()
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"command": [sys.executable, "serve"]}))
    daemon = start()
    daemon.tick()
    assert not daemon.told_to_end.is_set()
    time.sleep(0.01)
    folder = "/elsewhere/env-2/bin/" if other else str(Path(sys.executable).parent) + "/"
    note.write_text(json.dumps({"command": [folder + "glihamba", "serve"]}))
    job = daemon.jobs.reserve(lambda: None)
    daemon.tick()
    assert not daemon.told_to_end.is_set(), "it has a job"
    daemon.jobs.release(job)
    daemon.tick()
    assert daemon.told_to_end.is_set() == other


def test_another_version_in_place_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = tmp_path / "__init__.py"
    owner.write_text('__version__ = "0.1.0"\n')
    monkeypatch.setattr("glihamba_proto.__file__", str(owner))
    monkeypatch.setattr(installation, "__version__", "0.1.0")
    found = installation.Installation()
    assert not found.is_replaced()
    os.utime(owner, (1, 1))
    assert not found.is_replaced(), "it is the same version"
    owner.write_text('__version__ = "0.3.0"\n')
    assert found.is_replaced()
