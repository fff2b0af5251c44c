"""One stream, one job: what comes back is what the pipeline made; what breaks the contract is named."""

# ruff: noqa: E501 - a case is a line of its table

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
from glihamba.models.statistics import Statistics
from glihamba.pipeline.harmonize import harmonize
from glihamba_proto import harmonizer_pb2 as pb

INVALID = grpc.StatusCode.INVALID_ARGUMENT
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture
def peer(start: Callable[..., Any], connect: Callable[..., Any]) -> Any:
    return connect(start(default_model="statistics"))


def network() -> Statistics:
    return Statistics(**registry.get("statistics").config)


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


# -- what breaks the contract


def without_last_chunk(messages: list[Any]) -> list[Any]:
    return messages[:-1]


def with_more(**fields: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda messages: [*messages, pb.HarmonizeRequest(chunk=pb.Chunk(**fields))]


def swapped(messages: list[Any]) -> list[Any]:
    return [messages[0], messages[2], messages[1], *messages[3:]]


def planes_swapped(messages: list[Any]) -> list[Any]:
    return [messages[0], *messages[3:], *messages[1:3]]


def doubled(messages: list[Any]) -> list[Any]:
    return [*messages[:2], *messages[1:]]


def oversized(messages: list[Any]) -> list[Any]:
    return [messages[0], pb.HarmonizeRequest(chunk=pb.Chunk(data=bytes(4097))), *messages[2:]]


def overlong(messages: list[Any]) -> list[Any]:
    messages[2].chunk.data += b"more"
    return messages


def shortened(messages: list[Any]) -> list[Any]:
    return [messages[0], pb.HarmonizeRequest(chunk=pb.Chunk(data=b"")), *messages[1:]]


# A composite of 40 x 60 RGB bytes comes in two chunks (4096 and 3104 bytes), its mask in one (2400).
BROKEN_STREAMS = {
    "zero bytes": (lambda m: [], "The stream ended before it began: send a start, then the planes' chunks."),
    "no start": (lambda m: m[1:], "The stream does not begin with a start: send it first, then the planes' chunks."),
    "no chunks": (lambda m: m[:1], "The stream ended early, after 0 of the composite's 7,200 bytes: send every plane to its last byte."),
    "truncated": (lambda m: m[:2], "The stream ended early, after 4,096 of the composite's 7,200 bytes: send every plane to its last byte."),
    "no mask": (without_last_chunk, "The stream ended early, after 0 of the mask's 2,400 bytes: send every plane to its last byte."),
    "second start": (lambda m: [m[0], *m], "The stream holds a second start after 0 of the composite's 7,200 bytes: only chunks may follow the start."),
    "empty message": (lambda m: [m[0], pb.HarmonizeRequest(), *m[1:]], "The stream holds an empty message after 0 of the composite's 7,200 bytes: only chunks may follow the start."),
    "out of order": (swapped, "A chunk of the composite came after a gap (it begins at byte 4,096 instead of 0): send each byte once, in order."),
    "planes out of order": (planes_swapped, "A chunk of plane 1 came where the composite (plane 0) was awaited: send the planes one after the other, in the order of the start."),
    "duplicated": (doubled, "A chunk of the composite came twice or out of order (it begins at byte 0 instead of 4,096): send each byte once, in order."),
    "oversized chunk": (oversized, "A chunk of the composite has 4,097 bytes and may have 4,096: send smaller ones."),
    "oversized plane": (overlong, "The composite has 7,200 bytes and its chunks go on to 7,204: send no more."),
    "empty chunk": (shortened, "A chunk of the composite is empty: send at least one byte in each."),
    "after the end": (with_more(plane=1, offset=2400, data=b"x"), "The stream goes on after the last byte of its last plane: close it there."),
    "plane nobody announced": (lambda m: [m[0], pb.HarmonizeRequest(chunk=pb.Chunk(plane=9, data=b"x"))], "A chunk of plane 9 came where the composite (plane 0) was awaited: send the planes one after the other, in the order of the start."),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_STREAMS)
def test_a_broken_stream_is_refused(peer: Any, said: SimpleNamespace, case: str) -> None:
    breaking, sentence = BROKEN_STREAMS[case]
    assert peer.refusal(breaking(said.plain_job())) == (INVALID, "BAD_REQUEST", sentence)
    assert peer.harmonize(said.plain_job()).end.model == "statistics"


BROKEN_STARTS = {
    "no planes": (lambda s: s.ClearField("planes"), "A job has exactly one composite plane, but this one has none."),
    "no mask": (lambda s: s.planes.pop(), "A job has exactly one mask plane, but this one has none."),
    "two masks": (lambda s: s.planes.append(s.planes[1]), "A job has exactly one mask plane, but this one has 2."),
    "unknown role": (lambda s: setattr(s.planes[0], "role", 77), "A plane's role must be composite, mask or foreground, but is number 77."),
    "result role": (lambda s: setattr(s.planes[0], "role", 4), "A plane's role must be composite, mask or foreground, but is number 4."),
    "unknown samples": (lambda s: setattr(s.planes[0], "sample_type", 9), "The composite's sample type must be uint8, uint16 or float32, but is number 9."),
    "unknown channels": (lambda s: setattr(s.planes[0], "channels", 9), "The composite's channels must be RGB, RGBA, BGR or BGRA, but are number 9."),
    "grey composite": (lambda s: setattr(s.planes[0], "channels", 1), "The composite's channels must be RGB, RGBA, BGR or BGRA, but are GRAY."),
    "coloured mask": (lambda s: setattr(s.planes[1], "channels", 2), "The mask's channels must be GRAY, but are RGB."),
    "premultiplied": (lambda s: setattr(s.planes[0], "alpha", 2), "The composite is premultiplied by its alpha: send straight (unassociated) alpha."),
    "unknown alpha": (lambda s: setattr(s.planes[0], "alpha", 5), "The composite's alpha must be straight, but is number 5."),
    "unknown transfer": (lambda s: setattr(s.planes[0], "transfer", 5), "The composite's transfer function must be sRGB or linear, but is number 5."),
    "profile": (lambda s: setattr(s.planes[0], "icc_profile", b"acsp"), "The composite carries an ICC profile: convert it to sRGB primaries first and send none."),
    "no width": (lambda s: setattr(s.planes[1], "width", 0), "The mask has no pixels (0 x 40)."),
    "mask elsewhere": (lambda s: setattr(s.planes[1], "offset_x", -3), "The mask and the composite begin at different places: give them the same offset."),
    "too strong": (lambda s: setattr(s, "strength", 1.5), "The strength must be from 0 to 1, but is 1.5."),
    "strength of nothing": (lambda s: setattr(s, "strength", float("nan")), "The strength must be from 0 to 1, but is nan."),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_STARTS)
def test_a_broken_start_is_refused_before_any_pixel(peer: Any, said: SimpleNamespace, case: str) -> None:
    breaking, sentence = BROKEN_STARTS[case]
    messages = said.plain_job()
    breaking(messages[0].start)
    assert peer.refusal(messages[:1]) == (INVALID, "BAD_REQUEST", sentence)


def test_two_transfer_functions_in_one_job(peer: Any, said: SimpleNamespace) -> None:
    messages = said.plain_job()
    layer = said.plane(pb.Plane.FOREGROUND, said.picture(), transfer=pb.Plane.LINEAR)
    messages[0].start.planes.append(layer)
    sentence = "The foreground and the composite must have the same transfer function."
    assert peer.refusal(messages) == (INVALID, "BAD_REQUEST", sentence)
    messages[0].start.planes.append(layer)
    sentence = "A job has at most one foreground plane, but this one has 2."
    assert peer.refusal(messages) == (INVALID, "BAD_REQUEST", sentence)


def test_mask_of_another_size(peer: Any, said: SimpleNamespace) -> None:
    sentence = "The mask is 61 x 40 pixels and the composite 60 x 40: send a mask of the composite's size."
    messages = said.plain_job(mask=said.object_mask(40, 61))
    assert peer.refusal(messages) == (INVALID, "SIZE_MISMATCH", sentence)


def test_too_many_pixels(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace
) -> None:
    peer = connect(start(pixel_limit=2399))
    assert peer.refusal(said.plain_job()) == (
        EXHAUSTED,
        "TOO_LARGE",
        "The composite has 60 x 40 pixels, but at most 2,399 are taken: harmonize a smaller picture, or raise GLIHAMBA_PIXEL_LIMIT.",
    )


def test_a_message_beyond_grpcs_limit_ends_only_its_call(peer: Any, said: SimpleNamespace) -> None:
    messages = said.plain_job()
    messages[1].chunk.data = bytes(9 << 20)
    assert peer.refusal(messages)[0] == EXHAUSTED
    assert peer.harmonize(said.plain_job()).end.model == "statistics"


def test_bytes_that_are_no_message(peer: Any, said: SimpleNamespace) -> None:
    raw = peer.channel.stream_stream("/glihamba.v1.Harmonizer/Harmonize")
    with pytest.raises(grpc.RpcError):
        list(raw(iter([b"\xff\xff\xff\xff"]), metadata=peer.metadata, timeout=60))
    assert peer.harmonize(said.plain_job()).end.model == "statistics"


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda composite, mask: mask.fill(0), "EMPTY_MASK", "mask is empty"),
        (lambda composite, mask: mask.fill(1), "FULL_MASK", "covers the whole picture"),
        (
            lambda composite, mask: composite.fill(np.nan),
            "NOT_FINITE",
            "composite holds values that are not numbers",
        ),
        (
            lambda composite, mask: mask[3:4].fill(np.inf),
            "NOT_FINITE",
            "mask holds values that are not numbers",
        ),
    ],
)
def test_what_the_pipeline_refuses(
    peer: Any, said: SimpleNamespace, change: Callable[[Any, Any], None], code: str, words: str
) -> None:
    composite, mask = said.picture(kind="float32"), said.object_mask(kind="float32")
    change(composite, mask)
    status, given, sentence = peer.refusal(said.plain_job(composite, mask))
    assert (status, given) == (INVALID, code)
    assert words in sentence


