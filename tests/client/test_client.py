"""The pure-Python client against the real daemon over a real socket."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glihamba import __version__, settings
from glihamba.daemon.server import Daemon
from glihamba.engine.device import Device
from glihamba_client import client as client_module
from glihamba_client import remote, streams
from glihamba_client.client import Client, Task, call
from glihamba_client.errors import ClientError
from glihamba_client.host import Capture, Harmonized, Plane, Progress
from glihamba_client.service import DaemonService
from glihamba_client.settings import Settings
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto.endpoint import Endpoint
from glihamba_proto.messages import Note

PATIENCE = 3600.0  # seconds; pytest's limit is shorter
Make = Callable[..., Capture]


def start(endpoint: Endpoint, capture: Capture, **options: Any) -> Task[Harmonized]:
    async def work(task: Task[Harmonized]) -> Harmonized:
        return await Client(endpoint).harmonize(capture, report=task.report, **options)

    return Task(work)


def harmonize(endpoint: Endpoint, capture: Capture, **options: Any) -> Harmonized:
    task = start(endpoint, capture, **options)
    assert task.wait(PATIENCE)
    return task.result()


def refused(endpoint: Endpoint, capture: Capture, **options: Any) -> ClientError:
    with pytest.raises(ClientError) as failure:
        harmonize(endpoint, capture, **options)
    return failure.value


def test_a_job_there_and_back(endpoint: Endpoint, make_capture: Make) -> None:
    capture = make_capture()
    result = harmonize(endpoint, capture, model="statistics-full")
    assert result.model == "statistics-full"
    assert result.device
    assert result.seconds_computed > 0
    asked, came = capture.composite, result.plane
    assert (came.width, came.height, came.sample_type, came.channels) == (64, 48, "uint8", "rgb")
    before, after = (np.frombuffer(p.data, np.uint8).reshape(48, 64, 3) for p in (asked, came))
    mask = np.frombuffer(capture.mask.data, np.uint8).reshape(48, 64) > 0
    assert np.array_equal(before[~mask], after[~mask])
    assert after[mask].mean() < before[mask].mean() - 20


def test_a_correction_is_predicted_and_applied(endpoint: Endpoint, make_capture: Make) -> None:
    capture = make_capture()
    answer = call(lambda: Client(endpoint).predict(capture.composite, capture.mask, model="statistics-full"))
    assert answer.model == "statistics-full"
    own = harmonize(endpoint, capture, model="statistics-full").plane.data
    assert harmonize(endpoint, capture, transform=answer.transform).plane.data == own
    nothing = pb.Amounts(light=0, warmth=0, contrast=0, saturation=0, local=0)
    left = harmonize(endpoint, capture, transform=answer.transform, amounts=nothing).plane.data
    assert left == capture.composite.data


def test_a_refused_prediction_says_why(endpoint: Endpoint, make_capture: Make) -> None:
    capture = make_capture()
    empty = replace(capture.mask, data=bytes(capture.mask.byte_count))
    with pytest.raises(ClientError) as failure:
        call(lambda: Client(endpoint).predict(capture.composite, empty))
    assert failure.value.code == "EMPTY_MASK"


def test_the_object_s_own_layer_comes_back(endpoint: Endpoint, make_capture: Make) -> None:
    capture = make_capture()
    pixels = np.full((10, 12, 4), 200, np.uint8)
    layer = Plane(12, 10, "uint8", "bgra", pixels.tobytes(), offset=(17, 13))
    result = harmonize(endpoint, replace(capture, foreground=layer), model="statistics-full")
    assert (result.plane.width, result.plane.height, result.plane.channels) == (12, 10, "bgra")
    assert result.plane.offset == (17, 13)
    after = np.frombuffer(result.plane.data, np.uint8).reshape(10, 12, 4)
    assert (after[:, :, 3] == 200).all()
    assert after[:, :, :3].mean() < 190


def test_progress_rises_through_the_stages(endpoint: Endpoint, make_capture: Make) -> None:
    seen: list[Progress] = []

    async def work(task: Task[Harmonized]) -> Harmonized:
        return await Client(endpoint).harmonize(make_capture(), report=seen.append)

    Task(work).result()
    stages = [progress.stage for progress in seen]
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert {"PREDICTING", "APPLYING"} <= set(stages)


def test_refusals_carry_code_and_sentence(endpoint: Endpoint, make_capture: Make) -> None:
    error = refused(endpoint, make_capture(), model="nonsuch")
    assert error.code == "UNKNOWN_MODEL"
    assert "nonsuch" in error.sentence("en")
    assert "glihamba models list" in error.sentence("de")
    mask = make_capture(63, 48).mask
    error = refused(endpoint, replace(make_capture(), mask=mask))
    assert error.code == "SIZE_MISMATCH"
    assert "63" in error.sentence("en")
    full = replace(make_capture().mask, data=b"\xff" * (64 * 48))
    assert refused(endpoint, replace(make_capture(), mask=full)).code == "FULL_MASK"


def test_a_refusal_in_the_middle_of_sending(
    endpoint: Endpoint, make_capture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon refuses the first message while the client still has megabytes to send."""
    monkeypatch.setattr(streams, "FEWEST_STORED", 1 << 60)
    capture = make_capture(3000, 2000)
    assert refused(endpoint, capture, model="nonsuch").code == "UNKNOWN_MODEL"


