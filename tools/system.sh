#!/bin/sh
# Install the Debian packages that a verb needs, when root; else say which are missing and carry on.
# Usage: system.sh python | guest
set -eu

case "$1" in
python) need="gcc python3 python3-venv python3-dev pkg-config" ;;
guest) need="gcc make qemu-system-x86 cpio busybox-static kmod libelf-dev xz-utils" ;;
*) echo "usage: $0 python|guest" >&2; exit 2 ;;
esac

command -v dpkg-query >/dev/null || exit 0
missing=
for package in $need; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
# a Python from elsewhere brings its own headers and venv
if [ "$1" = python ] && command -v gcc >/dev/null; then
	for version in 3.13 3.12 3.11; do
		python=$(command -v "python$version") || continue
		if "$python" -c 'import ensurepip, os, sysconfig, sys
sys.exit(not os.path.exists(sysconfig.get_paths()["include"] + "/Python.h"))' 2>/dev/null; then
			missing=
			break
		fi
	done
fi
[ -n "$missing" ] || exit 0

line="apt-get install --yes --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
	echo "installing$missing" >&2
	{ apt-get update && DEBIAN_FRONTEND=noninteractive $line; } >&2 || {
		echo "could not install them; what needs them is left out" >&2
		[ "$1" = guest ] || exit 1
	}
else
	echo "missing; run: sudo $line" >&2
	[ "$1" = guest ] || exit 1
fi
