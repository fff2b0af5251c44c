"""Where install.py gets packages from: no network, no wheels, Ctrl-C, and which build of PyTorch."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from installer import machine
from installer.console import Console, InstallError
from installer.layout import Root, State
from installer.steps import Options
from installing import NO_INDEX, command, install

# --- the network -----------------------------------------------------------------------------------


def test_no_network_is_said_and_the_next_run_goes_on(tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    (root.path / "env-1").mkdir(parents=True)
    root.save(State(current={"env": "env-1"}))
    with socket.socket() as closed:  # bound and not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        index = f"http://127.0.0.1:{closed.getsockname()[1]}/simple"
        first = install("--prefix", root.path, **NO_INDEX, PIP_INDEX_URL=index)
        again = install("--prefix", root.path, **NO_INDEX, PIP_INDEX_URL=index)
    assert first.returncode == again.returncode == 1
    assert "[2/8] Making an environment ... done" in first.stdout
    assert "[3/8] Installing PyTorch ... failed" in first.stdout
    sentence = first.stderr.strip()
    assert sentence.startswith(
        "The package index did not provide a package that is needed: check the network (or proxy)"
    )
    assert str(root.log) in sentence
    assert "Traceback" not in first.stderr
    assert "it will be finished" in again.stdout
    assert "[2/8] Making an environment ... there already" in again.stdout
    state = root.load()
    assert state.current == {"env": "env-1"}
    assert state.building
    assert state.building["env"] == "env-2"
    assert not root.daemon_file.exists()


def test_offline_without_wheels_says_what_to_name(tmp_path: Path) -> None:
    done = install("--prefix", tmp_path / "root", "--offline", **NO_INDEX)
    assert done.returncode == 1
    assert "A package that is needed is not on this machine. Its name is at the end of" in done.stderr
    assert "--wheels FOLDER" in done.stderr


def asked(server: socket.socket, process: subprocess.Popen[str]) -> socket.socket:
    """The first connection to the server while the process lives."""
    server.settimeout(0.1)
    while process.poll() is None:
        with contextlib.suppress(TimeoutError):
            connection, _ = server.accept()
            connection.setblocking(True)
            return connection
    pytest.fail(f"it ended before it asked: {process.communicate()}")


@pytest.mark.skipif(sys.platform == "win32", reason="a console's Ctrl-C reaches the whole console on Windows")
def test_ctrl_c_ends_everything_and_keeps_what_there_was(tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        process = subprocess.Popen(
            command("--prefix", root.path),
            env={**os.environ, **NO_INDEX, "PIP_INDEX_URL": index},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with asked(silent, process) as connection:  # pip waits for an answer that never comes
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
            while connection.recv(65536):  # ends when pip has ended too
                pass
    assert process.returncode == 130, out + err
    assert "Interrupted. What was installed before still works. Run install.py again" in err
    assert "Traceback" not in err
    assert (root.load().building or {})["done"] == ["environment"]


# --- which torch -----------------------------------------------------------------------------------


def torch_wheel(folder: Path, version: str) -> None:
    """An empty torch."""
    folder.mkdir(exist_ok=True)
    info = f"torch-{version}.dist-info"
    with zipfile.ZipFile(folder / f"torch-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.mark.parametrize(
    ("versions", "wanted"),
    [
        (["2.13.0", "2.13.0+cpu"], "torch==2.13.0+cpu"),
        (["2.13.0+cpu", "2.13.10+cpu", "2.13.9+cpu", "2.13.11", "2.14.0+cpu"], "torch==2.13.10+cpu"),
        (["2.13.0", "2.13.1+cu130", "2.12.0+cpu"], None),
    ],
)
def test_a_cpu_build_that_pip_knows_is_taken(versions: list[str], wanted: str | None, tmp_path: Path) -> None:
    for version in versions:
        torch_wheel(tmp_path / "wheels", version)
    options = Options(offline=True, wheels=tmp_path / "wheels")
    console = Console(tmp_path / "log", 1)
    extra = {**options.extra, "PIP_CONFIG_FILE": os.devnull}
    assert machine._cpu_build(console, sys.executable, options.pip, extra) == wanted


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the ordinary index has the CPU build")
def test_pytorch_s_own_index_out_of_reach_names_the_other_way(tmp_path: Path) -> None:
    """pip finds no CPU build, so uv asks PyTorch's index, here through a proxy that does not exist."""
    wheels, python = tmp_path / "wheels", str(tmp_path / "env" / "bin" / "python")
    torch_wheel(wheels, "2.13.0")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
    nowhere = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    extra = {**nowhere, "UV_NO_CACHE": "1", "UV_HTTP_RETRIES": "0", **NO_INDEX}
    console, pip = Console(tmp_path / "log", 1), ["--no-index", "--find-links", str(wheels)]
    with pytest.raises(InstallError, match=r"PyTorch's own index.*or use --device cuda for the large build"):
        machine.install_torch(console, python, "cpu", pip, extra)
