#!/usr/bin/env python3
"""GLIHamba in GIMP 3: Filters > Enhance > Harmonize. GIMP starts this file as a program."""

import sys

from glihamba_gimp import procedure

procedure.main(sys.argv)
