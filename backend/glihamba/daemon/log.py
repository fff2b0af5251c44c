"""The daemon's log: one JSON object a line, in a file that rotates. Never a token, never pixels."""

from __future__ import annotations

import json
import logging
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from glihamba.daemon.discovery import CannotServe
from glihamba_proto.files import open_private, private_folder

MEGABYTE = 1 << 20
LONGEST = 500  # characters of a value: a stranger may choose a name of megabytes
_ORDINARY = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Time (UTC), level, logger, event, whatever was given as `extra`, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _ORDINARY}
        line = {name: _cut(value) for name, value in line.items()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[:LONGEST]}… ({len(value):,} characters)"
    return value


class OwnerOnly(RotatingFileHandler):
    """A rotating file that only its owner can read. A full disk loses lines, and nothing else."""

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=open_private)

    def handleError(self, record: logging.LogRecord) -> None:
        """Write no traceback to standard error, which would end here again."""


def open_log(path: Path, level: str, *, is_named: bool = False) -> logging.Handler:
    """Send the package's events of at least `level` to `path`; undo with `close_log`.

    is_named: the person has named the folder. Raises CannotServe.
    """
    try:
        private_folder(path.parent, is_named=is_named)
        handler = OwnerOnly(path, maxBytes=2 * MEGABYTE, backupCount=3, encoding="utf-8")
    except OSError as error:
        raise CannotServe(case="LOG", path=path, reason=error.strerror) from None
    handler.setFormatter(JsonLines())
    package = logging.getLogger("glihamba")
    package.addHandler(handler)
    package.setLevel(level.upper())
    return handler


def close_log(handler: logging.Handler) -> None:
    logging.getLogger("glihamba").removeHandler(handler)
    handler.close()
