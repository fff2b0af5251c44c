"""GLIHamba on cells: its size, what a cell says, several answers, and that it is the same at every size."""

from __future__ import annotations

import torch

from glihamba.networks import build
from glihamba.networks.cells import GLIHambaCells, cell_colours, surroundings


def picture(side: int = 60, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    mask = torch.zeros(batch, 1, side, side)
    mask[..., side // 5 : 3 * side // 5, side // 5 : 2 * side // 5] = 1
    return torch.rand(batch, 3, side, side, generator=g), mask


def test_its_size():
    with torch.device("meta"):
        network = build("glihamba-cells")
    assert sum(p.numel() for p in network.parameters()) == 618_859


def test_a_fresh_network_s_first_answer_changes_nothing_and_the_others_differ():
    torch.manual_seed(0)
    network = build("glihamba-cells").eval()
    assert isinstance(network, GLIHambaCells)
    composite, mask = picture()
    with torch.no_grad():
        first, *others = network.answers(composite, mask).transforms
        assert torch.allclose(network(composite, mask), composite, atol=1e-6)
    assert len(others) == 2
    assert not torch.equal(others[0].base, others[1].base)
    assert torch.equal(network.colour_transform(composite, mask).base, first.base)


def test_a_cell_holds_the_colours_of_its_parts():
    composite, mask = picture()
    found, cover = cell_colours(composite, mask, 5)
    assert found.shape == (2, 5, 5, 14)
    assert torch.equal(
        cover[0, :, :, 0] > 0, torch.tensor([[r in (1, 2) and c == 1 for c in range(5)] for r in range(5)])
    )
    whole = composite[0, :, 12:24, 12:24].flatten(1)
    assert torch.allclose(found[0, 1, 1, :3], whole.mean(1), atol=1e-5)
    assert torch.allclose(found[0, 1, 1, 3:6], (whole.var(1, correction=0) + 1e-4).sqrt(), atol=1e-5)
    assert (found[0, 1, 1, 6:12] == 0).all(), "no scene in it"
    assert (found[0, 0, 0, :6] == 0).all(), "no object in it"


def test_surroundings_are_near_the_object_and_nowhere_else():
    _, mask = picture(48)
    near = surroundings(mask)
    assert near[0, 0, 9 - 1, 12] == 1
    assert near[0, 0, 9 - 4, 12] == 0
    assert set(near.unique().tolist()) == {0.0, 1.0}


def test_nearly_the_same_answer_at_twice_the_size():
    torch.manual_seed(1)
    network = build("glihamba-cells", width=32, hidden=64).eval()
    assert isinstance(network, GLIHambaCells)
    torch.nn.init.normal_(network.answer.weight, std=0.02)
    g = torch.Generator().manual_seed(1)
    small = torch.rand(1, 3, 6, 6, generator=g).repeat_interleave(8, 2).repeat_interleave(8, 3)
    mask = torch.zeros(1, 1, 48, 48)
    mask[..., 16:32, 8:32] = 1
    large, large_mask = (x.repeat_interleave(2, 2).repeat_interleave(2, 3) for x in (small, mask))
    with torch.no_grad():
        change = (network(small, mask) - small).abs().max()
        other = (network(large, large_mask)[..., ::2, ::2] - network(small, mask)).abs().max()
    assert other < 0.5 * change
