"""How a harmonized picture is scored. Every printed figure names its protocol.

| protocol| resize                  | mask  | error counted                    | PSNR range       | SSIM     |
|---------|-------------------------|-------|----------------------------------|------------------|----------|
| strict  | 256, bilinear, antialias| float | whole picture, rounded           | 255              | Gaussian |
| dovenet | 256, bilinear, antialias| 1-bit | whole picture, truncated         | output max - min | Gaussian |
| idih    | 256, OpenCV's bilinear  | float | whole picture, unrounded         | target max       | Gaussian |
| gtbg    | 256, bilinear, antialias| 1-bit | on the real background, truncated| 255              | 7 x 7    |
| fullres | none                    | float | mask x squared error, rounded    | 255              | Gaussian |

Rounded or truncated means to 8 bits. `strict` is ours. The others do what public code does: dovenet that of
DoveNet, idih that of iDIH, gtbg that of HDNet, RainNet and DiffHarmony, fullres that of PCT-Net and DCCF. A
1-bit mask is Pillow's mode "1": gray is dithered, and the mask is resized to the nearest. OpenCV's bilinear
resize has no antialias.

`gtbg` puts the real background into the composite before the network sees it, and into the answer after. It
and `dovenet` scale colours to [-1, 1] and back, as the public code does, and cut off what is below a level.

A protocol at another side is NAME@1024 or NAME@2048, as papers score HAdobe5k (HDNet's Table 5).

MSE is on the 0..255 scale; fMSE is the squared error in the foreground over the foreground's area. SSIM is
computed from what the protocol compares: with a Gaussian window of 11 as torchmetrics does it, or with
scikit-image's uniform window of 7 where the public code calls that. Papers do not say which they use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from glihamba.networks.base import Harmonizer
from glihamba.pipeline.harmonize import harmonize
from glihamba_training.data.iharmony4 import Triple
from glihamba_training.data.pictures import RESAMPLING, squashed
from glihamba_training.scoring.best_of import BestOf
from glihamba_training.scoring.similarity import MARGIN, ssim, ssim_7x7

SIDES = (1024, 2048)  # beside 256
PERFECT = 78.0  # dB; see `_psnr`


class Pictures(Protocol):
    """Harmonized pictures that exist already."""

    def pixels(self, triple: Triple) -> np.ndarray:
        """(H,W,3) uint8, of the composite's size or the protocol's."""
        ...


Method: TypeAlias = "Harmonizer | BestOf | Pictures | None"
"""What harmonizes: a network, the best of its answers, pictures that exist already, or None for the composite
itself."""


@dataclass(frozen=True)
class Scores:
    """One picture's figures. mse, fmse: on the 0..255 scale, fmse over the foreground's area. psnr: in dB.
    ssim: at most 1, NaN for a picture smaller than its window. lpips: at least 0, None where nobody asked.
    """

    psnr: float
    mse: float
    fmse: float
    ssim: float
    lpips: float | None = None


@dataclass(frozen=True)
class Metric:
    """How a figure of `Scores` is printed. better: 1 if higher is better, -1 if lower is."""

    label: str
    decimals: int
    better: Literal[1, -1]


METRICS = {
    "psnr": Metric("PSNR", 2, 1),
    "mse": Metric("MSE", 2, -1),
    "fmse": Metric("fMSE", 2, -1),
    "ssim": Metric("SSIM", 4, 1),
    "lpips": Metric("LPIPS", 4, -1),
}
"""By the name in `Scores`, in the order of the tables."""


@dataclass(frozen=True)
class Planes:
    """A triple as a protocol sees it: composite, real (1,3,H,W), mask (1,1,H,W), all in [0,1]."""

    composite: Tensor
    mask: Tensor
    real: Tensor

    @property
    def ratio(self) -> float:
        """The foreground's share of the picture, 0 to 1."""
        return float(self.mask.mean())

    def on_real(self, pixels: Tensor) -> Tensor:
        """Pixels (1,3,H,W) in the mask, the real picture around it."""
        return self.mask * pixels + (1 - self.mask) * self.real


