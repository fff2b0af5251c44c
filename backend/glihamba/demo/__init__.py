"""The bundled composite, and the picture that shows it beside its harmonized self."""

from __future__ import annotations

from pathlib import Path

COMPOSITE = Path(__file__).with_name("composite.png")
MASK = Path(__file__).with_name("mask.png")
