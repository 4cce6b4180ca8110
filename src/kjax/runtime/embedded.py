"""The engine in this process: the fastest environment, and the one that needs nothing from the machine."""

import operator
import os
import weakref

from kjax import _engine
from kjax.errors import DeviceError
from kjax.isa import limits
from kjax.runtime.base import Device, Facts
from kjax.runtime.trace import Host


class Embedded:
    """An environment of its own: programs loaded here are counted together and closed together.

    ``memory_limit`` in bytes bounds the images, plans and arenas of all its programs; None is no limit. ``threads`` is what
    ``load`` takes when it is given none.
    """

    name = "embedded"

    def __init__(self, *, memory_limit=None, threads=None):
        self.threads = _threads(threads)
        self._account = _engine.Account(memory_limit)
        self._programs = weakref.WeakSet()
        self._closed = False

    def load(self, image, *, memory_limit=None, cpu=None, names=None, host=None, threads=None):
        """Verify ``image`` (bytes-like) and keep a copy.

        ``memory_limit``: bytes that plan and arenas may take; ``cpu``: a name of ``cpus()``, None for the best;
        ``names``: what the inputs are called in error messages; ``host``: see ``base.Environment``. ``threads``: that a run may
        use, the caller's included. One lane: default 1, no thread is started unasked; with more, a program that has steps worth sharing
        out starts helpers, which all programs of this process share. Several lanes: default as many as there are processors.
        Raises VerifyError, LimitError, ValueError (unknown cpu, threads), MemoryError (no thread could be had).
        """
        if self._closed:
            raise DeviceError("this environment is closed")
        threads = self.threads if threads is None else _threads(threads)
        program = EmbeddedProgram(_engine.Program(image, cpu=cpu, memory_limit=memory_limit, account=self._account,
                                                  names=names, host=host or Host.of(image), threads=threads or 0))
        self._programs.add(program)
        return program

    def devices(self):
        """One CPU lane for each processor that this process may use; features are the usable cpu tables."""
        tables = _engine.cpus()
        return tuple(Device(f"cpu:{i}", "cpu", f"processor {n}", features=tables, driver="embedded")
                     for i, n in enumerate(sorted(os.sched_getaffinity(0))))

    def memory(self):
        """Bytes ``used`` by images, plans and arenas, and the ``limit`` or None."""
        return {"used": self._account.used, "limit": self._account.limit}

    @property
    def closed(self):
        return self._closed

    def close(self):
        """Close all programs. A run that goes on in another thread ends as if nothing had happened."""
        self._closed = True
        for program in tuple(self._programs):
            program.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def _threads(threads):
    """``threads``, checked: None or 1 to the engine's limit. Raises ValueError, TypeError."""
    if threads is not None and not 1 <= operator.index(threads) <= limits.MAX_THREADS:
        raise ValueError(f"threads must be 1 to {limits.MAX_THREADS}, not {threads}")
    return threads


class EmbeddedProgram:
    """A program of this process. Call it with arrays for the shortest way; ``run`` has the options.

    ``call(*arrays)`` is the engine's own entry: NumPy or JAX arrays in, a tuple of new NumPy arrays out.
    """

    def __init__(self, program):
        self.call = program
        self.facts = Facts(**program.facts)

    @property
    def cpu(self):
        """Name of the cpu table in use."""
        return self.call.cpu

    @property
    def closed(self):
        return self.call.closed

    def run(self, inputs, *, deadline=None, fuel=None, in_place=False):
        """See ``base.Loaded.run``."""
        return self.call.run(inputs, deadline=deadline, fuel=fuel, in_place=in_place)

    def close(self):
        self.call.close()
