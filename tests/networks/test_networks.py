"""Every network of the five papers: published size, any picture, gradients, Eq. 7, weights through a file."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from glihamba.errors import UnknownModel
from glihamba.models import loading, store
from glihamba.models.registry import LOCAL, Record
from glihamba.networks import build, class_of, names, settings_of

# The networks with narrow layers, for tests that hold at any width.
NARROW: dict[str, dict[str, Any]] = {
    "glihamba": {"width": 16, "encoder": (1, 1, 1, 1), "decoder": (1, 1, 1), "state_dimension": 2},
    "glihamba-small": {"width": 16},
    "glihamba-tiny": {"width": 16},
    "glihamba-cells": {"width": 16, "hidden": 32},
    "unet": {"width": 8},
    "unet-vss": {"width": 16, "encoder": (1, 1, 1, 1), "decoder": (1, 1, 1), "state_dimension": 2},
    "gknet": {"width": 8, "layers": 1},
    "hdnet": {"width": 4},
    "hdnet-lite": {"width": 2},
    "regional": {"width": 8},
    "regional-p": {"width": 16, "widest": 64},
    "frih": {
        "base": (4, 8, 8, 8, 8, 8, 8),
        "cascaded": (4, 4, 4, 4, 4, 4, 4),
        "fusion": 4,
    },
}
PAPERS_OTHERS = ["unet", "unet-vss", "gknet", "hdnet", "hdnet-lite", "regional", "regional-p", "frih"]


def pictures(height, width, batch=1, seed=0):
    g = torch.Generator().manual_seed(seed)
    mask = torch.zeros(batch, 1, height, width)
    mask[..., height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] = 1
    return torch.rand(batch, 3, height, width, generator=g), mask


def parameters(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "settings", "published", "within"),
    [
        ("hdnet", {}, 10.41e6, 0.01),
        ("hdnet-lite", {}, 0.65e6, 0.01),
        ("regional", {}, 9.48e6, 0.03),
        ("regional", {"width": 128}, 37.81e6, 0.03),  # Zhu et al. 2022, Table 5: C x 2
        ("regional", {"width": 192}, 72.39e6, 0.03),  # C x 3, where the cap of 1024 begins to tell
        ("regional-p", {}, 117.42e6, 0.03),
        ("frih", {}, 11.98e6, 0.03),
    ],
)
def test_published_parameter_counts(name, settings, published, within):
    with torch.device("meta"):
        network = build(name, **settings)
    assert parameters(network) == pytest.approx(published, rel=within)


def test_frih_s_second_stage_is_light_as_published():
    with torch.device("meta"):
        network = build("frih")
    assert parameters(network.cascaded) == pytest.approx(2.68e6, rel=0.03)


@pytest.mark.parametrize(("name", "stated"), [("unet", 48.10), ("unet-vss", 60.64), ("gknet", 11.64)])
def test_sizes_that_no_paper_prints_are_what_the_docstring_says(name, stated):
    with torch.device("meta"):
        network = build(name)
    assert round(parameters(network) / 1e6, 2) == stated
    said = __import__(type(network).__module__, fromlist=["_"]).__doc__
    assert said
    assert f"{stated:.2f} M" in said


@pytest.mark.parametrize("size", [(64, 64), (40, 72)])
@pytest.mark.parametrize("name", PAPERS_OTHERS)
def test_forward_and_backward_at_two_sizes(name, size: tuple[int, int]):
    torch.manual_seed(0)
    network = build(name, **NARROW[name])
    composite, mask = pictures(*size, batch=2)
    harmonized = network(composite, mask)
    assert harmonized.shape == composite.shape
    (harmonized - composite - 0.1).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
    reached = sum(bool(p.grad.abs().max() > 0) for p in network.parameters() if p.grad is not None)
    assert reached > 0.9 * len(list(network.parameters())), "the loss reaches nearly every parameter"


@pytest.mark.train
@pytest.mark.parametrize("name", PAPERS_OTHERS)
def test_the_whole_network_learns_a_step_at_its_full_width(name):
    torch.manual_seed(0)
    network = build(name)
    composite, mask = pictures(64, 64)
    loss = (network(composite, mask) - 0.5).square().mean()
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("size", [(1, 1), (7, 30), (33, 5)])
@pytest.mark.parametrize("name", PAPERS_OTHERS)
def test_any_size_and_any_mask(name, size: tuple[int, int]):
    """No object, all object, a speck or half transparent: the result is finite and keeps the scene."""
    torch.manual_seed(0)
    network = build(name, **NARROW[name]).eval()
    composite, _ = pictures(*size, batch=4)
    mask = torch.zeros(4, 1, *size)
    mask[1], mask[2, 0, 0, 0] = 1, 1
    mask[3, :, : size[0] // 2 + 1] = 0.5
    with torch.no_grad():
        harmonized = network(composite, mask)
        transform = network.colour_transform(composite, mask)
    assert harmonized.shape == composite.shape
    assert torch.isfinite(harmonized).all()
    assert transform.isfinite()
    assert torch.equal(harmonized * (mask == 0), composite * (mask == 0))


@pytest.mark.parametrize("name", PAPERS_OTHERS)
def test_equation_7_and_the_mask_matters(name):
    torch.manual_seed(0)
    network = build(name, **NARROW[name]).eval()
    composite, mask = pictures(64, 64)
    elsewhere = mask.roll((8, 8), (2, 3))
    with torch.no_grad():
        harmonized = network(composite, mask)
        both = mask * elsewhere > 0
        other = network(composite, elsewhere)
    assert torch.equal(harmonized * (1 - mask), composite * (1 - mask))
    assert ((harmonized - composite) * mask).abs().max() > 1e-3, "an untrained picture differs inside"
    assert both.any()
    assert ((harmonized - other) * both).abs().max() > 1e-6, "the network itself reads the mask"


@pytest.mark.parametrize("name", PAPERS_OTHERS)
def test_each_picture_of_a_batch_is_harmonized_as_if_alone(name):
    torch.manual_seed(0)
    network = build(name, **NARROW[name]).eval()
    composite, mask = pictures(64, 64, batch=3)
    mask[1] = mask[1].roll(10, 2)
    mask[2] = 0
    mask[2, :, 5:9, 5:60] = 1
    with torch.no_grad():
        together = network(composite, mask)
        alone = torch.cat([network(composite[i : i + 1], mask[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", PAPERS_OTHERS)
def test_weights_through_a_safetensors_file_into_the_registry(name, tmp_path, monkeypatch):
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path / "data"))
    torch.manual_seed(1)
    network = build(name, **NARROW[name]).eval()
    record = Record(
        name=f"my-{name}",
        title="Mine",
        description="Fresh weights.",
        architecture=network.architecture,
        config=dataclasses.asdict(network.config),
        licence="MIT",
        training_data="none",
        source=LOCAL,
    )
    store.save(tmp_path / f"my-{name}.safetensors", network.state_dict(), record)
    store.add(tmp_path / f"my-{name}.safetensors")
    again = loading.load(f"my-{name}")
    assert type(again) is type(network)
    assert again.config == network.config
    composite, mask = pictures(64, 64)
    with torch.no_grad():
        assert torch.equal(again(composite, mask), network(composite, mask))


def test_names_and_settings():
    assert set(NARROW) == {name for name in names() if class_of(name).trainable}
    assert names("glihamba") == ("glihamba", "glihamba-small", "glihamba-tiny")
    assert "neighbours" in settings_of("hdnet-lite")
    with pytest.raises(
        UnknownModel, match=r'No network is called "hdnet-light": choose one of frih, gknet, .*statistics'
    ):
        build("hdnet-light")
    with pytest.raises(TypeError, match="HDNet has no setting witdh"):
        build("hdnet", witdh=8)


@pytest.mark.parametrize("name", names())
def test_every_network_knows_how_it_is_built_again_and_where_it_is_from(name):
    network = build(name, **NARROW.get(name, {}))
    assert network.architecture in names()
    again = build(network.architecture, **dataclasses.asdict(network.config))
    assert again.config == network.config
    assert "20" in network.paper
    assert network.working_size == network.config.working_size
