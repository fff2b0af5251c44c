"""`install.py test`: make an environment with everything that the tests need, and run them."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Sequence

from glihamba_proto import interpreter
from installer.console import clean_environment
from installer.layout import CHECKOUT, State
from installer.steps import Installation

DEFAULT_ROOT = CHECKOUT / "build" / "test-env"


class TestEnvironment(Installation):
    """An environment with the checkout itself, editable, and the extra `test`. It is kept and used again."""

    def steps(self) -> list[tuple[str, Callable[[], str | None]]]:
        return [
            ("Looking at this machine", self.look),
            ("Making an environment", self.make_environment),
            ("Installing PyTorch", self.install_torch),
            ("Installing GLIHamba and what its tests need", self.install_backend),
        ]

    def install_backend(self) -> str | None:
        command = interpreter.module(
            self.python, "pip", "install", *self.options.pip, "--editable", f"{CHECKOUT}[test]"
        )
        self._pip(lambda: self.console.run(command, extra=self.options.extra))
        if not self.console.dry:
            self.state = State(current={"env": self.env, "requirements": _requirements(), **self._key()})
            self.root.save(self.state)
        return None

    def begin(self) -> None:
        """Update the environment if only its requirements have changed, else make a new one."""
        current = self.state.current
        if current and self._key().items() <= current.items() and self.root.python(current["env"]).exists():
            self.state.building = {
                "env": current["env"],
                "key": self._key(),
                "done": ["environment", "torch"],
            }
        super().begin()

    def is_ready(self) -> bool:
        wanted = {**self._key(), "requirements": _requirements()}
        current = self.state.current or {}
        if not (wanted.items() <= current.items() and self.root.python(current["env"]).exists()):
            return False
        self.env = current["env"]
        return True

    def run_tests(self, arguments: Sequence[str], tier: Sequence[str] = ()) -> int:
        """Run pytest in this terminal. Returns its exit status.

        arguments: those of pytest. Without any, all tests run, several files in parallel. tier: `--fast` or
        `--thorough`, which tests/conftest.py explains, or nothing.
        """
        command = [self.python, "-m", "pytest", *(arguments or _side_by_side(tier)), *tier]
        if self.console.dry:
            self.console.run(command)
            return 0
        return subprocess.call(command, cwd=CHECKOUT, env=clean_environment(self.options.extra))


def _side_by_side(tier: Sequence[str]) -> list[str]:
    """Whole files in parallel, because their fixtures are expensive. The order of tests/conftest.py is kept.

    The editors and installations that only the fast tests leave out wait as much as they compute, so there is
    one process more than the machine has cores.
    """
    processes = (os.cpu_count() or 1) + ("--fast" not in tier)
    return ["--numprocesses", str(min(4, processes)), "--dist", "loadfile", "--no-loadscope-reorder"]


def _requirements() -> str:
    return hashlib.sha256((CHECKOUT / "pyproject.toml").read_bytes()).hexdigest()