def test_a_wrong_token_is_refused(endpoint: Endpoint, make_capture: Make) -> None:
    error = refused(replace(endpoint, token="x" * 32), make_capture())
    assert error.code == "BAD_TOKEN"


def test_models_and_info(endpoint: Endpoint) -> None:
    names = {model.name: model.is_default for model in call(lambda: Client(endpoint).models())}
    assert "statistics" in names
    assert sum(names.values()) == 1
    info = call(lambda: Client(endpoint).info())
    assert info.instance == endpoint.instance
    assert info.limits.chunk_bytes == 4096


@pytest.mark.parametrize(
    ("ours", "code", "words"),
    [
        (
            2,
            "SERVER_TOO_OLD",
            f"is older than this plugin or program (version {__version__}). Update GLIHamba there",
        ),
        (
            0,
            "CLIENT_TOO_OLD",
            f"is newer than this plugin or program (version {__version__}). Update the plugin",
        ),
    ],
)
def test_versions_that_do_not_fit(
    endpoint: Endpoint, make_capture: Make, monkeypatch: pytest.MonkeyPatch, ours: int, code: str, words: str
) -> None:
    monkeypatch.setattr(client_module, "PROTOCOL", ours)
    error = refused(endpoint, make_capture())
    assert error.code == code
    assert words in error.sentence("en")


def test_cancel_is_immediate_and_frees_the_daemon(
    daemon: Any, endpoint: Endpoint, make_capture: Make
) -> None:
    daemon.runner.go.clear()
    task = start(endpoint, make_capture())
    assert daemon.runner.begun.wait(PATIENCE)
    task.cancel()
    assert task.wait(PATIENCE), "though the daemon is still held up"
    with pytest.raises(ClientError) as failure:
        task.result()
    assert failure.value.code == "CANCELLED"
    assert daemon.runner.gave_up.wait(PATIENCE)
    daemon.runner.go.set()
    assert harmonize(endpoint, make_capture()).plane.width == 64


def test_cancel_while_queued(daemon: Any, endpoint: Endpoint, make_capture: Make) -> None:
    daemon.runner.go.clear()
    first = start(endpoint, make_capture())
    assert daemon.runner.begun.wait(PATIENCE)
    second = start(endpoint, make_capture())
    deadline = time.monotonic() + PATIENCE
    while second.progress().stage != "QUEUED" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert second.progress().stage == "QUEUED"
    second.cancel()
    assert second.wait(PATIENCE), "though it is not its turn"
    daemon.runner.go.set()
    assert first.result().plane.width == 64


def test_nothing_listens(make_capture: Make) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = Endpoint("127.0.0.1", free.getsockname()[1], "t" * 32, "i", 1)
    error = refused(endpoint, make_capture())
    assert error.code == "NO_ANSWER"
    assert error.sentence("en").startswith(f"Nothing answers at {endpoint}.")


