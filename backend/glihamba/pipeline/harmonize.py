"""The recipe: from a composite and a mask to the object in its scene's light, at full size and depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from glihamba.errors import (
    BadRequest,
    Cancelled,
    FullMask,
    HarmonizeError,
    OutOfMemory,
    is_out_of_memory,
    refuse,
)
from glihamba.networks import build
from glihamba.networks.base import Harmonizer
from glihamba.networks.colour_transform import ColourTransform
from glihamba.pipeline import correction
from glihamba.pipeline.amounts import parts, weighed
from glihamba.pipeline.colour import SAMPLE_TYPES, Floats, Pixels, coverage, full_scale
from glihamba.pipeline.evidence import evidence, faded
from glihamba.pipeline.geometry import at_working_size, box_of, context_window, fractions
from glihamba.pipeline.prediction import AS_PREDICTED, Amounts, Prediction, Variant
from glihamba_proto import checks
from glihamba_proto.formats import Role, Size
from glihamba_proto.messages import Note

# Where each stage begins, as a fraction of the whole; the last one ends at 1.
_STAGES = {"PREPARING": 0.0, "PREDICTING": 0.2, "APPLYING": 0.6}

_LITTLE_SCENE = 0.8  # of the picture
_SMALL_OBJECT = 64  # pixels
_LITTLE_EVIDENCE = 0.5  # below it the person is told
_STRONGER = 1.3  # the strength of a variant
_NO_SCENE = 1e-3  # of the window


@dataclass(frozen=True)
class Result:
    """pixels: shape and type of the foreground, else of the composite. warnings: for the person.

    prediction: what was applied, before `amounts` and `strength`.
    """

    pixels: Pixels
    prediction: Prediction
    warnings: tuple[Note, ...] = ()


def harmonize(
    composite: Pixels,
    mask: Pixels,
    network: Harmonizer | Prediction,
    *,
    foreground: Pixels | None = None,
    foreground_offset: tuple[int, int] = (0, 0),
    strength: float = 1.0,
    amounts: Amounts = AS_PREDICTED,
    transfer: str = "srgb",
    progress: Callable[[str, float], None] = lambda stage, fraction: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Result:
    """Recolour the masked object of `composite` to fit its scene.

    composite: (H,W,3|4), the picture as seen; mask: (H,W), the object's coverage, 0 to full scale. Each is
    uint8, uint16 or float32 (full scale 1, values beyond it are kept), alpha straight.
    foreground: (h,w,3|4), the object's own layer, its top left at `foreground_offset` (x, y) in the
    composite; if given, it is what comes back, for the editor to composite again.
    network: what predicts the correction, or the prediction itself. amounts: of the correction's parts.
    strength: 0 (unchanged), 1 (the full correction) to 1.5. transfer: "srgb", or "linear" for samples
    that are light. progress: told the stage, PREPARING, PREDICTING or APPLYING, and the fraction of the
    whole done, 0 to 1, never falling. cancelled: asked between steps.

    Pixels without coverage, and alpha, come back bit-identical. Nothing given is written to.
    Raises BadRequest, SizeMismatch, EmptyMask, FullMask, NotFinite, OutOfMemory, Cancelled, and
    HarmonizeError when the network gives no usable answer.
    """
    step = _steps(progress, cancelled)
    step("PREPARING", 0)
    _check_request(composite, mask, foreground, foreground_offset, strength, transfer)
    _check_amounts(amounts)
    warnings = _check_coverage(mask)
    step("PREPARING", 0.5)
    linear = transfer == "linear"
    if isinstance(network, Prediction):
        _check_prediction(network)
        predicted = network
    else:
        glance = _glance(composite, mask, network.working_size, linear)
        warnings += glance.warnings
        predicted = _predict(glance, network, step)[0][0]
    transform = weighed(_transform(predicted), torch.from_numpy(predicted.mean)[None], amounts)
    window = box_of(predicted.window, *mask.shape)
    step("APPLYING", 0)
    pixels = correction.apply(
        composite if foreground is None else foreground,
        mask,
        transform,
        window,
        offset=None if foreground is None else foreground_offset,
        strength=strength,
        linear=linear,
        advance=lambda fraction: step("APPLYING", fraction),
    )
    step("APPLYING", 1)
    return Result(pixels, predicted, warnings)


def predict(
    composite: Pixels,
    mask: Pixels,
    network: Harmonizer,
    *,
    transfer: str = "srgb",
    progress: Callable[[str, float], None] = lambda stage, fraction: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[tuple[Variant, ...], tuple[Note, ...]]:
    """The corrections to choose from, and warnings. The first is what `harmonize` would apply.

    A network of one answer is joined by colour statistics and by its own answer made stronger. Arguments and
    errors are those of `harmonize`.
    """
    step = _steps(progress, cancelled)
    step("PREPARING", 0)
    _check_request(composite, mask, None, (0, 0), 1.0, transfer)
    warnings = _check_coverage(mask)
    step("PREPARING", 0.5)
    glance = _glance(composite, mask, network.working_size, transfer == "linear")
    warnings += glance.warnings
    guesses, odds = _predict(glance, network, step)
    found = [("model", guess, 1.0, chance) for guess, chance in zip(guesses, odds, strict=True)]
    if len(found) == 1:
        (simple,), _ = _predict(glance, build("statistics").eval(), step)
        found = [
            ("model", guesses[0], 1.0, 0.0),
            ("statistics", simple, 1.0, 0.0),
            ("stronger", guesses[0], _STRONGER, 0.0),
        ]
    seen = [_recoloured(glance, guess, strength) for _, guess, strength, _ in found]
    apart = [_apart(glance, seen[0], each) for each in seen]
    step("APPLYING", 1)
    rows = zip(found, apart, strict=True)
    return tuple(Variant(*each, levels, _parts(each[1])) for each, levels in rows), warnings


def _recoloured(glance: _Glance, predicted: Prediction, strength: float) -> Tensor:
    """What the network's small picture becomes, (1,3,S,S)."""
    moved = _transform(predicted).apply(glance.small) - glance.small
    return (glance.small + strength * moved).clamp(0, 1)


