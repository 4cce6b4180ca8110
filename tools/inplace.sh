#!/bin/sh
# Build kjax._engine for one Python and put it beside the package's sources, so that PYTHONPATH=src works. The module is
# replaced only by a complete build, in one step: running processes and a failed build leave the last good one.
# Usage: inplace.sh PYTHON [meson options]
set -eu
cd "$(dirname "$0")/.."
python=$1
shift
tag=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("SOABI"))')
suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
build=build/$tag
bin=$(dirname "$("$python" -c 'import sys; print(sys.executable)')")
PATH=$bin:$PATH
export PATH
mkdir -p build
{
	flock 9
	[ -f "$build/build.ninja" ] || meson setup "$build" "$@" >"build/$tag.log" || { cat "build/$tag.log" >&2; exit 1; }
	ninja -j "${JOBS:-2}" -C "$build" "host/_engine$suffix" host/libkjax.so.0 >"build/$tag.log" 2>&1 || { cat "build/$tag.log" >&2; exit 1; }
	# an undefined symbol ends here
	"$python" -c 'import ctypes, os, sys; ctypes.CDLL(sys.argv[1], mode=os.RTLD_NOW)' "$build/host/_engine$suffix" || exit 1
	if ! cmp -s "$build/host/_engine$suffix" "src/kjax/_engine$suffix"; then
		cp "$build/host/_engine$suffix" "src/kjax/.new$suffix"
		mv "src/kjax/.new$suffix" "src/kjax/_engine$suffix"
	fi
	mkdir -p src/kjax/lib
	cp "$build/host/libkjax.so.0" src/kjax/lib/.new.so
	mv src/kjax/lib/.new.so src/kjax/lib/libkjax.so.0
} 9>build/lock
