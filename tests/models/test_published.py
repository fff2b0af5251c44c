"""Public weights of a paper's authors: nothing runs, and they compute what their code computes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba.errors import BadRequest
from glihamba.models import published, registry, store
from glihamba.models.loading import load
from glihamba.networks import build

WIDTHS = [8, 16, 32, 64, 64, 64, 64, 64]  # of hdnet-lite
STRIDES = [2, 1, 2, 1, 2, 1, 2]
ENCODER = ["1", "2", "3", "4", "5", "6", "71"]
DECODER = ["72", "8", "9", "10", "11", "12", "13"]


def public_weights() -> dict[str, Tensor]:
    """Random weights under the names of HDNet's public code, those that it never reads among them."""
    g = torch.Generator().manual_seed(4)

    def some(*shape: int) -> Tensor:
        return 0.1 * torch.randn(*shape, generator=g)

    found = {"model_layer0.weight": some(8, 4, 3, 3)}
    for layer, name in enumerate(ENCODER):
        side = 4 if _strided(layer) else 3
        found[f"model_layer{name}.1.weight"] = some(WIDTHS[layer + 1], WIDTHS[layer], side, side)
    for index, name in enumerate(DECODER):
        layer = 6 - index
        side, below = 4 if _strided(layer) else 3, WIDTHS[layer + 1] * (1 if index == 0 else 2)
        found[f"model_layer{name}.1.weight"] = some(below, WIDTHS[layer], side, side)
        for key in ("foreground_gamma", "foreground_beta", "background_gamma", "background_beta"):
            found[f"model_layer{name}norm.{key}"] = some(WIDTHS[layer])
    for name, channels in (("11", 64), ("12", 32), ("13", 16)):
        found[f"model_layer{name}att.conv_kernel.1.weight"] = some(4, channels, 1, 1)
        found[f"model_layer{name}att.conv_kernel.1.bias"] = some(4)
        found[f"model_layer{name}att.conv_kernel.3.weight"] = some(2 * channels**2, 2, 1, 1)
        found[f"model_layer{name}att.conv_kernel.3.bias"] = some(2 * channels**2)
        found[f"model_layer{name}att.conv_guide.weight"] = some(2, channels, 1, 1)
        found[f"model_layer{name}att.conv_guide.bias"] = some(2)
    found |= {"ld.linear.weight": some(64, 128, 1), "ld.linear.bias": some(64)}
    return found | {"model_out.1.weight": some(16, 3, 3, 3), "model_out.1.bias": some(3)}


def _strided(layer: int) -> bool:
    return layer in (0, 2, 4)


def as_their_code_computes(w: dict[str, Tensor], composite: Tensor, mask: Tensor) -> Tensor:
    """The public code's forward for one picture, step by step, from its description."""

    def at(x: Tensor) -> Tensor:
        return F.interpolate(mask, x.shape[2:], mode="nearest")

    def rain(x: Tensor, name: str) -> Tensor:
        m = at(x)
        statistics = []
        for region in (m, 1 - m):
            count = region.sum() + 1e-5
            mean = (x * region).sum((2, 3), keepdim=True) / count
            variance = ((x * region + (1 - region) * mean - mean) ** 2).sum((2, 3), keepdim=True) / count
            statistics.append((mean, (variance + 1e-5).sqrt()))
        (mean_f, std_f), (mean_b, std_b) = statistics
        g = {key: w[f"model_layer{name}norm.{key}"][None, :, None, None] for key in RAIN_KEYS}
        inside = (x - mean_f) / std_f * std_b + mean_b
        outside = (x - mean_b) / std_b
        return (inside * (1 + g["foreground_gamma"]) + g["foreground_beta"]) * m + (
            outside * (1 + g["background_gamma"]) + g["background_beta"]
        ) * (1 - m)

    def mgd(x: Tensor, name: str) -> Tensor:
        key = f"model_layer{name}att.conv_kernel"
        small = F.conv2d(x.mean((2, 3), keepdim=True), w[f"{key}.1.weight"], w[f"{key}.1.bias"]).sigmoid()
        kernel = F.conv2d(small, w[f"{key}.3.weight"], w[f"{key}.3.bias"], groups=2)
        both = F.conv2d(x, kernel.view(-1, x.shape[1], 1, 1)).view(1, 2, *x.shape[1:])
        return both[:, 0] * at(x) + both[:, 1] * (1 - at(x))

    x = F.conv2d(torch.cat((composite * 2 - 1, mask), 1), w["model_layer0.weight"], padding=1)
    skips = []
    for layer, name in enumerate(ENCODER):
        F.leaky_relu_(x, 0.2)  # in place: the skip is the activated one
        skips.append(x)
        x = F.conv2d(x, w[f"model_layer{name}.1.weight"], None, 2 if _strided(layer) else 1, 1)
        if name != "71":
            x = F.instance_norm(x)
    m = at(x)
    query, support = ((x * part).flatten(2)[0] for part in (m, 1 - m))
    best, where = (query.T @ support).max(1)
    reference = best.softmax(0) * support[:, where]
    fused = F.conv1d(torch.cat((reference, query))[None], w["ld.linear.weight"], w["ld.linear.bias"])
    x = fused.view_as(x) * m + x * (1 - m)
    for index, name in enumerate(DECODER):
        x = F.conv_transpose2d(
            F.relu(x), w[f"model_layer{name}.1.weight"], None, 2 if _strided(6 - index) else 1, 1
        )
        x = torch.cat((skips.pop(), rain(x, name)), 1)
        if name in ("11", "12", "13"):
            x = mgd(x, name)
    x = F.conv_transpose2d(F.relu(x), w["model_out.1.weight"], w["model_out.1.bias"], 1, 1)
    return mask * (x.tanh() + 1) / 2 + (1 - mask) * composite


