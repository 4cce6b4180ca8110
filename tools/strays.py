#!/usr/bin/env python3
"""Print what lies in a source tree but is not source: caches, objects, editors' leftovers. Folders end in "/".

Usage: strays.py TREE      (paths are relative to TREE; meson.build leaves them out of what it installs)
"""

import os
import sys

FOLDERS = {"__pycache__", ".tmp_versions", "lib"}  # lib: what tools/inplace.sh put there
SUFFIXES = (".o", ".so", ".a", ".ko", ".cmd", ".mod", ".mod.c", ".pyc", ".d", "~", ".swp", ".order", ".symvers", ".orig")


def strays(tree):
    """Relative paths, sorted."""
    found = []
    for folder, folders, files in os.walk(tree):
        for name in sorted(folders):
            if name in FOLDERS:
                folders.remove(name)
                found.append(os.path.relpath(os.path.join(folder, name), tree) + "/")
        found += [os.path.relpath(os.path.join(folder, name), tree) for name in files if name.endswith(SUFFIXES)]
    return sorted(found)


if __name__ == "__main__":
    print(*strays(sys.argv[1]), sep="\n")
