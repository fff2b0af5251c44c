#!/usr/bin/env python3
"""Install GLIHamba: `python install.py`. See `python install.py --help`.

Every version of Python can parse this file, so that an old one prints a sentence instead of a traceback.
"""

import os
import sys

OLDEST, NEWEST = (3, 10), (3, 13)

if not OLDEST <= sys.version_info[:2] <= NEWEST:
    sys.exit(
        "GLIHamba needs Python {}.{} to {}.{}, and this is Python {}.{}. Run install.py with one of those,"
        " for example: python3.12 install.py".format(*(OLDEST + NEWEST + tuple(sys.version_info[:2])))
    )

if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "proto"))
    from installer.main import main

    sys.exit(main())
