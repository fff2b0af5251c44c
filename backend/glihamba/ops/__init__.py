"""The SS2D selective scan: one public function, dispatched by the tensor's device."""

from glihamba.ops.dispatch import final_state, ss2d, warm_up

__all__ = ["final_state", "ss2d", "warm_up"]
