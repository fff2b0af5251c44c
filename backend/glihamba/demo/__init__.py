"""The bundled composite and its mask, which the installer and `glihamba doctor` harmonize."""

from __future__ import annotations

from pathlib import Path

COMPOSITE = Path(__file__).with_name("composite.jpg")
MASK = Path(__file__).with_name("mask.png")
