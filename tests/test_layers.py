"""Imports go down only, as CONTRIBUTING.md's table says, and fast commands import nothing heavy."""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = {
    **{REPOSITORY / name: (".",) for name in ("backend", "training", "proto", "plugins/shared")},
    **{REPOSITORY / "plugins" / name: (f"glihamba_{name}",) for name in ("krita", "gimp")},
    REPOSITORY: ("installer", "install.py"),
}

# The longest matching name decides.
ROOM_OF = {
    "glihamba": "base",
    "glihamba.compiled": "base",
    "glihamba.errors": "base",
    "glihamba.masks": "base",
    "glihamba.settings": "base",
    "glihamba.srgb": "base",
    "glihamba.cli": "commands",
    "glihamba.ctrl_c": "commands",
    "glihamba.__main__": "commands",
    "glihamba.commands": "commands",
    "glihamba.bench": "bench",
    "glihamba.file_host": "file_host",
    "glihamba.image_files": "file_host",
    "glihamba.glance": "file_host",
    "glihamba.other_files": "file_host",
    "glihamba.picture_metadata": "file_host",
    "glihamba.simple_profile": "file_host",
    "glihamba.open_raster": "file_host",
    "glihamba.look_up_table": "file_host",
    "glihamba.demo": "demo",
    "glihamba.daemon": "daemon",
    "glihamba.engine": "engine",
    "glihamba.pipeline": "pipeline",
    "glihamba.models": "models",
    "glihamba.networks": "networks",
    "glihamba.ops": "ops",
    "glihamba_training": "training",
    "glihamba_client": "client",
    "glihamba_krita": "krita",
    "glihamba_gimp": "gimp",
    "glihamba_proto": "proto",
    "installer": "installer",
    "install": "installer",
}
MAY_IMPORT = {
    "commands": {
        "bench",
        "file_host",
        "demo",
        "daemon",
        "engine",
        "pipeline",
        "models",
        "networks",
        "ops",
        "training",
        "client",
        "proto",
        "base",
    },
    "file_host": {"proto", "client", "base"},
    "bench": {"networks", "ops", "base"},
    "demo": {"base"},
    "daemon": {"engine", "models", "proto", "base"},
    "engine": {"proto", "pipeline", "models", "networks", "base"},
    "pipeline": {"networks", "proto", "base"},
    "models": {"proto", "networks", "base"},
    "networks": {"ops", "base"},
    "ops": {"proto", "base"},
    "training": {"proto", "models", "networks", "ops", "pipeline", "base"},
    "krita": {"client", "proto"},
    "gimp": {"client", "proto"},
    "client": {"proto"},
    "proto": set(),
    "installer": {"proto"},
    "base": {"proto"},
}
HEAVY = {
    "torch",
    "numba",
    "numpy",
    "grpc",
    "grpclib",
    "pyvips",
    "PIL",
    "lightning",
    "safetensors",
    "requests",
    "rich",
}
LIGHT = (
    "glihamba.cli",
    "glihamba.commands",
    "glihamba.settings",
    "glihamba.errors",
    "glihamba.models.registry",
    "glihamba.models.store",
    "glihamba.models.download",
    "glihamba.models.filling",
    "glihamba.models.loading",
    "glihamba.models.__init__",
    "glihamba.networks.__init__",
    "glihamba.networks.architectures",
)
# What an editor's plugin can carry: the standard library and wheels without compiled code.
VENDORED = {"grpclib", "h2", "hpack", "hyperframe", "multidict", "google"}


def is_ours(name: str) -> bool:
    return name.split(".")[0] in {known.split(".")[0] for known in ROOM_OF}


def modules() -> dict[str, Path]:
    found = {}
    for source, names in SOURCES.items():
        for name in names:
            path = source / name
            for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
                dotted = ".".join(file.relative_to(source).with_suffix("").parts)
                if is_ours(dotted):
                    found[dotted] = file
    return found