def test_one_pixel(peer: Any, said: SimpleNamespace) -> None:
    one = np.full((1, 1, 3), 9, np.uint8)
    assert peer.refusal(said.plain_job(one, one[..., 0] * 0))[1] == "EMPTY_MASK"
    assert peer.refusal(said.plain_job(one, one[..., 0] * 0 + 255))[1] == "FULL_MASK"


def test_a_newer_client_is_told_which_side_to_update(peer: Any, said: SimpleNamespace) -> None:
    assert peer.refusal(said.plain_job(protocol=2)) == (
        grpc.StatusCode.UNIMPLEMENTED,
        "CLIENT_TOO_NEW",
        f"This client speaks protocol 2, the daemon ({__version__}) only 1: update the daemon by running the newer install.py.",
    )


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
    }
    table |= {"training_data": "none", "source": source, "sha256": sha256, "bytes": size}
    (folder / f"{name}.json").write_text(json.dumps(table), "utf-8")


def test_model_without_its_weights(peer: Any, said: SimpleNamespace, home: Path) -> None:
    record(home / "models", "far-away", "https://example.org/far-away.safetensors", "0" * 64, 10)
    assert peer.refusal(said.plain_job(model="far-away")[:1]) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "MODEL_NOT_INSTALLED",
        "The model 'far-away' is not installed: run `glihamba models download far-away`.",
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
    sentence = "The daemon made a mistake (its log says which): please report it."
    for _ in range(2):  # the worker lives on
        assert peer.refusal(said.plain_job()) == (grpc.StatusCode.INTERNAL, "INTERNAL", sentence)
    events = [json.loads(line) for line in daemon.settings.log_file.read_text("utf-8").splitlines()]
    failures = [event for event in events if event["event"] == "a job failed"]
    assert len(failures) == 2
    assert "ZeroDivisionError" in failures[0]["traceback"]


# -- token and health


@pytest.mark.parametrize(
    ("token", "what"),
    [(None, "no token"), ("wrong", "a wrong token"), ("", "a wrong token"), ("ü" * 43, "a wrong token")],
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
        f"The call carries {what}: use the one in the daemon's endpoint.json, or its --token-file's.",
    )
    health = health_pb2_grpc.HealthStub(stranger.channel)
    for call in (
        stranger.info,
        stranger.models,
        lambda: health.Check(health_pb2.HealthCheckRequest(), metadata=stranger.metadata, timeout=60),
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
        answer = stub.Check(request, metadata=peer.metadata, timeout=60)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
