"""The ``guest`` environment: programs in the kernel of a guest (``base.Environment``).

When the guest dies, the call that was under way raises DeviceError; the next one boots another guest and loads its
program again. So a program keeps its image. Arguments are the caller's arrays: nothing else is lost.
"""

import contextlib
import threading

from kjax.errors import DeviceError, KjaxError
from kjax.runtime.guest import guest as _guest
from kjax.runtime.kernel import KernelEnvironment, one_thread

# cpu flags worth listing, of the many in /proc/cpuinfo
_FLAGS = ("sse4_2", "avx", "avx2", "fma", "f16c", "bmi2", "avx512f", "avx512vl", "avx512_vnni", "amx_tile")


class _Revived:
    """A program or library of a guest, loaded again when the guest is another one than at the last call."""

    def __init__(self, environment, load):
        self._environment, self._load = environment, load
        self._lock = threading.Lock()
        self._kernel, self._thing, self._closed = None, None, False
        self._get()

    def _get(self):
        if self._closed:
            raise ValueError("the program is closed")
        kernel = self._environment.kernel()
        with self._lock:
            if self._kernel is not kernel:
                self._thing, self._kernel = self._load(kernel), kernel
            return self._thing

    def close(self):
        """Free it in the guest."""
        self._closed = True
        with self._lock:
            thing, self._thing = self._thing, None
        if thing and self._kernel.alive:
            thing.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class GuestProgram(_Revived):
    """``base.Loaded``."""

    @property
    def facts(self):
        return self._get().facts

    @property
    def cpu(self):
        return self._get().cpu

    def run(self, inputs, *, deadline=None, fuel=None, in_place=False):
        """See ``base.Loaded.run``; DeviceError when the guest dies under it."""
        return self._get().run(inputs, deadline=deadline, fuel=fuel, in_place=in_place)


    def read_traces(self):
        """See ``kernel.KernelProgram.read_traces``."""
        return self._get().read_traces()


class GuestLibrary(_Revived):
    """A library in a guest; see ``kernel.KernelLibrary``."""

    @property
    def entries(self):
        return self._get().entries

    def open(self, transformation, function, signature=""):
        """See ``kernel.KernelLibrary.open``; the program outlives a guest as others do."""
        return GuestProgram(self._environment, lambda kernel: self._get().open(transformation, function, signature))


class _Kernel(KernelEnvironment):
    @property
    def alive(self):
        return self.port.machine.alive and not self.closed


class GuestEnvironment:
    """See ``base.Environment``. Thread-safe.

    ``guest``: a ``Guest`` of the caller's, who stops it; the default is the process's shared one, which the first
    environment boots and the last one to be closed stops. ``progress(message, fraction)`` is told about set-up and
    boot. Raises DeviceError when no guest can be had.
    """

    name = "guest"

    def __init__(self, *, guest=None, progress=None):
        self.guest = guest or _guest.shared()
        self._shares = guest is None
        if progress and not self.guest.running:
            self.guest.report_to(progress)
        self._lock = threading.Lock()
        self._kernel, self.closed = None, False
        if self._shares:
            self.guest.share()
        try:
            self.kernel()
        except BaseException:
            self.close()
            raise

    def kernel(self):
        """The open /dev/kjax of the guest that lives now."""
        with self._lock:
            if self.closed:
                raise ValueError("the environment is closed")
            if self._kernel is None or not self._kernel.alive:
                port = self.guest.port()
                try:
                    self._kernel = _Kernel(port)
                except KjaxError:  # is an OSError too
                    raise
                except OSError as e:
                    raise DeviceError(f"the guest has no /dev/kjax: {e.strerror}", tail=port.dmesg()[-2000:]) from None
            return self._kernel

    def load(self, image, *, memory_limit=None, cpu=None, cost_limit=None, runs=1, names=None, host=None,
             trace_bytes=None, trace_log=False, threads=None):
        """See ``base.Environment.load`` and ``KernelEnvironment.load``."""
        one_thread(threads)
        image = bytes(image)
        return GuestProgram(self, lambda kernel: kernel.load(
            image, memory_limit=memory_limit, cpu=cpu, cost_limit=cost_limit, runs=runs, names=names, host=host,
            trace_bytes=trace_bytes, trace_log=trace_log))

    def load_library(self, image, *, memory_limit=None):
        """Verify and keep the bytes of a .kjl. Returns a GuestLibrary."""
        image = bytes(image)
        return GuestLibrary(self, lambda kernel: kernel.load_library(image, memory_limit=memory_limit))

    def pin(self, name, thing, *, replace=False):
        """Name a loaded program or library for kernel callers; a guest booted later does not have it."""
        self.kernel().pin(name, thing._get(), replace=replace)

    def unpin(self, name):
        self.kernel().unpin(name)

    def devices(self):
        """Tuple of Device: the guest's CPU lanes and PCI accelerators."""
        kernel = self.kernel()
        hello = kernel.port.machine.hello
        return kernel.devices(model=hello.model, features=[f for f in _FLAGS if f in hello.flags])

    def memory(self):
        return self.kernel().memory()

    def close(self):
        """Free what this environment loaded; the last environment of the shared guest stops it."""
        with self._lock:
            if self.closed:
                return
            kernel, self._kernel, self.closed = self._kernel, None, True
        if kernel and kernel.alive:
            with contextlib.suppress(DeviceError):
                kernel.close()
        if self._shares:
            self.guest.release()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
