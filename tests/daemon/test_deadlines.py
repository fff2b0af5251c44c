"""Whoever sends nothing, trickles, reads nothing or promises gigabytes holds nothing for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from waiting import PATIENCE, until

from glihamba.daemon.jobs import Patience
from glihamba_proto import harmonizer_pb2 as pb


@pytest.mark.parametrize("sent", ["nothing", "a start", "a trickle"])
def test_a_stream_that_sends_nothing_holds_a_place_only_for_a_while(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace, sent: str
) -> None:
    patience = Patience(start=0.5 if sent == "nothing" else 3600, pixels=3600 if sent == "nothing" else 0.5)
    daemon = start(daemon={"patience": patience}, queue_length=1, chunk_bytes=1 << 16)
    hold = threading.Event()
    composite, mask = said.picture(400, 600), said.object_mask(400, 600)

    def silent() -> Iterator[Any]:
        if sent != "nothing":
            yield from said.plain_job(composite, mask)[:1]
        for at in range(100_000 if sent == "a trickle" else 0):
            yield pb.HarmonizeRequest(chunk=pb.Chunk(plane=0, offset=at, data=b"0"))
            if hold.wait(0.01):
                return
        hold.wait(PATIENCE)

    calls = [connect(daemon).open(silent()) for _ in range(2)]
    try:
        until(lambda: daemon.jobs.waiting == 2)
        until(lambda: daemon.tick() or daemon.jobs.waiting == 0)
        for call in calls:
            with pytest.raises(grpc.RpcError) as raised:
                list(call)
            assert raised.value.code() == grpc.StatusCode.CANCELLED
        assert connect(daemon).harmonize(said.plain_job()).end
    finally:
        hold.set()


def test_a_result_that_nobody_reads_holds_a_place_only_for_a_while(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace
) -> None:
    daemon = start(daemon={"patience": Patience(reading=0.5)}, queue_length=1)
    composite, mask = said.picture(2000, 1000), said.object_mask(2000, 1000)
    calls = [connect(daemon).open(said.plain_job(composite, mask)) for _ in range(2)]
    until(lambda: len(daemon.runner.seen) == 2)
    until(lambda: daemon.tick() or daemon.jobs.idle_seconds() > 0)
    for call in calls:
        with pytest.raises(grpc.RpcError) as raised:
            list(call)
        assert raised.value.code() == grpc.StatusCode.CANCELLED
    assert connect(daemon).harmonize(said.plain_job()).end


def test_calls_of_one_message_that_send_none_are_ended(
    start: Callable[..., Any], connect: Callable[..., Any]
) -> None:
    """Each of them holds a thread, and the daemon has 200 of them at most."""
    daemon = start(daemon={"patience": Patience(start=0.5)})
    hold, peer = threading.Event(), connect(daemon)

    def nothing() -> Iterator[Any]:
        hold.wait(PATIENCE)
        yield from ()

    method = peer.channel.stream_unary(
        "/glihamba.v1.Harmonizer/GetServerInfo", response_deserializer=pb.ServerInfo.FromString
    )
    calls = [method.future(nothing(), metadata=peer.metadata) for _ in range(25)]
    assert connect(daemon).info().instance == daemon.instance
    until(lambda: daemon.tick() or all(call.done() for call in calls))
    assert {call.code() for call in calls} == {grpc.StatusCode.CANCELLED}
    hold.set()


def test_a_promise_of_gigabytes_shuts_nobody_out(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace
) -> None:
    daemon = start(pixel_limit=1 << 30)
    hold = threading.Event()

    def promise() -> Iterator[Any]:
        sizes: Any = {"width": 30_000, "height": 30_000, "sample_type": pb.Plane.UINT8}
        planes = [
            pb.Plane(role=pb.Plane.COMPOSITE, channels=pb.Plane.RGB, **sizes),
            pb.Plane(role=pb.Plane.MASK, channels=pb.Plane.GRAY, **sizes),
        ]
        yield pb.HarmonizeRequest(start=pb.Start(planes=planes, client="a boaster", protocol=1))
        hold.wait(PATIENCE)

    call = connect(daemon).open(promise())
    until(lambda: daemon.jobs._receiving)
    assert connect(daemon).harmonize(said.plain_job()).end
    call.cancel()
    hold.set()
