"""The ``device`` environment: ``/dev/kjax`` of the kernel that this process runs on."""

import fcntl
import mmap
import os
import time

import numpy as np

from kjax.errors import DeviceError, KjaxError
from kjax.runtime import uapi
from kjax.runtime.kernel import KernelEnvironment


class _Memory:
    """A mapping of this process; ``data`` is the very memory that ``address`` names."""

    def __init__(self, length, fd):
        self.map = mmap.mmap(-1 if fd is None else fd, length, flags=mmap.MAP_SHARED)
        self.data = np.frombuffer(self.map, np.uint8)
        self.address = self.data.ctypes.data


class LocalPort:
    """System calls of this process (``runtime.port.Port``)."""

    def open(self, path):
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def close(self, fd):
        os.close(fd)

    def memory(self, length, fd=None):
        return _Memory(length, fd)

    def free(self, memory):
        memory.data = None
        try:
            memory.map.close()
        except BufferError:  # a view of it is still about: the last one frees it
            memory.map = None

    def pull(self, memory, start, stop):
        """Nothing: the kernel wrote into the memory that ``memory.data`` shows."""

    def ioctl(self, fd, request, record, *, push=(), pull=(), after=None, timeout=None):
        if after is not None:
            record.deadline = time.monotonic_ns() + after
        try:
            fcntl.ioctl(fd, request, record, True)
        except InterruptedError as e:  # Python's handler has run and raised nothing: tell the caller
            return e.errno
        except OSError as e:
            return e.errno
        return 0


class DeviceEnvironment(KernelEnvironment):
    """Programs in this machine's kernel. See ``base.Environment``."""

    name = "device"

    def __init__(self):
        """Raises DeviceError that says what to do when the node is absent or may not be opened."""
        try:
            super().__init__(LocalPort())
        except FileNotFoundError:
            raise DeviceError(f"there is no {uapi.PATH}: the kjax module is not loaded here; `sudo modprobe kjax` where "
                              "it is installed, or use environment='guest', which boots a kernel of its own") from None
        except PermissionError:
            raise DeviceError(f"no right to open {uapi.PATH}: it is for the group kjax (`sudo usermod -aG kjax $USER`, "
                              "then log in again) and for processes with CAP_DAC_OVERRIDE") from None
        except KjaxError:  # is an OSError too
            raise
        except OSError as e:
            raise DeviceError(f"{uapi.PATH} cannot be opened: {e.strerror}") from e

    def devices(self):
        return super().devices(model=_model())


def _model():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "CPU")
