"""Details of FRIH: clusters by colour, as many as the picture needs, in bounded time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from glihamba.networks import build
from glihamba.networks.density_peaks import SAMPLES, clusters

NARROW: dict[str, Any] = {"base": (4, 8, 8, 8, 8, 8, 8), "cascaded": (4,) * 7, "fusion": 4}


def painted(colours, counts, noise=0.0, seed=0):
    """(N,3): the given numbers of pixels of each colour, shuffled."""
    g = torch.Generator().manual_seed(seed)
    pixels = torch.cat([torch.tensor([c]).expand(n, 3) for c, n in zip(colours, counts, strict=True)])
    pixels = pixels + noise * torch.randn(pixels.shape, generator=g)
    return pixels[torch.randperm(len(pixels), generator=g)].clamp(0, 1)


def by_the_book(colours, cutoff, most):
    """The algorithm as Peng, Luo, Liu, Zhang 2024 print it, pixel by pixel; the earlier pixel wins a tie."""
    distance = (colours[:, None] - colours[None]).norm(dim=-1) / 3**0.5
    density = (distance < cutoff).sum(1)
    count = len(colours)
    delta, leader = [0.0] * count, list(range(count))
    for i in range(count):
        denser = [j for j in range(count) if density[j] > density[i] or (density[j] == density[i] and j < i)]
        if denser:
            leader[i] = min(denser, key=lambda j: (float(distance[i, j]), -int(density[j]), j))
            delta[i] = float(distance[i, leader[i]])
        else:
            delta[i] = float(distance[i].max())
    ranked = sorted(range(count), key=lambda i: -delta[i])[:most]
    centres = {i for i in ranked if delta[i] > 0 and density[i] > 10}
    centres.add(next(i for i in range(count) if leader[i] == i))

    def centre(i):
        return i if i in centres else centre(leader[i])

    return [centre(i) for i in range(count)]


def same_partition(a, b):
    return torch.equal(a[:, None] == a[None], b[:, None] == b[None])


@pytest.mark.parametrize("seed", range(4))
def test_small_objects_are_clustered_as_the_paper_prints_it(seed):
    pixels = painted([(0.2, 0.3, 0.3), (0.7, 0.6, 0.3), (0.9, 0.9, 0.9)], (80, 60, 40), 0.06, seed)
    ours = clusters(pixels, 0.1, 10)
    assert same_partition(ours, torch.tensor(by_the_book(pixels, 0.1, 10)))
    assert ours.max() + 1 == len(ours.unique())


@pytest.mark.parametrize("size", [1, 4])  # less and more than the number of pixels that are all searched
@pytest.mark.parametrize(
    "colours",
    [
        [(0.4, 0.4, 0.4)],
        [(0.1, 0.1, 0.1), (0.9, 0.1, 0.1)],
        [(0.1, 0.1, 0.1), (0.9, 0.1, 0.1), (0.1, 0.9, 0.9), (0.9, 0.9, 0.2)],
        [(i % 4 / 3, i // 4 % 2, i // 8) for i in range(14)],  # more colours than there may be clusters
    ],
)
def test_how_many_clusters_there_are_follows_from_the_picture(colours, size):
    counts = [size * (SAMPLES // 14 - 3 * i) for i in range(len(colours))]
    pixels = painted(colours, counts)
    labels = clusters(pixels, 0.1, 10)
    assert labels.max() + 1 == min(len(colours), 10)
    for colour in colours:
        assert len(labels[(pixels == torch.tensor(colour)).all(1)].unique()) == 1, "one colour, one cluster"


@pytest.mark.parametrize(("scale", "speck", "found"), [(1, 9, 2), (1, 12, 3), (6, 9, 2), (6, 60, 3)])
def test_a_colour_of_ten_pixels_or_fewer_is_an_outlier_and_no_cluster(scale, speck, found):
    """Sampled objects too: densities are scaled to all pixels of the object."""
    colours = [(0.2, 0.2, 0.2), (0.8, 0.3, 0.3), (0.1, 0.9, 0.1)]
    pixels = painted(colours, (400 * scale, 300 * scale, speck))
    assert clusters(pixels, 0.1, 10).max() + 1 == found


def test_sampling_finds_what_the_whole_object_has():
    """With four times as many pixels as are searched, nearly every pixel gets the cluster of its blob."""
    colours = [(0.15, 0.2, 0.3), (0.75, 0.6, 0.3), (0.9, 0.9, 0.95)]
    pixels = painted(colours, (2000, 1200, 900), 0.02)
    labels = clusters(pixels, 0.1, 10)
    blob = torch.cdist(pixels, torch.tensor(colours)).argmin(1)
    for kind in range(3):
        inside = labels[blob == kind]
        others = labels[blob != kind].unique()
        assert not torch.isin(inside, others).any(), "no cluster spans two blobs"


def test_the_same_pixels_give_the_same_clusters_without_touching_chance():
    pixels = torch.rand(5000, 3, generator=torch.Generator().manual_seed(3))
    state = torch.get_rng_state()
    assert torch.equal(clusters(pixels, 0.1, 10), clusters(pixels, 0.1, 10))
    assert torch.equal(torch.get_rng_state(), state)


class Work(TorchDispatchMode):
    """Counts the numbers that all operations write."""

    written = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.written += sum(x.numel() for x in tree_leaves(out) if isinstance(x, torch.Tensor))
        return out


@pytest.mark.parametrize("pixels", ["noise", "flat"])
def test_clustering_a_whole_picture_is_bounded_work(pixels):
    """A 256 x 256 picture that is all object. Comparing all pairs of pixels would take 4.3e9 numbers."""
    g = torch.Generator().manual_seed(0)
    colours = torch.rand(256 * 256, 3, generator=g) if pixels == "noise" else torch.full((256 * 256, 3), 0.4)
    with Work() as work:
        clusters(colours, 0.1, 10)
    assert work.written < 20e6
    with Work() as more:
        clusters(colours.repeat(4, 1), 0.1, 10)
    assert more.written < 2 * work.written, "four times the pixels: only reading them costs more"


def test_submasks_are_disjoint_and_add_up_to_the_mask():
    network: Any = build("frih", **NARROW).eval()
    composite, mask = torch.full((3, 32, 32), 0.2), torch.zeros(1, 32, 32)
    mask[:, 4:20, 6:26] = 1
    mask[:, 4, 6:26] = 0.3
    composite[0, :, 16:] = 0.9
    parts = network.submasks_of(composite, mask)
    assert parts.shape == (2, 32, 32)
    assert torch.equal(parts.sum(0), mask[0])
    assert ((parts > 0).sum(0) <= 1).all()
    left, right = sorted(parts, key=lambda part: int(part[10].nonzero()[0]))
    assert not left[:, 16:].any()
    assert not right[:, :16].any()


@pytest.mark.parametrize("training", [False, True])
def test_each_submask_is_refined_on_its_own_and_k_differs_in_a_batch(training):
    torch.manual_seed(0)
    network: Any = build("frih", **NARROW).train(training)
    composite, mask = torch.rand(1, 3, 128, 128).expand(2, -1, -1, -1).clone(), torch.zeros(2, 1, 128, 128)
    mask[..., 40:80, 40:80] = 1
    composite[..., 40:80, 40:80] = 0.3
    composite[1, 0, 40:80, 60:80] = 0.9
    seen: list[Any] = []
    network.cascaded.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.no_grad():
        stages = network.stages(composite, mask)
    assert [len(parts) for parts in stages.submasks] == [1, 2]
    pairs = torch.cat(seen)
    assert len(pairs) == 3
    for pair, part in zip(pairs, torch.cat(stages.submasks), strict=True):
        assert torch.equal(pair[3], part), "one submask at a time is concatenated with the coarse picture"
    torch.testing.assert_close((pairs[1, :3] + 1) / 2, stages.coarse[1])
    assert torch.equal(stages.harmonized * (1 - mask), composite * (1 - mask))
    if not training:
        with torch.no_grad():
            second = network.cascaded(
                pairs[2:], [f[1:] for f in network.base(torch.cat((2 * composite - 1, mask), 1))[1]]
            )
        inside = stages.submasks[1][1] > 0
        torch.testing.assert_close(stages.harmonized[1][:, inside], second[0][:, inside])


@pytest.mark.parametrize("place", [(40, 90, 50, 70), (0, 3, 100, 128), (127, 128, 0, 1)])
def test_predicting_within_the_submask_s_box_is_what_the_whole_picture_would_give(place):
    torch.manual_seed(0)
    network: Any = build("frih", **NARROW).eval()
    module = network.cascaded
    top, bottom, left, right = place
    picture, features = torch.rand(1, 4, 128, 128), []
    picture[:, 3] = 0
    for depth, width in enumerate(NARROW["base"], 1):
        features.append(torch.rand(1, width, 128 >> depth, 128 >> depth))
    seen: list[Any] = []
    module.predict.register_forward_pre_hook(lambda layer, args: seen.append(args[0].shape[-2:]))
    picture[:, 3, top:bottom, left:right] = 1e-6  # so small that the encoder cannot see the difference
    with torch.no_grad():
        boxed = module(picture, features)
        picture[:, 3] += 1e-6
        whole = module(picture, features)
    assert seen[1] == (128, 128)
    assert max(seen[0]) < 60
    inside = (..., slice(top, bottom), slice(left, right))
    torch.testing.assert_close(boxed[inside], whole[inside], atol=1e-4, rtol=0)


def test_the_second_stage_trains_the_first():
    """Training is end to end, as in the paper: the gradient of the result reaches the base network."""
    network: Any = build("frih", **NARROW)
    composite, mask = torch.rand(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)
    mask[..., 10:40, 10:40] = 1
    network.stages(composite, mask).harmonized.square().mean().backward()
    assert network.base.head.weight.grad.abs().max() > 0, "through the coarse picture"
    assert network.base.encoder[0][0].weight.grad.abs().max() > 0
