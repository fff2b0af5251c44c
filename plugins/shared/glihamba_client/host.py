"""What an editor does for the use case, and the pixels that pass between the two.

A host is Krita, GIMP or a file. It knows its editor and nothing of the daemon. The use case knows the daemon
and nothing of the editor. All methods are called from the thread that drives the use case (an editor's GUI
thread), never from another.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

from glihamba_proto.formats import Channels, SampleType, Transfer, byte_count

Pixels = bytes | bytearray | memoryview

P = ParamSpec("P")
T = TypeVar("T")

Wait = Callable[[float], bool]
"""Waits for something, at most so many seconds; returns whether it has come."""

Steps = Generator[Wait | None, None, T]
"""Work in short steps, so that an editor stays responsive between them.

A step yields what the work waits for, or None when the next step may follow at once. Closing the generator
gives the work up.
"""


@dataclass(frozen=True)
class Plane:
    """A rectangle of pixels: row-major, interleaved, unpadded, little-endian, straight alpha.

    `data` holds `width * height * channels * sample bytes` bytes. `offset` is the top left pixel's
    place (x, y) in the image. Colours have sRGB's primaries; `transfer` says whether the samples are
    sRGB-encoded or linear. Full scale is 255, 65535 or 1.0; floats beyond 0 to 1 are kept.
    """

    width: int
    height: int
    sample_type: SampleType
    channels: Channels
    data: Pixels
    offset: tuple[int, int] = (0, 0)
    transfer: Transfer = "srgb"

    @property
    def byte_count(self) -> int:
        """How long `data` must be, from the size and the format."""
        return byte_count((self.width, self.height), self.sample_type, self.channels)


@dataclass(frozen=True)
class Capture:
    """What a host hands over: the picture as seen, the object's coverage, maybe the object's layer.

    `composite` and `mask` cover the same rectangle. Where `foreground` is given, it is what comes
    back harmonized, in its own size and place; otherwise the composite is.
    """

    composite: Plane
    mask: Plane
    foreground: Plane | None = None

    @property
    def planes(self) -> tuple[Plane, ...]:
        """In the order they are sent."""
        return (self.composite, self.mask) + ((self.foreground,) if self.foreground else ())

    @property
    def byte_count(self) -> int:
        """Of all planes."""
        return sum(plane.byte_count for plane in self.planes)


@dataclass(frozen=True)
class Choice:
    """Which correction a person wants.

    model: its name, empty for the default. strength: 0 (unchanged), 1 (the full correction) to 1.5.
    transform: the contract's `Transform`, applied instead of the model's own. amounts: the contract's
    `Amounts`. None stands for as predicted.
    """

    model: str = ""
    strength: float = 1.0
    transform: Any = None
    amounts: Any = None


AS_PREDICTED = Choice()


@dataclass(frozen=True)
class Harmonized:
    """The whole result: a plane shaped like the foreground (or else the composite), and its story.

    transform: the contract's `Transform` that was applied; None from an older daemon.
    """

    plane: Plane
    model: str = ""
    device: str = ""
    seconds_queued: float = 0.0
    seconds_computed: float = 0.0
    warnings: Sequence[str] = field(default=())
    transform: Any = None


@dataclass(frozen=True)
class Progress:
    """`stage` is a name of the contract's `Progress.Stage`, or CONNECTING, STARTING, BUSY or AGAIN before it.

    `fraction` is of the whole job, 0 to 1. `queue_position` counts the jobs ahead, 0: next.
    """

    stage: str = "CONNECTING"
    fraction: float = 0.0
    queue_position: int = 0


class Host(Protocol):
    """One act of harmonizing, as the editor sees it.

    `capture` and `deliver` work in steps. A host whose editor may stand still meanwhile writes them as plain
    methods below the decorator `at_once`.
    """

    def capture(self) -> Steps[Capture]:
        """Read the layer, its coverage and the composite. Changes nothing in the document.

        Raises `ClientError` with the host's own sentence when there is nothing to harmonize.
        """

    def deliver(self, harmonized: Harmonized) -> Steps[None]:
        """Put the result into the document, as one undo step. Called once, with the whole result.

        Raises `ClientError` when the place for it is gone (layer deleted, document closed, disk full).
        """

    def progress(self, progress: Progress) -> None:
        """Show how far the job is. Called about twenty times a second, so it must return quickly."""

    def cancelled(self) -> bool:
        """Whether the person has asked to stop."""

    def message(self, text: str, failed: bool = False) -> None:
        """Tell the person one sentence: a warning about the result, or why there is none."""


def at_once(method: Callable[P, T]) -> Callable[P, Steps[T]]:
    """A method that does all of its work in one step."""

    @wraps(method)
    def steps(*arguments: P.args, **options: P.kwargs) -> Steps[T]:
        yield from ()
        return method(*arguments, **options)

    return steps
