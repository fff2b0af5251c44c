"""The queue is bounded, fair and cancellable, and frees the memory of abandoned jobs."""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from waiting import PATIENCE, until

from glihamba.daemon.jobs import Jobs
from glihamba.networks.statistics import Statistics
from glihamba_proto import harmonizer_pb2 as pb


def gone(reference: weakref.ref[Any]) -> bool:
    """The object is freed by its last owner, without the garbage collector."""
    return reference() is None


class Follower:
    """A job whose answers are read on a thread of its own."""

    def __init__(self, said: SimpleNamespace, call: Any) -> None:
        self.call, self.reply = call, said.Reply()
        self.error: Any = None
        self.accepted, self._said = threading.Event(), said
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            for message in self.call:
                self.reply.take(message)
                if message.WhichOneof("message") == "accepted":
                    self.accepted.set()
        except grpc.RpcError as error:
            self.error = self._said.told(error)

    def wait_until_queued(self) -> Follower:
        assert self.accepted.wait(PATIENCE)
        return self

    def ended(self) -> Follower:
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        return self


@pytest.fixture
def follow(connect: Callable[..., Any], said: SimpleNamespace) -> Callable[..., Follower]:
    """follow(daemon, client name, width) -> a Follower of a job of that width, on its own connection."""

    def begin(daemon: Any, client: str = "a test", width: int = 60) -> Follower:
        messages = said.plain_job(said.picture(40, width), said.object_mask(40, width), client=client)
        return Follower(said, connect(daemon).open(messages))

    return begin


def test_who_finds_no_place_waits_for_one_and_is_told_how_many_are_before_it(
    start: Callable[..., Any], gate: Any, follow: Callable[..., Follower], connect: Callable[..., Any]
) -> None:
    daemon = start(gate, queue_length=2)
    running = follow(daemon, "one", 61)
    gate.wait_for_job()
    inside = [
        follow(daemon, client, width).wait_until_queued() for client, width in (("one", 62), ("two", 63))
    ]
    outside = [follow(daemon, "one", 64)]
    until(lambda: positions(outside[0]) == [2])
    outside.append(follow(daemon, "three", 65))
    until(lambda: positions(outside[1]) == [2])  # it holds no place yet, so it comes before "one"
    until(lambda: positions(outside[0]) == [2, 3])
    info = connect(daemon).info()  # the daemon answers although the queue is full
    assert (info.jobs_waiting, info.job_running) == (4, True)
    assert not any(follower.reply.accepted for follower in outside)
    gate.open.set()
    assert all(follower.ended().reply.end for follower in (running, *inside, *outside))
    assert daemon.runner.widths[:3] == [61, 62, 63]
    assert set(daemon.runner.widths[3:]) == {64, 65}


def positions(follower: Follower) -> list[int]:
    return [update.queue_position for update in follower.reply.progress if update.stage == pb.Progress.QUEUED]


def test_a_client_has_half_of_the_places(
    start: Callable[..., Any], gate: Any, follow: Callable[..., Follower]
) -> None:
    daemon = start(gate, queue_length=5)
    greedy = [follow(daemon, "greedy") for _ in range(8)]
    gate.wait_for_job()
    until(lambda: daemon.jobs.waiting == 7)
    modest = follow(daemon, "modest").wait_until_queued()  # at once: three places are left
    assert sum(bool(follower.reply.accepted) for follower in greedy) == 3
    gate.open.set()
    assert all(follower.ended().reply.end for follower in (modest, *greedy))


