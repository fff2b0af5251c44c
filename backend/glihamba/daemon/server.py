"""The daemon's process: bind, token, TLS, endpoint, log, idle, and a clean end."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from glihamba import __version__
from glihamba import settings as settings_table
from glihamba.daemon import discovery, local_socket, log, renewal, standard_error
from glihamba.daemon.calls import MESSAGE_LIMIT, Calls
from glihamba.daemon.discovery import AlreadyRunning, CannotServe, is_loopback
from glihamba.daemon.installation import Installation
from glihamba.daemon.jobs import Jobs, Patience
from glihamba.daemon.renewal import Handover
from glihamba.daemon.service import HarmonizerService
from glihamba.daemon.shared_files import SharedFiles
from glihamba.engine.device import keep_memory_together
from glihamba.engine.runner import Runner
from glihamba.settings import Settings
from glihamba_proto import PROTOCOL
from glihamba_proto import endpoint as record
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto import harmonizer_pb2_grpc as pb_grpc
from glihamba_proto.endpoint import Endpoint, address

__all__ = ["AlreadyRunning", "CannotServe", "Daemon", "serve"]

_log = logging.getLogger(__name__)

SERVICE = pb.DESCRIPTOR.services_by_name["Harmonizer"].full_name
LOOPBACK = "127.0.0.1"
SPARE_THREADS = 64  # for calls beside the jobs, each of which holds one; they are started when needed
CONNECTIONS = 256  # of a port; strangers that hold them all must not use up our descriptors
HANDSHAKE_SECONDS = 10
UNUSED_SECONDS = 60  # of a connection without a call
FAREWELL_SECONDS = 3.0  # for calls to end by themselves
REACH_SECONDS = 5.0
SHORTEST_TOKEN = 16


def serve(
    *,
    host: str = LOOPBACK,
    port: int = 0,
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
    token_file: str | Path | None = None,
    idle_exit_minutes: float | None = None,
    settings: Settings | None = None,
    runner: Runner | None = None,
    announce: Callable[[str], object] = print,
    before: Handover | None = None,
) -> Handover | None:
    """Run the daemon until it is told to end (SIGTERM, SIGINT, CTRL_BREAK, Shutdown) or has idled too long.

    port 0: the system chooses. `tls_cert`, `tls_key`: PEM files; with them the daemon speaks TLS at
    `host` and `port`, and plainly for this machine's own clients. `token_file`: holds the token that clients
    may send; that of `endpoint.json` is made at each start. `idle_exit_minutes`: None for a
    daemon that a person started; whoever starts one by itself passes `settings.exit_minutes`.
    `runner` replaces the one made from `settings`. `announce` gets one line when calls are taken. `before`:
    what this process has taken over from the one that it replaces. Returns what the next process should know
    if one should replace this, else None; see `renewal`.

    The log warns of a token or key file that others can read, and `announce` says so.

    Raises CannotServe, and AlreadyRunning of that: `str(error)` is the sentence, `error.exit_code` what
    the process should end with (2 and 3). Raises BadSetting for a setting out of range.
    """
    settings = settings or settings_table.in_force()
    keep_memory_together()
    daemon = Daemon(
        settings,
        host=host,
        port=port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        token_file=token_file,
        runner=runner,
        before=before,
    )
    successor = None
    with _signals_set(daemon.told_to_end), daemon, standard_error.logged():
        if before is None:
            # Torch's import and a network's first run take seconds: better before a picture needs them.
            daemon.runner.get_ready()
            for path in readable_by_others(tls_key, token_file):
                _log.warning("others can read a secret", extra={"path": path})
                announce(f"Note: other accounts can read {path}. Make it yours alone: chmod 600")
            announce(f"GLIHamba {__version__} is ready: {daemon.addresses} (process {os.getpid()}).")
        while not daemon.told_to_end.wait(daemon.tick_seconds):
            if daemon.tick(idle_exit_minutes):
                _log.info("the daemon ends: nobody has needed it", extra={"idle_minutes": idle_exit_minutes})
                return None
            if daemon.is_spent():
                _log.info("the idle daemon becomes a new process")
                successor = daemon.handover()
                break
        else:
            _log.info("the daemon was told to end")
    return None if daemon.told_to_end.is_set() else successor  # it may be told so while it takes its leave


class Daemon:
    """A running daemon as a context manager: entered it takes calls, left it has told every job and ended."""

    def __init__(
        self,
        settings: Settings,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        tls_cert: str | Path | None = None,
        tls_key: str | Path | None = None,
        token_file: str | Path | None = None,
        runner: Runner | None = None,
        patience: Patience = Patience(),  # noqa: B008 - it is frozen
        before: Handover | None = None,
    ) -> None:
        """Checks everything that can be checked before binding; raises CannotServe."""
        if not is_loopback(host) and not (tls_cert and tls_key and token_file):
            raise CannotServe(case="OPEN_NETWORK", host=host, loopback=LOOPBACK)
        if bool(tls_cert) != bool(tls_key):
            raise CannotServe(case="HALF_OF_TLS")
        self.settings = settings
        self.instance = secrets.token_hex(8)
        # A local client may meet whoever has a dead daemon's port, so it never sends the lasting token.
        self.token = secrets.token_urlsafe(32)
        self._lasting_token = read_token(Path(token_file)) if token_file else ""
        self.runner = runner or Runner(settings)
        self.runner.remembered = before.device if before else None
        self.tick_seconds = 0.5
        self.told_to_end = threading.Event()  # whoever entered the daemon leaves it then
        self.host, self.port = LOOPBACK, 0  # for this machine's own clients; the port is known once entered
        self.tls_port = 0
        self._wanted = (host, before.port if before else port)
        self._credentials = read_credentials(Path(tls_cert), Path(tls_key)) if tls_cert and tls_key else None
        self._patience = patience
        self._installation = Installation()
        self._before = before
        self._last_call = time.monotonic() - (before.idle_seconds if before else 0.0)

    @property
    def addresses(self) -> str:
        local = address(self.host, self.port)
        return f"{local}, and {address(self._wanted[0], self.tls_port)} with TLS" if self.tls_port else local

    def __enter__(self) -> Daemon:
        settings = self.settings
        with ExitStack() as undo:
            undo.callback(discovery.take_lock(settings).release)
            undo.callback(settings.process_file.unlink, missing_ok=True)
            is_named = settings.log_dir.parent != settings.data_dir
            handler = log.open_log(settings.log_file, settings.log_level, is_named=is_named)
            undo.callback(log.close_log, handler)
            self._start(undo)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _start(self, undo: ExitStack) -> None:
        settings = self.settings
        if stale := record.read(settings.endpoint_file):
            _log.warning("a dead daemon's endpoint file is replaced", extra={"dead_pid": stale.pid})
        self.jobs: Jobs = Jobs(
            self.runner.run,
            length=settings.queue_length,
            megabytes=settings.queue_megabytes,
            patience=self._patience,
            idle_seconds=self._before.idle_seconds if self._before else 0.0,
        )
        tokens = [self.token, *([self._lasting_token] if self._lasting_token else [])]
        self.calls = Calls(tokens, self._note_call, self._patience.start)
        self.server, self.health = self._make_server()
        self._bind(self.server)
        undo.callback(settings.socket_file.unlink, missing_ok=True)
        self.files = SharedFiles(settings.planes_dir)
        undo.callback(self.files.close)
        undo.callback(self._take_leave)
        service = HarmonizerService(
            self.runner,
            self.jobs,
            settings,
            self.files,
            self.instance,
            self.told_to_end.set,
            expect=self.runner.get_ready if self._before else lambda: None,
        )
        pb_grpc.add_HarmonizerServicer_to_server(service, self.server)
        self.server.start()
        reach(self.host, self.port)
        for name in ("", SERVICE):
            self.health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self.endpoint = Endpoint(
            self.host,
            self.port,
            self.token,
            self.instance,
            os.getpid(),
            __version__,
            PROTOCOL,
            time.time(),
            socket=self.socket,
        )
        discovery.write_endpoint(settings.endpoint_file, self.endpoint)
        undo.callback(record.remove, settings.endpoint_file, self.instance)
        _log.info(
            "the daemon takes calls", extra={"port": self.port, "pid": os.getpid(), "version": __version__}
        )

    def _make_server(self) -> tuple[grpc.Server, health.HealthServicer]:
        # The system's "so_reuseport" would let a second server steal this one's calls in silence.
        options = [
            ("grpc.so_reuseport", 0),
            # Twice our own limit, so that we can say what is wrong with a message that is somewhat too long.
            ("grpc.max_receive_message_length", 2 * MESSAGE_LIMIT),
            ("grpc.max_send_message_length", MESSAGE_LIMIT),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            # Clients ask every few seconds whether we still live, see `ServerInfo.pings`.
            ("grpc.http2.max_ping_strikes", 0),
            ("grpc.max_allowed_incoming_connections", CONNECTIONS),  # of each port
            ("grpc.server_handshake_timeout_ms", 1000 * HANDSHAKE_SECONDS),
            ("grpc.max_connection_idle_ms", 1000 * UNUSED_SECONDS),
        ]
        threads = self.jobs.seats + SPARE_THREADS
        pool = ThreadPoolExecutor(threads, "glihamba-call")
        server = grpc.server(
            pool, interceptors=(self.calls,), options=options, maximum_concurrent_rpcs=threads
        )
        servicer = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        return server, servicer

    def _bind(self, server: grpc.Server) -> None:
        host, port = self._wanted
        if self._credentials:
            self.tls_port = bound(host, port, lambda where: server.add_secure_port(where, self._credentials))
            host, port = LOOPBACK, 0
        self.host = LOOPBACK if host == "localhost" else host.strip("[]")
        self.port = bound(self.host, port, server.add_insecure_port)
        self.socket = local_socket.bind(self.settings.socket_file, server.add_insecure_port)

    def _note_call(self) -> None:
        self._last_call = time.monotonic()

    def tick(self, idle_exit_minutes: float | None = None) -> bool:
        """What is done every half second; True when it has idled `idle_exit_minutes` and should end."""
        self.jobs.end_silent()
        self.calls.end_silent()
        discovery.renew_endpoint(self.settings.endpoint_file, self.endpoint)
        idle = self.jobs.idle_seconds()
        if idle and self._installation.is_replaced():
            _log.info("the daemon ends: another version is installed")
            self.told_to_end.set()
        if self._unused() > 60 * self.settings.unload_minutes:
            self.runner.unload()
            self.files.clear()
        return idle_exit_minutes is not None and self._unused() > 60 * idle_exit_minutes

    def is_spent(self) -> bool:
        """Whether nobody has needed the network for so long that a new, small process should go on.

        One with TLS stays: for a second nothing answers, and clients of other machines could not start it.
        """
        if not renewal.IS_POSSIBLE or self.tls_port or not renewal.is_large():
            return False
        if self.calls.is_answering or self.runner.known_device() is None:  # PyTorch may be loading for it
            return False
        return self._unused() > max(60 * self.settings.unload_minutes, renewal.QUIET_SECONDS)

    def handover(self) -> Handover:
        """What a process that replaces this one should know."""
        return Handover(self.port, self._unused(), self.runner.known_device())

    def _unused(self) -> float:
        """Seconds since the last job ended and the last call was answered."""
        return min(self.jobs.idle_seconds(), time.monotonic() - self._last_call)

    def _take_leave(self) -> None:
        self.health.enter_graceful_shutdown()
        ended = self.server.stop(FAREWELL_SECONDS)  # no new calls from here on
        self.jobs.close()
        ended.wait()
        _log.info("the daemon has ended")


def bound(host: str, port: int, add: Callable[[str], int]) -> int:
    """The port that `add` bound. Raises CannotServe if it is taken or `host` is not this machine's."""
    try:
        got = add(address(host, port))
    except RuntimeError:
        got = 0
    if not got:
        raise CannotServe(case="PORT", host=host, port=port)
    return got


