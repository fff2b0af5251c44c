"""SS2D in ONNX's own operators, for networks that are written as ONNX files. Needs the extra `onnx`.

torch.onnx meets a network's scan as the operator `glihamba::ss2d` and asks `TRANSLATIONS` what that is.
"""

from __future__ import annotations

from typing import Any

from onnxscript import FLOAT, graph, opset18, script
from onnxscript.values import Opset

from glihamba.ops.layout import DIRECTIONS, scan_orders
from glihamba.ops.library import OPERATOR

# torch.onnx writes version 18 first. onnxscript's annotations know neither Python's lists nor inner graphs.
op: Any = opset18


@script(Opset("glihamba", 1), default_opset=op)
def recurrence(dt: FLOAT, u: FLOAT, B: FLOAT, C: FLOAT, A: FLOAT, h0: FLOAT) -> FLOAT:
    """y_t = C_t h_t, h_t = exp(dt_t A) h_(t-1) + u_t B_t: dt, u (L,B,K,D), B, C (L,B,K,N) -> (L,B,K,D)."""

    @graph()
    def step(h, dt_t, u_t, B_t, C_t):  # type: ignore[no-untyped-def]
        decay = op.Exp(op.Unsqueeze(dt_t, [-1]) * A)
        h_next = decay * h + op.Unsqueeze(u_t, [-1]) * op.Unsqueeze(B_t, [-2])
        y_t = op.ReduceSum(h_next * op.Unsqueeze(C_t, [-2]), [-1], keepdims=0)
        return op.Identity(h_next), y_t

    _, y = op.Scan(h0, dt, u, B, C, body=step, num_scan_inputs=4)
    return y


def ss2d_in_onnx(
    x: Any,
    dt_low_rank: Any,
    dt_weight: Any,
    dt_bias: Any,
    B: Any,
    C: Any,
    A: Any,
    D: Any,
    height: int,
    width: int,
    h0: Any = None,
) -> Any:
    """As `ScanInputs` says, of onnxscript's values: -> y, (B, L, D)."""
    orders, inverse = (t.tolist() for t in scan_orders(height, width))
    dt = op.Softplus(op.Einsum(dt_low_rank, dt_weight, equation="blkr,kdr->blkd") + dt_bias)
    u = dt * op.Unsqueeze(x, [2])
    if h0 is None:
        h0 = op.ConstantOfShape([x.shape[0], DIRECTIONS, x.shape[2], A.shape[-1]])
    dt, u, B, C = (op.Transpose(_reorder(t, orders), perm=[1, 0, 2, 3]) for t in (dt, u, B, C))
    y = op.Transpose(recurrence(dt, u, B, C, A, h0), perm=[1, 0, 2, 3])
    return op.ReduceSum(_reorder(y, inverse), [2], keepdims=0) + x * op.ReduceSum(D, [0], keepdims=0)


def _reorder(t: Any, orders: list[list[int]]) -> Any:
    """(B, L, K, *), direction k in the order orders[k]."""
    each = op.Split(t, axis=2, num_outputs=DIRECTIONS)
    return op.Concat(
        *(op.Gather(part, order, axis=1) for part, order in zip(each, orders, strict=True)), axis=2
    )


TRANSLATIONS: dict[Any, Any] = {OPERATOR: ss2d_in_onnx}
