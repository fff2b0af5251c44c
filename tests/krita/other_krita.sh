#!/usr/bin/env bash
# other_krita.sh ROOT [SUITE]: makes, once, a folder with another Debian's Krita in it (root, Debian, network).
# GLIHAMBA_KRITA_ROOT=ROOT then has the tests drive that one: see krita_app.py.
exec "$(dirname "$0")/../editors/debian_root.sh" "$1" "${2:-trixie}" krita python3-pyqt5
