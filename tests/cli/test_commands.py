"""The other commands, and what all commands have in common."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_pictures import as_json, glihamba, here, save, save_mask, scene
from click.testing import CliRunner

from glihamba import __version__
from glihamba.cli import COMMANDS, cli
from glihamba.models import registry

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["harmonize", "--help"], ["bench", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    program = (
        "import sys; from glihamba.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    heavy = {"torch", "numba", "numpy", "grpc", "grpclib", "pyvips", "rich", "PIL", "lightning"}
    assert done.stdout
    assert heavy & set(done.stderr.split()) == set()


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    said = CliRunner().invoke(cli, [name, "--help"], catch_exceptions=False)
    assert said.exit_code == 0
    assert len(said.output.splitlines()) > 5
    assert COMMANDS[name][1].endswith(".")


def test_version() -> None:
    assert glihamba("--version").stdout.strip() == f"glihamba, version {__version__}"


def test_settings_list_every_variable() -> None:
    rows = {row["variable"]: row for row in as_json("settings")}
    assert rows["GLIHAMBA_EXIT_MINUTES"]["value"] == "5.0"
    assert rows["GLIHAMBA_DEVICE"]["default"] == "auto"
    assert "GLIHAMBA_DEVICE" in glihamba("settings").stdout


def test_a_bad_setting_is_one_sentence() -> None:
    done = glihamba("settings", env={**os.environ, "GLIHAMBA_DEVICE": "tpu"})
    assert done.returncode == 1
    assert done.stderr == "Error: GLIHAMBA_DEVICE must be one of auto, cpu, cuda, but is 'tpu'.\n"


def test_models() -> None:
    listed = {model["name"]: model for model in as_json("models", "list")}
    assert set(listed) == {record.name for record in registry.records()}
    assert [name for name, model in listed.items() if model["default"]] == [registry.DEFAULT]
    assert listed["statistics"]["installed"] is True
    assert as_json("models", "info", "statistics")["licence"] == listed["statistics"]["licence"]
    table = here("models", "list").stdout
    assert all(name in table for name in listed)
    free = [line for line in table.splitlines() if "glihamba-tiny-free" in line]
    assert free[0].rstrip().endswith("  Weights for any use, under CC BY-SA 4.0"), "a line that fits"
    assert "Licence:" in here("models", "info", "statistics").stdout


def test_a_model_s_way_through_the_store(tmp_path: Path, own_home: Path) -> None:
    import dataclasses

    from glihamba.models import store
    from glihamba.networks import build

    network = build("glihamba-tiny")
    record = registry.Record(
        name="mine",
        title="Mine",
        description="Fresh weights.",
        architecture="glihamba",
        config=dataclasses.asdict(network.config),
        licence="MIT",
        training_data="none",
        source="local",
    )
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / "mine.safetensors"
    store.save(file, network.state_dict(), record)
    assert as_json("models", "add", file)["name"] == "mine"
    assert (own_home / "models" / "mine.safetensors").is_file()
    again = here("models", "add", file)
    assert (again.returncode, "already" in again.stderr) == (1, True)
    assert as_json("models", "remove", "mine") == {"removed": "mine"}
    assert not (own_home / "models" / "mine.safetensors").exists()
    for words in (("info", "mine"), ("remove", "mine"), ("download", "mine")):
        done = here("models", *words)
        assert done.returncode == 1
        assert "There is no model called “mine”." in done.stderr
    for path, expected in (
        (tmp_path / "nowhere", f"There is no file {tmp_path / 'nowhere'}: check the name."),
        (tmp_path, f"{tmp_path} is a folder: name the .safetensors file in it."),
    ):
        done = here("models", "add", path)
        assert (done.returncode, done.stderr) == (1, f"Error: {expected}\n")
    assert "It must be a JSON object" in here("models", "add", file, "--config", "[1]").stderr


@pytest.mark.processes
def test_doctor_finds_all_well() -> None:
    told = as_json("doctor")
    assert told["ok"] is True
    names = [check["name"] for check in told["checks"]]
    assert names[:5] == ["Python", "Libraries", "Settings", "Device", "Data folder"]
    assert names[-2:] == ["Daemon", "Test picture"]
    assert told["checks"][-1]["detail"].startswith("harmonized by ")


@pytest.mark.processes
def test_doctor_says_what_to_do(own_home: Path) -> None:
    """`doctor` reports weights that differ from their record, and a data folder that is a file."""
    folder = own_home / "models"
    folder.mkdir(parents=True)
    (folder / "bad.safetensors").write_bytes(b"not the weights")
    (folder / "bad.json").write_text(
        json.dumps(
            {
                **dict.fromkeys(("title", "description", "architecture", "licence", "training_data"), "x"),
                "name": "bad",
                "source": "local",
                "sha256": "0" * 64,
                "bytes": 15,
            }
        )
    )
    told = as_json("doctor", status=1)
    bad = next(check for check in told["checks"] if check["name"] == "Model bad")
    assert bad["ok"] is False
    assert "damaged" in bad["detail"]
    assert told["checks"][-1]["ok"] is True  # the other checks still run


def test_serve_refuses_what_is_not_safe(tmp_path: Path) -> None:
    done = glihamba("serve", "--host", "0.0.0.0")
    assert done.returncode == 2
    assert "would let the whole network in: give --tls-cert, --tls-key and --token-file" in done.stderr
    done = glihamba("serve", "--idle-exit", "soon")
    assert done.returncode == 2
    assert "'soon' is not a number of minutes." in done.stderr


@pytest.mark.processes
def test_serve_once_and_stop() -> None:
    command = [sys.executable, "-m", "glihamba", "serve", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as daemon:
        try:
            assert daemon.stdout is not None
            assert "is ready: 127.0.0.1:" in daemon.stdout.readline()
            second = glihamba("serve")
            assert second.returncode == 3
            assert f"already runs (process {daemon.pid}" in second.stderr
            assert as_json("status")["pid"] == daemon.pid
            assert as_json("stop") == {"stopped": True, "pid": daemon.pid}
            assert daemon.wait() == 0
        finally:
            daemon.kill()
    assert glihamba("status").returncode == 1


@pytest.mark.skipif(os.name != "posix", reason="SIGINT to one process")
def test_ctrl_c_ends_serve() -> None:
    command = [sys.executable, "-m", "glihamba", "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        daemon.send_signal(signal.SIGINT)
        assert daemon.wait() == 0


def test_an_idle_daemon_ends_by_itself() -> None:
    done = glihamba("serve", "--idle-exit", "0")
    assert done.returncode == 0, done.stderr


def test_an_unforeseen_failure_is_one_sentence(tmp_path: Path) -> None:
    """A command prints one sentence for an exception that it does not expect."""
    program = (
        "import sys, glihamba.commands.settings as s, glihamba.settings as t\n"
        "def broken(): raise RuntimeError('out of luck')\n"
        "t.in_force = broken\n"
        "from glihamba.cli import main; main(['settings'])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Something unexpected went wrong (RuntimeError: out of luck).")
    assert len(done.stderr.splitlines()) == 1
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "GLIHAMBA_DEBUG": "1"})
    assert "Traceback" in done.stderr


@pytest.fixture
def no_home(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for an account without HOME that the system does not know: Python then raises this error."""

    def nowhere(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("GLIHAMBA_DATA_DIR", "GLIHAMBA_RUNTIME_DIR", "GLIHAMBA_LOG_DIR", "SNAP_REAL_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    monkeypatch.setattr(Path, "expanduser", lambda path: nowhere() if str(path)[:1] == "~" else path)


NO_HOME = "There is no home folder to keep data in: set HOME, or name a folder in GLIHAMBA_DATA_DIR."


@pytest.mark.usefixtures("no_home")
def test_without_a_home_folder_each_command_says_what_to_set() -> None:
    for words in (("settings",), ("status",), ("stop",), ("models", "list")):
        done = here(*words)
        assert (done.returncode, done.stderr.strip()) == (1, f"Error: {NO_HOME}"), words
    checked = here("doctor")
    assert checked.returncode == 1
    assert checked.stdout.count(NO_HOME) >= 4
    assert "Test picture: " in checked.stdout, "it reaches its end"


@pytest.mark.usefixtures("no_home")
def test_without_a_home_folder_a_data_folder_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", "~/glihamba")
    assert NO_HOME in here("settings").stderr
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path))
    assert here("status").stdout == "No daemon is running; one is started when needed.\n"
    composite, mask = save(tmp_path / "in.png", scene()), save_mask(tmp_path / "mask.png")
    for number in range(2):  # the first call starts the daemon
        done = here("harmonize", composite, "--mask", mask, "-o", tmp_path / f"{number}.png")
        assert done.returncode == 0, done.stderr
    assert here("stop").stdout == "The daemon has ended.\n"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GLIHAMBA_LOG_DIR", str(tmp_path / "file" / "logs"))
    composite, mask = save(tmp_path / "in.png", scene()), save_mask(tmp_path / "mask.png")
    done = here("harmonize", composite, "--mask", mask, "-o", tmp_path / "out.png")
    assert done.returncode == 1
    assert f"The log file {tmp_path / 'file' / 'logs' / 'launch.log'} can't be written (" in done.stderr
    assert "name another in GLIHAMBA_LOG_DIR" in done.stderr


def test_a_daemon_that_does_not_answer(own_home: Path) -> None:
    """The daemon holds its lock and does not answer, as while it starts or ends, or when it hangs."""
    from filelock import FileLock

    (own_home / "run").mkdir(parents=True)
    with FileLock(own_home / "run" / "daemon.lock"):
        for command in ("status", "stop"):
            done = glihamba(command)
            assert done.returncode == 1
            assert "A daemon is starting or ending: try again in a few seconds." in done.stderr
