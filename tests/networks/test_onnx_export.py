"""Networks as ONNX files: onnxruntime computes what PyTorch computes. Needs the extra `onnx`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from glihamba.cli import cli
from glihamba.commands.common import NeedsExtra
from glihamba.networks import build

EXPRESSED: dict[str, dict[str, Any]] = {
    "hdnet-lite": {},
    "unet": {"width": 8},
    "regional": {},
    "unet-vss": {"width": 8, "encoder": (1, 1), "decoder": (1,)},  # a scan that starts at nothing
    "glihamba-tiny": {"width": 8, "encoder": (1, 1), "decoder": (1,), "quantiles": True, "semantic": True},
}
COMPOSITE, MASK = torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
MASK[..., 20:50, 10:40] = 1


def run(content: bytes) -> np.ndarray:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (harmonized,) = session.run(None, {"composite": COMPOSITE.numpy(), "mask": MASK.numpy()})
    return harmonized


@pytest.mark.parametrize("name", EXPRESSED)
def test_onnxruntime_computes_what_pytorch_computes(name):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from glihamba.networks.onnx_export import OPSET, as_onnx

    torch.manual_seed(0)
    network = build(name, **EXPRESSED[name]).eval()
    content, apart = as_onnx(network, 64)
    assert apart < 1e-4
    with torch.no_grad():
        expected = network(COMPOSITE, MASK).numpy()
    assert np.abs(run(content) - expected).max() < 1e-4
    versions = [each.version for each in onnx.load_from_string(content).opset_import if not each.domain]
    assert versions == [OPSET]


def test_the_command_writes_the_default_model(tmp_path):
    """Its scans start at a state of their own, and it changes the picture."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from glihamba.models import load

    file = tmp_path / "tiny.onnx"
    done = CliRunner().invoke(cli, ["models", "onnx", "glihamba-tiny", "--side", "64", "-o", str(file)])
    assert done.exit_code == 0, done.output
    assert f"Written: {file}, opset 20. onnxruntime agrees to" in done.output
    with torch.no_grad():
        expected = load("glihamba-tiny").eval()(COMPOSITE, MASK).numpy()
    assert np.abs(expected - COMPOSITE.numpy()).max() > 0.01
    assert np.abs(run(file.read_bytes()) - expected).max() < 1e-4


@pytest.mark.parametrize("name", ["statistics", "frih"])
def test_what_onnx_cannot_express_is_said_and_nothing_is_written(name):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from glihamba.networks.onnx_export import NotInOnnx, as_onnx

    with pytest.raises(NotInOnnx, match=f"{name} cannot be written as ONNX"):
        as_onnx(build(name), 64)


def test_without_the_extra_the_command_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    done = CliRunner().invoke(cli, ["models", "onnx", "statistics", "-o", str(tmp_path / "n.onnx")])
    assert isinstance(done.exception, NeedsExtra)
    assert "pip install 'glihamba[onnx]'" in str(done.exception)