def reach(host: str, port: int) -> None:
    """Connect to the daemon's own port, as clients will. Raises CannotServe with the reason if that fails.

    A machine may have no loopback interface, or a firewall for it: then every client would wait in vain.
    """
    try:
        socket.create_connection((host, port), REACH_SECONDS).close()
    except OSError as error:
        raise CannotServe(case="NOT_REACHED", address=address(host, port), reason=_reason(error)) from None


def read_token(path: Path) -> str:
    """The file's token. Raises CannotServe if it can't be read or is not a token."""
    try:
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotServe(case="TOKEN_FILE", path=path, reason=_reason(error)) from None
    if len(token) < SHORTEST_TOKEN or not token.isprintable() or " " in token:
        raise CannotServe(case="TOKEN", path=path, length=SHORTEST_TOKEN)
    return token


def readable_by_others(*paths: str | Path | None) -> list[str]:
    """Those of the files that are there and that other accounts of this machine may read."""
    given = [str(path) for path in paths if path]
    return [path for path in given if os.name == "posix" and os.stat(path).st_mode & 0o077]


def read_credentials(certificate: Path, key: Path) -> grpc.ServerCredentials:
    """TLS credentials from two PEM files. Raises CannotServe if they are unreadable or no pair."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
        return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise CannotServe(case="TLS_FILES", certificate=certificate, key=key, reason=_reason(error)) from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)


@contextmanager
def _signals_set(ended: threading.Event) -> Iterator[None]:
    """While it lasts, the signals that ask a process to end set `ended` (in the main thread only)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