MODULES = modules()
_LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def room_of(module: str) -> str:
    """The room a module (or a name imported from one) is in; KeyError when it is in none."""
    module = module.removesuffix(".__init__")
    exact = {"glihamba"}  # a new module straight in the package must be given a room
    if module in ROOM_OF:
        return ROOM_OF[module]
    parts = module.split(".")
    for length in range(len(parts) - 1, 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in ROOM_OF and prefix not in exact:
            return ROOM_OF[prefix]
    raise KeyError(f"{module} is in no room: give it one here and in CONTRIBUTING.md")


def imports(module: str, path: Path, *, at_import: bool = False) -> Iterator[tuple[str, int]]:
    """Imported names and their lines; with `at_import` only those that run when the module is imported."""
    todo: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")[: -node.level]
                base = ".".join([*package, *([base] if base else [])])
            yield from ((target(base, alias.name), node.lineno) for alias in node.names)
        elif at_import and (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_typing(node)
        ):
            continue
        else:
            todo.extend(ast.iter_child_nodes(node))


def target(base: str, name: str) -> str:
    """`from base import name` imports the module base.name if there is one, else base."""
    whole = f"{base}.{name}"
    return whole if whole in MODULES or f"{whole}.__init__" in MODULES else base


def is_typing(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def test_every_room_is_found() -> None:
    assert {room_of(module) for module in MODULES} == MAY_IMPORT.keys()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down_only(module: str) -> None:
    room = room_of(module)
    wrong = [
        f"{MODULES[module].relative_to(REPOSITORY)}:{line} imports {name}: {room} may not use {room_of(name)}"
        for name, line in imports(module, MODULES[module])
        if is_ours(name) and room_of(name) not in MAY_IMPORT[room] | {room}
    ]
    assert not wrong, "\n".join(wrong)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, the first one named again at the end; empty if none do."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions and under TYPE_CHECKING count, too: they only hide a circle."""
    graph = {
        module.removesuffix(".__init__"): {
            name.removesuffix(".__init__") for name, _ in imports(module, path) if is_ours(name)
        }
        for module, path in MODULES.items()
    }
    assert not circle(graph), " -> ".join(circle(graph))


def test_a_circle_is_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith(LIGHT)))
def test_what_must_answer_at_once_imports_nothing_heavy(module: str) -> None:
    heavy = [
        f"{MODULES[module].relative_to(REPOSITORY)}:{line} imports {name} before it must"
        for name, line in imports(module, MODULES[module], at_import=True)
        if name.split(".")[0] in HEAVY
    ]
    assert not heavy, "\n".join(heavy)


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("installer", set()),
        ("krita", {"krita", "PyQt5", "PyQt6"}),
        ("gimp", {"gi"}),
        ("client", VENDORED),
        ("proto", VENDORED | {"grpc"}),
    ],
)
def test_these_rooms_stand_on_the_standard_library(room: str, allowed: set[str]) -> None:
    foreign = [
        f"{MODULES[module].relative_to(REPOSITORY)}:{line} imports {name}"
        for module in MODULES
        if room_of(module) == room
        for name, line in imports(module, MODULES[module])
        if not is_ours(name) and name.split(".")[0] not in allowed | sys.stdlib_module_names
    ]
    assert not foreign, "\n".join(foreign)


def test_the_scan_sees_what_it_must(tmp_path: Path) -> None:
    """The tests above must fail for a file with every kind of forbidden import."""
    file = tmp_path / "sample.py"
    file.write_text(
        "import torch\nfrom . import store\nfrom ..pipeline import x\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numba\n"
        "def f():\n    import grpc\n",
        "utf-8",
    )
    everything = {name for name, _ in imports("glihamba.models.sample", file)}
    assert everything == {"torch", "glihamba.models.store", "glihamba.pipeline", "typing", "numba", "grpc"}
    at_import = {name for name, _ in imports("glihamba.models.sample", file, at_import=True)}
    assert at_import == everything - {"numba", "grpc"}
    assert room_of("glihamba.models.sample") == "models"
    with pytest.raises(KeyError, match="give it one"):
        room_of("glihamba.brand_new")
