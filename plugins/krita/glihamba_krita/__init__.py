"""GLIHamba in Krita: "Harmonize layer" in Tools > Scripts.

Whatever is wrong with this installation, the menu entry is there and says what: this file and `gate.py`
parse in Python 3.6, and everything else is imported under guard.
"""

import os
import sys

from krita import Krita

from . import gate


def extension():
    """The plugin, or its stand-in that says why there is none."""
    why = gate.too_old(sys.version_info, Krita.instance().version())
    if why:
        return gate.StandIn(Krita.instance(), why)
    vendor = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vendor")
    if vendor not in sys.path:
        sys.path.append(vendor)  # last: other plugins must not get our packages before their own
    try:
        from .extension import HarmonizeExtension

        return HarmonizeExtension(Krita.instance())
    except Exception as error:
        return gate.StandIn(Krita.instance(), gate.damaged(error))


Krita.instance().addExtension(extension())
