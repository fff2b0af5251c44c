"""GLIHamba in Krita: "Harmonize layer" in Tools > Scripts.

Whatever is wrong with this installation, the menu entry is there and says what. Hence this file and `gate.py`
parse in Python 3.6, and a failure to import anything else is caught.
"""

import os
import sys

from krita import Extension, Krita

from . import gate


def extension() -> Extension:
    """The plugin, or a stand-in that says why the plugin cannot run."""
    why = gate.too_old(sys.version_info, Krita.instance().version())
    if why:
        return gate.StandIn(Krita.instance(), why)
    vendor = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vendor")
    if vendor not in sys.path:
        sys.path.append(vendor)  # at the end: other plugins must find their own packages before ours
    try:
        from . import docker
        from .extension import HarmonizeExtension

        made = HarmonizeExtension(Krita.instance())
        docker.register(made)
        return made
    except Exception as error:
        return gate.StandIn(Krita.instance(), gate.damaged(error))


Krita.instance().addExtension(extension())
