"""The daemon as a process: who may reach it, how it is found, and how it ends."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from glihamba import __version__, settings
from glihamba.daemon import discovery
from glihamba.daemon.server import AlreadyRunning, CannotServe, Daemon, serve
from glihamba.daemon.service import is_this_machine
from glihamba_proto import endpoint as record

posix = pytest.mark.skipif(os.name != "posix", reason="this system has no POSIX modes and signals")


# -- endpoint and lock


def test_the_endpoint_file_says_where_and_who(start: Callable[..., Any], home: Path) -> None:
    before = time.time()
    daemon = start()
    written = json.loads((home / "run" / "endpoint.json").read_text("utf-8"))
    assert written == {
        "host": "127.0.0.1",
        "port": daemon.port,
        "token": daemon.token,
        "pid": os.getpid(),
        "instance": daemon.instance,
        "version": __version__,
        "protocol": 1,
        "started": written["started"],
        **({"socket": "daemon.sock"} if os.name == "posix" else {}),
    }
    assert before - 1 <= written["started"] <= time.time() + 1
    assert len(daemon.token) >= 32
    assert daemon.token not in repr(record.read(daemon.settings.endpoint_file))
    assert [path.name for path in (home / "run").glob("*.part")] == []


@posix
def test_only_the_owner_reads_endpoint_and_log(start: Callable[..., Any], home: Path) -> None:
    daemon = start()
    for path, mode in ((daemon.settings.endpoint_file, 0o600), (home / "run", 0o700), (home / "logs", 0o700)):
        assert stat.S_IMODE(path.stat().st_mode) == mode


@posix
def test_a_folder_of_the_person_s_keeps_its_mode(start: Callable[..., Any], tmp_path: Path) -> None:
    """The log folder exists already and holds files of other programs."""
    tmp_path.chmod(0o755)
    start(log_dir=tmp_path)
    assert (tmp_path / "daemon.log").is_file()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_leaving_removes_the_endpoint_but_not_a_successors(home: Path) -> None:
    table = settings.in_force()
    with Daemon(table):
        assert table.endpoint_file.exists()
    assert not table.endpoint_file.exists()
    with Daemon(table) as daemon:
        table.endpoint_file.write_text(
            table.endpoint_file.read_text("utf-8").replace(daemon.instance, "another")
        )
    noted = record.read(table.endpoint_file)
    assert noted
    assert noted.instance == "another"


def test_a_second_daemon_is_told_of_the_first(start: Callable[..., Any]) -> None:
    daemon = start()
    with pytest.raises(AlreadyRunning) as raised:
        serve(settings=daemon.settings)
    assert str(raised.value) == (
        f"A GLIHamba daemon already runs (process {os.getpid()}, port {daemon.port}): "
        "use that one, or end it first."
    )
    assert raised.value.exit_code == 3
    daemon.settings.endpoint_file.unlink()
    with pytest.raises(
        AlreadyRunning, match=r"^Another GLIHamba daemon is just starting or ending: try again"
    ):
        serve(settings=daemon.settings)


@pytest.mark.parametrize("left", ["{", "[]", "{}", '{"host": "127.0.0.1", "port": 1}', "\x00\xff", ""])
def test_garbage_in_place_of_an_endpoint_is_replaced(
    start: Callable[..., Any], home: Path, left: str
) -> None:
    (home / "run").mkdir(parents=True)
    (home / "run" / "endpoint.json").write_text(left, "latin-1")
    assert record.read(home / "run" / "endpoint.json") is None
    daemon = start()
    assert record.read(daemon.settings.endpoint_file) == daemon.endpoint


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    table = settings.in_force(runtime_dir=tmp_path / "file")
    with pytest.raises(CannotServe) as raised:
        Daemon(table).__enter__()
    assert str(raised.value).startswith(f"The folder {tmp_path / 'file'} can't be used (")
    assert str(raised.value).endswith("make it writable, or name another in GLIHAMBA_RUNTIME_DIR.")
    table = settings.in_force(log_dir=tmp_path / "file")
    with pytest.raises(CannotServe, match=r"The log file .* can't be written .*GLIHAMBA_LOG_DIR"):
        Daemon(table).__enter__()
    with Daemon(settings.in_force()):  # the failed starts left no lock behind
        pass


@posix
def test_a_full_disk_leaves_the_old_endpoint(start: Callable[..., Any], tmp_path: Path) -> None:
    """A file size limit of 40 bytes stands in for a disk that is full."""
    old = start().endpoint
    path = tmp_path / "endpoint.json"
    discovery.write_endpoint(path, old)
    code = (
        "import resource, sys; from pathlib import Path; from glihamba.daemon import discovery\n"
        "from glihamba_proto import endpoint as record\n"
        "path = Path(sys.argv[1]); endpoint = record.read(path)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))\n"
        "try: discovery.write_endpoint(path, endpoint)\n"
        "except discovery.CannotServe as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.startswith(f"The file {path} can't be written (")
    assert shown.endswith("). Free some disk space, or name another folder in GLIHAMBA_RUNTIME_DIR.\n")
    assert record.read(path) == old
    assert [found.name for found in tmp_path.glob("*.part")] == []


# -- who may reach it


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_a_network_needs_tls_and_token(tmp_path: Path, pair: Any, host: str) -> None:
    sentence = (
        f"Listening on {host} would let the whole network in: give --tls-cert, --tls-key and --token-file, "
        "or listen on 127.0.0.1."
    )
    for missing in ({}, {"tls_cert": pair.cert, "tls_key": pair.key}, {"token_file": pair.token}):
        with pytest.raises(CannotServe) as raised:
            serve(host=host, **missing)
        assert str(raised.value) == sentence
        assert raised.value.exit_code == 2


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A certificate for localhost, its key, another key, and a token file."""
    folder = tmp_path_factory.mktemp("tls")
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(1))
    builder = builder.not_valid_after(now + datetime.timedelta(1))
    certificate = builder.add_extension(x509.SubjectAlternativeName(names), False).sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    made = SimpleNamespace(cert=folder / "cert.pem", key=folder / "key.pem", other=folder / "other.pem")
    made.cert.write_bytes(certificate.public_bytes(pem))
    for path, private in ((made.key, key), (made.other, other)):
        path.write_bytes(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    made.token = folder / "token"
    made.token.write_text("a-token-of-someones-own\n")
    return made


def test_tls_with_token_serves_the_network_and_this_machine(
    start: Callable[..., Any], connect: Callable[..., Any], pair: Any, said: SimpleNamespace
) -> None:
    options = {"host": "0.0.0.0", "tls_cert": pair.cert, "tls_key": pair.key, "token_file": pair.token}
    daemon = start(daemon=options)
    assert len(daemon.token) >= 32, "local clients never send the lasting token"
    assert connect(daemon).info().instance == daemon.instance
    noted = record.read(daemon.settings.endpoint_file)
    assert noted
    assert noted.port == daemon.port != daemon.tls_port
    trust = grpc.ssl_channel_credentials(pair.cert.read_bytes())
    remote = said.Peer(f"localhost:{daemon.tls_port}", "a-token-of-someones-own", trust)
    assert remote.harmonize(said.plain_job()).end
    remote.metadata = (("authorization", "Bearer a-token-of-someone-else"),)
    assert remote.refusal(said.plain_job())[1] == "BAD_TOKEN"
    remote.channel.close()
    plain = said.Peer(f"localhost:{daemon.tls_port}", daemon.token)
    with pytest.raises(grpc.RpcError) as raised:
        plain.info()
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    plain.channel.close()


def test_another_machine_cannot_end_the_daemon(
    start: Callable[..., Any], connect: Callable[..., Any], pair: Any, said: SimpleNamespace
) -> None:
    """A call over this machine's own network address stands in for another machine's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; the system says which address it would use
        except OSError:
            pytest.skip("this machine has no network")
        here = probe.getsockname()[0]
    if discovery.is_loopback(here):
        pytest.skip("this machine has no address but its own")
    options = {"host": "0.0.0.0", "tls_cert": pair.cert, "tls_key": pair.key, "token_file": pair.token}
    daemon = start(daemon=options)
    trust = grpc.ssl_channel_credentials(pair.cert.read_bytes())
    remote = said.Peer(f"{here}:{daemon.tls_port}", daemon.token, trust, name="localhost")
    with pytest.raises(grpc.RpcError) as raised:
        remote.shutdown()
    remote.channel.close()
    assert said.told(raised.value) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "NOT_ALLOWED",
        "The daemon does this only for programs on its own machine. Do it there.",
    )
    assert not daemon.told_to_end.is_set()
    connect(daemon).shutdown()
    assert daemon.told_to_end.is_set()


@pytest.mark.parametrize(
    ("peer", "here"),
    [
        ("ipv4:127.0.0.1:5000", True),
        ("ipv6:%5B::1%5D:5000", True),
        ("ipv6:%5B::ffff:127.0.0.1%5D:5000", True),
        ("ipv4:192.168.1.5:5000", False),
        ("ipv6:%5B2001:db8::1%5D:5000", False),
        ("ipv6:%5B::ffff:192.168.1.5%5D:5000", False),
        ("unix:", True),
        ("", False),
    ],
)
def test_whose_machine_a_peer_is(peer: str, here: bool) -> None:
    assert is_this_machine(peer) is here


def test_ending_needs_the_token(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace
) -> None:
    daemon = start()
    with pytest.raises(grpc.RpcError) as raised:
        connect(daemon, "guess").shutdown()
    assert said.told(raised.value)[:2] == (grpc.StatusCode.UNAUTHENTICATED, "BAD_TOKEN")
    assert not daemon.told_to_end.is_set()


def test_half_of_tls_is_refused(pair: Any) -> None:
    sentence = "TLS needs both a certificate and its key: give --tls-cert and --tls-key together."
    for half in ({"tls_cert": pair.cert}, {"tls_key": pair.key}):
        with pytest.raises(CannotServe) as raised:
            serve(**half)
        assert str(raised.value) == sentence


def test_tls_files_that_do_not_work(tmp_path: Path, pair: Any) -> None:
    (tmp_path / "noise.pem").write_bytes(b"\x00not a certificate")
    for cert, key in (
        (tmp_path / "missing.pem", pair.key),
        (pair.cert, pair.other),
        (tmp_path / "noise.pem", pair.key),
        (pair.cert, tmp_path / "noise.pem"),
    ):
        with pytest.raises(CannotServe) as raised:
            serve(tls_cert=cert, tls_key=key)
        assert str(raised.value).startswith(f"The TLS certificate {cert} and key {key} can't be used (")
        assert str(raised.value).endswith("): give a PEM certificate and its own key without a password.")


@pytest.mark.parametrize("text", ["", "short", "sixteen but blanks", "sixteen-and-more\nlines-of-tokens"])
def test_a_token_file_without_a_token(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    with pytest.raises(CannotServe) as raised:
        serve(token_file=path)
    assert (
        str(raised.value) == f"The token file {path} must hold at least 16 characters in one line, no blanks."
    )


def test_a_token_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(
        CannotServe, match=r"The token file .*missing can't be read \(.*\): give a readable one\."
    ):
        serve(token_file=tmp_path / "missing")
    (tmp_path / "token").write_bytes(b"\xff" * 40)
    with pytest.raises(CannotServe, match=r"The token file .*token can't be read"):
        serve(token_file=tmp_path / "token")


def test_a_port_that_is_taken(start: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotServe) as raised:
            serve(port=port)
    assert str(raised.value) == (
        f"Port {port} of 127.0.0.1 can't be used: another program has it, or the address is not this "
        "machine's. Choose another port (0: any free one) or address."
    )
    start()


def test_two_daemons_never_share_a_port(start: Callable[..., Any], tmp_path: Path) -> None:
    first = start()
    with pytest.raises(CannotServe, match="another program has it"):
        start(daemon={"port": first.port}, runtime_dir=tmp_path / "other")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3", "::1", "[::1]"])
def test_loopback_by_any_name(start: Callable[..., Any], connect: Callable[..., Any], host: str) -> None:
    plain = host.strip("[]").replace("localhost", "127.0.0.1")
    try:
        with socket.socket(socket.AF_INET6 if ":" in plain else socket.AF_INET) as probe:
            probe.bind((plain, 0))
    except OSError:
        pytest.skip(f"this machine has no address {plain}")
    daemon = start(daemon={"host": host})
    noted = record.read(daemon.settings.endpoint_file)
    assert noted
    assert noted.host == plain
    assert connect(daemon).info().instance == daemon.instance


# -- the log


def test_the_log_is_json_lines_without_token_or_pixels(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace
) -> None:
    daemon = start(log_level="debug")
    connect(daemon).harmonize(said.plain_job(client="krita 5.3"))
    connect(daemon).refusal(said.plain_job()[:2])
    connect(daemon, "guess").refusal(said.plain_job())
    text = daemon.settings.log_file.read_text("utf-8")
    events = {line["event"]: line for line in map(json.loads, text.splitlines())}
    accepted = events["a job is accepted"]
    assert accepted["client"] == "krita 5.3"
    assert accepted["planes"] == ["composite 60x40", "mask 60x40"]
    assert accepted["level"] == "info"
    assert accepted["job"] == events["a job is done"]["job"]
    assert any(line.get("code") == "BAD_REQUEST" for line in events.values())
    assert daemon.token not in text
    assert "guess" not in text
    assert len(text) < 10_000
