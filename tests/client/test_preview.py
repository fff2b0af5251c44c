"""The small picture that a slider draws is what the daemon would make of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from glihamba_client.client import Client, call
from glihamba_client.host import Capture, Plane
from glihamba_client.preview import PARTS, Preview
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto.endpoint import Endpoint

Make = Callable[..., Capture]
SETTINGS: list[tuple[float, dict[str, float]]] = [
    (1.0, {}),
    (0.4, {}),
    (1.5, {"light": 2.0}),
    (1.0, {"warmth": -1.0, "saturation": 0.0, "contrast": 0.5}),
    (0.8, {"local": 0.0}),
]


@pytest.fixture
def predicted(endpoint: Endpoint, make_capture: Make) -> tuple[Capture, Any]:
    capture = make_capture()
    return capture, call(lambda: Client(endpoint).predict(capture.composite, capture.mask))


@pytest.mark.parametrize(("strength", "amounts"), SETTINGS)
def test_it_shows_what_the_daemon_makes(
    endpoint: Endpoint, predicted: tuple[Capture, Any], strength: float, amounts: dict[str, float]
) -> None:
    capture, answer = predicted
    variant = answer.variants[0]
    shown = Preview(capture.composite, capture.mask, variant).pixels(strength, amounts)
    made = call(
        lambda: Client(endpoint).harmonize(
            capture, transform=variant.transform, strength=strength, amounts=pb.Amounts(**amounts)
        )
    ).plane.data
    both = np.frombuffer(shown, np.uint8).astype(int), np.frombuffer(made, np.uint8)
    assert np.abs(both[0] - both[1]).max() <= 1
    assert not np.array_equal(both[1], np.frombuffer(capture.composite.data, np.uint8))


def test_the_parts_are_named_as_in_the_contract() -> None:
    assert tuple(field.name for field in pb.Amounts.DESCRIPTOR.fields) == PARTS


def test_a_variant_brings_its_own_strength(predicted: tuple[Capture, Any]) -> None:
    capture, answer = predicted
    first = answer.variants[0]
    stronger = pb.Variant.FromString(first.SerializeToString())
    stronger.strength = 1.3 * first.strength
    once, more = (Preview(capture.composite, capture.mask, each) for each in (first, stronger))
    assert more.pixels() == once.pixels(1.3)


def test_soft_coverage_moves_a_colour_in_part(predicted: tuple[Capture, Any]) -> None:
    capture, answer = predicted
    half = bytes(128 if cover else 0 for cover in bytes(capture.mask.data))
    soft = Plane(64, 48, "uint8", "gray", half)
    whole, part = (
        np.frombuffer(Preview(capture.composite, mask, answer.variants[0]).pixels(), np.uint8).astype(float)
        for mask in (capture.mask, soft)
    )
    before = np.frombuffer(capture.composite.data, np.uint8)
    inside = whole > 0  # where nothing was clipped
    assert np.abs((part - before) - (whole - before) * 128 / 255)[inside & (whole < 255)].max() <= 1
