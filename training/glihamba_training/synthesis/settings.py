"""How training pictures are made: a recipe's table `[synthesis]`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SynthesisSettings:
    """All odds are probabilities, 0 to 1, drawn for each picture by itself.

    - kinds: relative odds of masks of whole objects, of GrabCut's, of colour regions and, if there is a
      fourth, of whole objects that a network found.
    - scene: odds that the whole picture is recoloured first.
    - plain: odds that the object of such a picture keeps the photograph's own colours.
    - darker: odds that a scene which would be brightened is darkened as much instead.
    - temperature: spread of the white balance in stops, red up and blue down.
    - transfer: odds that statistics transfer replaces retouching.
    - lut: odds that a random LUT follows.
    - unchanged: odds of a picture that is in harmony already.
    - median_mse, log_spread: the log-normal distribution that each foreground's MSE (0..255 scale) is drawn
      from; clipping lowers what comes out.
    - amplify: the most that a recolouring is strengthened to get there.
    - smallest_crop: the least share of each side that a crop keeps.
    - crop_area: instead of that, least and greatest share of the area that a crop keeps, its sides between
      3:4 and 4:3, as iDIH crops (torchvision's RandomResizedCrop); the picture counts as square.
    - area: least and greatest share of a crop that is foreground; beyond them the whole picture is taken.
    - flip: odds of a mirrored crop.
    - pasted: odds of an object that is moved elsewhere in its photograph, see `pasted.py`.
    - misfit: odds of a mask that is a little too wide or too narrow, see `misfit.py`.
    - similar, lights: odds that, instead of all that, the scene stays the photograph and its object takes the
      colours of a similar one, or another light, see `families.py`.
    - clean_edges: odds that no seam of the object's true colours is left at its border, see `clean_edges.py`.
    - regraded: odds that the photograph as a whole, truth included, is retouched before anything else, so
      that what the photographs show is not learned by heart.

    Only smallest_crop, crop_area, area and flip apply to iHarmony4's own composites.
    """

    kinds: tuple[float, ...] = (0.9, 0.07, 0.03)
    scene: float = 0.8
    plain: float = 0.5
    darker: float = 0.7
    temperature: float = 0.22
    transfer: float = 0.15
    lut: float = 0.3
    unchanged: float = 0.04
    median_mse: float = 1500.0
    log_spread: float = 1.6
    amplify: float = 2.5
    smallest_crop: float = 0.55
    crop_area: tuple[float, ...] = ()
    area: tuple[float, float] = (0.008, 0.65)
    flip: float = 0.5
    pasted: float = 0.0
    misfit: float = 0.0
    similar: float = 0.0
    lights: float = 0.0
    clean_edges: float = 0.0
    regraded: float = 0.0

    @property
    def crops(self) -> bool:
        """Whether parts of pictures are taken at all."""
        return min(self.crop_area) < 1 if self.crop_area else self.smallest_crop < 1
