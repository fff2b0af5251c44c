"""What a recipe may train and how: the head alone, by SOAP or Adam."""

from __future__ import annotations

import copy

import pytest
import torch

from glihamba.networks import build
from glihamba_training.run.muon import SMALLEST, Muon
from glihamba_training.run.optimisers import decay, optimiser_of
from glihamba_training.run.processor import computes_in_bf16, onednn_gains, precision_here
from glihamba_training.run.recipe import RecipeError
from glihamba_training.run.recipe_files import load_recipe
from glihamba_training.run.soap import LARGEST, Soap
from glihamba_training.run.train import HarmonizationTask


def crooked(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A least-squares problem whose directions differ a thousandfold and lie along no axis."""
    g = torch.Generator().manual_seed(seed)
    left, right = (torch.linalg.qr(torch.randn(12, 12, generator=g))[0] for _ in range(2))
    scales = torch.logspace(-1.5, 0, 12)
    return left * scales @ left.T, right * scales @ right.T, torch.randn(12, 12, generator=g)


def distance(optimiser_of, steps: int) -> float:
    left, right, goal = crooked()
    weights = torch.nn.Parameter(torch.zeros(12, 12))
    optimiser = optimiser_of([weights])
    for _ in range(steps):
        optimiser.zero_grad()
        (left @ (weights - goal) @ right).square().sum().backward()
        optimiser.step()
    return float((left @ (weights - goal) @ right).square().sum().detach())


def test_it_gets_nearer_than_adam_in_as_many_steps():
    adam = distance(lambda p: torch.optim.Adam(p, 0.02, betas=(0.95, 0.95)), 200)
    soap = distance(lambda p: Soap(p, 0.02), 200)
    assert soap < 0.7 * adam


def test_a_recipe_names_its_optimiser():
    assert load_recipe("glihamba-cells").optimiser == "soap"
    assert load_recipe("glihamba-tiny").optimiser == "adam"
    assert isinstance(optimiser_of(torch.nn.Linear(9, 9), load_recipe("unet", optimiser="muon")), Muon)
    with pytest.raises(RecipeError, match='There is no optimiser "sgd"'):
        load_recipe("glihamba-tiny", optimiser="sgd")
    with pytest.raises(RecipeError, match='The loss "answers" is only for glihamba, glihamba-'):
        load_recipe("hdnet", loss="answers")


@pytest.mark.parametrize("kind", ["adam", "soap", "muon"])
def test_decay_pulls_matrices_alone(kind):
    network = torch.nn.Linear(9, 9)
    torch.nn.init.ones_(network.weight)
    torch.nn.init.ones_(network.bias)
    optimiser = optimiser_of(network, load_recipe("glihamba-tiny", optimiser=kind, learning_rate=0.1))
    decay(optimiser, 0.0)
    assert torch.equal(network.weight, torch.ones(9, 9))
    decay(optimiser, 0.5)
    assert torch.allclose(network.weight, torch.full((9, 9), 0.95))
    assert torch.equal(network.bias, torch.ones(9))


def test_vectors_are_adams_and_wide_matrices_have_one_basis():
    vector, wide = torch.nn.Parameter(torch.zeros(5)), torch.nn.Parameter(torch.zeros(3, LARGEST + 1))
    optimiser = Soap([vector, wide], 0.1)
    for _ in range(3):
        vector.grad, wide.grad = torch.ones(5), torch.ones(3, LARGEST + 1)
        optimiser.step()
    assert torch.allclose(vector.data, torch.full((5,), -0.2), atol=1e-5), "the first step only looks"
    assert "left_basis" in optimiser.state[wide]
    assert "right_basis" not in optimiser.state[wide]


def test_muon_moves_matrices_and_adam_the_rest():
    square, bias, narrow = (torch.nn.Parameter(torch.zeros(*size)) for size in ((8, 9), (5,), (4, 40)))
    optimiser = Muon([square, bias, narrow], 0.1)
    for weights in (square, bias, narrow):
        weights.grad = torch.randn(weights.shape, generator=torch.Generator().manual_seed(0))
    optimiser.step()
    moved = torch.linalg.svdvals(square.detach())
    assert min(square.shape) == SMALLEST
    assert moved.min() > 0.5 * moved.max(), "a gradient's directions are all followed alike"
    for weights in (bias, narrow):
        assert weights.grad is not None
        assert torch.allclose(weights.detach(), -0.1 * weights.grad.sign(), atol=1e-4)


@pytest.mark.parametrize("kind", [Soap, Muon])
@pytest.mark.parametrize("size", [(6, 4), (9, 8)])
def test_a_saved_state_goes_on_as_if_nothing_had_been(kind, size):
    torch.manual_seed(0)
    weights = torch.nn.Parameter(torch.randn(size))
    optimiser = kind([weights], 0.05)

    def steps(of, using, seed):
        g = torch.Generator().manual_seed(seed)
        for _ in range(12):
            of.grad = torch.randn(size, generator=g)
            using.step()

    steps(weights, optimiser, 1)
    resumed = torch.nn.Parameter(weights.detach().clone())
    other = kind([resumed], 0.05)
    other.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    steps(weights, optimiser, 2)
    steps(resumed, other, 2)
    assert torch.equal(weights, resumed)


def test_a_recipe_may_train_the_head_alone():
    recipe = load_recipe("glihamba-tiny-head", config={"width": 8, "encoder": [1, 1, 1]})
    task = HarmonizationTask(recipe, {})
    groups = task.configure_optimizers()["optimizer"].param_groups
    trained = {id(weights) for group in groups for weights in group["params"]}
    for name, weights in task.network.named_parameters():
        assert (id(weights) in trained) == name.startswith("head."), name
        assert weights.requires_grad == name.startswith("head."), name
    with pytest.raises(RecipeError, match="No weights of glihamba-tiny have a name that begins with"):
        HarmonizationTask(load_recipe("glihamba-tiny-clean", only="heads."), {})


def trained(fused: bool | None, steps: int = 5) -> list[torch.Tensor]:
    """The weights of a small network after a few steps of Adam; None: by what a recipe gets."""
    torch.manual_seed(0)
    recipe = load_recipe("glihamba-tiny")
    network = build("glihamba-tiny", width=8, encoder=[1, 1], decoder=[1])
    weights = list(network.parameters())
    optimiser = (
        optimiser_of(network, recipe)
        if fused is None
        else torch.optim.Adam(weights, recipe.learning_rate, betas=recipe.betas, fused=fused)
    )
    picture, mask = torch.rand(2, 3, 32, 32), torch.zeros(2, 1, 32, 32)
    mask[..., 8:20, 8:20] = 1
    for _ in range(steps):
        optimiser.zero_grad()
        (network(picture, mask) - 0.5).square().mean().backward()
        optimiser.step()
    return [each.detach() for each in weights]


def test_the_fused_adam_trains_the_same_weights():
    assert optimiser_of(torch.nn.Linear(2, 2), load_recipe("glihamba-tiny")).defaults["fused"]
    for fused, plain in zip(trained(None), trained(False), strict=True):
        # Adam's first steps are of the rate's size, 1e-3, even where a gradient is rounding alone.
        assert torch.allclose(fused, plain, atol=2e-4)


def test_mixed_precision_keeps_adam_apart_from_clipping():
    for precision in ("bf16", "16"):
        recipe = load_recipe("glihamba-tiny", precision=precision)
        assert not optimiser_of(torch.nn.Linear(2, 2), recipe).defaults["fused"]


@pytest.mark.parametrize(
    ("processor", "gains"),
    [
        ({"cpu_name": "AMD EPYC", "avx2": True}, False),  # oneDNN is the slower one there
        ({"cpu_name": "AMD EPYC", "avx512_f": True}, True),
        ({"cpu_name": "AMD EPYC", "avx512_f": True, "amx_bf16": True}, False),  # it would round
        ({"cpu_name": "Intel(R) Xeon(R)", "avx512_f": True}, False),  # MKL uses AVX-512 itself
        ({}, False),
    ],
)
def test_onednn_multiplies_only_where_it_gains_and_does_not_round(processor, gains):
    assert onednn_gains(processor) == gains


@pytest.mark.parametrize(
    ("processor", "computes"),
    [
        ({"avx2": True}, False),
        ({"avx2": True, "avx512_f": True}, False),
        ({"avx512_f": True, "avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({}, False),
    ],
)
def test_bfloat16_is_chosen_only_where_the_processor_computes_in_it(monkeypatch, processor, computes):
    assert computes_in_bf16(processor) == computes
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    assert precision_here("auto") == ("bf16" if computes else "32")
    assert [precision_here(wanted) for wanted in ("32", "bf16", "16")] == ["32", "bf16", "16"]
    adam = optimiser_of(torch.nn.Linear(2, 2), load_recipe("glihamba-tiny", precision="auto"))
    assert adam.defaults["fused"] != computes


def test_a_learning_rate_s_schedule_reaches_every_part_of_muon():
    task = HarmonizationTask(load_recipe("glihamba-tiny", optimiser="muon", warmup=4), {})
    made = task.configure_optimizers()
    rates = [group["lr"] for group in made["optimizer"].param_groups]
    assert rates == [load_recipe("glihamba-tiny").learning_rate / 4] * 2
