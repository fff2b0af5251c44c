#!/usr/bin/env bash
# debian_root.sh ROOT SUITE PACKAGE...: makes, once, a folder with a small Debian and these programs in it
# (root, Debian, network). What is needed to start them there is in apps.py.
set -euo pipefail
root=$1 suite=$2
shift 2
wanted="$suite $*"
mkdir -p "$(dirname "$root")"
exec 9>"$root.lock"
flock 9
if [ -e "$root/.ready" ] && [ "$(cat "$root/.ready")" = "$wanted" ]; then exit 0; fi
if ! command -v mmdebstrap >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap debian-archive-keyring
fi
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -1)
rm -rf --one-file-system "$root" "$root.part"
mmdebstrap --quiet --variant=minbase --mode=root --include="$(IFS=,; echo "$*")" \
  --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Retries "3"' \
  --aptopt='Acquire::Check-Valid-Until "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  "$suite" "$root.part" "$mirror"
# A program that was looking into it may have kept it from being taken down.
if mountpoint -q "$root.part/proc"; then umount --lazy "$root.part/proc"; fi
mv "$root.part" "$root"
echo "$wanted" >"$root/.ready"