@dataclass(frozen=True)
class ScoringProtocol:
    """One line of the table above; calling it scores one picture."""

    name: str
    in_words: str
    side: int = 256
    full_size: bool = False
    antialias: bool = True
    one_bit: bool = False
    background: Literal["scored", "real", "masked"] = "scored"
    levels: Literal["rounded", "truncated", "all"] = "rounded"
    psnr_range: Literal["255", "output", "target"] = "255"
    similarity: Callable[[Tensor, Tensor], float] = ssim

    def __call__(self, triple: Triple, method: Method) -> Scores:
        """Scores of what `method` makes of the composite; None scores the composite."""
        planes = self.planes(triple)
        return self.score(self.harmonized(triple, planes, method), planes)

    def planes(self, triple: Triple) -> Planes:
        """The triple at the protocol's size, its composite on the real background if that counts."""
        planes = self._resized(triple)
        return replace(planes, composite=planes.on_real(planes.composite)) if self._replaces else planes

    @property
    def _replaces(self) -> bool:
        return self.background == "real"

    def _resized(self, triple: Triple) -> Planes:
        mask = Image.fromarray(triple.mask)
        if self.one_bit:
            mask = mask.convert("1")
        if self.full_size:
            return Planes(planes_of(triple.composite), planes_of(np.asarray(mask)), planes_of(triple.real))
        if self.one_bit:
            small = planes_of(
                np.asarray(mask.resize((self.side, self.side)))
            )  # Pillow: the nearest, in this mode
        else:
            small = self._small(triple.mask if self.antialias else triple.mask.astype(np.float32))
        return Planes(self._small(triple.composite), small, self._small(triple.real))

    def harmonized(self, triple: Triple, planes: Planes, method: Method) -> Tensor:
        """What is compared with `planes.real`, before rounding: (1,3,H,W) in [0,1]."""
        return self.all_harmonized([triple], [planes], method)[0]

    def all_harmonized(
        self, triples: Sequence[Triple], planes: Sequence[Planes], method: Method
    ) -> list[Tensor]:
        """`harmonized` of each triple. A network sees those of one size in one batch."""
        if method is None:
            found = [each.composite for each in planes]
        elif isinstance(method, BestOf):
            answers = [self.all_harmonized(triples, planes, network) for network in method.each]
            return [self._best(of_one, at) for *of_one, at in zip(*answers, planes, strict=True)]
        elif not isinstance(method, Harmonizer):
            found = [self._given(method.pixels(triple)) for triple in triples]
        elif self.full_size:
            found = [planes_of(harmonize(t.composite, t.mask, method).pixels) for t in triples]
        else:
            composite, mask = (
                torch.cat([getattr(p, name) for p in planes]) for name in ("composite", "mask")
            )
            found = list(self._by_network(composite, mask, method).split(1))
        return (
            [p.on_real(pixels) for p, pixels in zip(planes, found, strict=True)] if self._replaces else found
        )

    def score(self, harmonized: Tensor, planes: Planes) -> Scores:
        """harmonized (1,3,H,W) in [0,1] against the real picture."""
        mask, pixels = planes.mask, planes.mask.numel()
        # The error is 0 away from the mask: this spares most of a photograph of 16 megapixels.
        part = _around(mask) if self.background == "masked" else ...
        mask = mask[part]
        got, wanted = (self._in_levels(p[part]) for p in (harmonized, planes.real))
        squared = (got - wanted).square().mean(1, keepdim=True)
        if self.background == "masked":
            got = wanted + mask * (got - wanted)  # for SSIM; the error itself is weighed below
            squared = squared * mask
            inside = squared
        elif self.antialias and not self.one_bit:
            inside = squared * (mask > 0)  # a soft edge belongs to the foreground
        else:
            inside = squared * mask
        mse = float(squared.double().sum() / pixels)
        fmse = float(inside.double().sum() / mask.double().sum().clamp_min(1))
        spread = {"255": 255.0, "target": float(wanted.max()), "output": float(got.max() - got.min())}
        alike = 1 - (1 - self.similarity(got, wanted)) * mask.numel() / pixels
        return Scores(_psnr(mse, spread[self.psnr_range]), mse, fmse, alike)

    def shown(self, harmonized: Tensor, planes: Planes) -> Tensor:
        """The whole picture (1,3,H,W) in [0,1] that is compared with the real one."""
        pixels = harmonized.clamp(0, 1)
        return planes.on_real(pixels) if self.background == "masked" else pixels

    def _best(self, answers: Sequence[Tensor], planes: Planes) -> Tensor:
        return max(answers, key=lambda pixels: self.score(pixels, planes).psnr)

    def _given(self, pixels: np.ndarray) -> Tensor:
        """A picture that exists already, at the protocol's size."""
        as_it_is = self.full_size or pixels.shape[:2] == (self.side, self.side)
        return planes_of(pixels) if as_it_is else self._small(pixels)

    def _by_network(self, composite: Tensor, mask: Tensor, network: Harmonizer) -> Tensor:
        """(B,3,S,S) and (B,1,S,S) on the CPU -> the same, computed where the network's weights are."""
        device = next(network.parameters(), mask).device
        composite, mask = composite.to(device), mask.to(device)
        with torch.inference_mode():
            if network.working_size == self.side:
                return network(composite, mask).float().cpu()
            size = [network.working_size] * 2
            small, coverage = (
                F.interpolate(p, size, mode="bilinear", antialias=True, align_corners=False)
                for p in (composite, mask)
            )
            painted = network.colour_transform(small, coverage).apply(composite)
            return (mask * painted + (1 - mask) * composite).float().cpu()

    def _in_levels(self, pixels: Tensor) -> Tensor:
        """Pixels in [0,1] as the levels that are compared, 0..255."""
        pixels = pixels.clamp(0, 1)
        if self.levels == "truncated":
            # There and back as the public code normalises, whose rounding loses a level here and there.
            return (((pixels - 0.5) / 0.5 + 1) / 2 * 255).floor()
        levels = pixels * 255
        return levels.round() if self.levels == "rounded" else levels

    def _small(self, pixels: np.ndarray) -> Tensor:
        """Pixels (H,W) or (H,W,3) of 0..255 at the protocol's size. uint8 stays in 8 bits."""
        if self.antialias:
            return planes_of(squashed(Image.fromarray(pixels), self.side, RESAMPLING))
        # OpenCV is in the extra. It rounds halves up, which no resize of Pillow or torch does.
        from cv2 import INTER_LINEAR, resize

        return planes_of(np.asarray(resize(pixels, (self.side, self.side), interpolation=INTER_LINEAR)))


