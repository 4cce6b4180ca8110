#!/bin/sh
# The engine's tests under the address and undefined-behaviour sanitizers. Usage: PYTHON=python sanitized.sh [pytest arguments]
# Leaks are not looked for: the engine allocates nothing, and Python keeps what it likes.
set -eu
cd "$(dirname "$0")/../.."
runtime=$(gcc -print-file-name=libasan.so)
KJX_SANITIZE=1 LD_PRELOAD=$runtime ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	exec "${PYTHON:-python3}" -m pytest -q "$@" tests/engine
