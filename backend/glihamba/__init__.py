"""GLIHamba: harmonize a pasted object with its scene, at full resolution, on your own machine."""

from glihamba_proto import __version__

__all__ = ["__version__"]
