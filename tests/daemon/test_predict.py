"""A correction is predicted by itself, kept by the client, and applied to the picture with amounts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from job_pictures import object_mask, picture

from glihamba.models import registry
from glihamba.networks import build
from glihamba.pipeline.harmonize import harmonize, predict
from glihamba.pipeline.prediction import Amounts
from glihamba_proto import harmonizer_pb2 as pb

INVALID = grpc.StatusCode.INVALID_ARGUMENT
PARTS = ("light", "warmth", "contrast", "saturation", "local")


def request(said: SimpleNamespace, **fields: Any) -> pb.PredictRequest:
    planes = {"composite": picture(), "mask": object_mask()}
    roles = {"composite": pb.Plane.COMPOSITE, "mask": pb.Plane.MASK}
    sent: Any = {
        name: pb.Picture(plane=said.plane(roles[name], pixels), data=pixels.tobytes())
        for name, pixels in planes.items()
    }
    return pb.PredictRequest(client="a test", protocol=1, **(sent | fields))


def asked(peer: Any, message: pb.PredictRequest) -> pb.PredictResponse:
    answer: pb.PredictResponse = peer.stub.Predict(message, metadata=peer.metadata)
    return answer


@pytest.fixture
def transform(peer: Any, said: SimpleNamespace) -> pb.Transform:
    return asked(peer, request(said)).transform


def test_what_the_pipeline_predicts_arrives(peer: Any, said: SimpleNamespace) -> None:
    answer = asked(peer, request(said))
    network = build("statistics", **registry.get("statistics").config)
    variants, _ = predict(picture(), object_mask(), network)
    expected, found = variants[0].prediction, answer.transform
    assert answer.model == "statistics"
    assert np.array_equal(np.array(found.base, np.float32), expected.base.ravel())
    assert np.array_equal(np.array(found.grid, np.float32), expected.grid.ravel())
    assert np.array_equal(np.array(found.mean, np.float32), expected.mean)
    assert (found.top, found.left, found.bottom, found.right) == expected.window
    assert answer.variants[0].transform == found


def test_there_is_a_choice_of_three(peer: Any, said: SimpleNamespace) -> None:
    answer = asked(peer, request(said))
    assert [(v.kind, round(v.strength, 3)) for v in answer.variants] == [
        ("model", 1.0),
        ("statistics", 1.0),
        ("stronger", 1.3),
    ]
    first, _, stronger = answer.variants
    assert stronger.transform == first.transform
    assert first.apart == 0
    assert stronger.apart > 0
    assert answer.ByteSize() < 16_384


def test_the_parts_add_up_to_the_correction(peer: Any, said: SimpleNamespace) -> None:
    for variant in asked(peer, request(said)).variants:
        base = np.sum([part.base for part in variant.parts], 0).reshape(3, 10)
        base[range(3), range(1, 4)] += 1
        grids = [np.array(part.grid) for part in variant.parts if part.grid]
        grid = np.sum(grids or [np.zeros(192)], 0)
        affine = np.array(variant.transform.grid).reshape(3, 4, -1)
        whole = np.array(variant.transform.base).reshape(3, 10)
        even = affine.mean(2)
        whole[:, [1, 2, 3, 0]] += even  # the local part has what is left of the grid
        assert len(variant.parts) == len(PARTS)
        assert np.allclose(base, whole, atol=1e-5)
        assert np.allclose(grid, (affine - even[:, :, None]).ravel(), atol=1e-5)


def test_a_warning_comes_with_it(peer: Any, said: SimpleNamespace) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[3:6, 3:6] = 255
    sent = pb.Picture(plane=said.plane(pb.Plane.MASK, mask), data=mask.tobytes())
    answer = asked(peer, request(said, mask=sent))
    assert [note.message for note in answer.warning_notes] == ["WARNING.SMALL_OBJECT"]
    assert len(answer.warnings) == 1


def test_the_given_transform_gives_the_same_picture(
    peer: Any, said: SimpleNamespace, transform: pb.Transform
) -> None:
    own = peer.harmonize(said.plain_job()).pixels()
    ones = pb.Amounts(**dict.fromkeys(PARTS, 1.0))
    assert np.array_equal(peer.harmonize(said.plain_job(transform=transform)).pixels(), own)
    assert np.array_equal(peer.harmonize(said.plain_job(transform=transform, amounts=ones)).pixels(), own)
    assert not np.array_equal(own, picture())


def test_a_job_tells_which_transform_it_applied(
    peer: Any, said: SimpleNamespace, transform: pb.Transform
) -> None:
    """An animation's next frame is corrected alike by it, whatever the frame shows."""
    assert peer.harmonize(said.plain_job()).end.transform == transform
    given = pb.Transform()
    given.CopyFrom(transform)
    given.base[0] += 0.125
    assert peer.harmonize(said.plain_job(transform=given)).end.transform == given
    half = pb.Amounts(light=0.5)
    assert peer.harmonize(said.plain_job(transform=given, amounts=half, strength=0.5)).end.transform == given


