"""The steps of the installation, in order.

Each step can be repeated. Only the last step changes what was installed before.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from glihamba_proto import interpreter
from glihamba_proto.files import private_folder
from installer import editors, machine, sharing
from installer.console import CommandFailed, Console, InstallError, clean_environment
from installer.layout import CHECKOUT, WINDOWS, Root, State, delete, write_whole

DEMO = CHECKOUT / "backend" / "glihamba" / "demo"
_PACKAGES = ("backend", "training", "proto", "plugins", "pyproject.toml", "README.md")
_DAEMON_STARTS_WITHIN = 120  # seconds; enough for a slow disk with a cold cache


@dataclass
class Options:
    """The options of the command line. device: "cpu" or "cuda". wheels: a folder of wheels, or None."""

    device: str = "cpu"
    offline: bool = False
    wheels: Path | None = None

    @property
    def pip(self) -> list[str]:
        """The arguments that tell pip where packages come from."""
        found = ["--find-links", str(self.wheels)] if self.wheels else []
        return (["--no-index"] if self.offline else []) + found

    @property
    def extra(self) -> dict[str, str]:
        """The same as variables, for uv and for the pip that builds our wheel in another environment."""
        found = {"UV_FIND_LINKS": str(self.wheels), "PIP_FIND_LINKS": str(self.wheels)} if self.wheels else {}
        return {**({"UV_OFFLINE": "1", "PIP_NO_INDEX": "1"} if self.offline else {}), **found}


class Installation:
    """One run of `install.py`. Its steps share the root, the state and the environment that is built."""

    def __init__(self, root: Root, options: Options, console: Console) -> None:
        self.root, self.options, self.console = root, options, console
        self.state = root.load()
        self.env = ""
        self.result = ""  # printed at the end
        self.plugins: list[dict[str, str]] = (self.state.current or {}).get("plugins", [])

    def steps(self) -> list[tuple[str, Callable[[], str | None]]]:
        """Return the steps in order: title and work. The work returns a note for the step's line, or None."""
        return [
            ("Looking at this machine", self.look),
            ("Making an environment", self.make_environment),
            ("Installing PyTorch", self.install_torch),
            ("Installing GLIHamba", self.install_backend),
            ("Compiling for this processor", self.compile_kernels),
            ("Harmonizing a picture through the daemon", self.test),
            ("Installing the plugins into the editors", self.install_plugins),
            ("Putting it in place", self.switch),
        ]

    def look(self) -> str | None:
        note = machine.check(self.root, self.options.device)
        if self.console.dry:
            print(f"      {note}")
        return note

    def make_environment(self) -> str | None:
        if self._is_done("environment"):
            return "there already"
        command = interpreter.module(sys.executable, "venv", "--clear", str(self.root.path / self.env))
        self._pip(lambda: self.console.run(command))
        self._done("environment")
        return None

    def install_torch(self) -> str | None:
        if self._is_done("torch"):
            return "there already"
        options = self.options
        self._pip(
            lambda: machine.install_torch(
                self.console,
                self.python,
                options.device,
                options.pip,
                options.extra,
                offline=options.offline,
            )
        )
        self._done("torch")
        return self._ask("from importlib.metadata import version; print(version('torch'))")

    def install_backend(self) -> str | None:
        command = interpreter.module(
            self.python, "pip", "install", *self.options.pip, "--upgrade", str(CHECKOUT)
        )
        self._pip(lambda: self.console.run(command, extra=self.options.extra))
        return self._ask("import glihamba; print(glihamba.__version__)")

    def compile_kernels(self) -> str | None:
        """Compile now, which takes about 10 seconds. If it fails, the first picture compiles again."""
        began = time.monotonic()
        try:
            self._ask("from glihamba.ops import warm_up; warm_up()")
        except CommandFailed:
            return "left to the first picture"
        return None if self.console.dry else f"{time.monotonic() - began:.0f} s"

    def test(self) -> str | None:
        """Harmonize the demo picture with a daemon of the new environment. Raises InstallError."""
        demo = self.root.demo
        out, picture = demo / "harmonized.png", demo / "before-after.png"
        glihamba = str(self.root.command(self.env))
        composite, mask = str(DEMO / "composite.jpg"), str(DEMO / "mask.png")
        harmonize = [glihamba, "harmonize", composite, "--mask", mask, "-o", str(out)]
        compare = interpreter.module(self.python, "glihamba.demo.before_after", str(out), str(picture))
        if self.console.dry:
            for command in ([glihamba, "serve"], harmonize, compare):
                self.console.run(command)
            return None
        demo.mkdir(parents=True, exist_ok=True)
        out.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix="run-", dir=demo) as runtime:
            extra = {"GLIHAMBA_DATA_DIR": str(self.root.path), "GLIHAMBA_RUNTIME_DIR": runtime}
            try:
                with self._daemon(glihamba, Path(runtime), extra):
                    began = time.monotonic()
                    self.console.run(harmonize, extra=extra)
                    seconds = time.monotonic() - began
                self.console.run(compare, extra=extra)
            except (CommandFailed, TimeoutError) as error:
                self._give_up()
                last = getattr(error, "tail", str(error)).strip().splitlines()
                raise InstallError(
                    f"The installation did not pass its test ({last[-1] if last else error})."
                    f" {self._still_there()} The whole output is in {self.root.log}."
                ) from None
        self.result = (
            f"Before and after: {picture}\nHarmonized in {seconds:.1f} s, including the start of the command."
        )
        return f"{seconds:.1f} s"

    def install_plugins(self) -> str | None:
        """Install the plugin into every editor. A failure is noted only, because all else works without."""
        notes, wheels = [], self.root.path / "cache" / "plugin-wheels"
        for editor in editors.editors():
            command = [self.python, str(editors.ASSEMBLE), editor.host, str(editor.folder)]
            command += ["--wheels", str(wheels), *(f"--pip={word}" for word in self.options.pip)]
            try:
                self.console.run(command, extra=self.options.extra)
                if not self.console.dry:
                    editor.enable()
                    sharing.add(editor, self.root)
            except (CommandFailed, OSError) as error:
                last = getattr(error, "tail", str(error)).strip().splitlines()
                notes.append(f"not into {editor.kind}: {last[-1] if last else error}")
                continue
            notes.append(f"{editor.kind}: {editor.folder}")
            if editor.entry not in self.plugins:
                self.plugins.append(editor.entry)
        if hint := editors.gimp_hint():
            notes.append(hint)
        return "; ".join(notes) or "there is none"

    def switch(self) -> str | None:
        """Make the new environment the current one, end the old daemon and delete the old environment."""
        glihamba = str(self.root.command(self.env))
        serve = json.dumps({"command": [glihamba, "serve"]}, indent=2) + "\n"
        if self.console.dry:
            print(f"      write {self.root.daemon_file}\n      write {self.root.launcher}")
            return None
        write_whole(self.root.daemon_file, serve)
        write_whole(self.root.launcher, _launcher_text(self.root, glihamba), executable=True)
        facts = {
            "env": self.env,
            "checkout": checkout_hash(),
            **self._key(),
            "version": self._ask("import glihamba; print(glihamba.__version__)"),
            "torch": self._ask("from importlib.metadata import version; print(version('torch'))"),
            "plugins": self.plugins,
            "installed": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        self.state = State(current=facts)
        self.root.save(self.state)
        stop_daemon(self.root, self.env, self.console)
        self._clear_away()
        return None

    def run(self) -> None:
        """Do every step. What was installed before works until `switch`. Raises InstallError."""
        look, *rest = self.steps()
        self.console.step(*look)  # before any file is written
        if self.console.dry:
            self.begin()
            for title, work in rest:
                self.console.step(title, work)
            return
        private_folder(self.root.log.parent)
        with self.root.locked():
            self.state = self.root.load()
            self._clear_away()
            self.begin()
            for title, work in rest:
                self.console.step(title, work)

    def repair(self) -> bool:
        """Test the installation if it comes from this checkout. Returns False if it must be built."""
        current = self.state.current or {}
        same = current.get("checkout") == checkout_hash() and self._key().items() <= current.items()
        if self.console.dry or not same or not self.root.is_whole(current["env"]):
            return False
        print("This version is installed already. It is tested now, and built again if it does not work.")
        self.env = current["env"]
        self.console.steps = 3
        private_folder(self.root.log.parent)
        try:
            with self.root.locked():
                self.console.step("Harmonizing a picture through the daemon", self.test)
                self.console.step("Installing the plugins into the editors", self.install_plugins)
                self.console.step("Putting it in place", self.switch)
        except InstallError as error:
            print(f"{error}\nIt is built again.")
            self.console.restart(len(self.steps()))
            return False
        return True

    @property
    def python(self) -> str:
        return str(self.root.python(self.env))

    def _key(self) -> dict[str, str]:
        """The Python and the device that an environment must have been built for to be used again."""
        return {"python": platform.python_version(), "device": self.options.device}

    def begin(self) -> None:
        """Choose the environment to build: a half-built one with the same key, else a new one."""
        half = self.state.building
        if half and half.get("key") == self._key() and (self.root.path / half["env"]).is_dir():
            self.env = half["env"]
            print(f"An installation in {self.root.path} was interrupted. Now it will be finished.")
            return
        self.env = self.root.next_env()
        self.state.building = {"env": self.env, "key": self._key(), "done": []}
        if not self.console.dry:
            self.root.save(self.state)

    def _is_done(self, step: str) -> bool:
        done = step in (self.state.building or {}).get("done", [])
        if not done and not self.console.dry and step == "environment":
            delete(self.root.path / self.env)  # remains of a broken attempt
        return done

    def _done(self, step: str) -> None:
        if not self.console.dry and self.state.building:
            self.state.building["done"].append(step)
            self.root.save(self.state)

    def _give_up(self) -> None:
        """Delete the environment that was built, because it does not work. The current one stays in use."""
        self.state.building = None
        self.root.save(self.state)
        self._clear_away()

    def _still_there(self) -> str:
        return (
            "What was installed before is still in use." if self.state.current else "Nothing was installed."
        )

    def _clear_away(self) -> None:
        """Delete environments that are neither in use nor being built."""
        wanted = {entry["env"] for entry in (self.state.current, self.state.building) if entry}
        for path in self.root.path.glob("env-*"):
            if path.name not in wanted:
                # Windows keeps the files of a running program. The next run deletes them.
                with contextlib.suppress(OSError):
                    delete(path)

    def _pip(self, work: Callable[[], object]) -> None:
        try:
            work()
        except CommandFailed as error:
            raise InstallError(
                machine.sentence_for(error.tail, self.root, offline=self.options.offline)
            ) from None

    def _ask(self, code: str) -> str:
        return "" if self.console.dry else self.console.run(interpreter.code(self.python, code)).strip()

    @contextlib.contextmanager
    def _daemon(self, glihamba: str, runtime: Path, extra: dict[str, str]) -> Iterator[None]:
        with self.root.log.open("a", encoding="utf-8") as log:
            log.write(f"\n$ {glihamba} serve\n")
            log.flush()
            process = subprocess.Popen(
                [glihamba, "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=clean_environment(extra),
            )
            try:
                deadline = time.monotonic() + _DAEMON_STARTS_WITHIN
                while not (runtime / "endpoint.json").exists():
                    if process.poll() is not None:
                        raise TimeoutError("the daemon ended as soon as it was started")
                    if time.monotonic() > deadline:
                        raise TimeoutError("the daemon did not start")
                    time.sleep(0.05)
                yield
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def checkout_hash() -> str:
    """Return the SHA-256 of all files that are installed from this checkout."""
    digest = hashlib.sha256()
    for name in _PACKAGES:
        path = CHECKOUT / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(file.relative_to(CHECKOUT).as_posix().encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def stop_daemon(root: Root, env: str, console: Console) -> None:
    """End the daemon of this root, if one runs, so that the next call starts the new one."""
    command = root.command(env)
    if root.is_whole(env):
        # The command may be broken. The daemon ends by itself when it is idle.
        with contextlib.suppress(CommandFailed, OSError):
            console.run([str(command), "stop"], extra={"GLIHAMBA_DATA_DIR": str(root.path)})


def _launcher_text(root: Root, glihamba: str) -> str:
    """Return a script that starts the command, and sets the data folder unless it is the default one."""
    if WINDOWS:
        where = "" if root.is_default else f'set "GLIHAMBA_DATA_DIR={root.path}"\n'
        return f'@echo off\n{where}"{glihamba}" %*\n'
    where = "" if root.is_default else f"export GLIHAMBA_DATA_DIR={shlex.quote(str(root.path))}\n"
    return f'#!/bin/sh\n{where}exec {shlex.quote(glihamba)} "$@"\n'
