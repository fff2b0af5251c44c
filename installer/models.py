"""What the models that ship may be used for."""

from __future__ import annotations

import json
from pathlib import Path

from installer.layout import CHECKOUT

WEIGHTS = CHECKOUT / "backend" / "glihamba" / "weights"


def uses(folder: Path = WEIGHTS) -> str:
    """Return one sentence that says for what each model's weights may be used, the default's first.

    It is taken from the licences in the models' records: what stands before the colon.
    """
    default = (folder / "default.txt").read_text("utf-8").strip()
    records = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    records.sort(key=lambda record: record["name"] != default)
    parts = []
    for record in records:
        if record["source"] != "none":  # else it is a method without weights
            name = record["name"] + (" (the default)" if record["name"] == default else "")
            use = record["licence"].partition(":")[0].removeprefix("Weights ")
            parts.append(f"{name} is {use}")
    return f"Models: {'; '.join(parts)}."
