"""Find the editors on this machine, and enable or remove our plugin in them."""

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

# The plugin's files in Krita's resource folder and in GIMP's folder plug-ins, as plugins/assemble.py writes
# them.
KRITA_PLUGIN = (
    "pykrita/glihamba_krita",
    "pykrita/glihamba_krita.desktop",
    "actions/glihamba_krita.action",
)
GIMP_PLUGIN = "glihamba"
# The installations that use a plugin, see `sharing`. It lies where no new plugin replaces it.
KRITA_NOTE, GIMP_NOTE = "pykrita/glihamba_krita.installations.json", "glihamba/installations.json"
_ENABLED = "enable_glihamba_krita"


@dataclass(frozen=True)
class Krita:
    """An installed Krita. `resources` is the folder of pykrita/ and actions/, and `config` is its kritarc."""

    kind: str
    resources: Path
    config: Path

    host = "krita"  # its name for plugins/assemble.py
    use = "In Krita, once it is started anew: Tools > Scripts > Harmonize layer (Ctrl+Alt+H)"

    @property
    def folder(self) -> Path:
        """The folder that plugins/assemble.py writes the plugin into."""
        return self.resources

    @property
    def note(self) -> Path:
        """Where the installations that use the plugin are noted."""
        return self.resources / KRITA_NOTE

    @property
    def has_plugin(self) -> bool:
        return (self.resources / KRITA_PLUGIN[0]).is_dir()

    @property
    def entry(self) -> dict[str, str]:
        """The editor as an entry of the state file. `of` reads it."""
        return {"kind": self.kind, "resources": str(self.resources), "config": str(self.config)}

    @classmethod
    def of(cls, entry: Mapping[str, str]) -> Krita:
        return cls(entry["kind"], Path(entry["resources"]), Path(entry["config"]))

    def enable(self) -> None:
        """Enable the plugin in kritarc, as Krita's plugin manager does."""
        lines = [line for line in self._lines() if not line.startswith(f"{_ENABLED}=")]
        if "[python]" not in lines:
            lines += [""] * bool(lines and lines[-1]) + ["[python]"]
        lines.insert(lines.index("[python]") + 1, f"{_ENABLED}=true")
        self._write(lines)

    def remove(self) -> None:
        """Delete the plugin, our line in kritarc, and the folders that are empty then."""
        for name in (*KRITA_PLUGIN, KRITA_NOTE):
            if (self.resources / name).exists():
                delete(self.resources / name)
        for folder in (self.resources / "pykrita", self.resources / "actions", self.resources):
            with contextlib.suppress(OSError):  # it is not empty, or it never existed
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
    """An installed GIMP 3. Each version has a folder of its own: GIMP/3.0, GIMP/3.2, ..."""

    kind: str
    folder: Path
    """GIMP's folder plug-ins, which holds one folder for each plug-in."""

    host = "gimp"
    use = "In GIMP, once it is started anew: Filters > Enhance > Harmonize"

    @property
    def note(self) -> Path:
        """Where the installations that use the plugin are noted."""
        return self.folder / GIMP_NOTE

    @property
    def has_plugin(self) -> bool:
        return (self.folder / GIMP_PLUGIN).is_dir()

    @property
    def entry(self) -> dict[str, str]:
        """The editor as an entry of the state file. `of` reads it."""
        return {"kind": self.kind, "plug-ins": str(self.folder)}

    @classmethod
    def of(cls, entry: Mapping[str, str]) -> Gimp:
        return cls(entry["kind"], Path(entry["plug-ins"]))

    def enable(self) -> None:
        """Do nothing, because GIMP starts every plug-in in its folder."""

    def remove(self) -> None:
        """Delete the plug-in. The folder plug-ins stays, because it is GIMP's."""
        if self.has_plugin:
            delete(self.folder / GIMP_PLUGIN)


Editor = Krita | Gimp


