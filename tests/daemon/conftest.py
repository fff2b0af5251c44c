"""A real daemon on a port of its own, and a client that sends exactly the messages of a test."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from job_pictures import object_mask, picture, scaled  # noqa: F401 - scaled is for the tests

from glihamba import settings
from glihamba.daemon.server import Daemon
from glihamba.engine.runner import Runner
from glihamba.networks.statistics import Statistics
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto import harmonizer_pb2_grpc as pb_grpc
from glihamba_proto.endpoint import address

KINDS = {"uint8": pb.Plane.UINT8, "uint16": pb.Plane.UINT16, "float32": pb.Plane.FLOAT32}
CHUNK = 4096
PATIENCE = 3600.0  # seconds; pytest's limit is shorter


def plane(role: Any, pixels: np.ndarray, channels: Any = 0, **fields: Any) -> pb.Plane:
    channels = channels or (
        pb.Plane.GRAY if pixels.ndim == 2 else {3: pb.Plane.RGB, 4: pb.Plane.RGBA}[pixels.shape[2]]
    )
    height, width = pixels.shape[:2]
    return pb.Plane(
        role=role,
        width=width,
        height=height,
        channels=channels,
        sample_type=KINDS[pixels.dtype.name],
        **fields,
    )


def chunks(index: int, pixels: np.ndarray, size: int = CHUNK) -> list[pb.HarmonizeRequest]:
    data = pixels.tobytes()
    return [
        pb.HarmonizeRequest(chunk=pb.Chunk(plane=index, offset=at, data=data[at : at + size]))
        for at in range(0, len(data), size)
    ]


def job(planes: list[tuple[pb.Plane, np.ndarray]], **start: Any) -> list[pb.HarmonizeRequest]:
    """All messages of one well-formed job."""
    begin = pb.Start(planes=[header for header, _ in planes], **{"client": "a test", "protocol": 1, **start})
    messages = [pb.HarmonizeRequest(start=begin)]
    for index, (_, pixels) in enumerate(planes):
        messages += chunks(index, pixels)
    return messages


def plain_job(composite: np.ndarray | None = None, mask: np.ndarray | None = None, **start: Any) -> list[Any]:
    composite = picture() if composite is None else composite
    mask = object_mask() if mask is None else mask
    return job(
        [(plane(pb.Plane.COMPOSITE, composite), composite), (plane(pb.Plane.MASK, mask), mask)], **start
    )


@dataclass
class Reply:
    """The messages that arrived on a stream."""

    accepted: pb.Accepted | None = None
    progress: list[pb.Progress] = field(default_factory=list)
    header: pb.Plane | None = None
    data: bytes = b""
    end: pb.End | None = None
    order: list[str] = field(default_factory=list)

    def take(self, message: pb.HarmonizeResponse) -> Reply:
        kind = message.WhichOneof("message")
        if not self.order or self.order[-1] != kind:
            self.order.append(kind)
        if kind == "progress":
            self.progress.append(message.progress)
        elif kind == "chunk":
            assert message.chunk.offset == len(self.data)
            self.data += message.chunk.data
        elif kind == "result":
            self.header = message.result
        else:
            setattr(self, kind, getattr(message, kind))
        return self

    def pixels(self) -> np.ndarray:
        assert self.header is not None
        kind = {number: name for name, number in KINDS.items()}[self.header.sample_type]
        return np.frombuffer(self.data, kind).reshape(self.header.height, self.header.width, -1)


class Peer:
    """A client of the daemon, with metadata and messages of the test's choice."""

    def __init__(
        self,
        address: str,
        token: str | None,
        credentials: grpc.ChannelCredentials | None = None,
        name: str = "",
    ) -> None:
        """`name` is the daemon's name in the certificate if it is not the address."""
        options: list[tuple[str, Any]] = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", 64 << 20),
        ]
        options.append(("grpc.max_send_message_length", 64 << 20))
        if name:
            options.append(("grpc.ssl_target_name_override", name))
        if credentials is None:
            self.channel = grpc.insecure_channel(address, options)
        else:
            self.channel = grpc.secure_channel(address, credentials, options)
        self.stub = pb_grpc.HarmonizerStub(self.channel)
        self.metadata = () if token is None else (("authorization", f"Bearer {token}"),)

    def info(self) -> pb.ServerInfo:
        return self.stub.GetServerInfo(pb.GetServerInfoRequest(), metadata=self.metadata, timeout=PATIENCE)

    def models(self) -> list[pb.Model]:
        call = self.stub.ListModels(pb.ListModelsRequest(), metadata=self.metadata, timeout=PATIENCE)
        return list(call.models)

    def shutdown(self) -> None:
        self.stub.Shutdown(pb.ShutdownRequest(), metadata=self.metadata, timeout=PATIENCE)

    def open(self, messages: Iterable[pb.HarmonizeRequest]) -> Any:
        return self.stub.Harmonize(iter(messages), metadata=self.metadata, timeout=PATIENCE)

    def harmonize(self, messages: Iterable[pb.HarmonizeRequest]) -> Reply:
        reply = Reply()
        for message in self.open(messages):
            reply.take(message)
        return reply

    def refusal(self, messages: Iterable[pb.HarmonizeRequest]) -> tuple[grpc.StatusCode, str, str]:
        """(status, error code, sentence) of a job that must fail."""
        with pytest.raises(grpc.RpcError) as raised:
            self.harmonize(messages)
        return told(raised.value)


