"""What the worker runs: a network on a device, loaded when first needed, let go when idle."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from glihamba.engine.device import Device, choose_device, cpu_name, return_memory
from glihamba.engine.request import Pixels, Request
from glihamba.errors import OutOfMemory, is_out_of_memory
from glihamba.pipeline.prediction import Prediction, Variant
from glihamba.settings import Settings
from glihamba_proto import messages
from glihamba_proto.messages import Note

if TYPE_CHECKING:
    from glihamba.models.registry import Record
    from glihamba.networks.base import Harmonizer

_log = logging.getLogger(__name__)

# How the job's fraction is shared out; receiving takes what lies before, sending what lies after.
LOADING, COMPUTING, SENDING = 0.10, 0.15, 0.95


@dataclass
class Outcome:
    """The result's pixels (RGB order), on what and with what they were made.

    `prediction` is what was applied. `variants` are there instead, and the pixels are empty, if the request
    wants no pixels.
    """

    pixels: Pixels
    device: Device
    model: str
    warnings: list[Note] = field(default_factory=list)
    variants: tuple[Variant, ...] = ()
    prediction: Prediction | None = None


class Runner:
    """One network in memory at a time. `run` and `unload` exclude each other; all may be called any time."""

    def __init__(self, settings: Settings, load: Callable[[str, str], Harmonizer] | None = None) -> None:
        """`load(name, device)` gives a network in eval mode; `glihamba.models.load` by default."""
        self._settings = settings
        self._load = load
        self._network: Any = None
        self._loaded: tuple[str, str, str] | None = None  # name, hash of the weights, device
        self._busy = threading.Lock()
        self._device: Device | None = None
        self.remembered: Device | None = None  # what an earlier process of the daemon chose
        self._choosing = threading.Lock()
        self._warming: threading.Thread | None = None

    @property
    def loaded(self) -> bool:
        return self._network is not None

    def device(self) -> Device:
        """Where networks run. Where nothing is remembered, the first call may import torch: seconds."""
        return self.known_device() or self._chosen()

    def known_device(self) -> Device | None:
        """Where networks run, if that is known by now."""
        return self._device or self.remembered

    def _chosen(self) -> Device:
        with self._choosing:
            if self._device is None:
                self._device = choose_device(self._settings.device, self._settings.threads)
                kind, name, notice = self._device
                said = messages.sentence(notice, "en") if notice else ""
                _log.info("a device is chosen", extra={"device": kind, "title": name, "notice": said})
            return self._device

    def get_ready(self) -> None:
        """Start `warm` in the background, unless a network is loaded or it is at work; returns at once."""
        if not self.loaded and not (self._warming and self._warming.is_alive()):
            self._warming = threading.Thread(target=self.warm, name="glihamba-warm", daemon=True)
            self._warming.start()

    def warm(self) -> None:
        """Choose the device, load the default model, try it: the first picture is then as quick as the next.

        What goes wrong here is for the job to say that meets it; the log has it too.
        """
        glance, corner = np.full((64, 64, 3), 127, np.uint8), np.zeros((64, 64), np.uint8)
        corner[:32, :32] = 255
        try:
            device = self._chosen()  # the import helps whichever model is asked for
            request = Request(self.resolve(""), 1.0, "srgb", glance, corner)
            with self._busy:
                self._run_on(device, request, lambda *_: None, lambda: False)
        except Exception as error:
            _log.warning("the default model could not be tried", extra={"reason": str(error)})

    def models(self) -> list[tuple[Record, bool, bool]]:
        """(record, installed, is the default) of every known model."""
        from glihamba.models import registry

        default = self._default()
        return [(r, registry.is_installed(r), r.name == default) for r in registry.records()]

    def resolve(self, name: str) -> Record:
        """The model of that name, the default for an empty one. Raises UnknownModel, ModelNotInstalled."""
        from glihamba.models import registry

        record = registry.get(name or self._default())
        if not registry.is_installed(record):
            raise registry.not_installed(record)
        return record

    def _default(self) -> str:
        from glihamba.models import registry

        return self._settings.default_model or registry.DEFAULT

    def run(
        self, request: Request, progress: Callable[[str, float], None], cancelled: Callable[[], bool]
    ) -> Outcome:
        """Do one job. Raises HarmonizeError, OutOfMemory of that for every kind of lack of memory.

        What does not fit into the GPU's memory is done on the CPU, with a warning.
        """
        device = self._chosen()
        with self._busy:
            outcome = self._attempt(device, request, progress, cancelled)
            if isinstance(outcome, OutOfMemory):
                self._let_go()
                if device.kind == "cpu":
                    raise outcome
                name = request.model.name
                _log.warning("the GPU's memory is too small, the CPU takes over", extra={"model": name})
                outcome = self._attempt(Device("cpu", cpu_name()), request, progress, cancelled)
                self._let_go()  # so that the next job tries the GPU again
                if isinstance(outcome, OutOfMemory):
                    raise outcome
                outcome.warnings.append(Note("WARNING.CPU_INSTEAD"))
            return outcome

    def _attempt(self, device: Device, *job: Any) -> Outcome | OutOfMemory:
        """An error is returned for lack of memory, without the traceback that would keep memory in use."""
        try:
            return self._run_on(device, *job)
        except Exception as error:
            if isinstance(error, OutOfMemory):
                return OutOfMemory(error.detail, case=error.case, **error.fields)
            if is_out_of_memory(error):
                return OutOfMemory()
            raise

    def _run_on(
        self,
        device: Device,
        request: Request,
        progress: Callable[[str, float], None],
        cancelled: Callable[[], bool],
    ) -> Outcome:
        from glihamba.pipeline.harmonize import harmonize, predict

        name = request.model.name
        picture = request.composite, request.mask

        def advance(stage: str, fraction: float) -> None:
            progress(stage, COMPUTING + (SENDING - COMPUTING) * fraction)

        options: dict[str, Any] = {
            "transfer": request.transfer,
            "progress": advance,
            "cancelled": cancelled,
        }
        if not request.wants_pixels:
            network = self._network_for(request, device, progress)
            variants, warnings = predict(*picture, network, **options)
            return Outcome(np.empty(0, np.uint8), device, name, list(warnings), variants)
        result = harmonize(
            *picture,
            request.prediction or self._network_for(request, device, progress),
            foreground=request.foreground,
            foreground_offset=request.foreground_offset,
            strength=request.strength,
            amounts=request.amounts,
            **options,
        )
        return Outcome(result.pixels, device, name, list(result.warnings), prediction=result.prediction)

    def _network_for(
        self, request: Request, device: Device, progress: Callable[[str, float], None]
    ) -> Harmonizer:
        """The request's network, loaded if it is not in memory."""
        name = request.model.name
        wanted = name, request.model.sha256, device.kind  # other weights may have got the same name
        if self._loaded != wanted:
            progress("LOADING_MODEL", LOADING)
            if self._loaded is not None:  # else there is nothing to return, and looking for it takes long
                self._let_go()
            self._network = self._load_network(name, device.kind)
            self._loaded = wanted
        network: Harmonizer = self._network
        return network

    def _load_network(self, name: str, kind: str) -> Harmonizer:
        if self._load is not None:
            return self._load(name, kind)
        from glihamba.models import load

        _log.info("a model is loaded", extra={"model": name, "device": kind})
        return load(name, device=kind)

    def unload(self) -> bool:
        """Let the network go, and its memory back to the system; False if there was none or it is in use."""
        if self._network is None or not self._busy.acquire(blocking=False):
            return False
        try:
            _log.info("the idle model is unloaded", extra={"model": self._loaded and self._loaded[0]})
            self._let_go()
            return True
        finally:
            self._busy.release()

    def _let_go(self) -> None:
        self._network, self._loaded = None, None
        return_memory()
