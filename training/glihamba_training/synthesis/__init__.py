"""Batches of training pictures: composites made from photographs, or iHarmony4's own, cropped and flipped."""
