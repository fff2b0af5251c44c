"""Batch normalisation over the pictures of all processes, so that they train as one process would."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class SynchronisedNorm(nn.BatchNorm2d):
    """Batch normalisation whose mean and variance are those of all processes' pictures together.

    PyTorch's SyncBatchNorm refuses the CPU, so training on processors could neither use nor test it. Every
    process must have as many pictures of the same size, as `Loader` gives them.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> the same."""
        if not (self.training and dist.is_initialized() and (world := dist.get_world_size()) > 1):
            return super().forward(x)
        values = x.float()
        mean = all_reduce(values.mean((0, 2, 3))) / world
        centred = values - mean[:, None, None]
        variance = all_reduce(centred.square().mean((0, 2, 3))) / world
        if self.running_mean is not None and self.running_var is not None:
            self._note(mean.detach(), variance.detach(), world * x.numel() // x.shape[1])
        scaled = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        if self.affine:
            scaled = scaled * self.weight[:, None, None] + self.bias[:, None, None]
        return scaled.to(x.dtype)

    def _note(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_((variance * count / max(count - 1, 1)).to(self.running_var.dtype), share)


def synchronise(network: nn.Module) -> None:
    """Put `SynchronisedNorm` in the place of every batch normalisation, with its weights and names."""
    for parent in list(network.modules()):
        for name, norm in parent.named_children():
            if type(norm) is nn.BatchNorm2d:
                shared = SynchronisedNorm(
                    norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
                )
                shared.load_state_dict(norm.state_dict())
                setattr(parent, name, shared)
