"""Assemble an installable plugin from a host's folder, the shared code, the contract and vendored wheels.

    python plugins/assemble.py krita FOLDER       an installable folder
    python plugins/assemble.py krita FILE.zip     the same for Krita's "Import Python Plugin from File"
    python plugins/assemble.py gimp FOLDER        GIMP's folder plug-ins

install.py, the release and the tests use this script, so that the tests run the plugin that is installed.
It needs the standard library only. `pip download` fetches the packages unless a folder holds their wheels.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glihamba_proto import interpreter

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
WHEELS = REPOSITORY / "build" / "plugin-wheels"

# All packages that the client imports, in pure Python, since the editors have Python 3.10 to 3.14 on every
# system. The oldest Python decides which versions are taken.
REQUIREMENTS = (
    "grpclib>=0.4.8,<0.5",
    "h2>=4.1,<5",
    "hpack>=4.0,<5",
    "hyperframe>=6.0,<7",
    "multidict>=6.1,<8",
    "protobuf>=5.29,<8",
    "typing_extensions>=4.7",
)
OLDEST_PYTHON = "3.10"


class AssembleError(Exception):
    """A plugin cannot be assembled. `str(error)` says what is missing and what to do."""


@dataclass(frozen=True)
class Layout:
    """The places of a host's plugin below the folder that is assembled.

    `package` is the plugin's own package, which gets a folder `vendor`. `files` maps the other files of the
    host's folder to their places. `program` is the place of the file that the host starts, if any.
    """

    package: str
    files: dict[str, str]
    program: str = ""


# Krita's importer names the desktop file and the action file after the package. Other names would leave two
# of each if someone installed the plugin in both ways.
LAYOUTS = {
    "krita": Layout(
        "pykrita/glihamba_krita",
        {
            "glihamba.desktop": "pykrita/glihamba_krita.desktop",
            "glihamba.action": "actions/glihamba_krita.action",
        },
    ),
    "gimp": Layout(
        "glihamba/glihamba_gimp",  # GIMP looks for a program named after its folder
        {"glihamba.py": "glihamba/glihamba.py"},
        program="glihamba/glihamba.py",
    ),
}


def assemble(
    host: str,
    destination: Path,
    *,
    wheels: Path = WHEELS,
    python: str = sys.executable,
    pip: Sequence[str] = (),
) -> list[Path]:
    """Write the plugin of `host` into the folder `destination`. Returns the paths of its parts.

    An older plugin is replaced when the new one is complete. wheels: the folder that keeps downloaded wheels;
    nothing is downloaded if it holds all of them. python, pip: the Python whose pip downloads, and more
    arguments for pip. Raises AssembleError and OSError.
    """
    layout = LAYOUTS[host]
    destination.mkdir(parents=True, exist_ok=True)
    gathered = gather(wheels, python, pip)
    with tempfile.TemporaryDirectory(prefix=".glihamba-", dir=destination) as folder:
        part = Path(folder)
        package = part / layout.package
        copy(HERE / host / package.name, package)
        vendor = package / "vendor"
        for wheel in gathered:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(vendor)
        copy(HERE / "shared" / "glihamba_client", vendor / "glihamba_client")
        copy(REPOSITORY / "proto" / "glihamba_proto", vendor / "glihamba_proto", leave="*_pb2_grpc.py")
        for source, place in layout.files.items():
            (part / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(HERE / host / source, part / place)
        if layout.program:
            (part / layout.program).chmod(0o755)  # a checkout from an archive may have lost it
        places = [layout.package, *layout.files.values()]
        for place in places:
            replace(part / place, destination / place)
    return [destination / place for place in places]


def pack(host: str, archive: Path, **options: Any) -> Path:
    """Write the plugin as a zip file that the host can import. Returns `archive`.

    Folders are entries of their own, as Krita expects. options: those of `assemble`, which says what it
    raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        assemble(host, Path(folder), **options)
        part = archive.with_name(archive.name + ".part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(Path(folder).rglob("*")):
                file.write(path, path.relative_to(folder).as_posix())
    part.replace(archive)
    return archive


def gather(wheels: Path, python: str, pip: Sequence[str]) -> list[Path]:
    """Return one pure-Python wheel for each requirement, downloaded unless `wheels` holds all of them."""
    found = [newest(wheels, requirement) for requirement in REQUIREMENTS]
    if None in found:
        download(wheels, python, pip)
        found = [newest(wheels, requirement) for requirement in REQUIREMENTS]
    if missing := [name_of(r) for r, wheel in zip(REQUIREMENTS, found, strict=True) if wheel is None]:
        raise AssembleError(f"pip brought no pure-Python wheel of {', '.join(missing)} into {wheels}.")
    return [wheel for wheel in found if wheel is not None]


def download(wheels: Path, python: str, pip: Sequence[str]) -> None:
    wheels.mkdir(parents=True, exist_ok=True)
    pure = ("--only-binary=:all:", "--platform", "any", "--implementation", "py", "--abi", "none")
    command = interpreter.module(
        python, "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", *pure
    )
    # Wheels are moved when they are complete, since another process may look for wheels meanwhile.
    with tempfile.TemporaryDirectory(prefix=".download-", dir=wheels) as part:
        command += ["--python-version", OLDEST_PYTHON, "--dest", part, *pip, *REQUIREMENTS]
        done = subprocess.run(command, capture_output=True, text=True)
        if not done.returncode:
            for wheel in Path(part).iterdir():
                wheel.replace(wheels / wheel.name)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "pip failed").splitlines()[-1]
        raise AssembleError(
            f"The packages of the plugin could not be downloaded ({last}): check the network, or put their"
            f" pure-Python wheels into {wheels}."
        )


def newest(wheels: Path, requirement: str) -> Path | None:
    """Return the newest pure-Python wheel of a requirement in a folder, or None."""
    low, high = (version(bound) for bound in bounds(requirement))
    found = []
    for path in wheels.glob("*-none-any.whl"):
        name, number, *_ = path.name.split("-")
        if name.lower().replace(".", "_") == name_of(requirement) and low <= version(number) < high:
            found.append((version(number), path))
    return max(found)[1] if found else None


def name_of(requirement: str) -> str:
    return re.split("[<>=]", requirement)[0]


def bounds(requirement: str) -> tuple[str, str]:
    """Return (LOW, HIGH) of `name>=LOW,<HIGH`. Without an upper bound, HIGH is greater than every version."""
    found = dict(re.findall(r"(>=|<)([\d.]+)", requirement))
    return found[">="], found.get("<", "999999")


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def copy(source: Path, target: Path, leave: str = "") -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "*.pyi", leave))


def replace(source: Path, target: Path) -> None:
    """Move a file or folder to its place. A failure leaves the old one there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_dir():
        source.replace(target)
        return
    old = source.with_name(source.name + ".old")
    target.replace(old)
    try:
        source.replace(target)
    except OSError:
        old.replace(target)
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="assemble.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("host", choices=sorted(LAYOUTS))
    parser.add_argument("target", type=Path, metavar="FOLDER|FILE.zip")
    parser.add_argument("--wheels", type=Path, default=WHEELS, help="folder that keeps downloaded wheels")
    parser.add_argument(
        "--pip", action="append", default=[], metavar="ARGUMENT", help="argument for pip, as --pip=…"
    )
    given = parser.parse_args(arguments)
    write = pack if given.target.suffix == ".zip" else assemble
    try:
        written = write(given.host, given.target, wheels=given.wheels, pip=given.pip)
    except (AssembleError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(*([written] if isinstance(written, Path) else written), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
