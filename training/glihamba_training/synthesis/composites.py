"""Composites made from photographs: the photograph is the truth, its object is recoloured.

Whole batches at once, in torch, with no Python loop over pictures. iHarmony4 was made by colour
transfer between photographs and from several retouchers' renditions; the families here are a camera's and
retoucher's moves (exposure, white balance, tone, contrast, saturation, hue), colour-statistics transfer from
another photograph, and a random smooth 3-D LUT. How strong each composite ends up is drawn from what
iHarmony4's composites measure: foreground MSE (0..255 scale) of 25, 360, 950, 2300, 7300 at the 5th to 95th
percentile.

The scene is often a rendition too, dark, tinted or faded as a whole, with an object that looks as a
photograph usually does: so it is in iHarmony4. Who only ever sees usual scenes learns to make objects
usual, not to make them fit. And unusual scenes are dark more often than bright. A small network on colour
statistics alone, 40 to 60 s on one core: nine triples at 24.4 dB without graded scenes, 25.9 with nine in
ten; 26.3 became 27.8 with four in five of the brightened ones darkened (composite 23.45, at 128 pixels).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba_training.data.photos import PhotoBank
from glihamba_training.synthesis.families import RETOUCHED, Families
from glihamba_training.synthesis.pasted import with_pasted

MISFIT = 4 / 256  # of the side: how far a mask may miss what was recoloured


@dataclass(frozen=True)
class SynthesisSettings:
    """kinds: odds of whole-object, GrabCut, colour-region masks and, if a fourth is given, of those that a
    network drew. scene: odds that the whole picture is
    graded first; plain: odds that such a picture's object comes as the photograph had it; darker: odds that a
    scene which would be brightened is darkened as far instead. temperature: spread of the white balance in
    stops, red up and blue down. transfer, lut: odds that these replace or follow the retouching moves.
    unchanged: odds of an already harmonious picture. median_mse, log_spread: the log-normal that the
    foreground MSE is drawn from (clipping lowers what comes out). amplify: the most that a recolouring is
    strengthened to get there. smallest_crop: of each side. area: least and greatest foreground share of a
    crop. flip: odds of a mirrored crop. pasted: odds of an object that lies elsewhere in its photograph, see
    `pasted.py`. misfit: odds of a mask that is up to MISFIT of the side too wide or too narrow. similar,
    lights: odds that, instead, the scene stays as it is and the object takes a similar object's colours, or
    another light, see `families.py`.

    For iHarmony4's own composites only smallest_crop, area and flip count.
    """

    kinds: tuple[float, ...] = (0.9, 0.07, 0.03)
    scene: float = 0.8
    plain: float = 0.5
    darker: float = 0.7
    temperature: float = 0.22
    transfer: float = 0.15
    lut: float = 0.3
    unchanged: float = 0.04
    median_mse: float = 1500.0
    log_spread: float = 1.6
    amplify: float = 2.5
    smallest_crop: float = 0.55
    area: tuple[float, float] = (0.008, 0.65)
    flip: float = 0.5
    pasted: float = 0.0
    misfit: float = 0.0
    similar: float = 0.0
    lights: float = 0.0


class Batch(NamedTuple):
    """composite, real (B,3,H,W) and mask (B,1,H,W), all in [0,1]. The mask is the one that is given."""

    composite: Tensor
    mask: Tensor
    real: Tensor


class Synthesis:
    """Draws batches from a bank; the same seed and step always give the same batch.

    Chance is drawn on the CPU wherever the rest is computed. `lattice`: the recolourings are evaluated on a
    lattice of colours, on the CPU, instead of on every pixel; six times faster at 256 pixels a side, and
    nearly the same (see `lattice.py`). `families`: what `similar` and `lights` need, see `families.py`.
    """

    def __init__(
        self,
        bank: PhotoBank,
        settings: SynthesisSettings,
        seed: int,
        *,
        device: str | torch.device = "cpu",
        lattice: bool = False,
        families: Families | None = None,
    ) -> None:
        self.families = families
        self.bank, self.settings, self.seed, self.lattice = bank, settings, seed, lattice
        self.device = torch.device(device)
        self.by_kind = [torch.from_numpy((bank.kind_of == kind).nonzero()[0]) for kind in range(4)]

    def batch(self, step: int, size: int, count: int) -> Batch:
        """`count` pictures of `size` x `size`."""
        g = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        bank, chosen = self.bank, self._choose(g, count).numpy()
        masks = chosen
        if self.settings.pasted:
            bank, chosen = with_pasted(bank, chosen, self.settings.pasted, g)
        if self.lattice:
            from glihamba_training.synthesis.lattice import composites

            batch = composites(bank, chosen, size, self.settings, g)
        else:
            batch = self._composites(bank, chosen, size, g, masks)
        if self.settings.misfit:
            batch = batch._replace(mask=_misfitting(batch.mask, self.settings.misfit, g))
        return batch

    def _composites(
        self, bank: PhotoBank, chosen: np.ndarray, size: int, g: torch.Generator, drawn: np.ndarray
    ) -> Batch:
        """drawn (B,): the masks of `self.bank` that `chosen` of `bank` come from."""
        photos = torch.from_numpy(bank.photos[bank.photo_of[chosen]]).to(self.device)
        masks = torch.from_numpy(bank.masks[chosen])[:, None].to(self.device)
        photo, mask = _crop(
            photos.permute(0, 3, 1, 2).float() / 255, masks.float() / 255, size, self.settings, g
        )
        real, recoloured = self._renditions(photo, mask, drawn, g)
        composite = mask * (recoloured * 255).round() / 255 + (1 - mask) * real
        return Batch(composite, mask, real)

    def _renditions(
        self, photo: Tensor, mask: Tensor, drawn: np.ndarray, g: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The scene's colours and the object's, (B,3,H,W) twice, each picture by the family drawn for it."""
        s = self.settings
        if self.families is None:
            return renditions(photo, mask, torch.ones_like(mask), s, g)
        odds = torch.tensor((1 - s.similar - s.lights, s.similar, s.lights)).clamp_min(0)
        family = torch.multinomial(odds, len(photo), replacement=True, generator=g)
        recoloured = self.families.recoloured(family, photo, mask, drawn, g)
        real, own = photo.clone(), (family == RETOUCHED).nonzero()[:, 0]
        if len(own):
            everywhere = torch.ones_like(mask[own])
            real[own], recoloured[own] = renditions(photo[own], mask[own], everywhere, s, g)
        return real, torch.where(_odds(s.unchanged, len(photo), g, photo), real, recoloured)

    def _choose(self, g: torch.Generator, count: int) -> Tensor:
        odds = torch.tensor(
            [o if len(k) else 0.0 for o, k in zip(self.settings.kinds, self.by_kind, strict=False)]
        )
        kinds = torch.multinomial(odds, count, replacement=True, generator=g).tolist()
        draws = torch.rand(count, generator=g)
        return torch.stack(
            [self.by_kind[k][int(d * len(self.by_kind[k]))] for k, d in zip(kinds, draws, strict=True)]
        )


