#!/bin/sh
# SPDX-License-Identifier: MIT
# The engine's tests with the address and undefined-behaviour sanitizers: tests/engine/sanitized.sh [pytest arguments]
KJX_SANITIZE=1 ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0 LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
exec "${PYTHON:-python3}" -m pytest -q -p no:cacheprovider "$(dirname "$0")" "$@"
