"""How a Python of ours is started.

With `-m` or `-c`, Python looks for modules in the caller's folder first. There a person's own `random.py` or
`pip.py` would be run in place of the library's.
"""

from __future__ import annotations

import sys

# -P, of Python 3.11, leaves the caller's folder out. -I does that in 3.10, and ignores PYTHON* variables too.
ISOLATED = "-P" if sys.version_info >= (3, 11) else "-I"


def module(python: str, name: str, *words: str) -> list[str]:
    """Return the command that runs a module as a program. python: of the same version as this one."""
    return [python, ISOLATED, "-m", name, *words]


def code(python: str, text: str) -> list[str]:
    """Return the command that runs a program's text. python: of the same version as this one."""
    return [python, ISOLATED, "-c", text]