def renditions(
    photo: Tensor, mask: Tensor, everywhere: Tensor, s: SynthesisSettings, g: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The scene's colours and the object's, for every pixel: (B,3,H,W) twice.

    Each pixel's two colours are functions of its own alone, once the picture's statistics are known; these
    are weighed by `mask` (the object) and `everywhere` (the picture), both (B,1,H,W).
    """
    count = len(photo)
    graded = _odds(s.scene, count, g, photo)
    rendition = _darkened(photo, recolour(photo, mask, everywhere, s, g), everywhere, s, g)
    rendition = match_strength(photo, rendition, everywhere, s, g)
    real = torch.where(graded, rendition, photo)
    plain = graded & _odds(s.plain, count, g, photo)
    recoloured = torch.where(plain, photo, recolour(photo, mask, everywhere, s, g))
    recoloured = match_strength(real, recoloured, mask, s, g)
    return real, torch.where(_odds(s.unchanged, count, g, photo), real, recoloured)


def recolour(
    rgb: Tensor, mask: Tensor, everywhere: Tensor, s: SynthesisSettings, g: torch.Generator
) -> Tensor:
    """One of the families for each picture, as `s` has the odds: (B,3,H,W), (B,1,H,W) twice -> (B,3,H,W)."""
    count = len(rgb)
    moved = retouch(rgb, g, s.temperature)
    if s.transfer:
        whole = _odds(0.3, count, g, rgb)
        other = torch.where(whole, everywhere, mask.roll(1, 0))
        chosen = _drawn(s.transfer, count, g)
        goal = rgb.roll(1, 0)[chosen]
        moved[chosen] = transfer_statistics(rgb[chosen], mask[chosen], goal, other[chosen])
    if s.lut:
        chosen = _drawn(s.lut, count, g)
        lattice = random_lattice(count, g)[chosen].to(rgb.device)
        moved[chosen] = look_up(moved[chosen], lattice)
    return moved


def retouch(rgb: Tensor, g: torch.Generator, temperature: float) -> Tensor:
    """A photographer's moves, each of random strength: (B,3,H,W) -> the same, in [0,1].

    Light before colour: in retouched photographs the object's brightness moves far, its hue little.
    temperature: the white balance's spread in stops, red up and blue down; daylight among lamps: 0.7.
    """
    n = len(rgb)

    def normal(scale: float, *shape: int) -> Tensor:
        # A heavy tail: most moves are mild, some are not.
        spread = torch.exp(0.5 * torch.randn(n, *[1] * len(shape), generator=g))
        return (torch.randn(n, *shape, generator=g) * scale * spread).to(rgb.device)

    light = rgb.clamp(0, 1).pow(2.2)
    warmth, tint = normal(temperature, 1), normal(0.08, 1)
    gains = torch.cat((warmth, tint, -warmth), 1) * _odds(0.8, n, g, rgb)[:, :, 0, 0]
    light = light * torch.exp2(normal(1.3, 1) + gains)[:, :, None, None]
    # A shoulder instead of clipping for two thirds of the brightened ones, as cameras and retouchers do.
    peak = torch.exp2(torch.rand(n, 1, 1, 1, generator=g) * 2).to(rgb.device)
    shoulder = light * (1 + light / peak.square()) / (1 + light)
    light = torch.where(_odds(0.35, n, g, rgb), shoulder * 1.3, light)
    encoded = light.clamp(0, 1).pow(1 / 2.2)
    encoded = encoded.clamp_min(1e-4).pow(torch.exp2(normal(0.45, 1))[:, :, None, None])
    pivot = (0.3 + 0.3 * torch.rand(n, 1, 1, 1, generator=g)).to(rgb.device)
    encoded = (encoded - pivot) * torch.exp2(normal(0.35, 1))[:, :, None, None] + pivot
    encoded = encoded + normal(0.05, 1)[:, :, None, None]
    luma = (encoded * encoded.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)).sum(1, keepdim=True)
    encoded = luma + (encoded - luma) * torch.exp2(normal(0.45, 1))[:, :, None, None]
    return _rotate_hue(encoded, normal(0.06, 1)[:, 0]).clamp(0, 1)


def _rotate_hue(rgb: Tensor, angle: Tensor) -> Tensor:
    """Rotation of the colours around the gray axis by `angle` (B,) radians."""
    axis = 1 / math.sqrt(3)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    cross = rgb.new_tensor(((0, -axis, axis), (axis, 0, -axis), (-axis, axis, 0)))
    rotation = cos * torch.eye(3, device=rgb.device) + sin * cross + (1 - cos) / 3
    return torch.einsum("bij,bjhw->bihw", rotation, rgb)


def transfer_statistics(rgb: Tensor, mask: Tensor, other: Tensor, other_weight: Tensor) -> Tensor:
    """Colour-statistics transfer (Reinhard's) from another photograph's object or whole picture.

    In an opponent space (luma, two differences), mean and deviation of the object become the other's.
    """
    matrix, back = (each.to(rgb) for each in _opponent_space())

    def opponent(x: Tensor) -> Tensor:
        return torch.einsum("ij,bjhw->bihw", matrix, x)

    def moments(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        total = weight.sum((2, 3), keepdim=True).clamp_min(1e-3)
        mean = (x * weight).sum((2, 3), keepdim=True) / total
        return mean, (((x - mean).square() * weight).sum((2, 3), keepdim=True) / total).add(1e-5).sqrt()

    ours = opponent(rgb)
    mean, deviation = moments(ours, mask)
    goal_mean, goal_deviation = moments(opponent(other), other_weight)
    moved = (ours - mean) * (goal_deviation / deviation).clamp(0.4, 2.5) + goal_mean
    return torch.einsum("ij,bjhw->bihw", back, moved).clamp(0, 1)


@functools.cache
def _opponent_space() -> tuple[Tensor, Tensor]:
    """Luma and two differences as a (3,3) matrix, and the way back."""
    matrix = torch.tensor(((0.299, 0.587, 0.114), (0.5, 0.5, -1.0), (1.0, -1.0, 0.0)))
    return matrix, torch.linalg.inv(matrix)


def random_lattice(count: int, g: torch.Generator, nodes: int = 4) -> Tensor:
    """A random smooth 3-D LUT for each picture: displacements at `nodes` cubed colours, mostly of brightness.

    (count, 3, nodes, nodes, nodes), blue slowest.
    """
    strength = 0.14 * torch.exp(0.5 * torch.randn(count, 1, 1, 1, 1, generator=g))
    lattice = torch.randn(count, 3, nodes, nodes, nodes, generator=g) * 0.4
    return strength * (lattice + torch.randn(count, 1, nodes, nodes, nodes, generator=g))


def look_up(rgb: Tensor, lattice: Tensor) -> Tensor:
    """The colours displaced as the lattice says, trilinear between its nodes: (B,3,H,W) -> the same."""
    where = (rgb.permute(0, 2, 3, 1) * 2 - 1)[:, None]
    shift = F.grid_sample(lattice, where, mode="bilinear", padding_mode="border", align_corners=True)
    return (rgb + shift[:, :, 0]).clamp(0, 1)


def match_strength(
    real: Tensor, retouched: Tensor, mask: Tensor, s: SynthesisSettings, g: torch.Generator
) -> Tensor:
    """Moves `retouched` towards `real`, or away, until the foreground's MSE is one drawn at random."""
    drawn = torch.randn(len(real), 1, 1, 1, generator=g).to(real.device)
    goal = s.median_mse * torch.exp(s.log_spread * drawn) / 255**2
    area = mask.sum((1, 2, 3), keepdim=True).clamp_min(1e-3)
    mse = ((retouched - real).square().mean(1, keepdim=True) * mask).sum((1, 2, 3), keepdim=True) / area
    blend = (goal / mse.clamp_min(1e-8)).sqrt().clamp_max(s.amplify)
    return (real + blend * (retouched - real)).clamp(0, 1)


def draw_crops(n: int, s: SynthesisSettings, g: torch.Generator) -> Tensor:
    """Random-size crops with flips: (n,2,3), as `F.affine_grid` takes them."""
    scale = s.smallest_crop + (1 - s.smallest_crop) * torch.rand(n, 2, generator=g)
    shift = (1 - scale) * (2 * torch.rand(n, 2, generator=g) - 1)
    flip = torch.where(torch.rand(n, generator=g) < s.flip, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale[:, 0] * flip, scale[:, 1], shift
    return theta


def widened(theta: Tensor, share: Tensor, s: SynthesisSettings) -> Tensor:
    """The crops, the whole picture for those whose foreground share (n,) is not as `s.area` allows."""
    keep = ((share > s.area[0]) & (share < s.area[1])).float()[:, None, None]
    whole = torch.zeros_like(theta)
    whole[:, 0, 0], whole[:, 1, 1] = theta[:, 0, 0].sign(), 1.0
    return theta * keep + whole * (1 - keep)


def _darkened(
    rgb: Tensor, rendition: Tensor, everywhere: Tensor, s: SynthesisSettings, g: torch.Generator
) -> Tensor:
    """Turns the share `s.darker` of the renditions that are brighter than `rgb` into ones as much darker."""
    if not s.darker:
        return rendition
    before, after = ((x * everywhere).sum((1, 2, 3), keepdim=True) for x in (rgb, rendition))
    mirrored = rendition * (before / after.clamp_min(1e-3)).square()
    return torch.where((after > before) & _odds(s.darker, len(rgb), g, rgb), mirrored, rendition)


def _crop(
    photos: Tensor, masks: Tensor, size: int, s: SynthesisSettings, g: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random-size crops with flips; one without its object, or full of it, becomes the whole picture."""
    shape = [len(photos), 1, size, size]
    theta = draw_crops(len(photos), s, g).to(photos.device)
    share = F.grid_sample(masks, F.affine_grid(theta, shape, align_corners=False), align_corners=False)
    grid = F.affine_grid(widened(theta, share.mean((1, 2, 3)), s), shape, align_corners=False)
    both = F.grid_sample(torch.cat((photos, masks), 1), grid, padding_mode="border", align_corners=False)
    return both[:, :3], both[:, 3:]


def _misfitting(mask: Tensor, odds: float, g: torch.Generator) -> Tensor:
    """A share of the masks (B,1,H,W) grown or shrunk by whole pixels, up to MISFIT; none is lost wholly."""
    chosen = _drawn(odds, len(mask), g)
    widest = max(1, round(MISFIT * mask.shape[-1]))
    widths = torch.randint(1, widest + 1, (len(chosen),), generator=g)
    grown = torch.rand(len(chosen), generator=g) < 0.5
    moved = mask.clone()
    for width in range(1, widest + 1):
        for sign, which in ((1, chosen[grown & (widths == width)]), (-1, chosen[~grown & (widths == width)])):
            moved[which] = sign * F.max_pool2d(sign * mask[which], 2 * width + 1, 1, width)
    return torch.where(moved.amax((1, 2, 3), keepdim=True) > 0.5, moved, mask)


def _odds(p: float, count: int, g: torch.Generator, like: Tensor) -> Tensor:
    return (torch.rand(count, generator=g) < p).view(-1, 1, 1, 1).to(like.device)


def _drawn(p: float, count: int, g: torch.Generator) -> Tensor:
    """The pictures that a chance of `p` falls on. On the CPU: a graphics card need not wait for it."""
    return (torch.rand(count, generator=g) < p).nonzero()[:, 0]
