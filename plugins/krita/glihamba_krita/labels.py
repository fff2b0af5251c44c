"""Krita's colour labels of layers."""

from __future__ import annotations

LABELS = ("all", "blue", "green", "yellow", "orange", "brown", "red", "violet", "gray")
"""By their numbers in Krita; "all" stands for none."""