def _apart(glance: _Glance, one: Tensor, other: Tensor) -> float:
    """How far two pictures differ over the object: root mean square, in levels of 255."""
    squared = (one - other).square().mean(1, keepdim=True) * glance.covered
    return 255 * float(squared.sum() / glance.covered.sum().clamp_min(1e-12)) ** 0.5


def _parts(predicted: Prediction) -> tuple[tuple[Floats, Floats], ...]:
    """What `Variant.parts` says."""
    found = parts(_transform(predicted), torch.from_numpy(predicted.mean)[None])
    return tuple((part.base[0].float().numpy(), part.grid[0].float().numpy()) for part in found)


def _transform(predicted: Prediction) -> ColourTransform:
    """The prediction as a batch of one."""
    return ColourTransform(*(torch.from_numpy(part)[None] for part in (predicted.base, predicted.grid)))


def _steps(
    progress: Callable[[str, float], None], cancelled: Callable[[], bool]
) -> Callable[[str, float], None]:
    """A function that is called between steps with the stage and its own fraction; raises Cancelled."""

    def step(stage: str, fraction: float) -> None:
        if cancelled():
            raise Cancelled
        start = _STAGES[stage]
        end = min((s for s in _STAGES.values() if s > start), default=1.0)
        progress(stage, start + (end - start) * fraction)

    return step


@dataclass(frozen=True)
class _Glance:
    """What a network sees: small (1,3,S,S), covered (1,1,S,S), in [0,1]. place: the window in fractions.

    evidence: how much of a correction the object's colours deserve, 0 to 1.
    """

    small: Tensor
    covered: Tensor
    place: tuple[float, float, float, float]
    evidence: float

    @property
    def warnings(self) -> tuple[Note, ...]:
        return (Note("WARNING.COLOURLESS"),) if self.evidence < _LITTLE_EVIDENCE else ()


def _glance(composite: Pixels, mask: Pixels, size: int, linear: bool) -> _Glance:
    """The window around the object at the working size; raises FullMask if there is no scene in it."""
    window = context_window(mask, size)
    small, covered, opacity = at_working_size(composite, mask, window, size, linear=linear)
    # The object's own opacity is its coverage: what is opaque beyond that is scene.
    if float((opacity - covered).clamp_min(0).mean()) < _NO_SCENE:
        raise FullMask(case="NO_SCENE")
    return _Glance(small, covered, fractions(window, *mask.shape), evidence(small, covered))


