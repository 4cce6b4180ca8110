"""Locks that a forked child finds open: the thread that held one when the parent forked does not exist in the child."""

import os
import threading
import weakref

_all = weakref.WeakSet()


def lock():
    """A new ``threading.Lock``. What it guards must be sound between any two operations, since a child may start there."""
    made = threading.Lock()
    _all.add(made)
    return made


def _open_all():
    for each in list(_all):
        if each.locked():
            each.release()


os.register_at_fork(after_in_child=_open_all)
