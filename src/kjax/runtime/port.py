"""How a process that may open ``/dev/kjax`` is reached: this one (``device.LocalPort``), or the agent in a guest
(``guest.port.GuestPort``).

A port's memory blocks have an ``address`` over there and a ``data`` array here; ``push`` and ``pull`` are ranges to be brought over
before and back after a call, which cost nothing where both are one memory.
"""

import errno
import os
from typing import Protocol

from kjax import errors
from kjax.runtime import uapi

DEFAULT_SECONDS = 120.0  # for calls that end by themselves


class Port(Protocol):
    """A process that can open device nodes. Thread-safe."""

    def open(self, path):
        """A file descriptor there. Raises OSError."""

    def close(self, fd): ...

    def memory(self, length, fd=None):
        """A block: anonymous, or the shared mapping of ``fd``. ``.address`` (int), ``.data`` (uint8 array here)."""

    def free(self, memory): ...

    def ioctl(self, fd, request, record, *, push=(), pull=(), after=None, timeout=None):
        """Call with ``record`` (a uapi structure, updated). Returns 0 or the errno.

        ``push``, ``pull``: (memory, start, stop) to bring over before the call, and back if it succeeded.
        ``after``: set ``record.deadline`` to so many ns from now, by the kernel's clock. ``timeout``: s, None: for ever.
        """


def failure(number, record, what, log=""):
    """The exception for a call that ended with errno ``number``; ``record.status`` says more when it is not 0."""
    status = getattr(record, "status", 0)
    if not status:
        return errors.DeviceError(f"{what}: {os.strerror(number)} ({errno.errorcode.get(number, number)})")
    at = getattr(record, "failed_at", uapi.NO_INSTRUCTION)
    text = log or f"{what}: {uapi.meaning(status)}"
    return errors.for_status(status, text, instruction=None if at == uapi.NO_INSTRUCTION else at)


def aligned(n):
    """``n`` bytes, rounded up to where the next thing in a block may begin."""
    return n + -n % 64


class Block:
    """A memory block of the port's for the time of a ``with``."""

    def __init__(self, port, length):
        self._port, self._length = port, length

    def __enter__(self):
        self._memory = self._port.memory(self._length)
        return self._memory

    def __exit__(self, *_):
        self._port.free(self._memory)
