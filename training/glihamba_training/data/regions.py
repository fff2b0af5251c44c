"""Objects in photographs without masks, found by GrabCut (Rother et al. 2004) from random rectangles."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

SIDE = 128  # more pixels take GrabCut longer and hardly improve an object's outline
TRIES, MOST = 10, 3  # rectangles tried, objects taken
SHARES = (0.02, 0.6)  # least and greatest share of the picture
FILLING = (0.15, 0.95)  # share of its rectangle: below it is scraps, above it is the rectangle itself
CUT = 0.12  # share of the rectangle's edge that it may touch: beyond that it is half an object


def find_regions(photo: np.ndarray, seed: int) -> list[np.ndarray]:
    """Up to three masks (S,S) uint8, 0 or 255 except at smoothed edges, of a photograph (S,S,3) uint8.

    The same seed gives the same masks. The list is empty if nothing in the picture stands out.
    """
    cv2.setRNGSeed(seed & 0x7FFFFFFF)
    rng = np.random.default_rng(seed)
    small = np.ascontiguousarray(np.asarray(Image.fromarray(photo).resize((SIDE, SIDE)))[..., ::-1])
    found: list[np.ndarray] = []
    for _ in range(TRIES):
        width, height = (int(SIDE * rng.uniform(0.35, 0.9)) for _ in range(2))
        left, top = (int(rng.integers(2, SIDE - length - 1)) for length in (width, height))
        region = _grab(small, (left, top, width, height))
        within = region[top : top + height, left : left + width]
        edge = within[[0, -1]].sum() + within[:, [0, -1]].sum()
        share, filling, cut = region.mean(), within.mean(), edge / (2 * (width + height))
        fresh = all((region & other).sum() < 0.5 * (region | other).sum() for other in found)
        if SHARES[0] < share < SHARES[1] and FILLING[0] < filling < FILLING[1] and cut < CUT and fresh:
            found.append(region)
        if len(found) == MOST:
            break
    side = photo.shape[0]
    smooth = Image.Resampling.BICUBIC
    return [
        np.asarray(Image.fromarray(region.astype(np.uint8) * 255).resize((side, side), smooth))
        for region in found
    ]


def _grab(picture: np.ndarray, rectangle: tuple[int, int, int, int]) -> np.ndarray:
    """The largest connected part of GrabCut's foreground inside the rectangle: (S,S) bool."""
    labels = np.zeros(picture.shape[:2], np.uint8)
    models = np.zeros((2, 1, 65))
    cv2.grabCut(picture, labels, rectangle, models[0], models[1], 3, cv2.GC_INIT_WITH_RECT)
    labels = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    object_ = cv2.morphologyEx(labels, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, pieces, figures, _ = cv2.connectedComponentsWithStats(object_)
    if count < 2:
        return np.zeros(picture.shape[:2], bool)
    return np.asarray(pieces == 1 + int(figures[1:, cv2.CC_STAT_AREA].argmax()))
