"""Ctrl-C at any moment: one sentence, status 130, no half-written file, and a report of what is done."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from cli_pictures import as_json, begun, interrupted, save, save_mask, scene

pytestmark = [
    pytest.mark.usefixtures("own_home"),
    pytest.mark.skipif(os.name != "posix", reason="SIGINT to one process"),
]
SENTENCE = "Interrupted; nothing was left half done."
WEIGHTS = random.Random(1).randbytes(300_000)


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["words", "json"])
def test_in_a_folder(tmp_path: Path, form: list[str]) -> None:
    """Pictures that were harmonized before Ctrl-C stay and are reported."""
    composites, masks, output = (tmp_path / name for name in ("composites", "masks", "out"))
    composites.mkdir()
    masks.mkdir()
    one, mask = save(tmp_path / "in.png", scene()), save_mask(tmp_path / "mask.png")
    for number in range(100):
        os.link(one, composites / f"{number}.png")
        os.link(mask, masks / f"{number}.png")
    command = begun("harmonize", composites, "--mask", masks, "-o", output, "--local", *form)
    out, said = interrupted(command, lambda: output.is_dir() and len(list(output.glob("*.png"))) > 1)
    assert said.strip() == SENTENCE
    written = {path.name for path in output.iterdir()}
    assert all(name.endswith(".png") and not name.startswith(".") for name in written)
    if form:
        told = json.loads(out)
        assert {Path(each["output"]).name for each in told["done"]} <= written
        assert told["failed"] == []
        count = len(told["done"])
    else:
        count = int(out.removesuffix(" of 100 pictures harmonized.\n"))
    assert 2 <= count < 100
    assert (
        count <= len(written) <= count + 1
    )  # Ctrl-C may come after a file is written and before it is counted


def test_in_an_import_that_makes_another_error_of_it(tmp_path: Path) -> None:
    """An import may turn KeyboardInterrupt into another error, as numpy's does."""
    (tmp_path / "filelock.py").write_text(
        "import os, signal\n"
        "try: os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt: raise AttributeError('half of it is missing') from None\n"
    )
    program = "from glihamba.cli import main; main(['status'])"
    done = subprocess.run(
        [sys.executable, "-c", f"import signal; signal.signal(2, signal.default_int_handler); {program}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert (done.returncode, done.stderr.strip()) == (130, SENTENCE)


PRESSED_IN_A_CALLBACK = """
import os, signal, sys, time, weakref
class Thing:
    pass
def callback(_):
    os.kill(os.getpid(), signal.SIGINT)
def status(*_):
    thing = Thing()
    {made}
    del thing
    time.sleep(20)
signal.signal(signal.SIGINT, signal.default_int_handler)
from glihamba.cli import cli, main
cli.get_command = lambda *_: __import__("click").Command("status", callback=status)
main(["status"])
"""


@pytest.mark.parametrize("made", ["reference = weakref.ref(thing, callback)", "Thing.__del__ = callback"])
def test_in_a_callback_whose_exceptions_python_drops(made: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRESSED_IN_A_CALLBACK.format(made=made)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.strip()) == (130, SENTENCE)


# Ctrl-C comes when a thread that imports has just taken the lock of all imports.
PRESSED_IN_AN_IMPORT = """
import _imp, signal, sys, time
from glihamba import ctrl_c
signal.signal(signal.SIGINT, signal.default_int_handler)
ctrl_c.listen()
def press(frame, event, function):
    if event == "c_return" and function is _imp.acquire_lock:
        sys.setprofile(None)
        signal.getsignal(signal.SIGINT)(signal.SIGINT, frame)
sys.setprofile(press)
try:
    import colorsys
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit("The lock is held for ever." if _imp.lock_held() else 0)
"""


def test_where_the_import_system_holds_its_lock() -> None:
    """Another thread of the command that imports would wait for the lock for ever."""
    done = subprocess.run([sys.executable, "-c", PRESSED_IN_AN_IMPORT], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


class Halting(BaseHTTPRequestHandler):
    """A server that sends the first half of a file, and the rest when the test allows it."""

    server: Server

    def do_GET(self) -> None:
        start = int((self.headers["Range"] or "bytes=0-").strip("bytes=-"))
        self.server.asked.append(start)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(WEIGHTS) - 1}/{len(WEIGHTS)}")
        self.send_header("Content-Length", str(len(WEIGHTS) - start))
        self.end_headers()
        half = start + (len(WEIGHTS) - start) // 2
        self.wfile.write(WEIGHTS[start:half])
        self.server.go.wait()
        self.wfile.write(WEIGHTS[half:])

    def log_message(self, *_: Any) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Halting)
        self.go = threading.Event()
        self.asked: list[int] = []


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.go.set()
        running.shutdown()


def test_in_a_download(server: Any, own_home: Path) -> None:
    """Bytes that arrived are kept, and the next download continues there."""
    folder = own_home / "models"
    folder.mkdir(parents=True)
    record = {
        **dict.fromkeys(("title", "description", "architecture", "licence", "training_data"), "x"),
        "name": "far",
        "source": f"http://127.0.0.1:{server.server_port}/far",
        "bytes": len(WEIGHTS),
        "sha256": hashlib.sha256(WEIGHTS).hexdigest(),
    }
    (folder / "far.json").write_text(json.dumps(record))
    parts = lambda: [path for path in folder.glob("far.*.part") if path.stat().st_size > 60_000]  # noqa: E731
    out, said = interrupted(begun("models", "download", "far"), parts)
    assert (out, said.strip()) == ("", SENTENCE)
    assert not (folder / "far.safetensors").exists()
    kept = parts()[0].stat().st_size
    server.go.set()
    assert as_json("models", "download", "far")["name"] == "far"
    assert server.asked == [0, kept]
    assert (folder / "far.safetensors").read_bytes() == WEIGHTS
    assert list(folder.glob("*.part")) == []


def test_in_a_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark's own daemon ends with it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def daemons() -> list[int]:
        return [int(json.loads(path.read_text())["pid"]) for path in tmp_path.glob("*/endpoint.json")]

    found: list[int] = []

    def serving() -> bool:
        found[:] = daemons()
        return bool(found)

    command = begun("bench", "pipeline", "--megapixels", "4", "--runs", "200")
    _, said = interrupted(command, serving)
    assert said.strip() == SENTENCE
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(found[0]).wait()
    assert list(tmp_path.glob("glihamba-bench-*")) == []
