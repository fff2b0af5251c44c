"""GLIHamba: harmonize a pasted object with its scene, at full resolution, on your own machine."""

import os

from glihamba_proto import __version__

__all__ = ["__version__"]

# OpenMP's threads sleep while they wait for each other. By default they spin, and a job beside a busy editor
# then takes twenty times as long. PyTorch reads these when it is loaded. A person's own setting wins.
_PASSIVE = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
if not _PASSIVE.keys() & os.environ.keys():
    os.environ.update(_PASSIVE)
