"""What `glihamba bench scan` and `bench model` measure, on the CPU and on a GPU."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
"""One line of a benchmark's table: column -> value."""
