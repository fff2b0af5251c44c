"""GLIHamba: harmonize a pasted object with its scene, at full resolution, on your own machine."""

__version__ = "0.1.0"
