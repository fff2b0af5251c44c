"""Every network of the papers, served by name: weights in the store, a picture through the daemon."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from glihamba.models import registry, store
from glihamba.networks import build, class_of, names
from glihamba.pipeline.harmonize import harmonize

# The networks are narrow, for speed. The record of the weights holds their configuration.
CONFIG: dict[str, dict[str, Any]] = {
    "glihamba": {"width": 8, "encoder": [1, 1, 1, 1], "decoder": [1, 1, 1], "state_dimension": 1},
    "unet": {"width": 8},
    "unet-vss": {"width": 8, "encoder": [1, 1, 1, 1], "decoder": [1, 1, 1], "state_dimension": 1},
    "gknet": {"width": 8, "layers": 1},
    "hdnet": {"width": 8},
    "regional": {"width": 8},
    "regional-p": {"width": 8},
    "frih": {"base": [4, 8, 8, 8, 8, 8, 8], "cascaded": [4] * 7, "fusion": 4, "submasks": 3},
}


def add(name: str, network: Any, called: str) -> None:
    """Put the network's weights into the models folder."""
    record = registry.Record(
        name=called,
        title=name,
        description="Fresh weights.",
        architecture=name,
        config=dataclasses.asdict(network.config),
        licence="MIT",
        training_data="none",
        source=registry.LOCAL,
        paper=network.paper,
    )
    store.save(registry.user_folder() / f"{called}.safetensors", network.state_dict(), record)


@pytest.mark.parametrize("name", [name for name in names() if class_of(name).trainable])
def test_a_network_is_served_by_its_name(
    name: str, start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace
) -> None:
    torch.manual_seed(0)
    network = build(name, **CONFIG.get(name, {})).eval()
    called = f"my-{name}" if registry.is_shipped(name) else name
    add(name, network, called)

    peer = connect(start(default_model="statistics"))
    (listed,) = [model for model in peer.models() if model.name == called]
    assert listed.installed
    composite, mask = said.picture(), said.object_mask()
    reply = peer.harmonize(said.plain_job(composite, mask, model=called))
    assert reply.end.model == called
    expected = harmonize(composite, mask, network).pixels
    # With another number of threads sums may be rounded differently, by one step of 255.
    np.testing.assert_allclose(reply.pixels().astype(int), expected.astype(int), atol=1)
    np.testing.assert_array_equal(reply.pixels()[mask == 0], composite[mask == 0])
    # A fresh network that answers with a colour transform starts at the identity; one that paints does not.
    if name != "glihamba-cells" and getattr(network.config, "output", "image") == "image":
        assert (reply.pixels() != composite).any()


def test_other_weights_of_the_same_name_take_the_place_of_the_first(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace
) -> None:
    """A model is trained, tried, removed, trained again and added again while one daemon runs."""
    peer = connect(start(default_model="statistics"))
    composite, mask = said.picture(), said.object_mask()
    seen = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = build("unet", **CONFIG["unet"]).eval()
        add("unet", network, "mine")
        seen.append(peer.harmonize(said.plain_job(composite, mask, model="mine")).pixels())
        expected = harmonize(composite, mask, network).pixels
        np.testing.assert_allclose(seen[-1].astype(int), expected.astype(int), atol=1)
        store.remove("mine")
    assert np.abs(seen[0].astype(int) - seen[1].astype(int)).max() > 2