def test_it_holds_at_another_size(peer: Any, said: SimpleNamespace, transform: pb.Transform) -> None:
    large, mask = (np.repeat(np.repeat(p, 3, 0), 3, 1) for p in (picture(), object_mask()))
    small = peer.harmonize(said.plain_job()).pixels().astype(int)
    found = peer.harmonize(said.plain_job(large, mask, transform=transform)).pixels()[1::3, 1::3]
    assert np.abs(found - small).max() <= 2


def test_a_given_transform_needs_no_network(
    start: Callable[..., Any],
    connect: Callable[..., Any],
    said: SimpleNamespace,
    transform: pb.Transform,
    tmp_path: Path,
) -> None:
    daemon = start(default_model="statistics", runtime_dir=tmp_path / "other")
    assert connect(daemon).harmonize(said.plain_job(transform=transform)).end is not None
    assert not daemon.runner.loaded


@pytest.mark.parametrize("part", PARTS)
def test_amounts_and_strength_reach_the_pipeline(
    peer: Any, said: SimpleNamespace, transform: pb.Transform, part: str
) -> None:
    network = build("statistics", **registry.get("statistics").config)
    amounts = Amounts(**{part: -0.5})
    expected = harmonize(picture(), object_mask(), network, amounts=amounts, strength=1.5).pixels
    found = peer.harmonize(said.plain_job(amounts=pb.Amounts(**{part: -0.5}), strength=1.5)).pixels()
    assert np.array_equal(found, expected)


def test_no_part_leaves_the_picture(peer: Any, said: SimpleNamespace, transform: pb.Transform) -> None:
    nothing = pb.Amounts(**dict.fromkeys(PARTS, 0.0))
    found = peer.harmonize(said.plain_job(transform=transform, amounts=nothing)).pixels()
    assert np.array_equal(found, picture())


def replaced(numbers: Any, index: int, value: float) -> None:
    numbers[index] = value


BAD: dict[str, tuple[Callable[[Any], None], str]] = {
    "no numbers": (lambda t: t.Clear(), "The transform has 0, 0 and 0 numbers for 0 x 0 cells."),
    "too few": (lambda t: t.base.pop(), "The transform has 29, 3 and "),
    "too many cells": (lambda t: setattr(t, "grid_rows", 65), " x 4 cells."),
    "infinity": (lambda t: replaced(t.base, 4, float("inf")), "not finite or larger than a million"),
    "nan, not the first": (
        lambda t: replaced(t.grid, 7, float("nan")),
        "not finite or larger than a million",
    ),
    "a nan mean": (lambda t: replaced(t.mean, 2, float("nan")), "not finite or larger than a million"),
    "huge": (lambda t: replaced(t.grid, 0, 1e30), "not finite or larger than a million"),
    "an empty window": (lambda t: setattr(t, "right", t.left), "The transform's window goes from"),
    "a huge window": (lambda t: setattr(t, "bottom", 1e9), "The transform's window goes from"),
    "a window of nothing": (
        lambda t: setattr(t, "top", float("nan")),
        "The transform's window goes from nan",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_transforms(peer: Any, said: SimpleNamespace, transform: pb.Transform, name: str) -> None:
    spoil, words = BAD[name]
    spoil(transform)
    status, code, sentence = peer.refusal(said.plain_job(transform=transform))
    assert (status, code) == (INVALID, "BAD_REQUEST")
    assert words in sentence


@pytest.mark.parametrize("amount", [-1.01, 2.01, float("nan"), float("inf")])
def test_bad_amounts(peer: Any, said: SimpleNamespace, amount: float) -> None:
    status, code, sentence = peer.refusal(said.plain_job(amounts=pb.Amounts(contrast=amount)))
    assert (status, code) == (INVALID, "BAD_REQUEST")
    assert sentence == f"The amount of contrast must be from -1 to 2, but is {amount:g}."


def spoilt(said: SimpleNamespace, name: str) -> pb.PredictRequest:
    message = request(said)
    if name == "no mask":
        message.ClearField("mask")
    elif name == "short":
        message.mask.data = message.mask.data[:-1]
    elif name == "long":
        message.composite.data += b"\0"
    elif name == "newer":
        message.protocol = 99
    return message


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("no mask", "BAD_REQUEST"),
        ("short", "BAD_REQUEST"),
        ("long", "BAD_REQUEST"),
        ("newer", "CLIENT_TOO_NEW"),
    ],
)
def test_bad_requests(peer: Any, said: SimpleNamespace, name: str, code: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        asked(peer, spoilt(said, name))
    assert said.told(raised.value)[1] == code
    assert peer.info().jobs_waiting == 0
