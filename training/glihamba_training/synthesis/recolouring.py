"""The colours of a composite: which family recolours it, how strongly, and what becomes of its scene.

iHarmony4 was made by colour transfer between photographs and from several retouchers' renditions. The
families here are a retoucher's moves, statistics transfer and a random LUT, each in a file of its own. How
strong each composite ends up is drawn from what iHarmony4's composites measure: foreground MSE (0..255 scale)
of 25, 360, 950, 2300 and 7300 at the 5th, 25th, 50th, 75th and 95th percentile.

The scene is often recoloured too, as in iHarmony4: dark, tinted or faded as a whole, with an object that
looks as a photograph usually does. A network that sees usual scenes alone learns to make objects usual, not
to make them fit. Unusual scenes are dark more often than bright. Measured with a small network on colour
statistics alone, 40 to 60 s on one core: 24.4 dB on nine triples without recoloured scenes, 25.9 dB with nine
in ten; 26.3 dB became 27.8 dB with four in five of the brightened ones darkened (composite 23.45 dB, at 128
pixels).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from glihamba_training.synthesis.chance import coins, drawn
from glihamba_training.synthesis.lut import look_up, random_lut
from glihamba_training.synthesis.retouching import retouch
from glihamba_training.synthesis.settings import SynthesisSettings
from glihamba_training.synthesis.statistics_transfer import transfer_statistics

_REGRADED_MSE = 500.0  # the median over whole photographs, 0..255 scale: a third of what objects get


def regraded(photo: Tensor, everywhere: Tensor, s: SynthesisSettings, g: torch.Generator) -> Tensor:
    """The share `s.regraded` of the photographs retouched as a whole, (B,3,H,W), the others as they are.

    everywhere (B,1,H,W) weights the pixels that a photograph's change is measured by.
    """
    if not s.regraded or not len(chosen := drawn(s.regraded, len(photo), g)):
        return photo
    here = photo[chosen]
    mild = replace(s, median_mse=_REGRADED_MSE)
    moved = match_strength(here, retouch(here, g, s.temperature), everywhere[chosen], mild, g)
    photo = photo.clone()
    photo[chosen] = moved
    return photo


def recolour(
    rgb: Tensor, mask: Tensor, everywhere: Tensor, s: SynthesisSettings, g: torch.Generator
) -> Tensor:
    """One of the families for each picture, by the odds in `s`: (B,3,H,W), (B,1,H,W) twice -> (B,3,H,W).

    Every picture is retouched; further families replace that for some pictures, or follow it. A new family is
    a file beside this one, its odds in `SynthesisSettings` (0 by default), and a block here. Its output must
    depend on a pixel's colour and weighted statistics alone (see `renditions`), and at odds of 0 it must draw
    nothing, so that older recipes and the fixed composites for scoring stay as they are.
    """
    count = len(rgb)
    moved = retouch(rgb, g, s.temperature)
    if s.transfer:
        whole = coins(0.3, count, g, rgb)
        other = torch.where(whole, everywhere, mask.roll(1, 0))
        chosen = drawn(s.transfer, count, g)
        goal = rgb.roll(1, 0)[chosen]
        moved[chosen] = transfer_statistics(rgb[chosen], mask[chosen], goal, other[chosen])
    if s.lut:
        chosen = drawn(s.lut, count, g)
        moved[chosen] = look_up(moved[chosen], random_lut(count, g)[chosen].to(rgb.device))
    return moved


def renditions(
    photo: Tensor, mask: Tensor, everywhere: Tensor, s: SynthesisSettings, g: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The scene's colours and the object's, for every pixel: (B,3,H,W) twice.

    Each pixel's two colours are functions of its own colour alone, once the picture's statistics are known.
    The statistics are weighted by `mask` (the object) and `everywhere` (the picture), both (B,1,H,W).
    """
    count = len(photo)
    graded = coins(s.scene, count, g, photo)
    rendition = _darkened(photo, recolour(photo, mask, everywhere, s, g), everywhere, s, g)
    rendition = match_strength(photo, rendition, everywhere, s, g)
    real = torch.where(graded, rendition, photo)
    plain = graded & coins(s.plain, count, g, photo)
    recoloured = torch.where(plain, photo, recolour(photo, mask, everywhere, s, g))
    recoloured = match_strength(real, recoloured, mask, s, g)
    return real, torch.where(coins(s.unchanged, count, g, photo), real, recoloured)


def match_strength(
    real: Tensor, recoloured: Tensor, weight: Tensor, s: SynthesisSettings, g: torch.Generator
) -> Tensor:
    """`recoloured`, blended towards `real` or away from it to a random MSE, which `weight` weights."""
    draws = torch.randn(len(real), 1, 1, 1, generator=g).to(real.device)
    goal = s.median_mse * torch.exp(s.log_spread * draws) / 255**2
    area = weight.sum((1, 2, 3), keepdim=True).clamp_min(1e-3)
    squared = (recoloured - real).square().mean(1, keepdim=True)
    mse = (squared * weight).sum((1, 2, 3), keepdim=True) / area
    blend = (goal / mse.clamp_min(1e-8)).sqrt().clamp_max(s.amplify)
    return (real + blend * (recoloured - real)).clamp(0, 1)


def _darkened(
    rgb: Tensor, rendition: Tensor, everywhere: Tensor, s: SynthesisSettings, g: torch.Generator
) -> Tensor:
    """The share `s.darker` of the renditions that are brighter than `rgb` becomes as much darker instead."""
    if not s.darker:
        return rendition
    before, after = ((x * everywhere).sum((1, 2, 3), keepdim=True) for x in (rgb, rendition))
    mirrored = rendition * (before / after.clamp_min(1e-3)).square()
    return torch.where((after > before) & coins(s.darker, len(rgb), g, rgb), mirrored, rendition)
