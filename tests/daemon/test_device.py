"""Where a daemon's networks run, and that it says so."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch


def test_a_gpu_hoped_for_in_vain_is_announced(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    daemon = start(device="cuda")
    info = connect(daemon).info()
    assert info.device.kind == "cpu"
    assert info.notice.startswith("The GPU is not used, because ")
    assert info.notice.endswith(".")
    assert connect(daemon).harmonize(said.plain_job()).end.device.kind == "cpu"


@pytest.mark.gpu
def test_a_gpu_is_used(start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace) -> None:
    daemon = start(device="auto")
    peer = connect(daemon)
    assert (peer.info().device.kind, peer.info().notice) == ("cuda", "")
    end = peer.harmonize(said.plain_job()).end
    assert (end.device.kind, list(end.warnings)) == ("cuda", [])
