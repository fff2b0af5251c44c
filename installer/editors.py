"""The editors on this machine, and our plugin in them: put in, enabled, removed without trace."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from installer.layout import CHECKOUT, delete, write_whole

ASSEMBLE = CHECKOUT / "plugins" / "assemble.py"

# What the plugin consists of, below Krita's resource folder and GIMP's folder plug-ins; plugins/assemble.py
# puts it there.
KRITA_PLUGIN = (
    "pykrita/glihamba_krita",
    "pykrita/glihamba_krita.desktop",
    "actions/glihamba_krita.action",
)
GIMP_PLUGIN = "glihamba"
_ENABLED = "enable_glihamba_krita"


@dataclass(frozen=True)
class Krita:
    """One Krita of this person. `resources` holds pykrita/ and actions/, `config` is its kritarc."""

    kind: str
    resources: Path
    config: Path

    host = "krita"  # for plugins/assemble.py
    use = "In Krita, once it is started anew: Tools > Scripts > Harmonize layer (Ctrl+Alt+H)"

    @property
    def folder(self) -> Path:
        """Where the plugin is put."""
        return self.resources

    @property
    def has_plugin(self) -> bool:
        return (self.resources / KRITA_PLUGIN[0]).is_dir()

    @property
    def entry(self) -> dict[str, str]:
        """For the state file; `of` is the way back."""
        return {"kind": self.kind, "resources": str(self.resources), "config": str(self.config)}

    @classmethod
    def of(cls, entry: Mapping[str, str]) -> Krita:
        return cls(entry["kind"], Path(entry["resources"]), Path(entry["config"]))

    def enable(self) -> None:
        """Tick the plugin in Krita's plugin manager, as Krita itself writes it down."""
        lines = [line for line in self._lines() if not line.startswith(f"{_ENABLED}=")]
        if "[python]" not in lines:
            lines += [""] * bool(lines and lines[-1]) + ["[python]"]
        lines.insert(lines.index("[python]") + 1, f"{_ENABLED}=true")
        self._write(lines)

    def remove(self) -> None:
        """Delete the plugin, our line in kritarc, and the folders that hold nothing else."""
        for name in KRITA_PLUGIN:
            if (self.resources / name).exists():
                delete(self.resources / name)
        for folder in (self.resources / "pykrita", self.resources / "actions", self.resources):
            with contextlib.suppress(OSError):  # something else is in it, or it was never there
                folder.rmdir()
        lines = self._lines()
        left = [line for line in lines if not line.startswith(f"{_ENABLED}=")]
        if left == lines:
            return
        self._write(list(_without_empty(left, "[python]")))

    def _lines(self) -> list[str]:
        try:
            with self.config.open(encoding="utf-8", errors="surrogateescape") as file:
                return [line.rstrip("\n") for line in file]
        except FileNotFoundError:
            return []

    def _write(self, lines: list[str]) -> None:
        if any(lines) or self.config.is_symlink():
            write_whole(self.config, "\n".join(lines).rstrip("\n") + "\n")
        else:
            self.config.unlink(missing_ok=True)


@dataclass(frozen=True)
class Gimp:
    """One GIMP 3 of this person, by the folder that its version keeps: GIMP/3.0, GIMP/3.2, ..."""

    kind: str
    folder: Path
    """GIMP's folder plug-ins, in which every plug-in has one of its own."""

    host = "gimp"
    use = "In GIMP, once it is started anew: Filters > Enhance > Harmonize"

    @property
    def has_plugin(self) -> bool:
        return (self.folder / GIMP_PLUGIN).is_dir()

    @property
    def entry(self) -> dict[str, str]:
        """For the state file; `of` is the way back."""
        return {"kind": self.kind, "plug-ins": str(self.folder)}

    @classmethod
    def of(cls, entry: Mapping[str, str]) -> Gimp:
        return cls(entry["kind"], Path(entry["plug-ins"]))

    def enable(self) -> None:
        """GIMP starts whatever is in its folder."""

    def remove(self) -> None:
        """Delete the plug-in; the folder plug-ins is GIMP's own."""
        if self.has_plugin:
            delete(self.folder / GIMP_PLUGIN)


Editor = Krita | Gimp


def of(entry: Mapping[str, str]) -> Editor:
    """The editor that an entry of the state file tells of."""
    return Gimp.of(entry) if "plug-ins" in entry else Krita.of(entry)


def editors(
    platform: str = sys.platform, environ: Mapping[str, str] = os.environ, home: Path | None = None
) -> list[Editor]:
    """Every editor that can have a plugin."""
    return [*kritas(platform, environ, home), *gimps(platform, environ, home)]


def _without_empty(lines: list[str], section: str) -> Iterator[str]:
    """The lines without the section's header where nothing follows it."""
    for index, line in enumerate(lines):
        rest = next((later for later in lines[index + 1 :] if later.strip()), "[")
        if line != section or not rest.startswith("["):
            yield line


