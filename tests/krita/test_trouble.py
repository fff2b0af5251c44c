"""What goes wrong around a harmonization, in a real Krita, with real daemons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import krita_app
import pytest
from certificates import make_certificate
from krita_app import Profile

from glihamba import settings
from glihamba.daemon.server import Daemon

SCRIPT = krita_app.HERE / "cases" / "trouble.py"


@pytest.fixture(scope="module")
def remote(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings for a daemon behind TLS, with a token that it does not accept."""
    folder = tmp_path_factory.mktemp("remote")
    certificate, key = make_certificate(folder)
    for name in ("right", "wrong"):
        (folder / f"{name}.token").write_text(f"{name}-token-of-{'x' * 20}")
    wanted = settings.in_force({}, data_dir=folder / "data", device="cpu")
    options: dict[str, Any] = {"tls_cert": certificate, "tls_key": key, "token_file": folder / "right.token"}
    with Daemon(wanted, **options) as running:
        yield {
            "remote": f"127.0.0.1:{running.tls_port}",
            "token_file": str(folder / "wrong.token"),
            "ca_file": str(certificate),
        }


@pytest.fixture(scope="module")
def report(
    profile: Profile,
    daemon: Daemon,
    remote: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    artefacts: Path,
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("trouble")
    extra = {"TEST_REMOTE": json.dumps({**remote, "model": ""})}
    report = krita_app.run(profile, SCRIPT, folder, extra=extra)
    for picture in folder.glob("*.png"):
        (artefacts / picture.name).write_bytes(picture.read_bytes())
    return report


@pytest.mark.parametrize("case", krita_app.cases_of(SCRIPT))
def test_in_krita(report: dict[str, Any], case: str) -> None:
    krita_app.check(report, case)
