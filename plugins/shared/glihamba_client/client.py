"""The daemon's client: gRPC in pure Python, a worker thread with its own event loop for each call."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import stat
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from google.protobuf.message import DecodeError
from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from glihamba_client import __version__
from glihamba_client.errors import ClientError, error_of
from glihamba_client.grpclib_api import metadata_of, pinging, socket_of
from glihamba_client.host import Capture, Harmonized, Plane, Progress
from glihamba_client.streams import Assembler, first_request, note_of, notice, picture, pixel_requests
from glihamba_proto import PROTOCOL, messages, places, shared_file
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto.endpoint import Endpoint
from glihamba_proto.harmonizer_grpc import HarmonizerStub
from glihamba_proto.messages import ERROR_KEY, NOTE_KEY, Note

NAME = f"glihamba_client/{__version__}"
PING_EVERY, PING_PATIENCE = 3.0, 5.0  # seconds: a daemon that was stopped is noticed within 8
T = TypeVar("T")


class Task(Generic[T]):
    """Work in a worker thread: `work(task)` runs there, in an event loop of its own.

    Cancelling takes effect at once, wherever the work waits.
    """

    def __init__(self, work: Callable[[Task[T]], Awaitable[T]], name: str = "glihamba") -> None:
        self._work = work
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._given_up = False
        self._progress = Progress()
        self._value: list[T] = []
        self._error: BaseException | None = None
        self._stop: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        return self._ended.wait(seconds)

    def progress(self) -> Progress:
        return self._progress

    def report(self, progress: Progress) -> None:
        """Say how far the work is; called by the work."""
        self._progress = progress

    def result(self) -> T:
        """The work's value, once it has ended; waits until then. Raises what the work raised."""
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._value[0]

    def cancel(self) -> None:
        with self._lock:
            self._given_up = True
            if self._stop is not None:
                self._stop()

    def _run(self) -> None:
        # An editor's Python may leave SIGPIPE deadly, as Krita 5.2's does: a daemon that ends while it is
        # being sent a picture would take the editor with it. Held back here, the write itself fails.
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
        try:
            self._value.append(asyncio.run(self._main()))
        except asyncio.CancelledError:
            self._error = ClientError("CANCELLED")
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()

    async def _main(self) -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop() -> None:
            loop.call_soon_threadsafe(task.cancel)

        with self._lock:
            if self._given_up:
                raise asyncio.CancelledError
            self._stop = stop
        try:
            return await self._work(self)
        finally:
            with self._lock:
                self._stop = None


def call(work: Callable[[], Awaitable[T]]) -> T:
    """Run one short call in a worker thread and wait for it; Ctrl-C gives it up."""

    async def only(task: Task[T]) -> T:
        return await work()

    task = Task(only)
    try:
        while not task.wait(0.1):  # on Windows a wait without a limit cannot be interrupted
            pass
        return task.result()
    finally:
        task.cancel()


