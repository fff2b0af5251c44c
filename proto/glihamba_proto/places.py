"""Where the folders and files lie that the daemon, its clients and the installer look for.

The rule is fixed for each system and ignores XDG_DATA_HOME on purpose. Inside Flatpak and snap that
variable (like XDG_RUNTIME_DIR and /tmp) names the sandbox's own place, while the home folder is shared
with the host, so both sides of a sandbox arrive at the same file:

    Linux    ~/.local/share/glihamba/run/endpoint.json
    macOS    ~/Library/Application Support/glihamba/run/endpoint.json
    Windows  %LOCALAPPDATA%\\glihamba\\run\\endpoint.json

GLIHAMBA_DATA_DIR replaces the `glihamba` folder, GLIHAMBA_RUNTIME_DIR its `run` folder and GLIHAMBA_LOG_DIR
its `logs` folder. All three must be absolute.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from glihamba_proto.errors import Failure

DATA_DIR, RUNTIME_DIR, LOG_DIR = "GLIHAMBA_DATA_DIR", "GLIHAMBA_RUNTIME_DIR", "GLIHAMBA_LOG_DIR"

# Inside the data folder.
RUNTIME, LOGS, MODELS = "run", "logs", "models"
SETTINGS, COMMAND = "settings.json", "daemon.json"
# Inside the runtime folder.
ENDPOINT, LOCK, PROCESS, SOCKET, PLANES = (
    *("endpoint.json", "daemon.lock", "daemon.pid"),
    *("daemon.sock", "planes"),
)
# Inside the log folder.
DAEMON_LOG, LAUNCH_LOG = "daemon.log", "launch.log"


_IN_HOME = {
    "linux": Path(".local", "share"),
    "darwin": Path("Library", "Application Support"),
    "win32": Path("AppData", "Local"),
}


class BadPlace(Failure, ValueError):
    """An environment variable names a folder that is not absolute, or nothing says which folder to use."""


def data_folder(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of everything kept for this person; raises BadPlace."""
    return _override(DATA_DIR, environ) or default_data_folder(platform, environ)


def default_data_folder(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Path:
    """The data folder where GLIHAMBA_DATA_DIR does not name another; raises BadPlace."""
    if platform == "win32" and environ.get("LOCALAPPDATA"):
        return Path(environ["LOCALAPPDATA"]) / "glihamba"
    # A snap's HOME is its own folder; SNAP_REAL_HOME is the person's.
    real = environ.get("SNAP_REAL_HOME")
    return (Path(real) if real else home_folder()) / _IN_HOME.get(platform, _IN_HOME["linux"]) / "glihamba"


def home_folder() -> Path:
    """This person's home folder; raises BadPlace where there is neither HOME nor an account."""
    try:
        return Path.home()
    except RuntimeError:
        raise BadPlace("BAD_REQUEST", case="NO_HOME") from None


def runtime_folder(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the endpoint file and the daemon's lock; raises BadPlace."""
    return _override(RUNTIME_DIR, environ) or data_folder(platform, environ) / RUNTIME


def log_folder() -> Path:
    """The folder of the daemon's log files; raises BadPlace."""
    return _override(LOG_DIR, os.environ) or data_folder() / LOGS


def endpoint_file(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Path:
    """The file that says where the daemon answers; see `glihamba_proto.endpoint`. Raises BadPlace."""
    return runtime_folder(platform, environ) / ENDPOINT


def planes_folder() -> Path:
    """The folder of `glihamba_proto.shared_file`; raises BadPlace."""
    return runtime_folder() / PLANES


def settings_file() -> Path:
    """What a person has set in the plugins; raises BadPlace."""
    return data_folder() / SETTINGS


def command_file() -> Path:
    """The installer's note of how the daemon is started; raises BadPlace.

    It is a JSON object with the member `command`, a list of words.
    """
    return data_folder() / COMMAND


def absolute(name: str, value: str | Path) -> Path:
    """`value` as a path, `~` expanded; raises BadPlace, which calls it `name`, if it is relative."""
    try:
        path = Path(value).expanduser()
    except RuntimeError:  # it begins with ~, and there is no such home folder
        raise BadPlace("BAD_REQUEST", case="NO_HOME") from None
    if not path.is_absolute():
        raise BadPlace("BAD_REQUEST", case="FOLDER", name=name, value=repr(str(value)))
    return path


def _override(name: str, environ: Mapping[str, str]) -> Path | None:
    value = environ.get(name, "").strip()
    return absolute(name, value) if value else None
