"""A network as an ONNX file, for programs without PyTorch. onnxruntime checks it. Needs the extra `onnx`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glihamba.errors import BadRequest

if TYPE_CHECKING:
    from glihamba.networks.base import Harmonizer

OPSET = 20
CLOSE = 1e-4  # greatest difference of a value in [0,1] from PyTorch's
INPUTS, OUTPUT = ("composite", "mask"), "harmonized"


class NotInOnnx(BadRequest):
    """A network that ONNX cannot express, or computes otherwise; `str(error)` says why."""


def as_onnx(network: Harmonizer, side: int | None = None) -> tuple[bytes, float]:
    """The file's content, for pictures of `side` x `side` pixels, the network's working size if that is None.

    The file takes `composite` (1,3,S,S) and `mask` (1,1,S,S), float32 in [0,1], and gives `harmonized`
    (1,3,S,S). With it comes the greatest difference from PyTorch on a picture of noise. Raises NotInOnnx, and
    ModuleNotFoundError without the extra.
    """
    import onnxruntime  # before the work that it checks
    import torch

    from glihamba.ops.onnx_scan import TRANSLATIONS

    side = side or network.working_size
    g = torch.Generator().manual_seed(0)
    composite, mask = torch.rand(1, 3, side, side, generator=g), torch.zeros(1, 1, side, side)
    mask[..., side // 4 : side // 2, side // 4 : 3 * side // 4] = 1
    network = network.eval()
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        expected = network(composite, mask).numpy()
        made = Path(folder, "network.onnx")
        try:
            torch.onnx.export(
                network,
                (composite, mask),
                made,
                input_names=list(INPUTS),
                output_names=[OUTPUT],
                opset_version=OPSET,
                dynamo=True,
                custom_translation_table=TRANSLATIONS,
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # torch raises what the failing stage raises
            reason = str(error).strip().splitlines()[0][:200]
            raise NotInOnnx(
                f"{network.architecture} cannot be written as ONNX: a part of it depends on the picture's"
                f" values in a way that ONNX does not express ({type(error).__name__}: {reason})."
            ) from error
        session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
        (got,) = session.run(None, dict(zip(INPUTS, (composite.numpy(), mask.numpy()), strict=True)))
        apart = float(np.abs(got - expected).max())
        if not apart <= CLOSE:
            raise NotInOnnx(
                f"onnxruntime computes another picture than PyTorch, by {apart:.2g} of 1: nothing is written."
            )
        return made.read_bytes(), apart
