"""Ctrl-C: a KeyboardInterrupt that is never raised where Python would lose it, or keep a lock for ever.

Python runs a signal's handler between any two instructions of the main thread. Between two of the import
system's, the exception may leave the lock of all imports held: a thread that imports, as the one that loads
torch, then waits for ever, and so does a command that waits for the thread. In a weak reference's callback or
in `__del__`, Python prints the exception and goes on.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from _thread import interrupt_main, start_new_thread
from types import FrameType
from typing import Any

_AGAIN = 0.02  # seconds until an interrupt that came at a bad moment is tried again
_IMPORTS = "<frozen importlib._bootstrap>"  # Python's module with the locks of imports

_pressed = False  # no Event: a second Ctrl-C inside its `set` would wait for the first one's lock


def pressed() -> bool:
    """Whether Ctrl-C was pressed. What went wrong since may come of it, whatever its exception says."""
    return _pressed


def listen() -> None:
    """Have Ctrl-C raise KeyboardInterrupt in the main thread, as soon as that does no harm."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return  # the process ignores it, as in the background, or an embedding program handles it
    signal.signal(signal.SIGINT, _on_signal)
    print_lost = sys.unraisablehook

    def retry(lost: Any) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            start_new_thread(_press_again, ())
        else:
            print_lost(lost)

    sys.unraisablehook = retry


def ignore() -> None:
    """Have a second Ctrl-C change nothing: the command is ending."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _on_signal(number: int, frame: FrameType | None) -> None:
    global _pressed
    _pressed = True
    if frame is not None and frame.f_code.co_filename == _IMPORTS:
        start_new_thread(_press_again, ())  # a `threading.Thread` would need a lock that the frame may hold
    else:
        raise KeyboardInterrupt


def _press_again() -> None:
    time.sleep(_AGAIN)
    if sys.platform == "win32":
        interrupt_main()
    else:
        os.kill(os.getpid(), signal.SIGINT)  # ends a wait of the main thread, which interrupt_main does not
