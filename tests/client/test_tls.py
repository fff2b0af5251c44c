"""A daemon on another machine: TLS, and what is wrong with a certificate."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from certificates import make_certificate

from glihamba import settings
from glihamba.daemon.server import Daemon
from glihamba_client.errors import ClientError
from glihamba_client.host import Capture
from glihamba_client.service import DaemonService
from glihamba_client.settings import Settings

PATIENCE = 3600.0  # seconds; pytest's limit is shorter
Make = Callable[..., Capture]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    return make_certificate(tmp_path)


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
