"""State-space blocks of GLIHamba: VSS, LFSE, GFSE and MLG-VSS (Sun, Yao, Ban 2024, Figures 1 and 2).

All features are channels last, (B, H, W, C). E = 2 C is the inner width of a block.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glihamba.ops import ScanInputs, final_state, ss2d
from glihamba.ops.layout import DIRECTIONS

NEIGHBOURS = 9  # of a 3x3 window
EXPANSION = 2


class SelectiveScan(nn.Module):
    """The S6 parameters of four directions and the scan over them (Eq. 5 and 6).

    Step size, B and C come from the features by one linear map a direction; A = -(1..N), the step's
    bias so that softplus lies in [0.001, 0.1], D = 1 at the start, as Mamba initialises them.
    """

    def __init__(self, channels: int, state_dimension: int, rank: int, *, globals_once: bool = False) -> None:
        """globals_once: global tokens are scanned in the first direction alone, and all four start there."""
        super().__init__()
        self.rank, self.state_dimension, self.globals_once = rank, state_dimension, globals_once
        self.parameters_of = nn.Linear(channels, DIRECTIONS * (rank + 2 * state_dimension), bias=False)
        self.dt_weight = nn.Parameter(torch.empty(DIRECTIONS, channels, rank).uniform_(-1, 1) * rank**-0.5)
        step = torch.exp(torch.empty(DIRECTIONS, channels).uniform_(math.log(1e-3), math.log(0.1)))
        self.dt_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))
        states = torch.arange(1, state_dimension + 1, dtype=torch.float32)
        self.log_A = nn.Parameter(states.log().repeat(DIRECTIONS, channels, 1))
        self.D = nn.Parameter(torch.ones(DIRECTIONS, channels))

    def _selected(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """Low-rank step size, B and C of each direction."""
        selected = self.parameters_of(tokens).unflatten(-1, (DIRECTIONS, -1))
        return selected.split((self.rank, self.state_dimension, self.state_dimension), dim=-1)

    def forward(self, features: Tensor, global_tokens: Tensor | None = None) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C). `global_tokens` (B, T, C) are read before the picture."""
        height, width = features.shape[1:3]
        tokens = features.flatten(1, 2)
        A = -torch.exp(self.log_A.float())
        h0 = None
        if global_tokens is not None:
            low_rank, B, _ = self._selected(global_tokens)
            h0 = final_state(global_tokens, low_rank, self.dt_weight, self.dt_bias, B, A)
            if self.globals_once:  # the tokens are few, so the other directions' scans cost next to nothing
                h0 = h0[:, :1].expand_as(h0).contiguous()
        low_rank, B, C = self._selected(tokens)
        y = ss2d(
            ScanInputs(tokens, low_rank, self.dt_weight, self.dt_bias, B, C, A, self.D, height, width, h0)
        )
        return y.unflatten(1, (height, width))


class VSSBlock(nn.Module):
    """Visual state space block (Figure 1 b): VMamba's first version, without an MLP.

    LayerNorm, linear to two halves of E; one through depthwise 3x3, SiLU, SS2D and LayerNorm, times
    SiLU of the other; linear back, residual.
    """

    def __init__(self, channels: int, state_dimension: int) -> None:
        super().__init__()
        inner = EXPANSION * channels
        self.norm = nn.LayerNorm(channels)
        self.project_in = nn.Linear(channels, 2 * inner, bias=False)
        self.depthwise = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.scan = SelectiveScan(inner, state_dimension, math.ceil(channels / 16))
        self.scan_norm = nn.LayerNorm(inner)
        self.project_out = nn.Linear(inner, channels, bias=False)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B, H, W, C) -> the same. The mask is not read: every block of the U shape is called alike."""
        x, gate = self.project_in(self.norm(features)).chunk(2, dim=-1)
        x = F.silu(_channels_last(self.depthwise, x))
        x = self.scan_norm(self.scan(x))
        return features + self.project_out(x * F.silu(gate))


class LFSE(nn.Module):
    """Local feature sequence extractor (Figure 2 a): each token carries its 3x3 neighbourhood.

    A grouped 3x3 convolution compresses E channels to E / S; the mask joins every group as one more
    channel (Eq. 8). SiLU, then a fixed 3x3 unfold puts the nine neighbours of every compressed channel
    side by side: sequence dimension 9 E / S.
    """

    def __init__(self, channels: int, compression: int) -> None:
        super().__init__()
        self.groups = channels // compression
        self.compress = nn.Conv2d(channels + self.groups, self.groups, 3, padding=1, groups=self.groups)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B, H, W, E), (B, H, W, 1) -> (B, H, W, 9 E / S), channel c's neighbours at 9 c to 9 c + 8."""
        grouped = features.unflatten(-1, (self.groups, -1))
        masks = mask.unsqueeze(-2).expand(*grouped.shape[:-1], 1)
        x = _channels_last(self.compress, torch.cat((grouped, masks), dim=-1).flatten(-2))
        x = F.pad(F.silu(x), (0, 0, 1, 1, 1, 1))
        return x.unfold(1, 3, 1).unfold(2, 3, 1).flatten(-3)


