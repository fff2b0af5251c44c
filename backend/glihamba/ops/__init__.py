"""The SS2D selective scan: one public function, dispatched by the tensor's device."""

from glihamba.ops.dispatch import final_state, ss2d, warm_up
from glihamba.ops.layout import ScanInputs

__all__ = ["ScanInputs", "final_state", "ss2d", "warm_up"]
