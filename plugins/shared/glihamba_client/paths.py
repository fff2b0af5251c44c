"""Where the daemon's endpoint file lies. Standard library only; the daemon's settings follow the same rule.

The rule is fixed for each system and ignores XDG_DATA_HOME on purpose: inside Flatpak and snap that
variable (like XDG_RUNTIME_DIR and /tmp) names the sandbox's own place, while the home folder is shared
with the host, so both sides of a sandbox arrive at the same file:

    Linux    ~/.local/share/glihamba/run/endpoint.json
    macOS    ~/Library/Application Support/glihamba/run/endpoint.json
    Windows  %LOCALAPPDATA%\\glihamba\\run\\endpoint.json

GLIHAMBA_DATA_DIR replaces the `glihamba` folder, GLIHAMBA_RUNTIME_DIR the `run` folder; both absolute.

The endpoint file is a JSON object, readable by its owner alone, there while a daemon runs (a daemon that
was killed leaves it behind: then nothing answers at its port, or what answers has another instance):

    {"host": "127.0.0.1", "port": 43817, "token": "...", "pid": 4711, "instance": "...",
     "version": "0.1.0", "protocol": 1, "started": 1767225600.0}

It always names a plain loopback port: a daemon that serves a network speaks TLS there, at another port.
`started` is in seconds since 1970. Readers ignore members they don't know.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

ENDPOINT_NAME = "endpoint.json"
SETTINGS_NAME = "settings.json"


def data_folder(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of all that GLIHamba keeps for this person. Raises ValueError for a relative override."""
    override = _override("GLIHAMBA_DATA_DIR", environ)
    return override or _default_data_folder(platform, environ)


def runtime_folder(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the endpoint file and the daemon's lock."""
    return _override("GLIHAMBA_RUNTIME_DIR", environ) or data_folder(platform, environ) / "run"


def endpoint_file(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Path:
    return runtime_folder(platform, environ) / ENDPOINT_NAME


def settings_file(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Path:
    """What a person has set in the plugins."""
    return data_folder(platform, environ) / SETTINGS_NAME


def _default_data_folder(platform: str, environ: Mapping[str, str]) -> Path:
    # A snap's HOME is its own folder; SNAP_REAL_HOME is the person's.
    home = Path(environ.get("SNAP_REAL_HOME") or Path.home())
    if platform == "win32":
        local = environ.get("LOCALAPPDATA")
        return (Path(local) if local else home / "AppData" / "Local") / "glihamba"
    if platform == "darwin":
        return home / "Library" / "Application Support" / "glihamba"
    return home / ".local" / "share" / "glihamba"


def _override(name: str, environ: Mapping[str, str]) -> Path | None:
    value = environ.get(name, "").strip()
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_absolute():
        raise ValueError(
            f"{name} must be an absolute path, but is {value!r}: write the whole path, or unset it."
        )
    return path