class Client:
    """Calls to one daemon. All methods are coroutines that raise `ClientError`.

    `name` stands in the daemon's log; programs of different names take turns in its queue. `language` is that
    of the results' warnings; empty: the person's own.
    """

    def __init__(self, endpoint: Endpoint, name: str = NAME, language: str = "") -> None:
        self.endpoint, self._name, self._language = endpoint, name, language
        self._metadata = {"authorization": f"Bearer {endpoint.token}"}

    async def info(self, timeout: float = 10.0) -> Any:
        """`ServerInfo` of a daemon that speaks our protocol."""
        answer = await self._unary("GetServerInfo", pb.GetServerInfoRequest(), timeout)
        if answer.protocol < PROTOCOL:
            raise ClientError("SERVER_TOO_OLD", version=answer.version, client=__version__)
        if answer.protocol > PROTOCOL:
            raise ClientError("CLIENT_TOO_OLD", version=answer.version, client=__version__)
        return answer

    async def models(self) -> list[Any]:
        """`Model` records, the default one marked."""
        return list((await self._unary("ListModels", pb.ListModelsRequest())).models)

    async def shutdown(self) -> None:
        """Tell the daemon to end; it answers first, then tells its jobs. Only on its own machine."""
        await self._unary("Shutdown", pb.ShutdownRequest())

    async def harmonize(
        self,
        capture: Capture,
        *,
        model: str = "",
        strength: float = 1.0,
        transform: Any = None,
        amounts: Any = None,
        report: Callable[[Progress], None] = lambda progress: None,
    ) -> Harmonized:
        """One job: send everything, wait, gather everything. Cancelling the coroutine cancels the job.

        `transform`: the contract's `Transform`, applied instead of the model's own. `amounts`: its `Amounts`.

        The daemon's notice (such as why the GPU is not used) is the first of the result's warnings.
        """
        info = await self.info()
        start = pb.Start(
            model=model,
            strength=strength,
            client=self._name,
            protocol=PROTOCOL,
            transform=transform,
            amounts=amounts,
        )
        gathered = Assembler(report, self._language)
        with _Failures(self.endpoint) as failures:
            channel = self._channel(info.pings)
            try:
                stub = HarmonizerStub(channel)
                async with stub.Harmonize.open(metadata=self._metadata) as stream:
                    failures.stream = stream
                    await stream.send_request()
                    _watch_the_line(stream)
                    first = first_request(start, capture, info.shared_files and not self.endpoint.is_remote)
                    await _exchange(stream, first, capture, info.limits.chunk_bytes, gathered)
            finally:
                channel.close()
        harmonized, said = gathered.harmonized(), notice(info)
        if said is None:
            return harmonized
        return replace(harmonized, warnings=(messages.sentence(said, self._language), *harmonized.warnings))

    async def predict(self, composite: Plane, mask: Plane, *, model: str = "") -> Any:
        """`PredictResponse`, the correction of a composite that may be scaled down, and its warnings.

        Both planes together hold less than 8 MiB.
        """
        request = pb.PredictRequest(
            model=model,
            client=self._name,
            protocol=PROTOCOL,
            composite=picture("composite", composite),
            mask=picture("mask", mask),
        )
        pings = (await self.info()).pings
        return await self._unary("Predict", request, None, pings)

    async def _unary(
        self, method: str, request: Any, timeout: float | None = 10.0, pings: bool = False
    ) -> Any:
        with _Failures(self.endpoint) as failures:
            channel = self._channel(pings)
            try:
                async with getattr(HarmonizerStub(channel), method).open(
                    metadata=self._metadata, timeout=timeout
                ) as stream:
                    failures.stream = stream
                    await stream.send_message(request, end=True)
                    answer = await stream.recv_message()
                    await stream.recv_trailing_metadata()
            finally:
                channel.close()
        if answer is None:
            raise ClientError("BAD_RESULT")
        return answer

    def _channel(self, pings: bool = False) -> Channel:
        """A connection for one call. `pings`: the daemon answers them, so one that does not is noticed."""
        config = pinging(PING_EVERY, PING_PATIENCE) if pings else None
        if path := self._local_socket():
            return Channel(path=path, config=config)
        context = None
        if self.endpoint.tls:
            context = ssl.create_default_context(cafile=self.endpoint.certificate or None)
            context.set_alpn_protocols(["h2"])
            context.hostname_checks_common_name = False  # a name there may be any text
        return Channel(self.endpoint.host, self.endpoint.port, ssl=context, config=config)

    def _local_socket(self) -> str:
        """The path of this daemon's Unix socket if it can be used from here, else nothing."""
        name = self.endpoint.socket
        if not name or Path(name).name != name or not hasattr(socket, "AF_UNIX"):
            return ""
        path = places.runtime_folder() / name
        try:
            found = path.lstat()
        except OSError:  # out of a sandbox's reach
            return ""
        return str(path) if stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid() else ""


async def _exchange(stream: Any, first: Any, capture: Capture, chunk_bytes: int, gathered: Assembler) -> None:
    """Send and receive at the same time: the daemon may refuse the job before all of it is sent."""

    async def send() -> None:
        await stream.send_message(first)
        if first.start.shared_file:
            offer = await gathered.offer
            gathered.file = shared_file.open_named(places.planes_folder(), offer.name, capture.byte_count)
        for message in pixel_requests(capture, chunk_bytes, gathered.file):
            await stream.send_message(message)
        if gathered.file is not None:
            await gathered.whole.wait()  # from the end on, the daemon may give the file to another job
        await stream.end()

    async def receive() -> None:
        while (message := await stream.recv_message()) is not None:
            gathered.take(message)

    sender, receiver = asyncio.ensure_future(send()), asyncio.ensure_future(receive())
    try:
        await asyncio.wait({sender, receiver}, return_when=asyncio.FIRST_COMPLETED)
        if sender.done():
            sender.result()
        await receiver
        if not sender.done():  # refused before it had everything; the trailers, already here, say why
            raise StreamTerminatedError("ended early")
        await stream.recv_trailing_metadata()
    finally:
        for task in (sender, receiver):
            task.cancel()
        await asyncio.gather(sender, receiver, return_exceptions=True)
        if gathered.file is not None:
            gathered.file.close()


