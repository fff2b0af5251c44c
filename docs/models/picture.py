"""Make the picture of a model's card and print its figures: `python docs/models/picture.py MODEL OUT.jpg`.

The script needs the extra `train` and scikit-image. Its photographs may be shown and were never trained on.
GrabCut (Rother, Kolmogorov, Blake 2004) finds the objects from a box and a few ellipses. Nothing is random,
so that later weights get the same composites.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from glihamba import models
from glihamba.pipeline.harmonize import harmonize

WIDTH, GAP, LINE = 336, 8, 24  # pixels: a column, the gap between columns, a row's title

Ellipse = tuple[int, int, int, int]  # centre and half axes, x first


class Thing(NamedTuple):
    """A photograph, (H, W, 3) uint8, and the mask of its object, (H, W) uint8."""

    photo: np.ndarray
    mask: np.ndarray


class Example(NamedTuple):
    """A composite, its mask, and the real picture if it is known: (H, W, 3), (H, W), (H, W, 3), all uint8."""

    title: str
    composite: np.ndarray
    mask: np.ndarray
    real: np.ndarray | None


def cut_out(
    photo: np.ndarray, box: Ellipse, inside: Iterable[Ellipse], outside: Iterable[Ellipse] = ()
) -> Thing:
    """Return the object in `box`, which is x, y, width, height.

    inside, outside: ellipses in the object and in the background, which guide GrabCut.
    """
    marks = np.full(photo.shape[:2], cv2.GC_BGD, np.uint8)
    x, y, width, height = box
    marks[y : y + height, x : x + width] = cv2.GC_PR_FGD
    for ellipses, mark in ((inside, cv2.GC_FGD), (outside, cv2.GC_BGD)):
        for a, b, wide, high in ellipses:
            cv2.ellipse(marks, (a, b), (wide, high), 0, 0, 360, mark, -1)
    cv2.setRNGSeed(0)
    mixtures = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(photo[..., ::-1]), marks, None, *mixtures, 6, cv2.GC_INIT_WITH_MASK)
    found = ((marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)).astype(np.uint8)
    _, labels, sizes, _ = cv2.connectedComponentsWithStats(
        cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3)))
    )
    outlines, _ = cv2.findContours(
        (labels == 1 + sizes[1:, 4].argmax()).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    filled = cv2.drawContours(np.zeros_like(found), outlines, -1, 255, -1)
    return Thing(photo, cv2.GaussianBlur(filled, (0, 0), 0.8))


def recoloured(title: str, thing: Thing, gains: tuple[float, float, float]) -> Example:
    """Return an example with the object in another light. gains: of R, G and B in linear light."""
    light = (thing.photo / 255.0) ** 2.2 * gains
    return Example(
        title, _over(thing, light.clip(0, 1) ** (1 / 2.2) * 255, thing.photo), thing.mask, thing.photo
    )


def pasted(title: str, thing: Thing, scene: np.ndarray, scale: float, left: int, top: int) -> Example:
    """Return an example with the object in another photograph.

    scene: (H, W, 3) uint8. left, top: where the upper left corner of the scaled photograph lies.
    """
    window = np.float64([[scale, 0, left], [0, scale, top]])
    size = (scene.shape[1], scene.shape[0])
    photo, mask = (cv2.warpAffine(x, window, size, flags=cv2.INTER_AREA) for x in thing)
    return Example(title, _over(Thing(photo, mask), photo, scene), mask, None)


def _over(thing: Thing, colours: np.ndarray, scene: np.ndarray) -> np.ndarray:
    cover = thing.mask[..., None] / 255
    return (cover * colours + (1 - cover) * scene).round().astype(np.uint8)


def examples() -> list[Example]:
    """Return the examples of the picture, from top to bottom."""
    cup = cut_out(
        data.coffee(),
        (78, 14, 403, 375),
        [(279, 222, 199, 163), (290, 113, 116, 95)],
        [(40, 40, 60, 90), (480, 40, 55, 95), (70, 370, 50, 40), (470, 375, 40, 40)],
    )
    astronaut = cut_out(
        data.astronaut(),
        (14, 8, 498, 504),
        [(222, 85, 66, 60), (222, 150, 40, 40), (200, 420, 150, 90), (210, 224, 94, 74), (390, 427, 105, 80)],
        [
            (150, 110, 8, 30), (307, 175, 16, 40), (415, 120, 70, 125), (435, 290, 60, 40),
            (60, 100, 80, 60), (40, 180, 60, 50), (310, 120, 14, 40), (490, 330, 20, 30),
        ],
    )  # fmt: skip
    cat = cut_out(
        data.chelsea(),
        (0, 0, 365, 300),
        [(230, 110, 90, 90), (230, 250, 120, 60), (60, 250, 40, 50)],
        [(8, 60, 20, 90)],
    )
    return [
        recoloured("a daylight object in warm light", cup, (0.75, 1.15, 2.2)),
        recoloured("underexposed and greenish; skin", astronaut, (0.35, 0.5, 0.36)),
        recoloured("overexposed, a huge object", cat, (1.9, 1.8, 1.7)),
        recoloured("in harmony already: must stay", cat, (1, 1, 1)),
        pasted("pasted from another picture", cup, data.rocket(), 0.62, 70, 120),
        pasted("pasted from another picture", astronaut, data.coffee(), 0.7, 0, 42),
    ]


def psnr(ours: np.ndarray, real: np.ndarray) -> float:
    """Return the PSNR of two (H, W, 3) uint8 pictures in dB."""
    return float(10 * np.log10(255**2 / max(np.square(ours.astype(float) - real).mean(), 1e-3)))


def main(name: str, out: str) -> None:
    """Write the picture of the model `name` to the file `out`, and print PSNR before and after."""
    network = models.load(name)
    made = examples()
    heights = [round(row.composite.shape[0] * WIDTH / row.composite.shape[1]) for row in made]
    sheet = Image.new("RGB", (3 * WIDTH + 2 * GAP, sum(heights) + LINE * (len(made) + 1)), "white")
    draw, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(14), LINE
    for column, title in enumerate(("composite", "harmonized", "true colours")):
        draw.text((column * (WIDTH + GAP) + 2, 4), title, "black", font)
    for row, height in zip(made, heights, strict=True):
        draw.text((2, top + 4), row.title, "black", font)
        ours = harmonize(row.composite, row.mask, network).pixels
        if row.real is not None:
            print(f"{row.title}: {psnr(row.composite, row.real):.1f} -> {psnr(ours, row.real):.1f} dB")
        for column, picture in enumerate((row.composite, ours, row.real)):
            if picture is not None:
                small = Image.fromarray(picture).resize((WIDTH, height), Image.Resampling.LANCZOS)
                sheet.paste(small, (column * (WIDTH + GAP), top + LINE))
        top += height + LINE
    sheet.save(out, quality=90)


if __name__ == "__main__":
    main(*sys.argv[1:])