@pytest.mark.slow
def test_something_else_listens() -> None:
    """Another program than the daemon has the port and answers in another protocol."""

    def chatter(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = server.accept()
                line.sendall(b"220 smtp.example.org ESMTP\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=chatter, args=(server,), daemon=True).start()
        endpoint = Endpoint("127.0.0.1", server.getsockname()[1], "t" * 32, "i", 1)
        with pytest.raises(ClientError) as failure:
            call(lambda: Client(endpoint).info(timeout=2))
    assert failure.value.code in ("NO_ANSWER", "DAEMON_LOST")


@pytest.mark.parametrize(("changes", "code"), [({}, "SHUTTING_DOWN"), ({"instance": ""}, "DAEMON_LOST")])
def test_a_shutdown_tells_the_job(
    daemon: Any, endpoint: Endpoint, make_capture: Make, changes: dict[str, Any], code: str
) -> None:
    """The message about a remote daemon must not promise that it starts again."""
    endpoint = replace(endpoint, **changes)
    daemon.runner.go.clear()
    task = start(endpoint, make_capture())
    assert daemon.runner.begun.wait(PATIENCE)
    closing = threading.Thread(target=daemon.jobs.close)
    closing.start()
    assert task.wait(PATIENCE)
    daemon.runner.go.set()
    closing.join(PATIENCE)
    with pytest.raises(ClientError) as failure:
        task.result()
    assert failure.value.code == code
    assert ("started anew" in failure.value.sentence("en")) == (code == "SHUTTING_DOWN")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    return make_certificate(tmp_path)


def make_certificate(
    tmp_path: Path, name: str = "studio", address: str = "127.0.0.1", days: tuple[int, int] = (-1, 1)
) -> tuple[Path, Path]:
    """A self-signed certificate and its key. address: its alternative name; empty: it has none."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    )
    if address:
        names = [x509.IPAddress(ipaddress.ip_address(address))]
        built = built.add_extension(x509.SubjectAlternativeName(names), False)
    signed = built.sign(key, hashes.SHA256())
    paths = tmp_path / "box.pem", tmp_path / "box.key"
    paths[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return paths


@pytest.fixture
def box(own_home: Path, tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[Settings]:
    """A daemon that serves a network by TLS, and the settings that reach it."""
    token = tmp_path / "token"
    token.write_text("s3cret-of-the-studio\n")
    wanted = settings.in_force(device="cpu")
    with Daemon(wanted, tls_cert=certificate[0], tls_key=certificate[1], token_file=token) as running:
        yield Settings("", 1.0, f"127.0.0.1:{running.tls_port}", str(token), str(certificate[0]))


@pytest.mark.slow
def test_another_machine_by_tls(box: Settings, make_capture: Make) -> None:
    task = DaemonService(box).start(make_capture())
    assert task.wait(PATIENCE)
    assert task.result().plane.width == 64


def test_tls_without_the_right_authority(box: Settings, make_capture: Make) -> None:
    task = DaemonService(replace(box, ca_file="")).start(make_capture())
    with pytest.raises(ClientError) as failure:
        task.result()
    assert failure.value.code == "TLS_FAILED"
    assert "Check the certificate authority's file" in failure.value.sentence("en")
    assert isinstance(failure.value.__cause__, ssl.SSLError)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"days": (-9, -1)}, "has expired. Make a new one there"),
        ({"days": (1, 9)}, "is not valid yet. Check the clocks"),
        ({"address": "192.0.2.7"}, "is not for this address. It must name it as a subject alternative name"),
        ({"address": "", "name": "127.0.0.1"}, "is not for this address."),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said(
    own_home: Path, tmp_path: Path, make_capture: Make, how: dict[str, Any], words: str
) -> None:
    certificate, key = make_certificate(tmp_path, **how)
    token = tmp_path / "token"
    token.write_text("s3cret-of-the-studio\n")
    with Daemon(settings.in_force(device="cpu"), tls_cert=certificate, tls_key=key, token_file=token) as box:
        wanted = Settings("", 1.0, f"127.0.0.1:{box.tls_port}", str(token), str(certificate))
        with pytest.raises(ClientError) as failure:
            DaemonService(wanted).start(make_capture()).result()
    assert failure.value.code == "TLS_FAILED"
    assert words in failure.value.sentence("en")
    assert "Das Zertifikat des Dienstes unter 127.0.0.1:" in failure.value.sentence("de")


def test_remote_addresses_that_make_no_sense(tmp_path: Path) -> None:
    for address in ("studio", "studio:", ":50051", "studio:70000", "studio:ssh"):
        with pytest.raises(ClientError) as failure:
            remote.endpoint(Settings(remote=address))
        assert failure.value.code == "BAD_ADDRESS"
        assert re.search("Write it as host:port", failure.value.sentence("en"))
    with pytest.raises(ClientError) as failure:
        remote.endpoint(Settings(remote="studio:50051", token_file=str(tmp_path / "none")))
    assert failure.value.code == "FILE_MISSING"


@pytest.mark.parametrize("content", [b"", b" \n", b"\x89PNG\r\n", "schlüssel".encode(), b"two\nlines"])
def test_a_token_file_without_a_token(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ClientError) as failure:
        remote.endpoint(Settings(remote="studio:50051", token_file=str(path)))
    assert failure.value.sentence("en") == (
        f"The file {path} holds no token. Choose the file with the token that the remote daemon was given."
    )


def test_the_daemon_s_notice_reaches_the_person(
    daemon: Daemon, endpoint: Endpoint, make_capture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice = Note("NOTICE.GPU_FAILS", {"reason": "its driver is too old"})
    monkeypatch.setattr(daemon.runner, "device", lambda: Device("cpu", "a processor", notice))
    for language, words in (
        ("en", "The GPU is not used, because it"),
        ("de", "Die GPU wird nicht genutzt, weil sie"),
    ):

        async def work(task: Task[Harmonized], language: str = language) -> Harmonized:
            return await Client(endpoint, language=language).harmonize(make_capture())

        (said, *_) = Task(work).result().warnings
        assert said.startswith(words)
        assert said.endswith("(its driver is too old).")


def test_the_daemon_can_be_told_to_end(daemon: Daemon, endpoint: Endpoint) -> None:
    call(Client(endpoint).shutdown)
    assert daemon.told_to_end.is_set()


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="this system has no SIGPIPE")
def test_a_daemon_gone_while_sending_does_not_end_the_editor() -> None:
    """In a process where SIGPIPE kills, as in Krita 5.2's Python."""
    script = """
import signal, socket
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
from glihamba_client.client import Task

async def work(task):
    ours, theirs = socket.socketpair()
    theirs.close()
    ours.sendall(b"pixels")

task = Task(work)
task.wait(3600)
try:
    task.result()
except BrokenPipeError:
    print("said")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "said"), done.stderr
