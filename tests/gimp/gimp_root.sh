#!/usr/bin/env bash
# gimp_root.sh ROOT [SUITE]: makes, once, a folder with that Debian's GIMP 3 in it (root, Debian, network).
# GLIHAMBA_GIMP_ROOT=ROOT then has the tests drive that one: see gimp_app.py.
exec "$(dirname "$0")/../editors/debian_root.sh" "$1" "${2:-trixie}" gimp gir1.2-gimp-3.0 python3-gi \
  python3-gi-cairo fonts-dejavu-core xvfb xauth matchbox-window-manager xdotool imagemagick dbus-x11 ca-certificates