def told(error: Any) -> tuple[grpc.StatusCode, str, str]:
    trailers = dict(error.trailing_metadata() or ())
    return error.code(), str(trailers.get("glihamba-error", "")), error.details()


class Gate(Statistics):
    """A real network that waits for the test, which can look at the working daemon meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def colour_transform(self, composite: Any, mask: Any) -> Any:
        self.entered.release()
        assert self.open.wait(PATIENCE)
        return super().colour_transform(composite, mask)

    def wait_for_job(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE)


class WatchedRunner(Runner):
    """A runner that notes weak references to its composites, and their widths, which name the clients."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen: list[weakref.ref[np.ndarray]] = []
        self.widths: list[int] = []

    def run(self, request: Any, progress: Any, cancelled: Any) -> Any:
        self.seen.append(weakref.ref(request.composite))
        self.widths.append(request.composite.shape[1])
        return super().run(request, progress, cancelled)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use folders of the test's own instead of the person's."""
    for setting in settings.describe(settings.in_force({})):
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("GLIHAMBA_DEVICE", "cpu")
    return tmp_path / "data"


@pytest.fixture
def start() -> Iterator[Callable[..., Daemon]]:
    """start(network=None, daemon=dict(), **settings) -> a running Daemon, ended with the test."""
    with ExitStack() as running:

        def begin(network: Any = None, daemon: dict[str, Any] | None = None, **overrides: Any) -> Daemon:
            table = settings.in_force(chunk_bytes=overrides.pop("chunk_bytes", CHUNK), **overrides)
            runner = WatchedRunner(table, None if network is None else lambda name, device: network)
            served = Daemon(table, runner=runner, **(daemon or {}))
            return running.enter_context(served)

        yield begin


@pytest.fixture
def connect() -> Iterator[Callable[..., Peer]]:
    """connect(daemon) -> a Peer on a connection of its own, closed with the test."""
    peers: list[Peer] = []

    def to(daemon: Daemon, token: str | None = "the daemon's") -> Peer:
        token = daemon.token if token == "the daemon's" else token
        peers.append(Peer(address(daemon.host, daemon.port), token))
        return peers[-1]

    yield to
    for peer in peers:
        peer.channel.close()


@pytest.fixture
def peer(start: Callable[..., Daemon], connect: Callable[..., Peer]) -> Peer:
    """A client of a daemon whose default is the method without weights."""
    return connect(start(default_model="statistics"))


@pytest.fixture
def gate() -> Iterator[Gate]:
    network = Gate()
    yield network
    network.open.set()


@pytest.fixture
def said() -> SimpleNamespace:
    """The helpers of this file, because tests cannot import a conftest."""
    return SimpleNamespace(**{name: thing for name, thing in globals().items() if not name.startswith("_")})