def kritas(
    platform: str = sys.platform, environ: Mapping[str, str] = os.environ, home: Path | None = None
) -> list[Krita]:
    """Every Krita that this person has started or could start, each folder once."""
    home = home or Path.home()
    found: list[Krita] = []
    for krita, is_there in _places(platform, environ, home):
        if is_there or krita.config.exists() or krita.resources.is_dir():
            chosen = _chosen_resources(krita)
            if all(other.resources != chosen.resources for other in found):
                found.append(chosen)
    return found


def _places(platform: str, environ: Mapping[str, str], home: Path) -> Iterator[tuple[Krita, bool]]:
    """Where each kind of Krita keeps its things, and whether its program is known to be there."""
    if platform == "win32":
        roaming = Path(environ.get("APPDATA") or home / "AppData" / "Roaming")
        local = Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        programs = (environ.get("ProgramFiles", ""), environ.get("ProgramFiles(x86)", ""))
        is_there = any((Path(folder) / "Krita (x64)").is_dir() for folder in programs if folder)
        yield Krita("Krita", roaming / "krita", local / "kritarc"), is_there
        for package in sorted((local / "Packages").glob("*Krita*")):
            cache = package / "LocalCache"
            yield Krita("Krita (Store)", cache / "Roaming" / "krita", cache / "Local" / "kritarc"), False
        return
    if platform == "darwin":
        library = home / "Library"
        is_there = any(
            (folder / "krita.app").is_dir() for folder in (Path("/Applications"), home / "Applications")
        )
        krita = Krita("Krita", library / "Application Support" / "krita", library / "Preferences" / "kritarc")
        yield krita, is_there
        return
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    # The AppImage keeps its things where a distribution's package does.
    is_there = shutil.which("krita", path=environ.get("PATH")) is not None
    yield Krita("Krita", data / "krita", config / "kritarc"), is_there
    flatpak = home / ".var" / "app" / "org.kde.krita"
    yield (
        Krita("Krita (Flatpak)", flatpak / "data" / "krita", flatpak / "config" / "kritarc"),
        flatpak.is_dir(),
    )
    snap = home / "snap" / "krita" / "current"
    yield Krita("Krita (snap)", snap / ".local/share/krita", snap / ".config/kritarc"), snap.is_dir()


def _chosen_resources(krita: Krita) -> Krita:
    """The same Krita with the resource folder that the person has chosen in its settings, if any."""
    try:
        text = krita.config.read_text("utf-8", "surrogateescape")
    except OSError:
        return krita
    chosen = re.search(r"^ResourceDirectory=(.+)$", text, re.M)
    if not chosen or not Path(chosen[1]).is_dir():
        return krita
    return Krita(krita.kind, Path(chosen[1]), krita.config)


def gimps(
    platform: str = sys.platform, environ: Mapping[str, str] = os.environ, home: Path | None = None
) -> list[Gimp]:
    """Every GIMP 3 that this person has started; a folder made before that would keep GIMP from moving in."""
    return [
        Gimp(f"GIMP {folder.name}{kind}", folder / "plug-ins")
        for kind, folders in _gimp_folders(platform, environ, home or Path.home())
        for folder in folders
        if _is_version(folder, 3)
    ]


def gimp_hint(
    platform: str = sys.platform, environ: Mapping[str, str] = os.environ, home: Path | None = None
) -> str:
    """What a person whose GIMP cannot have the plugin should do, or nothing."""
    home = home or Path.home()
    if gimps(platform, environ, home):
        return ""
    path = environ.get("PATH")
    if any(shutil.which(f"gimp-3.{minor}", path=path) for minor in range(10)):
        return "GIMP 3 has not been started yet: start it once, then run install.py again"
    folders = (folder for _, found in _gimp_folders(platform, environ, home) for folder in found)
    if any(_is_version(folder, 2) for folder in folders) or shutil.which("gimp-2.10", path=path):
        return (
            "GIMP 2.10 cannot run the plugin, its Python and its way with plug-ins are others: "
            "update to GIMP 3, start it once, then run install.py again"
        )
    return ""


def _is_version(folder: Path, number: int) -> bool:
    return bool(re.fullmatch(rf"{number}\.\d+", folder.name)) and folder.is_dir()


def _gimp_folders(platform: str, environ: Mapping[str, str], home: Path) -> Iterator[tuple[str, list[Path]]]:
    """Each kind of GIMP, and what is in the folder where it keeps one for each version."""
    if platform == "win32":
        places = {"": Path(environ.get("APPDATA") or home / "AppData" / "Roaming")}
        local = Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        for package in (local / "Packages").glob("*GIMP*"):
            places[" (Store)"] = package / "LocalCache" / "Roaming"
    elif platform == "darwin":
        places = {"": home / "Library" / "Application Support"}
    else:
        places = {  # the AppImage keeps its things where a distribution's package does
            "": Path(environ.get("XDG_CONFIG_HOME") or home / ".config"),
            " (Flatpak)": home / ".var" / "app" / "org.gimp.GIMP" / "config",
            " (snap)": home / "snap" / "gimp" / "current" / ".config",
        }
    for kind, place in places.items():
        yield kind, sorted((place / "GIMP").glob("*"))
