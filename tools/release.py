"""Make a release: check version and changelog, then build everything that is published into `dist/`.

    python tools/release.py --check     only check
    python tools/release.py             wheel, plugin archives, release notes and checksums

Run it in an environment that has pip and hatchling.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
VERSION_FILE = Path("proto/glihamba_proto/__init__.py")
HOSTS = ("krita", "gimp")


class ReleaseError(Exception):
    """One sentence that says what is wrong with the release and what to do."""


def version_of(text: str) -> str:
    """The version that a module states; raises ReleaseError unless it is MAJOR.MINOR.PATCH, stated once."""
    found: list[str] = re.findall(r'^__version__ = "(.+)"$', text, re.M)
    if len(found) != 1 or not re.fullmatch(r"\d+\.\d+\.\d+", found[0]):
        raise ReleaseError(f"{VERSION_FILE} states the versions {found}. State one, as MAJOR.MINOR.PATCH.")
    return found[0]


def notes_of(changelog: str, version: str) -> str:
    """The changelog's section of `version`, without its heading.

    Raises ReleaseError if there is none, it is empty or has no date, or *Unreleased* still has entries.
    """
    sections: dict[str, str] = {
        heading.strip(): body.strip()
        for heading, body in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    }
    if sections.get("Unreleased"):
        raise ReleaseError(f'CHANGELOG.md has entries under "Unreleased". Move them to {version}.')
    heading = next((heading for heading in sections if heading.split()[0] == version), "")
    if not heading or not sections[heading]:
        raise ReleaseError(f"CHANGELOG.md has no entries for {version}. Write what changed.")
    date = heading.removeprefix(version).strip(" ()")
    try:
        datetime.date.fromisoformat(date)
    except ValueError:
        raise ReleaseError(
            f'CHANGELOG.md gives {version} no date. Write "## {version} (YYYY-MM-DD)".'
        ) from None
    return sections[heading] + "\n"


def strays(version: str, repository: Path = REPOSITORY) -> list[str]:
    """Files other than VERSION_FILE that state a version number of their own."""
    found = []
    for room in ("backend", "training", "plugins", "installer", "proto"):
        for path in sorted((repository / room).rglob("*.py")):
            name = path.relative_to(repository)
            if name != VERSION_FILE and re.search(r'^__version__ = "', path.read_text("utf-8"), re.M):
                found.append(name.as_posix())
    return found


def check(repository: Path = REPOSITORY) -> tuple[str, str]:
    """The version and its notes; raises ReleaseError."""
    version = version_of((repository / VERSION_FILE).read_text("utf-8"))
    if found := strays(version, repository):
        raise ReleaseError(f"{', '.join(found)} state a version too. Import it from glihamba_proto.")
    return version, notes_of((repository / "CHANGELOG.md").read_text("utf-8"), version)


def build(folder: Path, version: str, notes: str, pip: Sequence[str] = ()) -> list[Path]:
    """Write wheel, plugin archives, notes and checksums into `folder`; returns the files.

    pip: further arguments for pip. Raises ReleaseError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", *pip, "--wheel-dir", str(folder), str(REPOSITORY)]
    )
    wheel = folder / f"glihamba-{version}-py3-none-any.whl"
    if not wheel.is_file():
        raise ReleaseError(f"pip made no {wheel.name}: the wheel's version differs from {version}.")
    archives = [folder / f"glihamba-{host}-{version}.zip" for host in HOSTS]
    for host, archive in zip(HOSTS, archives, strict=True):
        run([sys.executable, str(REPOSITORY / "plugins" / "assemble.py"), host, str(archive)])
    page = folder / "RELEASE-NOTES.md"
    page.write_text(f"# GLIHamba {version}\n\n{notes}", "utf-8")
    files = [wheel, *archives, page]
    sums = folder / "SHA256SUMS"
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" for file in files]
    sums.write_text("\n".join(lines) + "\n", "utf-8")
    return [*files, sums]


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise ReleaseError(f"{' '.join(command[:4])} … failed: {last}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="release.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="build nothing")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "dist", help="folder to write to")
    parser.add_argument("--pip", action="append", default=[], metavar="ARGUMENT", help="for pip, as --pip=…")
    given = parser.parse_args(arguments)
    try:
        version, notes = check()
        files = [] if given.check else build(given.output, version, notes, given.pip)
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"GLIHamba {version} is ready to be released.", *files, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
