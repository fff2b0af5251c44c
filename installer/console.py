"""The installer's output: one line a step on the screen, and everything else in a log file."""

from __future__ import annotations

import collections
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# Variables that would make pip or Python use another environment than ours.
_MISLEADING = (
    "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT",
    "PIP_REQUIRE_VIRTUALENV", "PIP_DRY_RUN",
)  # fmt: skip


class InstallError(Exception):
    """A failure that a person can understand. `str(error)` is one sentence that says what to do."""


class CommandFailed(Exception):
    """A command ended with another exit status than 0. `tail` holds its last lines."""

    def __init__(self, command: Sequence[str], status: int, tail: str) -> None:
        super().__init__(f"{Path(command[0]).name} ended with status {status}")
        self.status = status
        self.tail = tail


class Console:
    """Prints steps and runs commands, whose output goes to `log`.

    log: None for no log file. steps: their number. verbose: show the output of commands too. dry: print steps
    and commands and run nothing.
    """

    def __init__(self, log: Path | None, steps: int, *, verbose: bool = False, dry: bool = False) -> None:
        self.log, self.steps, self.verbose, self.dry = log, steps, verbose, dry
        self._step = 0
        self._live = sys.stdout.isatty() and not verbose

    def restart(self, steps: int) -> None:
        """Count the steps from 1 again."""
        self._step, self.steps = 0, steps

    def step(self, title: str, work: Callable[[], str | None]) -> None:
        """Do one step and print its line, which ends with the note that `work` returns.

        In a dry run `work` is called too, and must do nothing but print.
        """
        self._step += 1
        head = f"[{self._step}/{self.steps}] {title}"
        if self.dry:
            print(head)
            work()
            return
        print(f"{head} ...", end="\n" if self.verbose else "", flush=True)
        began = time.monotonic()
        self._head = head
        try:
            note = work()
        except BaseException:
            self._close(f"{head} ...", " failed")
            raise
        seconds = time.monotonic() - began
        tail = f" {note}" if note else " done"
        tail += f" ({seconds:.0f} s)" if seconds >= 1 else ""
        self._close(f"{head} ...", tail)

    def run(
        self,
        command: Sequence[str],
        *,
        extra: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> str:
        """Run a command to its end and return its output, standard error included. Raises CommandFailed.

        extra: environment variables to set. A dry run prints the command and returns an empty text.
        """
        words = list(command)
        if self.dry:
            print("      " + " ".join(f'"{w}"' if " " in w else w for w in words))
            return ""
        last: collections.deque[str] = collections.deque(maxlen=60)
        output: list[str] = []
        with open(self.log or os.devnull, "a", encoding="utf-8", errors="replace") as log:
            log.write(f"\n$ {' '.join(words)}\n")
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=clean_environment(extra),
                cwd=cwd,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
            ticking = threading.Event()
            if self._live:
                threading.Thread(target=self._tick, args=(ticking, last), daemon=True).start()
            try:
                assert process.stdout
                for line in process.stdout:
                    log.write(line)
                    output.append(line)
                    last.append(line.strip())
                    if self.verbose:
                        print(f"      {line}", end="", flush=True)
                status = process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
            finally:
                ticking.set()
        if status:
            raise CommandFailed(words, status, "\n".join(last))
        return "".join(output)

    def _tick(self, done: threading.Event, last: collections.deque[str]) -> None:
        began = time.monotonic()
        while not done.wait(1):
            line = f"{self._head} ... {time.monotonic() - began:.0f} s  {last[-1] if last else ''}"
            self._overwrite(line)

    def _close(self, head: str, tail: str) -> None:
        if self._live:
            self._overwrite(head + tail)
            print(flush=True)
        else:
            print(tail, flush=True)

    @staticmethod
    def _overwrite(line: str) -> None:
        """Replace the terminal's current line. Old Windows consoles know no escape codes."""
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{line[:width]:<{width}}", end="", flush=True)


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a child: ours without variables that mislead pip, and with `extra`."""
    kept = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    return {**kept, "PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1", "PIP_NO_INPUT": "1", **(extra or {})}
