#!/usr/bin/env bash
# other_krita.sh ROOT [SUITE]: makes, once, a folder with another Debian's Krita in it (root, Debian, network).
# GLIHAMBA_KRITA_ROOT=ROOT then has the tests drive that one: see krita_app.py.
set -euo pipefail
root=$1 suite=${2:-trixie}
[ -e "$root/.ready" ] && exit 0
if ! command -v mmdebstrap >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap debian-archive-keyring
fi
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -1)
rm -rf --one-file-system "$root" "$root.part"
mmdebstrap --quiet --variant=minbase --mode=root --include=krita,python3-pyqt5 \
  --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  "$suite" "$root.part" "$mirror"
mv "$root.part" "$root"
touch "$root/.ready"
