"""Fetching weights over HTTPS into a `.part` file, from where an earlier attempt stopped."""

from __future__ import annotations

import ipaddress
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from glihamba.errors import BadRequest, Cancelled, ModelDamaged, ModelNotInstalled
from glihamba.models.registry import Record

_BLOCK = 1 << 16
_SPARE = 16 << 20  # bytes left free on the disk beside the weights
_TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds without a byte


def check_url(url: str) -> None:
    """Refuse what could be changed on its way: only https, a local file, or this machine itself."""
    parts = urlsplit(url)
    if parts.scheme in ("https", "file") or (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        return
    raise BadRequest(f"Weights are fetched over https only; {url} is not. Nothing was downloaded.")


def check_space(part: Path, size: int) -> None:
    """Raise the sentence for a full disk before a byte is fetched."""
    missing = size - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(part.parent).free
    if free < missing + _SPARE:
        raise ModelNotInstalled(
            f"The disk has {free / 1e6:,.0f} MB free and the download needs"
            f" {(missing + _SPARE) / 1e6:,.0f} MB: make room in {part.parent} and try again."
        )


def fetch(
    record: Record, part: Path, progress: Callable[[int, int], None], cancelled: Callable[[], bool]
) -> None:
    """Bring `part` to the record's size. A connection that breaks is taken up again as long as bytes arrive.

    Raises ModelNotInstalled, ModelDamaged (a longer or shorter file), Cancelled; `part` keeps what came.
    """
    import requests

    assert record.url
    while True:
        before = part.stat().st_size if part.exists() else 0
        if before > record.bytes:
            part.unlink()
            before = 0
        if before == record.bytes:
            return
        broken: Exception | None = None
        try:
            _fetch_once(record, part, before, progress, cancelled)
        except requests.HTTPError as error:
            raise ModelNotInstalled(
                f"'{record.name}' could not be downloaded: {record.url} answered"
                f" {error.response.status_code} {error.response.reason}. Try again later."
            ) from None
        except requests.RequestException as error:
            broken = error
        arrived = part.stat().st_size if part.exists() else 0
        if arrived == record.bytes:
            return
        if arrived > record.bytes:
            part.unlink()
            raise ModelDamaged(
                f"{record.url} is longer than '{record.name}' should be. Nothing was installed."
            )
        if broken is None:
            raise ModelDamaged(
                f"{record.url} is shorter than '{record.name}' should be: {arrived:,} bytes of"
                f" {record.bytes:,}. Nothing was installed."
            )
        if arrived <= before:
            raise ModelNotInstalled(
                f"'{record.name}' could not be downloaded ({_reason(broken)}). Check the network and"
                f" try again: it continues after the {arrived / 1e6:.1f} MB that arrived."
            )


def _fetch_once(
    record: Record,
    part: Path,
    start: int,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> None:
    assert record.url
    with _opened(record.url, start) as (start, blocks):
        done = start
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            progress(done, record.bytes)
            for block in blocks:
                if cancelled():
                    raise Cancelled("The download was cancelled; it continues there when started again.")
                file.write(block)
                done += len(block)
                if done > record.bytes:
                    return
                progress(done, record.bytes)


@contextmanager
def _opened(url: str, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
    """The byte the answer begins at (0 from a server that cannot resume), and its blocks."""
    if urlsplit(url).scheme == "file":
        path = Path(url2pathname(urlsplit(url).path))
        try:
            file = path.open("rb")
        except OSError as error:
            raise ModelNotInstalled(
                f"{path} could not be read ({error.strerror}). Nothing was installed."
            ) from None
        with file:
            file.seek(start)
            yield start, iter(lambda: file.read(_BLOCK), b"")
        return

    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    retry = Retry(
        total=4, backoff_factor=0.3, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False
    )
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.Session() as session:
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            for step in (*response.history, response):
                check_url(step.url or "")
            if response.status_code == 416:  # the server's file is shorter than the part: not this one
                raise ModelDamaged(f"{url} is shorter than it was. Remove the model and download it again.")
            response.raise_for_status()
            resumed = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            yield (start if response.status_code == 206 and resumed else 0), response.iter_content(_BLOCK)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refuses"
    return "the connection failed"
