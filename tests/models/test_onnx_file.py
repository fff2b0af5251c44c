"""Networks as ONNX files: onnxruntime computes what PyTorch computes. Needs the extra `onnx`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from glihamba.cli import cli
from glihamba.commands.training import NeedsExtra
from glihamba.networks import build

EXPRESSED: dict[str, dict[str, Any]] = {"hdnet-lite": {}, "unet": {"width": 8}}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPRESSED)
def test_onnxruntime_computes_what_pytorch_computes(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from glihamba.models.onnx_file import OPSET, write_onnx

    torch.manual_seed(0)
    network = build(name, **EXPRESSED[name])
    assert write_onnx(network, tmp_path / "n.onnx", 64) < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "n.onnx", providers=["CPUExecutionProvider"])
    picture, mask = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    (got,) = session.run(None, {"composite": picture.numpy(), "mask": mask.numpy()})
    with torch.no_grad():
        assert np.abs(got - network.eval()(picture, mask).numpy()).max() < 1e-4
    import onnx

    assert [each.version for each in onnx.load(tmp_path / "n.onnx").opset_import if not each.domain] == [
        OPSET
    ]


def test_what_onnx_cannot_express_is_said_and_nothing_is_written(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from glihamba.models.onnx_file import NotInOnnx, write_onnx

    with pytest.raises(NotInOnnx, match="statistics cannot be written as ONNX"):
        write_onnx(build("statistics"), tmp_path / "n.onnx", 32)
    assert not (tmp_path / "n.onnx").exists()


def test_without_the_extra_the_command_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    done = CliRunner().invoke(cli, ["models", "onnx", "statistics", "-o", str(tmp_path / "n.onnx")])
    assert isinstance(done.exception, NeedsExtra)
    assert "pip install 'glihamba[onnx]'" in str(done.exception)
