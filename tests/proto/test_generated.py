"""The committed code matches the contract, and each side loads without the other's library."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROTO = Path(__file__).resolve().parents[2] / "proto"


def regenerate(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "regenerate.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def needs_generator() -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed: pip install 'glihamba[test]'")


@pytest.mark.usefixtures("needs_generator")
def test_committed_code_matches_the_contract() -> None:
    shown = regenerate(PROTO)
    assert shown.returncode == 0, shown.stdout + shown.stderr


@pytest.mark.usefixtures("needs_generator")
def test_a_stale_module_is_named(tmp_path: Path) -> None:
    copy = tmp_path / "proto"
    shutil.copytree(PROTO, copy, ignore=shutil.ignore_patterns("__pycache__"))
    contract = copy / "glihamba" / "v1" / "harmonizer.proto"
    contract.write_text(
        contract.read_text("utf-8").replace("string notice = 9;", "string notices = 9;"), "utf-8"
    )
    shown = regenerate(copy)
    assert shown.returncode == 1
    assert shown.stdout.strip() == (
        "harmonizer_pb2.py, harmonizer_pb2.pyi do not match glihamba/v1/harmonizer.proto: "
        "run `python proto/regenerate.py` and commit the result."
    )


@pytest.mark.parametrize(
    ("module", "barred"),
    [
        ("harmonizer_pb2", ("grpc", "grpclib")),
        ("harmonizer_grpc", ("grpc",)),
        ("harmonizer_pb2_grpc", ("grpclib",)),
    ],
)
def test_each_side_loads_alone_from_inside_a_plugin(
    tmp_path: Path, module: str, barred: tuple[str, ...]
) -> None:
    vendored = tmp_path / "some_plugin" / "vendored"
    shutil.copytree(PROTO / "glihamba_proto", vendored / "glihamba_proto")
    barring = "; ".join(f"sys.modules[{name!r}] = None" for name in (*barred, "glihamba_proto"))
    code = (
        f"import sys; {barring}; import some_plugin.vendored.glihamba_proto.{module} as m; print(m.__name__)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert shown.stdout.strip() == f"some_plugin.vendored.glihamba_proto.{module}", shown.stderr