_TABLE = (
    ScoringProtocol("strict", "256 x 256 with antialias, soft mask, whole picture in 8 bits, PSNR range 255"),
    ScoringProtocol(
        "dovenet",
        "256 x 256 with antialias, 1-bit mask, whole picture truncated to 8 bits, PSNR range of the output",
        one_bit=True,
        levels="truncated",
        psnr_range="output",
    ),
    ScoringProtocol(
        "idih",
        "256 x 256 by OpenCV without antialias, soft mask, whole picture unrounded, PSNR range the target's"
        " maximum",
        antialias=False,
        levels="all",
        psnr_range="target",
    ),
    ScoringProtocol(
        "gtbg",
        "256 x 256 with antialias, 1-bit mask, the real background in the network's input and output,"
        " truncated to 8 bits, PSNR range 255, SSIM with a window of 7 x 7",
        one_bit=True,
        background="real",
        levels="truncated",
        similarity=ssim_7x7,
    ),
    ScoringProtocol(
        "fullres",
        "the file's own size, squared error times the soft mask, 8 bits, PSNR range 255",
        full_size=True,
        background="masked",
    ),
)


class _Protocols(dict[str, ScoringProtocol]):
    """By their names; NAME@SIDE is made when it is asked for."""

    def __missing__(self, name: str) -> ScoringProtocol:
        base, at, side = name.partition("@")
        if not at or side not in map(str, SIDES) or base not in self or self[base].full_size:
            raise KeyError(name)
        in_words = self[base].in_words.replace("256 x 256", f"{side} x {side}")
        return replace(self[base], name=name, side=int(side), in_words=in_words)


PROTOCOLS = _Protocols({protocol.name: protocol for protocol in _TABLE})


def planes_of(pixels: np.ndarray) -> Tensor:
    """(H,W) or (H,W,3), uint8 or bool, as (1,1,H,W) or (1,3,H,W) in [0,1]."""
    scale = 1 if pixels.dtype == bool else 255
    floats = torch.from_numpy(pixels.astype(np.float32) / scale)
    return floats[None, None] if pixels.ndim == 2 else floats.permute(2, 0, 1)[None].contiguous()


def _around(mask: Tensor) -> tuple[slice, ...]:
    """Slices of the box around a (1,1,H,W) mask that holds every SSIM window touching it."""
    box = [slice(None), slice(None)]
    for axis in (1, 0):
        where = (mask[0, 0] > 0).any(axis).nonzero()
        first, last = (int(where[0]), int(where[-1])) if len(where) else (0, 0)
        box.append(slice(max(first - 2 * MARGIN, 0), last + 2 * MARGIN + 1))
    return tuple(box)


def _psnr(mse: float, spread: float) -> float:
    # A perfect picture's PSNR is infinite and would outweigh all others in a mean.
    if mse <= 1e-3:
        return PERFECT
    return 10 * math.log10(max(spread, 1.0) ** 2 / mse)
