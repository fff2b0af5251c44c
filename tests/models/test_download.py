"""Downloading weights from a server that misbehaves as real ones do."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glihamba.errors import BadRequest, Cancelled, ModelDamaged, ModelNotInstalled
from glihamba.models import download as fetching
from glihamba.models import registry, store
from glihamba.models.registry import Record

CONTENT = random.Random(1).randbytes(1_200_000)


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def server(weights_server: Callable[[bytes], AbstractContextManager[Any]]) -> Iterator[Any]:
    with weights_server(CONTENT) as running:
        yield running


def record_of(content: bytes, source: str, name: str = "mine") -> Record:
    return Record(
        name=name,
        title="Mine",
        description="A test's own.",
        architecture="glihamba-tiny",
        licence="MIT",
        training_data="none",
        source=source,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )


def install(content: bytes, record: Record) -> Record:
    """Register `record` with `content` as its weights, right or wrong."""
    path = registry.weights_path(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.with_suffix(".json").write_text(record.to_json(), "utf-8")
    return record


def part_of(record: Record) -> Path:
    path = registry.weights_path(record)
    return path.with_name(f"{record.name}.{record.sha256[:12]}.part")


def fetched(record: Record) -> bytes:
    assert not part_of(record).exists()
    return registry.weights_path(record).read_bytes()


def test_a_fresh_download(server: Any) -> None:
    record = record_of(CONTENT, server.url)
    seen: list[tuple[int, int]] = []
    assert store.download(record, progress=lambda *at: seen.append(at)) == registry.weights_path(record)
    assert fetched(record) == CONTENT
    assert seen == sorted(seen)
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    store.download(record)
    assert server.requests == [None], "a second download finds the file"


def test_a_connection_cut_midway_is_taken_up_where_it_stopped(server: Any) -> None:
    server.cut_after = [500_000, 300_000]
    record = record_of(CONTENT, server.url)
    store.download(record)
    assert fetched(record) == CONTENT
    first, *resumed = server.requests
    assert first is None
    starts = [int(wanted.strip("bytes=-")) for wanted in resumed]
    assert 400_000 < starts[0] <= 500_000, (
        "what arrived, but for the block that was cut, is not asked for again"
    )
    assert starts[0] + 200_000 < starts[1] <= starts[0] + 300_000


def test_a_later_run_continues_the_part(server: Any) -> None:
    record = record_of(CONTENT, server.url)
    part_of(record).parent.mkdir(parents=True)
    part_of(record).write_bytes(CONTENT[:700_000])
    store.download(record)
    assert fetched(record) == CONTENT
    assert server.requests == ["bytes=700000-"]


def test_a_server_without_ranges_starts_over(server: Any) -> None:
    server.ranges = False
    server.cut_after = [500_000]
    record = record_of(CONTENT, server.url)
    store.download(record)
    assert fetched(record) == CONTENT


def test_a_bad_part_is_fetched_again_from_the_start(server: Any) -> None:
    record = record_of(CONTENT, server.url)
    part_of(record).parent.mkdir(parents=True)
    part_of(record).write_bytes(b"?" * 700_000)
    store.download(record)
    assert fetched(record) == CONTENT
    assert server.requests == ["bytes=700000-", None]


def test_other_content_is_refused_and_the_old_file_stays(server: Any) -> None:
    record = install(b"old", record_of(CONTENT, server.url))
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(ModelDamaged, match=r"is not 'mine': its SHA-256 is another\. Nothing was installed"):
        store.download(record)
    assert fetched(record) == b"old"


@pytest.mark.parametrize(("content", "words"), [(CONTENT[:-9], "shorter"), (CONTENT + b"more", "longer")])
def test_another_size_is_refused(server: Any, content: bytes, words: str) -> None:
    server.content = content
    record = record_of(CONTENT, server.url)
    with pytest.raises(ModelDamaged, match=f"is {words} than 'mine' should be"):
        store.download(record)
    assert not registry.is_installed(record)


@pytest.mark.slow
def test_a_missing_file_and_a_dead_server_each_get_a_sentence(server: Any, weights_server: Any) -> None:
    server.status = 404
    with pytest.raises(ModelNotInstalled, match=r"'mine' could not be downloaded: .* answered 404 Not Found"):
        store.download(record_of(CONTENT, server.url))
    with weights_server(b"") as gone:
        url = gone.url
    with pytest.raises(
        ModelNotInstalled, match=r"\(the connection failed\)\. Check the network and try again"
    ):
        store.download(record_of(CONTENT, url))


def test_cancelling_keeps_what_arrived(server: Any) -> None:
    server.pause = threading.Event()
    record = record_of(CONTENT, server.url)
    arrived = [0]

    def progress(done: int, total: int) -> None:
        arrived.append(done)
        if done >= len(CONTENT) // 4:
            server.pause.set()

    with pytest.raises(Cancelled, match="cancelled; it continues there when started again"):
        store.download(record, progress, cancelled=lambda: arrived[-1] >= len(CONTENT) // 4)
    assert part_of(record).stat().st_size == arrived[-1] < len(CONTENT)
    assert CONTENT.startswith(part_of(record).read_bytes())
    store.download(record)
    assert fetched(record) == CONTENT


def test_two_downloads_at_once_are_one(server: Any) -> None:
    server.pause = threading.Event()
    record = record_of(CONTENT, server.url)
    under_way = threading.Event()
    first = threading.Thread(target=store.download, args=(record, lambda done, total: under_way.set()))
    second = threading.Thread(target=store.download, args=(record,))
    first.start()
    assert under_way.wait()
    second.start()
    server.pause.set()
    first.join()
    second.join()
    assert fetched(record) == CONTENT
    assert server.requests == [None]


def test_a_local_file_by_its_address(tmp_path: Path) -> None:
    file = tmp_path / "published weights.safetensors"
    file.write_bytes(CONTENT)
    record = record_of(CONTENT, file.as_uri())
    store.download(record)
    assert fetched(record) == CONTENT
    with pytest.raises(ModelNotInstalled, match="could not be read"):
        store.download(record_of(CONTENT + b"x", (tmp_path / "none").as_uri(), "other"))


@pytest.mark.parametrize(
    "url", ["http://example.org/w", "ftp://example.org/w", "http://127.0.0.1.example.org/w"]
)
def test_an_address_that_can_be_tampered_with_is_refused(url: str) -> None:
    with pytest.raises(BadRequest, match="Weights are fetched over https only"):
        store.download(record_of(CONTENT, url))


def test_a_redirect_to_such_an_address_is_refused(server: Any, weights_server: Any) -> None:
    with weights_server(CONTENT) as other:
        server.redirect = other.url.replace("127.0.0.1", "0.0.0.0")
        with pytest.raises(BadRequest, match="Weights are fetched over https only"):
            store.download(record_of(CONTENT, server.url))


def test_a_model_without_an_address_says_why() -> None:
    with pytest.raises(BadRequest, match="'statistics' is not downloaded: it needs no weights"):
        store.download(registry.get("statistics"))


def test_a_disk_too_small_is_said_before_a_byte_is_fetched(server: Any) -> None:
    record = replace(record_of(CONTENT, server.url), bytes=1 << 60)
    with pytest.raises(
        ModelNotInstalled, match=r"The disk has [\d,]+ MB free and the download needs [\d,]+ MB"
    ):
        store.download(record)
    assert server.requests == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_disk_that_fills_up_leaves_the_old_file(server: Any) -> None:
    """A limit on the file size stands in for a full disk."""
    record = install(b"old", record_of(CONTENT, server.url))
    code = """
import resource
from glihamba.models import registry, store
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    store.download(registry.get('mine'))
except store.CannotWrite as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("The disk is full: make room in"), done.stderr
    assert "What was there is unharmed." in done.stdout
    assert registry.weights_path(record).read_bytes() == b"old"


def test_resuming_counts_what_is_already_there(tmp_path: Path) -> None:
    part = tmp_path / "some.part"
    part.write_bytes(b"x" * 1000)
    fetching.check_space(part, 1000)
