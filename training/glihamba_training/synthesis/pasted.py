"""Objects pasted elsewhere in their own photographs: in the right light, but not at home.

A recoloured object that lies where it was photographed can be judged by its border: shadow, ground and haze
continue across it. A pasted object has no such border; only the scene's light tells. Networks that were
trained on objects at home alone gained 5.5 dB on those and 1.3 dB on pasted ones, and changed pasted objects
that were in harmony to 34 dB instead of 42 (192 val composites of each, skies and meadows among them then).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from glihamba_training.data.photos import PhotoDataset
from glihamba_training.synthesis.crops import sample

SMALLEST_SCENE = 0.25  # of the photograph's side; without an object-free part of this size, the object stays
CLEAR = 1 / 64  # of the side, between the object's box and the scene, for object pixels outside the mask
LONGEST = 1.6  # ratio of a scene's sides, in the squashed photograph
SPAN = (0.25, 0.9)  # of the scene's side: the pasted object's longer side
ENLARGED = (0.5, 2.0)  # least and greatest change of the object's size against the scene


def with_pasted(
    dataset: PhotoDataset, chosen: np.ndarray, odds: float, g: torch.Generator
) -> tuple[PhotoDataset, np.ndarray]:
    """The masks `chosen` (B,) and their photographs as a dataset of their own, a share `odds` of them pasted.

    Returns it with the indices of its masks, 0 to B - 1.
    """
    photos, masks = dataset.photos[dataset.photo_of[chosen]], dataset.masks[chosen]
    drawn = (torch.rand(len(chosen), generator=g) < odds).numpy()
    if drawn.any():
        pictures = np.concatenate((photos[drawn], masks[drawn][..., None]), -1)
        planes = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        pasted = torch.cat(paste_elsewhere(planes[:, :3], planes[:, 3:], g), 1)
        pixels = (pasted * 255).round().byte().permute(0, 2, 3, 1).numpy()
        photos[drawn], masks[drawn] = pixels[..., :3], pixels[..., 3]
    everyone = np.arange(len(chosen))
    return PhotoDataset(photos, masks, everyone.astype(np.int32), dataset.kind_of[chosen]), everyone


def movable(dataset: PhotoDataset) -> PhotoDataset:
    """The dataset without masks that two sides of the photograph or more cut off: `paste_elsewhere` keeps
    those.
    """
    corner, extent = _box(torch.from_numpy(dataset.masks > 0)[:, None])
    kept = (_cut_off(corner, extent).sum((1, 2)) < 2).numpy()
    return PhotoDataset(dataset.photos, dataset.masks[kept], dataset.photo_of[kept], dataset.kind_of[kept])


def paste_elsewhere(photo: Tensor, mask: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Photographs (B,3,S,S) and masks (B,1,S,S) in [0,1] -> the same, with the object moved.

    The scene is a part of the photograph beside, above or below the object, enlarged to the whole. The object
    is placed anywhere in it, a little larger or smaller, mirrored or not; an object that one side of the
    photograph cuts off is placed at that side. A picture without room for a scene stays as it is, and so does
    an object that two sides or more cut off: skies, walls and meadows, which nobody pastes.
    """
    side = mask.shape[-1]
    corner, extent = _box(mask)
    scene_corner, scene_extent = _scene(corner, extent, g)
    cut_off = _cut_off(corner, extent)
    fits = (cut_off.sum((1, 2)) < 2) & (scene_extent.amin(1) > SMALLEST_SCENE) & (extent.amin(1) > 0)
    before, behind = cut_off.unbind(1)
    mirrored = torch.rand(len(photo), generator=g) < 0.5
    sideways = torch.stack((mirrored, torch.zeros_like(mirrored)), 1)
    before, behind = torch.where(sideways, behind, before), torch.where(sideways, before, behind)
    natural = extent / scene_extent.clamp_min(1e-3)
    goal = SPAN[0] + (SPAN[1] - SPAN[0]) * torch.rand(len(photo), 1, generator=g)
    longer = natural.amax(1, keepdim=True).clamp_min(1e-3)
    spanned = natural * (goal / longer).clamp(*ENLARGED).minimum(SPAN[1] / longer)
    anywhere = torch.rand(len(photo), 2, generator=g)
    place = torch.where(behind, 1.0, torch.where(before, 0.0, anywhere)) * (1 - spanned)
    # The view, in the photograph's coordinates, in which the object lies at `place` and spans `spanned`.
    view = (extent / spanned.clamp_min(1e-3)).clamp_min(1e-3)
    theta = _window(corner - place * view, view)
    centre = 2 * corner[:, 0] + extent[:, 0] - 1
    theta[mirrored, 0, 2] = 2 * centre[mirrored] - theta[mirrored, 0, 2]
    theta[mirrored, 0, 0] *= -1
    cut_out = sample(torch.cat((photo, mask), 1), theta, side, "zeros")
    cover = cut_out[:, 3:]
    scene = sample(photo, _window(scene_corner, scene_extent), side)
    fits = fits[:, None, None, None]
    picture = cover * cut_out[:, :3] + (1 - cover) * scene
    return torch.where(fits, picture, photo), torch.where(fits, cover, mask)


def _box(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Corner and extent (B,2) of the mask's bounding box, x first, in shares of the side."""
    side = mask.shape[-1]
    covered = mask[:, 0] > 0
    ends = []
    for line in (covered.any(1), covered.any(2)):
        first, last = line.float().argmax(1), side - line.flip(1).float().argmax(1)
        ends.append(torch.stack((first, torch.where(line.any(1), last, first)), 1) / side)
    first, last = torch.stack(ends, 2).unbind(1)
    return first, last - first


def _cut_off(corner: Tensor, extent: Tensor) -> Tensor:
    """Which sides of the photograph cut the object off: (B,2,2) bool, left and top, then right and bottom."""
    return torch.stack((corner < CLEAR, corner + extent > 1 - CLEAR), 1)


def _scene(corner: Tensor, extent: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Corner and extent (B,2) of a random part beside, above or below the object, likelier a large one."""
    left, top = (corner - CLEAR).clamp_min(0).unbind(1)
    right, bottom = (corner + extent + CLEAR).clamp_max(1).unbind(1)
    nothing, all_of_it = torch.zeros_like(left), torch.ones_like(left)
    corners = torch.stack((nothing, nothing, right, nothing, nothing, nothing, nothing, bottom), 1)
    extents = torch.stack((left, all_of_it, 1 - right, all_of_it, all_of_it, top, all_of_it, 1 - bottom), 1)
    corners, extents = corners.view(-1, 4, 2), extents.view(-1, 4, 2)
    which = torch.multinomial(extents.prod(2).square() + 1e-9, 1, generator=g)[:, :, None].expand(-1, 1, 2)
    corner, room = corners.gather(1, which)[:, 0], extents.gather(1, which)[:, 0]
    extent = room.minimum(LONGEST * room.flip(1))
    return corner + (room - extent) * torch.rand(len(room), 2, generator=g), extent


def _window(corner: Tensor, extent: Tensor) -> Tensor:
    """(B,2,3), as `F.affine_grid` takes it: the window at `corner`, both in shares of the side, x first."""
    return torch.cat((torch.diag_embed(extent), (2 * corner + extent - 1)[:, :, None]), 2)