RAIN_KEYS = ("foreground_gamma", "foreground_beta", "background_gamma", "background_beta")


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "of several cards"])
def test_public_weights_compute_what_their_code_computes(tmp_path, monkeypatch, wrapped):
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path / "data"))
    weights = public_weights()
    saved: Any = {"state_dict": {f"module.{k}": v for k, v in weights.items()}} if wrapped else weights
    torch.save(saved, tmp_path / "public.pth")
    record = published.convert(
        tmp_path / "public.pth", tmp_path / "out", name="theirs", architecture="hdnet-lite", licence="theirs"
    )
    assert (record.architecture, record.config["width"], record.licence) == ("hdnet", 8, "theirs")
    store.add(tmp_path / "out" / "theirs.safetensors")
    assert registry.get("theirs").paper.startswith("Hierarchical Dynamic")
    network = load("theirs")
    g = torch.Generator().manual_seed(1)
    composite, mask = torch.rand(1, 3, 64, 96, generator=g), torch.zeros(1, 1, 64, 96)
    mask[..., 10:50, 20:70] = 1
    with torch.no_grad():
        ours, theirs = network(composite, mask), as_their_code_computes(weights, composite, mask)
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)
    assert (theirs - composite).abs().max() > 0.1


class Program:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


def test_a_file_with_a_program_in_it_is_refused_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model_layer0.weight": Program()}, tmp_path / "bad.pth")
    (tmp_path / "worse.pth").write_bytes(pickle.dumps(Program()))
    for name in ("bad.pth", "worse.pth"):
        with pytest.raises(BadRequest, match="can run any program"):
            published.convert(tmp_path / name, tmp_path, name="x", architecture="hdnet")
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        ("hdnet", "does not hold public weights of hdnet"),  # these are hdnet-lite's
        ("frih", "The names in public weights of frih are not known"),
    ],
)
def test_weights_of_another_network_are_named(tmp_path, architecture, sentence):
    torch.save(public_weights(), tmp_path / "w.pth")
    with pytest.raises(BadRequest, match=sentence):
        published.convert(tmp_path / "w.pth", tmp_path, name="x", architecture=architecture)
    torch.save({"other": torch.ones(2)}, tmp_path / "other.pth")
    with pytest.raises(BadRequest, match="does not hold public weights of hdnet-lite"):
        published.convert(tmp_path / "other.pth", tmp_path, name="x", architecture="hdnet-lite")


def test_every_weight_of_ours_has_a_name_of_theirs():
    network = build("hdnet-lite")
    assert network.from_published(public_weights()).keys() == network.state_dict().keys()
