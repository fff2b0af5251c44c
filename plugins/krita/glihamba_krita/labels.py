"""Krita's colour labels of layers."""

from __future__ import annotations

WORDS = {
    "all": "label all",
    "blue": "label blue",
    "green": "label green",
    "yellow": "label yellow",
    "orange": "label orange",
    "brown": "label brown",
    "red": "label red",
    "violet": "label violet",
    "gray": "label gray",
}
"""What each is called in the catalogue; "all" stands for none."""

LABELS = tuple(WORDS)
"""By their numbers in Krita."""