class GFSE(nn.Module):
    """Global feature sequence extractor (Figure 2 b): one token for each group of gamma channels.

    A strided depthwise convolution condenses the picture, the groups are summed to one channel each,
    and a linear layer maps the flattened positions to the sequence dimension. That layer fixes how many
    positions there are, so the map is pooled to `positions` x `positions` first: any H, W works.
    """

    def __init__(self, channels: int, stride: int, gamma: int, positions: int) -> None:
        super().__init__()
        self.tokens, self.positions = channels // gamma, positions
        self.condense = nn.Conv2d(channels, self.tokens, stride, stride=stride, groups=self.tokens)
        self.project = nn.Linear(positions * positions, channels)

    def forward(self, features: Tensor) -> Tensor:
        """(B, H, W, C') -> (B, C' / gamma, C')."""
        x = features.permute(0, 3, 1, 2)
        stride = self.condense.stride[0]
        if any(padding := (0, -x.shape[3] % stride, 0, -x.shape[2] % stride)):
            x = F.pad(x, padding, mode="replicate")
        x = F.adaptive_avg_pool2d(self.condense(x), self.positions)
        return F.silu(self.project(x.flatten(2)))


class MLGVSSBlock(nn.Module):
    """Masked local-global VSS block (Figure 1 c, Eq. 8).

    A VSS block whose sequence is LFSE's, read after GFSE's global tokens: those are scanned first and
    give the scan its initial state. A linear layer folds 9 E / S back to E.
    """

    COMPRESSION, GAMMA, STRIDE, POSITIONS = 8, NEIGHBOURS, 2, 4

    def __init__(self, channels: int, state_dimension: int, *, globals_once: bool = False) -> None:
        """globals_once: see `SelectiveScan`."""
        super().__init__()
        inner = EXPANSION * channels
        sequence = NEIGHBOURS * inner // self.COMPRESSION
        self.norm = nn.LayerNorm(channels)
        self.project_in = nn.Linear(channels, 2 * inner, bias=False)
        self.local = LFSE(inner, self.COMPRESSION)
        self.globals = GFSE(sequence, self.STRIDE, self.GAMMA, self.POSITIONS)
        rank = math.ceil(channels / 16)
        self.scan = SelectiveScan(sequence, state_dimension, rank, globals_once=globals_once)
        self.fold = nn.Linear(sequence, inner, bias=False)
        self.scan_norm = nn.LayerNorm(inner)
        self.project_out = nn.Linear(inner, channels, bias=False)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """features (B, H, W, C), mask (B, H, W, 1) in [0,1] at the same size -> (B, H, W, C)."""
        x, gate = self.project_in(self.norm(features)).chunk(2, dim=-1)
        local = self.local(x, mask)
        x = self.scan_norm(self.fold(self.scan(local, self.globals(local))))
        return features + self.project_out(x * F.silu(gate))


class Stage(nn.ModuleList):
    """Blocks of one resolution, one after the other."""

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """features (B, H, W, C), mask (B, H, W, 1) -> (B, H, W, C)."""
        for block in self:
            features = block(features, mask)
        return features


class PatchMerging(nn.Module):
    """Halves height and width: the four pixels of a 2x2 patch side by side, LayerNorm, linear to 2 C."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduce = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H/2, W/2, 2C); H and W even."""
        return self.reduce(self.norm(patches(features, 2)))


class PatchExpanding(nn.Module):
    """Grows height and width by `scale`: linear, pixel rearrangement, LayerNorm."""

    def __init__(self, channels: int, scale: int, out_channels: int) -> None:
        super().__init__()
        self.scale = scale
        self.expand = nn.Linear(channels, scale * scale * out_channels, bias=False)
        self.norm = nn.LayerNorm(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H scale, W scale, out_channels)."""
        x = self.expand(features).unflatten(-1, (self.scale, self.scale, -1))
        x = x.permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2)
        return self.norm(x)


def patches(features: Tensor, size: int) -> Tensor:
    """(B, H, W, C) -> (B, H/size, W/size, size * size * C)."""
    x = features.unflatten(2, (-1, size)).unflatten(1, (-1, size))
    return x.transpose(2, 3).flatten(3)


def _channels_last(convolution: nn.Conv2d, features: Tensor) -> Tensor:
    """A convolution on (B, H, W, C): the permutation is a view in channels-last memory, not a copy."""
    return convolution(features.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
