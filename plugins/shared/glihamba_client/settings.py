"""What a person has set in the plugins, kept as `settings.json` in the data folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from glihamba_client.errors import ClientError
from glihamba_proto import documents
from glihamba_proto.checks import STRONGEST
from glihamba_proto.files import replacing

RESULTS = ("pixels", "curves")


@dataclass(frozen=True)
class Settings:
    """The plugins' settings. Empty texts mean "as the program sees fit"."""

    model: str = ""
    """Name of the model; empty: the daemon's default."""
    strength: float = 1.0
    """0 (unchanged), 1 (the model's full correction) to 1.5."""
    remote: str = ""
    """`host:port` of a daemon on another machine; empty: this machine's own."""
    token_file: str = ""
    """File with the remote daemon's token."""
    ca_file: str = ""
    """PEM file of the authority that signed the remote daemon's certificate; empty: the system's."""
    language: str = ""
    """`en` or `de`; empty: the system's."""
    result: str = "pixels"
    """What a job adds in Krita: `pixels`, which are exact, or `curves`, which stay editable."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= STRONGEST:
            raise ValueError("strength must be between 0 and 1.5")
        if self.result not in RESULTS:
            raise ValueError(f"result must be one of {', '.join(RESULTS)}")


def read(path: Path) -> Settings:
    """The settings in `path`; the defaults when there is no such file.

    Raises `ClientError` SETTINGS_DAMAGED when it cannot be understood: it may hold what the person
    still wants, so it is not silently replaced. Names a newer version may have added are passed over.
    """
    try:
        values = documents.read(path)
        known = {field.name: type(field.default) for field in fields(Settings)}
        chosen = {name: value for name, value in values.items() if name in known}
        for name, value in chosen.items():
            if isinstance(value, bool) or not isinstance(
                value, (known[name], int) if known[name] is float else known[name]
            ):
                raise ValueError(f"{name} has the wrong type")
        return Settings(**chosen)
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError, AttributeError) as error:
        raise ClientError("SETTINGS_DAMAGED", path=path, reason=error) from error


def save(settings: Settings, path: Path) -> None:
    """Write the settings; a failure leaves the old file as it was.

    Raises `ClientError` SETTINGS_NOT_SAVED.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, private=True) as part:
            part.write_text(json.dumps(asdict(settings), indent=2) + "\n", "utf-8")
    except OSError as error:
        raise ClientError("SETTINGS_NOT_SAVED", path=path, reason=error) from error