def test_more_than_there_are_seats_for_are_refused(
    start: Callable[..., Any], gate: Any, follow: Callable[..., Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glihamba.daemon.jobs.OUTSIDE", 5)
    daemon = start(gate, queue_length=2)
    greedy = [follow(daemon, "greedy") for _ in range(4)]
    gate.wait_for_job()
    until(lambda: daemon.jobs.waiting == 3)
    sentence = "The daemon is busy: 4 jobs are waiting already. Try again when one of them is done."
    refused = (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", sentence)
    assert follow(daemon, "greedy").ended().error == refused  # half of the seats are one client's
    others = [follow(daemon, "other") for _ in range(4)]
    until(lambda: daemon.jobs.waiting == 7)
    assert follow(daemon, "third").ended().error == (*refused[:2], sentence.replace("4", "8"))
    gate.open.set()
    assert all(follower.ended().reply.end for follower in (*greedy, *others))


def test_clients_take_turns(start: Callable[..., Any], gate: Any, follow: Callable[..., Follower]) -> None:
    daemon = start(gate)
    first = follow(daemon, "busy", 61)
    gate.wait_for_job()
    followers = [follow(daemon, "busy", width).wait_until_queued() for width in (62, 63, 64)]
    late = follow(daemon, "late", 71).wait_until_queued()
    third = follow(daemon, "third", 81).wait_until_queued()
    assert late.reply.accepted.queue_position == 1
    assert third.reply.accepted.queue_position == 2
    assert [follower.reply.accepted.queue_position for follower in followers] == [0, 1, 2]
    # the newcomers pushed busy's second and third job back, and busy was told
    until(lambda: [f.reply.progress[-1].queue_position for f in followers] == [0, 3, 4])
    gate.open.set()
    assert all(f.ended().reply.end for f in (first, *followers, late, third))
    assert daemon.runner.widths == [61, 62, 71, 81, 63, 64]


def test_waiting_jobs_move_up_and_progress_never_falls(
    start: Callable[..., Any], gate: Any, follow: Callable[..., Follower]
) -> None:
    daemon = start(gate)
    followers = [follow(daemon)]
    gate.wait_for_job()
    followers += [follow(daemon).wait_until_queued() for _ in range(3)]
    gate.open.set()
    for follower in followers:
        progress = follower.ended().reply.progress
        fractions = [update.fraction for update in progress]
        assert fractions == sorted(fractions)
        positions = [update.queue_position for update in progress if update.stage == pb.Progress.QUEUED]
        assert positions == sorted(positions, reverse=True)
    assert followers[-1].reply.end.seconds_queued > 0


def test_a_waiting_job_whose_client_goes_never_runs(
    start: Callable[..., Any], gate: Any, follow: Callable[..., Follower]
) -> None:
    daemon = start(gate)
    running = follow(daemon, width=61)
    gate.wait_for_job()
    leaving = follow(daemon, width=62).wait_until_queued()
    staying = follow(daemon, width=63).wait_until_queued()
    leaving.call.cancel()
    until(lambda: daemon.jobs.waiting == 1)
    until(lambda: staying.reply.progress[-1].queue_position == 0)
    gate.open.set()
    assert running.ended().reply.end
    assert staying.ended().reply.end
    assert leaving.ended().error[0] == grpc.StatusCode.CANCELLED
    assert daemon.runner.widths == [61, 63]


@pytest.mark.parametrize("way", ["cancel", "vanish"])
def test_a_running_job_whose_client_goes_is_cancelled_and_its_memory_let_go(
    start: Callable[..., Any], gate: Any, connect: Callable[..., Any], said: SimpleNamespace, way: str
) -> None:
    daemon = start(gate)
    peer = connect(daemon)
    call = peer.open(said.plain_job())
    gate.wait_for_job()
    assert daemon.runner.seen[0]() is not None
    if way == "cancel":
        call.cancel()
    else:
        peer.channel.close()
    (job,) = daemon.jobs._open
    until(job.stopped)
    del job
    gate.open.set()  # the network returns to a pipeline that has been cancelled meanwhile
    until(lambda: gone(daemon.runner.seen[0]))
    until(lambda: daemon.jobs.idle_seconds() > 0)
    assert (daemon.jobs.waiting, daemon.jobs.running) == (0, False)
    assert connect(daemon).harmonize(said.plain_job()).end


@pytest.mark.parametrize("messages", [1, 2, 3])
def test_a_client_that_goes_while_sending_frees_its_place(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace, messages: int
) -> None:
    daemon = start(queue_length=1)
    hold = threading.Event()

    def partly() -> Iterator[Any]:
        yield from said.plain_job()[:messages]
        hold.wait(PATIENCE)

    call = connect(daemon).open(partly())
    until(lambda: daemon.jobs.waiting == 1)
    call.cancel()
    hold.set()
    until(lambda: daemon.jobs.waiting == 0)
    assert connect(daemon).harmonize(said.plain_job()).end


@pytest.mark.slow
def test_a_client_that_goes_while_the_result_comes(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace
) -> None:
    daemon = start()
    composite, mask = said.picture(2000, 2000), said.object_mask(2000, 2000)
    call = connect(daemon).open(said.plain_job(composite, mask))
    for message in call:
        if message.WhichOneof("message") == "chunk":
            break
    call.cancel()
    del message
    until(lambda: daemon.jobs.idle_seconds() > 0)
    until(lambda: gone(daemon.runner.seen[0]))


def test_memory_of_all_jobs_together_is_bounded(
    start: Callable[..., Any],
    gate: Any,
    follow: Callable[..., Follower],
    connect: Callable[..., Any],
    said: Any,
) -> None:
    """A picture alone may take more than the limit; the next one is taken in when it has gone."""
    daemon = start(gate, queue_megabytes=1)
    large = said.plain_job(said.picture(400, 600), said.object_mask(400, 600))  # 1.7 MB with its result
    first = Follower(said, connect(daemon).open(large))
    gate.wait_for_job()
    second, third = Follower(said, connect(daemon).open(large)), follow(daemon)
    until(lambda: len(daemon.jobs._receiving) == 2)
    (held,) = [job.bytes for job in daemon.jobs._open if job.began]
    assert held == 400 * 600 * 7
    assert sum(job.bytes for job in daemon.jobs._open) == held
    gate.open.set()
    assert all(follower.ended().reply.end for follower in (first, second, third))


def test_ending_tells_every_job(
    start: Callable[..., Any],
    gate: Any,
    follow: Callable[..., Follower],
    connect: Callable[..., Any],
    said: Any,
) -> None:
    daemon = start(gate)
    followers = [follow(daemon)]
    gate.wait_for_job()
    followers += [follow(daemon).wait_until_queued() for _ in range(2)]
    ending = threading.Thread(target=daemon.__exit__)
    ending.start()
    for follower in followers:
        assert follower.ended().error == (
            grpc.StatusCode.UNAVAILABLE,
            "SHUTTING_DOWN",
            "The daemon was shutting down. Try again: it will be started anew.",
        )
    gate.open.set()
    ending.join(PATIENCE)
    assert not ending.is_alive()
    assert not daemon.settings.endpoint_file.exists()
    until(lambda: all(gone(reference) for reference in daemon.runner.seen))


def test_the_idle_model_is_unloaded_and_comes_back(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace
) -> None:
    loads = itertools.count()
    daemon = start(unload_minutes=0.005)
    networks: list[weakref.ref[Any]] = []

    def load(name: str, device: str) -> Statistics:
        next(loads)
        network = Statistics()
        networks.append(weakref.ref(network))
        return network

    daemon.runner._load = load
    peer = connect(daemon)
    first = peer.harmonize(said.plain_job()).pixels()
    assert daemon.runner.loaded
    until(lambda: daemon.tick() or not daemon.runner.loaded)
    assert gone(networks[0])
    np.testing.assert_array_equal(peer.harmonize(said.plain_job()).pixels(), first)
    assert next(loads) == 2


def test_progress_of_a_job_keeps_its_height() -> None:
    """The fraction does not fall when a stage counts from 0 again."""

    def work(request: Any, progress: Callable[[str, float], None], cancelled: Callable[[], bool]) -> Any:
        for fraction in (0.2, 0.6, 0.4, 7.0):
            progress("PREDICTING", fraction)
            time.sleep(0.02)
        return request.upper()

    jobs: Any = Jobs(work, length=1, megabytes=1)  # whose requests and outcomes are words
    job = jobs.reserve(lambda: None)
    assert list(jobs.admitted(job, "client")) == []
    jobs.submit(job, "done")
    seen = [update.fraction for update in job.updates()]
    assert seen == sorted(seen)
    assert max(seen) <= 1
    assert job.take_outcome() == "DONE"
    jobs.release(job)
    jobs.close()