def of(entry: Mapping[str, str]) -> Editor:
    """Return the editor of an entry of the state file."""
    return Gimp.of(entry) if "plug-ins" in entry else Krita.of(entry)


def editors(
    platform: str = sys.platform, environ: Mapping[str, str] = os.environ, home: Path | None = None
) -> list[Editor]:
    """Return every editor on this machine that can have a plugin."""
    return [*kritas(platform, environ, home), *gimps(platform, environ, home)]


def _without_empty(lines: list[str], section: str) -> Iterator[str]:
    """Yield the lines, without the section's header if the section is empty."""
    for index, line in enumerate(lines):
        rest = next((later for later in lines[index + 1 :] if later.strip()), "[")
        if line != section or not rest.startswith("["):
            yield line


def kritas(
    platform: str = sys.platform, environ: Mapping[str, str] = os.environ, home: Path | None = None
) -> list[Krita]:
    """Return every Krita that is installed or was started once, with each resource folder once."""
    home = home or Path.home()
    found: list[Krita] = []
    for krita, is_there in _places(platform, environ, home):
        if is_there or krita.config.exists() or krita.resources.is_dir():
            chosen = _chosen_resources(krita)
            if all(other.resources != chosen.resources for other in found):
                found.append(chosen)
    return found


def _places(platform: str, environ: Mapping[str, str], home: Path) -> Iterator[tuple[Krita, bool]]:
    """Yield each kind of Krita with its folders, and whether its program was found."""
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
    # The AppImage uses the same folders as a distribution's package.
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
    """Return the same Krita, with the resource folder that was chosen in its settings, if any."""
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
    """Return every GIMP 3 that was started once.

    A folder made before GIMP's first start would keep GIMP from setting up its own.
    """
    return [
        Gimp(f"GIMP {folder.name}{kind}", folder / "plug-ins")
        for kind, folders in _gimp_folders(platform, environ, home or Path.home())
        for folder in folders
        if _is_version(folder, 3)
    ]


def gimp_hint(
    platform: str = sys.platform, environ: Mapping[str, str] = os.environ, home: Path | None = None
) -> str:
    """Return what to do if a GIMP is installed that cannot have the plugin yet, else an empty text."""
    home = home or Path.home()
    if gimps(platform, environ, home):
        return ""
    path = environ.get("PATH")
    if any(shutil.which(f"gimp-3.{minor}", path=path) for minor in range(10)):
        return "GIMP 3 has not been started yet: start it once, then run install.py again"
    folders = (folder for _, found in _gimp_folders(platform, environ, home) for folder in found)
    if any(_is_version(folder, 2) for folder in folders) or shutil.which("gimp-2.10", path=path):
        return (
            "GIMP 2.10 cannot run the plugin, because it starts plug-ins in another way: "
            "update to GIMP 3, start it once, then run install.py again"
        )
    return ""


def _is_version(folder: Path, number: int) -> bool:
    return bool(re.fullmatch(rf"{number}\.\d+", folder.name)) and folder.is_dir()


def _gimp_folders(platform: str, environ: Mapping[str, str], home: Path) -> Iterator[tuple[str, list[Path]]]:
    """Yield the suffix of each kind of GIMP's name and the folders of its versions."""
    if platform == "win32":
        places = {"": Path(environ.get("APPDATA") or home / "AppData" / "Roaming")}
        local = Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        for package in (local / "Packages").glob("*GIMP*"):
            places[" (Store)"] = package / "LocalCache" / "Roaming"
    elif platform == "darwin":
        places = {"": home / "Library" / "Application Support"}
    else:
        places = {  # the AppImage uses the same folders as a distribution's package
            "": Path(environ.get("XDG_CONFIG_HOME") or home / ".config"),
            " (Flatpak)": home / ".var" / "app" / "org.gimp.GIMP" / "config",
            " (snap)": home / "snap" / "gimp" / "current" / ".config",
        }
    for kind, place in places.items():
        yield kind, sorted((place / "GIMP").glob("*"))
