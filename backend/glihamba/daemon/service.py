"""The contract's service: checks a stream, queues its job, sends what comes of it. Nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Protocol
from urllib.parse import unquote

import grpc

from glihamba import __version__
from glihamba.daemon import planes
from glihamba.daemon.discovery import is_loopback
from glihamba.daemon.failures import abort
from glihamba.daemon.job import Job
from glihamba.daemon.jobs import Jobs
from glihamba.daemon.shared_files import Loan, SharedFiles
from glihamba.engine.contract import message_of, noted, predicted
from glihamba.engine.device import Device
from glihamba.engine.runner import LOADING, SENDING, Outcome
from glihamba.errors import BadRequest, Cancelled, HarmonizeError, NotAllowed
from glihamba.models.registry import Record
from glihamba.settings import Settings
from glihamba_proto import PROTOCOL
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto import harmonizer_pb2_grpc as pb_grpc
from glihamba_proto.chunks import chunks
from glihamba_proto.messages import sentence
from glihamba_proto.shared_file import SharedFile

_log = logging.getLogger(__name__)


class Engine(Protocol):
    """What the service asks of the runner besides running jobs."""

    def device(self) -> Device: ...
    def models(self) -> list[tuple[Record, bool, bool]]: ...
    def resolve(self, name: str) -> Record: ...


class HarmonizerService(pb_grpc.HarmonizerServicer):
    def __init__(
        self,
        engine: Engine,
        jobs: Jobs,
        settings: Settings,
        files: SharedFiles,
        instance: str,
        end: Callable[[], object],
        expect: Callable[[], object] = lambda: None,
    ) -> None:
        """`end` asks the daemon to end. `expect` hears that a picture may come soon. Both return at once."""
        self._engine = engine
        self._jobs = jobs
        self._settings = settings
        self._files = files
        self._instance = instance
        self._end = end
        self._expect = expect

    def GetServerInfo(self, request: pb.GetServerInfoRequest, context: grpc.ServicerContext) -> pb.ServerInfo:
        try:
            device = self._engine.device()
            default = next((record.name for record, _, is_default in self._engine.models() if is_default), "")
        except HarmonizeError as error:
            abort(context, error)
        return pb.ServerInfo(
            version=__version__,
            protocol=PROTOCOL,
            instance=self._instance,
            device=pb.Device(kind=device.kind, name=device.name),
            default_model=default,
            limits=pb.Limits(
                pixels=self._settings.pixel_limit,
                chunk_bytes=self._settings.chunk_bytes,
                jobs_waiting=self._settings.queue_length,
            ),
            jobs_waiting=self._jobs.waiting,
            job_running=self._jobs.running,
            notice=sentence(device.notice, "en") if device.notice else "",
            notice_note=noted(device.notice) if device.notice else None,
            shared_files=self._files.is_available and is_this_machine(context.peer()),
            pings=True,
        )

    def ListModels(
        self, request: pb.ListModelsRequest, context: grpc.ServicerContext
    ) -> pb.ListModelsResponse:
        try:
            models = self._engine.models()
        except HarmonizeError as error:
            abort(context, error)
        self._expect()  # editors ask when a person opens the docker or the dialog
        return pb.ListModelsResponse(
            models=[
                pb.Model(
                    name=record.name,
                    title=record.title,
                    description=record.description,
                    installed=installed,
                    is_default=is_default,
                    licence=record.licence,
                    training_data=record.training_data,
                    bytes=record.bytes,
                )
                for record, installed, is_default in models
            ]
        )

    def Shutdown(self, request: pb.ShutdownRequest, context: grpc.ServicerContext) -> pb.ShutdownResponse:
        if not is_this_machine(context.peer()):
            abort(context, NotAllowed())
        _log.info("a client asks the daemon to end")
        self._end()
        return pb.ShutdownResponse()

    def Harmonize(
        self, messages: Iterator[pb.HarmonizeRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.HarmonizeResponse]:
        with self._job(context) as job:
            yield from self._harmonize(job, messages, context.peer())

    def Predict(self, request: pb.PredictRequest, context: grpc.ServicerContext) -> pb.PredictResponse:
        with self._job(context) as job:
            return self._predict(job, request, context.peer())

    @contextmanager
    def _job(self, context: grpc.ServicerContext) -> Iterator[Job]:
        """A place in the queue for one call, whose failures end the call with their status."""
        job: Job | None = None
        try:
            job = self._jobs.reserve(context.cancel)
            if not context.add_callback(partial(self._jobs.stop, job)):
                raise Cancelled
            yield job
        except HarmonizeError as error:
            level = logging.INFO if isinstance(error, Cancelled) else logging.WARNING
            _log.log(level, "a job ended: %s", error, extra={"job": job and job.id, "code": error.code})
            abort(context, error)
        finally:
            if job is not None:
                self._jobs.release(job)

    def _predict(self, job: Job, request: pb.PredictRequest, peer: str) -> pb.PredictResponse:
        """The transform as the contract's message. The job runs like one that wants pixels."""
        pictures = request.composite, request.mask
        start = pb.Start(protocol=request.protocol, planes=[picture.plane for picture in pictures])
        described = planes.checked(start, self._settings.pixel_limit, wants_pixels=False)
        model = self._engine.resolve(request.model)
        for _ in self._jobs.admitted(job, turn_of(peer, request.client)):
            pass  # this call has no way to say so
        reception = planes.Reception(described, self._settings.chunk_bytes, None)
        messages = pieces([picture.data for picture in pictures], self._settings.chunk_bytes)
        for size in reception.take(messages):
            self._jobs.make_room(job, size)
        planes.no_more(messages)
        self._jobs.submit(job, reception.request(model))
        outcome = job.take_outcome()
        return predicted(outcome)

    def _harmonize(
        self, job: Job, messages: Iterator[pb.HarmonizeRequest], peer: str
    ) -> Iterator[pb.HarmonizeResponse]:
        start = first_message(messages)
        described = planes.checked(start, self._settings.pixel_limit)
        model = self._engine.resolve(start.model)
        for position in self._jobs.admitted(job, turn_of(peer, start.client)):
            yield progress("QUEUED", 0.0, position)
        with self._lent(start, described, peer) as loan:
            if start.shared_file:
                offer = pb.SharedFile(name=loan.file.name if loan else "")
                yield pb.HarmonizeResponse(shared_file=offer)
            yield from self._exchange(job, start, described, model, loan, messages)

    def _lent(
        self, start: pb.Start, described: planes.Description, peer: str
    ) -> AbstractContextManager[Loan | None]:
        """The job's file. A client of another machine gets none, because it could not open it."""
        if start.shared_file and is_this_machine(peer):
            return self._files.lent(described.bytes_sent)
        return nullcontext()

    def _received(
        self,
        job: Job,
        described: planes.Description,
        reception: planes.Reception,
        messages: Iterator[pb.HarmonizeRequest],
    ) -> Iterator[pb.HarmonizeResponse]:
        """Take the pixels in; now and then say how many there are."""
        before, shown = 0, 0.0
        for size in reception.take(messages):
            job.keep_on(size - before)
            self._jobs.make_room(job, size * described.bytes_held // described.bytes_sent)
            before, fraction = size, size / described.bytes_sent
            job.report("RECEIVING", LOADING * fraction)
            if fraction - shown >= 0.05:
                shown = fraction
                yield progress("RECEIVING", LOADING * fraction)

    def _exchange(
        self,
        job: Job,
        start: pb.Start,
        described: planes.Description,
        model: Record,
        loan: Loan | None,
        messages: Iterator[pb.HarmonizeRequest],
    ) -> Iterator[pb.HarmonizeResponse]:
        """Receive the planes, wait for the outcome and send it."""
        file = loan.file if loan else None
        reception = planes.Reception(described, self._settings.chunk_bytes, file)
        yield from self._received(job, described, reception, messages)
        if loan is None:
            planes.no_more(messages)
        target = file if reception.has_stored else None
        position = self._jobs.submit(job, reception.request(model))
        del reception  # the queue holds the pictures now, and lets them go
        _log.info("a job is accepted", extra=describe(job, start.client, described, model, position))
        accepted = pb.Accepted(job=job.id, queue_position=position, model=model.name)
        yield pb.HarmonizeResponse(accepted=accepted)

        for update in job.updates():
            yield progress(update.stage, update.fraction, update.position)
        outcome = job.take_outcome()
        yield progress("SENDING", SENDING)
        job.await_client(self._jobs.patience.reading)
        for message in send(outcome, described.result, self._settings.chunk_bytes, target):
            yield message
            job.keep_on()
        if loan is not None:
            planes.no_more(messages)  # a stream that is cancelled ends, too; its client reads no more
            loan.is_returned = True
        end = pb.End(
            seconds_queued=job.began - job.submitted,
            seconds_computed=job.ended - job.began,
            device=pb.Device(kind=outcome.device.kind, name=outcome.device.name),
            model=outcome.model,
            warnings=[sentence(warning, "en") for warning in outcome.warnings],
            warning_notes=map(noted, outcome.warnings),
            transform=message_of(outcome.prediction) if outcome.prediction else None,
        )
        _log.info("a job is done", extra={"job": job.id, "seconds": round(end.seconds_computed, 3)})
        yield pb.HarmonizeResponse(end=end)


def pieces(data: Sequence[bytes], chunk_bytes: int) -> Iterator[pb.HarmonizeRequest]:
    """Whole planes as the chunks of a stream, so that they are checked by the same rules."""
    for index, plane in enumerate(data):
        for offset in range(0, len(plane), chunk_bytes):
            chunk = pb.Chunk(plane=index, offset=offset, data=plane[offset : offset + chunk_bytes])
            yield pb.HarmonizeRequest(chunk=chunk)


def first_message(messages: Iterator[pb.HarmonizeRequest]) -> pb.Start:
    message = next(messages, None)
    if message is None:
        raise BadRequest(case="STREAM_EMPTY")
    if message.WhichOneof("message") != "start":
        raise BadRequest(case="NO_START")
    return message.start


def is_this_machine(peer: str) -> bool:
    """Whether gRPC's name of a peer ("ipv4:127.0.0.1:5", "ipv6:%5B::1%5D:5", "unix:") is on this machine."""
    return peer.startswith("unix:") or is_loopback(unquote(peer.partition(":")[2].rpartition(":")[0]))


def turn_of(peer: str, client: str) -> str:
    """Whose turn it is: a program on a machine. Its connections (ports) come and go with every job."""
    return f"{peer.rpartition(':')[0]} {client}" if client else peer


def progress(stage: str, fraction: float, position: int = 0) -> pb.HarmonizeResponse:
    """`stage` is the name of a `Progress.Stage`."""
    update = pb.Progress(fraction=fraction, queue_position=position)
    update.stage = pb.Progress.Stage.Value(stage)  # type: ignore[assignment]
    return pb.HarmonizeResponse(progress=update)


def send(
    outcome: Outcome, header: planes.Header, chunk_bytes: int, file: SharedFile | None
) -> Iterator[pb.HarmonizeResponse]:
    """The result's header and chunks: through `file` as far as it takes them, the rest in messages."""
    data = planes.result_bytes(outcome.pixels, header)
    yield pb.HarmonizeResponse(result=planes.result_header(header))
    for chunk in chunks([data], chunk_bytes, file):
        yield pb.HarmonizeResponse(chunk=chunk)


def describe(
    job: Job, client: str, described: planes.Description, model: Record, position: int
) -> dict[str, Any]:
    """For the log: what the job is, without a pixel of it."""
    sizes = ["{} {}x{}".format(header.role, *header.size) for header in described.headers]
    return {
        "job": job.id,
        "client": client[:80],
        "model": model.name,
        "planes": sizes,
        "position": position,
    }