def _predict(
    glance: _Glance, network: Harmonizer, step: Callable[[str, float], None]
) -> tuple[list[Prediction], list[float]]:
    """The network's colour transforms over the window, finite and on the CPU, and their probabilities."""
    step("PREDICTING", 0)
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    try:
        with torch.inference_mode():
            transforms, odds = network.answers(glance.small.to(device), glance.covered.to(device))
            found = [ColourTransform(t.base.float().cpu(), t.grid.float().cpu()) for t in transforms]
            chances = odds[0].float().softmax(0).tolist()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(case="MODEL" if device.type == "cpu" else "GPU") from None
    if not all(transform.isfinite() for transform in found):
        raise HarmonizeError(case="NO_COLOURS")
    covered = glance.covered
    found = [faded(transform, glance.evidence) for transform in found]
    mean = ((glance.small * covered).sum((0, 2, 3)) / covered.sum().clamp_min(1e-12)).numpy()
    return [Prediction(t.base[0].numpy(), t.grid[0].numpy(), glance.place, mean) for t in found], chances


def _check_request(
    composite: Pixels,
    mask: Pixels,
    foreground: Pixels | None,
    foreground_offset: tuple[int, int],
    strength: float,
    transfer: str,
) -> None:
    """Types, shapes, sizes, parameters and finite values; raises BadRequest, SizeMismatch, NotFinite."""
    planes: dict[Role, Pixels] = {"composite": composite, "mask": mask}
    if foreground is not None:
        planes["foreground"] = foreground
    for role, plane in planes.items():
        kind = str(getattr(plane, "dtype", type(plane).__name__))
        is_known = isinstance(plane, np.ndarray) and plane.dtype in SAMPLE_TYPES
        refuse(checks.sample_type(role, kind if is_known else None, kind))
        channels = plane.ndim == 2 if role == "mask" else plane.ndim == 3 and plane.shape[2] in (3, 4)
        if not channels or plane.size == 0:
            case = "MASK_SHAPE" if role == "mask" else "SHAPE"
            raise BadRequest(case=case, plane=role, found=_times(plane.shape))
    refuse(checks.same_size(_size(mask), _size(composite)))
    if len(foreground_offset) != 2 or not all(isinstance(n, (int, np.integer)) for n in foreground_offset):
        raise BadRequest(case="OFFSET")
    refuse(checks.strength(strength))
    refuse(checks.transfer("composite", transfer, transfer))
    for role, plane in planes.items():
        refuse(checks.finite(role, plane.dtype.kind != "f" or all(np.isfinite(row).all() for row in plane)))


def _check_amounts(amounts: Amounts) -> None:
    """Raises BadRequest for an amount out of range."""
    for part, amount in asdict(amounts).items():
        refuse(checks.amount(part, amount))


def _check_prediction(predicted: Prediction) -> None:
    """Shape, numbers and window; raises BadRequest."""
    base, grid, mean = predicted.base, predicted.grid, predicted.mean
    refuse(checks.transform_shape(base.size, mean.size, grid.size, *grid.shape[2:]))
    refuse(
        checks.transform_numbers(
            float(np.abs(np.concatenate([part.ravel() for part in (base, grid, mean)])).max())
        )
    )
    top, left, bottom, right = predicted.window
    refuse(checks.transform_window(top, bottom))
    refuse(checks.transform_window(left, right))


def _check_coverage(mask: Pixels) -> tuple[Note, ...]:
    """The warnings a mask (H,W) deserves; raises EmptyMask, FullMask."""
    refuse(checks.coverage(float(mask.min()), float(mask.max()), full_scale(mask.dtype)))
    pixels = sum(float(coverage(row).sum(dtype=np.float64)) for row in mask)
    share = pixels / mask.size
    if share > _LITTLE_SCENE:
        return (Note("WARNING.LITTLE_SCENE", {"percent": min(99, round(100 * share))}),)
    if pixels < _SMALL_OBJECT:
        return (Note("WARNING.SMALL_OBJECT"),)
    return ()


def _size(pixels: Pixels) -> Size:
    return pixels.shape[1], pixels.shape[0]


def _times(sides: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in sides)