def _watch_the_line(stream: Any) -> None:
    """Notice within seconds that another machine is gone: a dead peer sends nothing, not even a reset."""
    line = socket_of(stream)
    if line is None:
        return
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 2), ("TCP_KEEPALIVE", 2), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000))  # milliseconds
    for option in options:
        try:
            line.setsockopt(*option)
        except OSError:
            pass  # a system without this option notices later


def _certificate_fault(error: ssl.SSLError) -> str:
    """The catalogue's case for what is wrong with a daemon's certificate, or nothing for anything else."""
    numbers = {9: "NOT_YET", 10: "EXPIRED", 62: "HOST", 64: "HOST"}  # OpenSSL's X509_V_ERR
    return numbers.get(getattr(error, "verify_code", 0), "")


class _Failures:
    """Turns whatever the connection raises into `ClientError`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._where = endpoint
        self.stream: Any = None

    def __enter__(self) -> _Failures:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, GRPCError):
            raise self._refused(error) from error
        if isinstance(error, ssl.SSLError):
            raise ClientError(
                "TLS_FAILED", case=_certificate_fault(error), address=self._where, reason=error
            ) from error
        if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
            raise self._gone(sent=False) from error
        if isinstance(error, (StreamTerminatedError, ProtocolError, OSError)):
            sent = self.stream is not None and self.stream.peer is not None
            raise self._gone(sent) from error

    def _gone(self, sent: bool) -> ClientError:
        """Nothing answers, or not any more. One on another machine is not started anew by trying again."""
        if self._where.is_remote:
            lost = ClientError("DAEMON_LOST", case="REMOTE", address=self._where)
            return lost if sent else ClientError("REMOTE_GONE", address=self._where)
        return ClientError("DAEMON_LOST" if sent else "NO_ANSWER", address=self._where)

    def _refused(self, error: GRPCError) -> ClientError:
        trailers, detail = self._trailers(), error.message or ""
        code = trailers.get(ERROR_KEY, "")
        if code == "SHUTTING_DOWN" and self._where.is_remote:
            return self._gone(sent=True)
        if code:
            return error_of(note_in(trailers, code, detail))
        if error.status is Status.UNAUTHENTICATED:
            return ClientError("BAD_TOKEN", detail)
        if error.status is Status.CANCELLED:  # by the daemon: what we cancel ourselves does not come here
            return ClientError("DAEMON_LOST", case="SILENT", address=self._where)
        if error.status is Status.RESOURCE_EXHAUSTED:  # by gRPC itself
            is_long = "larger than max" in detail
            return ClientError("BAD_REQUEST", detail) if is_long else ClientError("QUEUE_FULL", jobs="?")
        if error.status is Status.UNIMPLEMENTED:
            return ClientError("SERVER_TOO_OLD", version="?", client=__version__)
        if error.status is Status.UNAVAILABLE:
            return self._gone(sent=True)
        return ClientError("INTERNAL", detail)

    def _trailers(self) -> Mapping[str, Any]:
        """The call's trailing metadata: text, or bytes where the key ends in -bin."""
        if self.stream is None:
            return {}
        if self.stream.trailing_metadata is not None:
            return dict(self.stream.trailing_metadata)
        return next((known for known in metadata_of(self.stream) if ERROR_KEY in known), {})


def note_in(trailers: Mapping[str, Any], code: str, sentence: str) -> Note:
    """What a refusal says; an older daemon sends its code and an English sentence only."""
    try:
        note = note_of(pb.Note.FromString(trailers.get(NOTE_KEY, b"")), sentence)
    except DecodeError:
        note = Note("")
    return note if note.code == code else Note(code, {}, sentence)
