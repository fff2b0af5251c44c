"""The wheel: it holds every file of the packages, what is not Python included."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = (
    "backend/glihamba",
    "training/glihamba_training",
    "proto/glihamba_proto",
    "plugins/shared/glihamba_client",
)
NOT_PYTHON = (
    "glihamba/demo/composite.jpg",
    "glihamba/py.typed",
    "glihamba/weights/EfficientNet-Lite0.LICENSE.txt",
    "glihamba/weights/glihamba-tiny-free.NOTICE.txt",
    "glihamba/weights/glihamba-tiny-free.safetensors",
    "glihamba/weights/glihamba-tiny.safetensors",
    "glihamba_proto/locale/de.json",
    "glihamba_proto/locale/en.json",
    "glihamba_training/recipes/glihamba-tiny.toml",
    "glihamba_training/report/templates/page.html.j2",
)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What the wheel holds, without its metadata."""
    backend = pytest.importorskip("hatchling.build", reason="hatchling is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        wheel = folder / backend.build_wheel(str(folder))
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_every_file_of_the_packages(names: set[str]) -> None:
    files = {
        path.relative_to(folder.parent).as_posix()
        for folder in (REPOSITORY / package for package in PACKAGES)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == files


@pytest.mark.parametrize("name", NOT_PYTHON)
def test_what_is_not_python_is_in_it(names: set[str], name: str) -> None:
    assert name in names
