"""Contact sheets of training pictures: composite, mask and real side by side, with the foreground's MSE."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from glihamba_training.synthesis.batch import Batch

GAP, LINE = 6, 16  # pixels between pictures, and for the text below


def foreground_mse(batch: Batch) -> Tensor:
    """Mean squared error over the foreground, on the 0..255 scale, for each picture: (B,)."""
    squared = ((batch.composite - batch.real).square() * batch.mask).sum((1, 2, 3))
    return squared / (3 * batch.mask.sum((1, 2, 3)).clamp_min(1e-3)) * 255**2


def contact_sheet(batch: Batch, columns: int = 3) -> Image.Image:
    """Each picture of the batch as composite, mask and real side by side, `columns` such triples in a row.

    Pictures smaller than 96 pixels are enlarged, pixel by pixel.
    """
    pictures = [_bytes(planes) for planes in (batch.composite, batch.mask.expand(-1, 3, -1, -1), batch.real)]
    count, side = len(batch.mask), batch.mask.shape[-1]
    side *= -(-96 // side)
    wide, high = 3 * side + 3 * GAP, side + LINE + GAP
    sheet = Image.new("RGB", (columns * wide + GAP, -(-count // columns) * high + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    shares = batch.mask.mean((1, 2, 3)) * 100
    for index, (error, share) in enumerate(zip(foreground_mse(batch).tolist(), shares.tolist(), strict=True)):
        left, top = GAP + index % columns * wide, GAP + index // columns * high
        for place, planes in enumerate(pictures):
            picture = Image.fromarray(planes[index].numpy())
            sheet.paste(
                picture.resize((side, side), Image.Resampling.NEAREST), (left + place * (side + 2), top)
            )
        draw.text((left, top + side + 1), f"fMSE {error:,.0f}, object {share:.1f} %", "black", font)
    return sheet


def _bytes(pictures: Tensor) -> Tensor:
    """(B,3,H,W) in [0,1] -> (B,H,W,3) uint8."""
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().contiguous()
