"""One stream is one job. The pipeline's result comes back, or the name of the broken rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from grpc_health.v1 import health_pb2, health_pb2_grpc

from glihamba import __version__
from glihamba.models import registry
from glihamba.networks import build
from glihamba.networks.base import Harmonizer
from glihamba.networks.statistics import Statistics
from glihamba.pipeline.harmonize import harmonize
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto import messages

INVALID = grpc.StatusCode.INVALID_ARGUMENT
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


def network() -> Harmonizer:
    return build("statistics", **registry.get("statistics").config)


# -- what works


def test_server_info(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    daemon = start(pixel_limit=1234, queue_length=3)
    info = connect(daemon).info()
    assert (info.version, info.protocol, info.instance) == (__version__, 1, daemon.instance)
    assert (info.limits.pixels, info.limits.chunk_bytes, info.limits.jobs_waiting) == (1234, 4096, 3)
    assert (info.device.kind, info.notice, info.default_model) == ("cpu", "", registry.DEFAULT)
    assert info.device.name
    assert (info.jobs_waiting, info.job_running) == (0, False)


def test_models_are_the_registrys(peer: Any) -> None:
    listed = {model.name: model for model in peer.models()}
    assert list(listed) == [record.name for record in registry.records()]
    assert listed["statistics"].installed
    assert listed["statistics"].is_default
    assert sum(model.is_default for model in listed.values()) == 1
    assert listed["statistics"].title == registry.get("statistics").title


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [3, 4])
def test_what_comes_back_is_what_the_pipeline_makes(
    peer: Any, said: SimpleNamespace, kind: str, channels: int
) -> None:
    composite, mask = said.picture(channels=channels, kind=kind), said.object_mask(kind=kind)
    reply = peer.harmonize(said.plain_job(composite, mask, strength=0.75))
    expected = harmonize(composite, mask, network(), strength=0.75).pixels
    np.testing.assert_array_equal(reply.pixels(), expected)
    assert (reply.pixels() != composite).any()
    np.testing.assert_array_equal(reply.pixels()[mask == 0], composite[mask == 0])
    assert reply.header.role == pb.Plane.RESULT


def test_foreground_comes_back_in_its_own_form_and_place(peer: Any, said: SimpleNamespace) -> None:
    composite, mask = said.picture(), said.object_mask(kind="float32")
    layer = said.picture(20, 30, channels=4, kind="uint16")
    bgra = layer[..., [2, 1, 0, 3]]
    place = {"offset_x": 112, "offset_y": 207}
    reply = peer.harmonize(
        said.job(
            [
                (said.plane(pb.Plane.COMPOSITE, composite, offset_x=100, offset_y=200), composite),
                (
                    said.plane(pb.Plane.FOREGROUND, bgra, pb.Plane.BGRA, alpha=pb.Plane.STRAIGHT, **place),
                    bgra,
                ),
                (said.plane(pb.Plane.MASK, mask, offset_x=100, offset_y=200), mask),
            ]
        )
    )
    expected = harmonize(composite, mask, network(), foreground=layer, foreground_offset=(12, 7)).pixels
    np.testing.assert_array_equal(reply.pixels(), expected[..., [2, 1, 0, 3]])
    assert (expected != layer).any()
    header = reply.header
    assert (header.offset_x, header.offset_y, header.channels) == (112, 207, pb.Plane.BGRA)
    assert (header.width, header.height, header.sample_type) == (30, 20, pb.Plane.UINT16)


def test_linear_light_and_bgr(peer: Any, said: SimpleNamespace) -> None:
    composite, mask = said.picture(kind="float32") ** 2.2, said.object_mask()
    bgr = np.ascontiguousarray(composite[..., ::-1])
    header = said.plane(pb.Plane.COMPOSITE, bgr, pb.Plane.BGR, transfer=pb.Plane.LINEAR)
    reply = peer.harmonize(said.job([(header, bgr), (said.plane(pb.Plane.MASK, mask), mask)]))
    expected = harmonize(composite, mask, network(), transfer="linear").pixels
    np.testing.assert_array_equal(reply.pixels(), expected[..., ::-1])
    assert reply.header.transfer == pb.Plane.LINEAR


def test_a_stream_tells_its_story_in_order(peer: Any, said: SimpleNamespace) -> None:
    reply = peer.harmonize(said.plain_job(model="statistics-full"))
    story = [kind for kind in reply.order if kind != "progress"]
    assert story == ["accepted", "result", "chunk", "end"]
    fractions = [update.fraction for update in reply.progress]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1
    stages = [update.stage for update in reply.progress]
    assert list(dict.fromkeys(pb.Progress.Stage.Name(stage) for stage in stages)) == [
        "RECEIVING",
        "QUEUED",
        "LOADING_MODEL",
        "PREPARING",
        "PREDICTING",
        "APPLYING",
        "SENDING",
    ]
    assert reply.accepted.model == reply.end.model == "statistics-full"
    assert reply.accepted.queue_position == 0
    assert len(reply.accepted.job) == 8
    assert reply.end.seconds_computed > 0
    assert reply.end.seconds_queued >= 0
    assert reply.end.device.kind == "cpu"


def test_warnings_of_the_pipeline_arrive(peer: Any, said: SimpleNamespace) -> None:
    mask = np.full((40, 60), 255, np.uint8)
    mask[:4] = 0
    assert "90 %" in peer.harmonize(said.plain_job(mask=mask)).end.warnings[0]


def test_a_line_of_pixels(peer: Any, said: SimpleNamespace) -> None:
    reply = peer.harmonize(said.plain_job(said.picture(1, 20_000), said.object_mask(4, 20_000)[1:2]))
    assert reply.pixels().shape == (1, 20_000, 3)


# -- models


def test_unknown_model(peer: Any, said: SimpleNamespace) -> None:
    status, code, sentence = peer.refusal(said.plain_job(model="statistic")[:1])
    assert (status, code) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_MODEL")
    assert "statistic" in sentence
    assert "statistics" in sentence


def record(folder: Path, name: str, source: str, sha256: str, size: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = {
        "name": name,
        "title": name,
        "description": "",
        "architecture": "glihamba-tiny",
        "licence": "MIT",
        "training_data": "none",
        "source": source,
        "sha256": sha256,
        "bytes": size,
    }
    (folder / f"{name}.json").write_text(json.dumps(table), "utf-8")


def test_model_without_its_weights(peer: Any, said: SimpleNamespace, home: Path) -> None:
    record(home / "models", "far-away", "https://example.org/far-away.safetensors", "0" * 64, 10)
    assert peer.refusal(said.plain_job(model="far-away")[:1]) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "MODEL_NOT_INSTALLED",
        "The weights of “far-away” are not on this machine yet. Run “glihamba models download far-away”.",
    )
    assert not next(model for model in peer.models() if model.name == "far-away").installed


def test_damaged_weights(peer: Any, said: SimpleNamespace, home: Path) -> None:
    record(home / "models", "bent", "local", "0" * 64, 10)
    (home / "models" / "bent.safetensors").write_bytes(b"0123456789")
    status, code, sentence = peer.refusal(said.plain_job(model="bent"))
    assert (status, code) == (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_DAMAGED")
    assert "bent" in sentence


# -- what goes wrong inside


class Faulty(Statistics):
    def __init__(self, fault: Callable[[], Any]) -> None:
        super().__init__()
        self.fault = fault

    def colour_transform(self, composite: Any, mask: Any) -> Any:
        self.fault()


@pytest.mark.parametrize(
    "fault",
    [lambda: np.empty(1 << 60, np.uint8), lambda: torch.empty(1 << 60, dtype=torch.uint8)],
    ids=["numpy", "torch"],
)
def test_memory_runs_out(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace, fault: Callable[[], Any]
) -> None:
    daemon = start(Faulty(fault))
    status, code, sentence = connect(daemon).refusal(said.plain_job())
    assert (status, code) == (EXHAUSTED, "OUT_OF_MEMORY")
    assert "There is not enough memory" in sentence
    assert not daemon.runner.loaded


def test_a_mistake_of_ours_is_logged_and_told(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace
) -> None:
    daemon = start(Faulty(lambda: 1 // 0))
    peer = connect(daemon)
    sentence = "The daemon failed in a way it should not. Its log says more; run “glihamba doctor”."
    for _ in range(2):  # the worker still runs
        assert peer.refusal(said.plain_job()) == (grpc.StatusCode.INTERNAL, "INTERNAL", sentence)
    events = [json.loads(line) for line in daemon.settings.log_file.read_text("utf-8").splitlines()]
    failures = [event for event in events if event["event"] == "a job failed"]
    assert len(failures) == 2
    assert "ZeroDivisionError" in failures[0]["traceback"]


# -- token and health


@pytest.mark.parametrize(
    ("token", "what"),
    [(None, "BAD_TOKEN.MISSING"), ("wrong", "BAD_TOKEN"), ("", "BAD_TOKEN"), ("ü" * 43, "BAD_TOKEN")],
)
def test_every_call_needs_the_token(
    start: Callable[..., Any],
    connect: Callable[..., Any],
    said: SimpleNamespace,
    token: str | None,
    what: str,
) -> None:
    stranger = connect(start(), token)
    if token and not token.isascii():
        stranger.metadata = (("authorization", "Bearer " + "\x7e" * 43),)
    expected = (
        grpc.StatusCode.UNAUTHENTICATED,
        "BAD_TOKEN",
        messages.catalogue("en")[what],
    )
    health = health_pb2_grpc.HealthStub(stranger.channel)
    for call in (
        stranger.info,
        stranger.models,
        lambda: health.Check(health_pb2.HealthCheckRequest(), metadata=stranger.metadata),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            call()
        assert said.told(raised.value) == expected
    assert stranger.refusal(said.plain_job()) == expected
    assert stranger.refusal([]) == expected


def test_health(peer: Any) -> None:
    stub = health_pb2_grpc.HealthStub(peer.channel)
    for service in ("", "glihamba.v1.Harmonizer"):
        request = health_pb2.HealthCheckRequest(service=service)
        answer = stub.Check(request, metadata=peer.metadata)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
