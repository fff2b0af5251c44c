"""A network of another paper on the command line: its weights added, then chosen by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from cli_pictures import glihamba, here, marked, save, save_mask, scene

from glihamba import image_files
from glihamba.networks import build

pytestmark = pytest.mark.usefixtures("own_home")


def test_hdnet_lite_is_added_and_used_by_name_like_glihamba(tmp_path: Path) -> None:
    """Weights that describe nothing, with the network's name given; through the daemon and without."""
    torch.manual_seed(0)
    weights = {k: v.contiguous() for k, v in build("hdnet-lite").state_dict().items()}
    safetensors.torch.save_file(weights, tmp_path / "trained.safetensors")
    done = here(
        "models",
        "add",
        tmp_path / "trained.safetensors",
        "--name",
        "hdnet-lite",
        "--architecture",
        "hdnet-lite",
    )
    assert done.returncode == 0, done.stderr
    assert "hdnet-lite" in here("models", "list").stdout

    composite, mask = save(tmp_path / "in.png", scene()), save_mask(tmp_path / "mask.png")
    outputs = [tmp_path / "daemon.png", tmp_path / "local.png"]
    for output, how in zip(outputs, ([], ["--local"]), strict=True):
        done = glihamba(
            "harmonize", composite, "--mask", mask, "-o", output, "--model", "hdnet-lite", "--json", *how
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["model"] == "hdnet-lite"
    first, second = (image_files.read(output).pixels for output in outputs)
    # With another number of threads sums may be rounded differently, by one step of 255.
    np.testing.assert_allclose(first.astype(int), second.astype(int), atol=1)
    assert np.array_equal(first[marked() == 0], scene()[marked() == 0])
    assert not np.array_equal(first, scene())


def test_an_architecture_that_is_none_is_refused_with_the_known_names(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
    done = here("models", "add", tmp_path / "x.safetensors", "--architecture", "hdnet-light")
    assert done.returncode == 1
    assert 'No network is called "hdnet-light": choose one of frih, gknet, glihamba, ' in done.stderr
    assert "hdnet-lite" in done.stderr
