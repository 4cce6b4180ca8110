"""Programs behind ``/dev/kjax``, in whichever kernel: what the ``device`` and the ``guest`` environment share.

System calls go through a *port* (``port.py``), arguments through a buffer for each run in flight (``run_buffer.py``).
"""

import contextlib
import errno
import threading
import warnings
from ctypes import sizeof
from dataclasses import dataclass

import numpy as np

from kjax import errors
from kjax.isa import dtypes
from kjax.runtime import pci, trace, uapi
from kjax.runtime.base import Device, Facts
from kjax.runtime.port import DEFAULT_SECONDS, Block, aligned, failure
from kjax.runtime.run_buffer import RunBuffer
from kjax.runtime.trace import Host

_LOG = 4096
_SIGNATURE = 512


@dataclass(frozen=True)
class Argument:
    """An input or output of a loaded program; ``alias``: the input that an output updates in place, or None."""

    dtype: np.dtype
    shape: tuple
    bytes: int
    alias: int | None

    def __str__(self):
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"


def one_thread(threads):
    """Raise DeviceError when ``threads`` asks for more than the kernel gives a run of one lane."""
    if threads is not None and threads != 1:
        raise errors.DeviceError(f"threads={threads}: in the kernel a run has one thread for each lane; leave threads out, or use the "
                          "embedded environment")


def without_calls(host):
    """``host``, or UnsupportedOpError when its program calls Python: a kernel cannot."""
    if not (calls := host.calls()):
        return host
    advice = "run it in environment='embedded', or return the values and call the function outside."
    if any("equinox" in call for call in calls):
        advice += (" Checks of equinox (eqx.error_if) become NaN in the result, without a callback, when EQX_ON_ERROR=nan is in "
                   "the environment before equinox is imported.")
    raise errors.UnsupportedOpError(f"the program calls Python: {', '.join(calls)}. In the kernel nobody can: {advice}")


class KernelProgram:
    """A program fd. Several threads may run it at once: each run has its own buffer."""

    def __init__(self, environment, fd, names=None, host=None):
        self._host, self._trace_lock, self._records, self._dropped = host or Host(), threading.Lock(), None, 0
        self._environment, self._port, self._fd = environment, environment.port, fd
        self._names = names or ()
        self._lock = threading.Lock()
        self._idle, self._closed = [], False
        self._read_info()

    def _read_info(self):
        info = uapi.Info()
        self._check(self._port.ioctl(self._fd, uapi.INFO, info, timeout=DEFAULT_SECONDS), info, "asking for the facts")
        count = info.count
        with Block(self._port, max(1, count) * sizeof(uapi.Argument)) as block:
            info = uapi.Info(capacity=count, arguments=block.address)
            error = self._port.ioctl(self._fd, uapi.INFO, info, timeout=DEFAULT_SECONDS,
                                     pull=[(block, 0, count * sizeof(uapi.Argument))])
            self._check(error, info, "asking for the arguments")
            rows = (uapi.Argument * count).from_buffer_copy(block.data)
        arguments = [
            Argument(dtypes.BY_NUMBER[r.dtype].numpy, tuple(r.dims[:r.rank]), r.bytes,
                     None if r.alias == uapi.NO_ALIAS else r.alias) for r in rows
        ]
        self.inputs, self.outputs = arguments[:info.n_inputs], arguments[info.n_inputs:]
        self.cpu = next((name for name, n in uapi.CPUS.items() if n == info.cpu), "")
        self.memory = info.memory
        self.facts = Facts(
            info.plan_bytes, info.arena_bytes, info.constant_bytes, info.input_bytes, info.output_bytes, info.cost,
            info.flops, bool(info.cost_is_open), info.n_inputs, info.n_outputs, info.n_instructions, info.lanes,
            info.traces)

    @staticmethod
    def _check(error, record, what):
        if error:
            raise failure(error, record, what)

    def run(self, inputs, *, deadline=None, fuel=None, in_place=False):
        """See ``base.Loaded.run``."""
        if self._closed:
            raise ValueError("the program is closed")
        if fuel is not None and fuel < 1:
            raise ValueError(f"fuel is {fuel}; at least one work unit is needed")
        if deadline is not None and deadline <= 0:
            raise errors.DeadlineError("the deadline passed before the run began", status=98)
        lanes = [list(lane) for lane in inputs] if self.facts.lanes > 1 else [list(inputs)]
        self._match(lanes)
        with self._lock:
            buffer = self._idle.pop() if self._idle else None
        if buffer is None:
            buffer = RunBuffer(self._port, self._environment.fd, self)
        try:
            outputs = buffer.run(lanes, deadline, fuel, in_place)
        except errors.KjaxError:
            if self.facts.n_traces:  # what was printed before it failed
                with contextlib.suppress(errors.KjaxError):
                    self.show_traces()
            raise
        finally:
            with self._lock:
                if not self._closed:
                    self._idle.append(buffer)
                    buffer = None
            if buffer:
                buffer.close()
        if self.facts.n_traces:
            self.show_traces()
        return outputs if self.facts.lanes > 1 else outputs[0]

    def read_traces(self):
        """What the program's runs have printed since this was last called: a list of ``trace.Record``, oldest first.

        The kernel keeps a bounded ring for each program and drops what does not fit: then this warns (RuntimeWarning) of how
        many were lost. Raises DeviceError.
        """
        found = []
        with self._trace_lock:
            while True:
                if self._records is None:
                    self._records = self._port.memory(uapi.TRACE_BYTES)
                room = len(self._records.data)
                record = uapi.Trace(records=self._records.address, capacity=room)
                error = self._port.ioctl(self._fd, uapi.TRACE, record, timeout=DEFAULT_SECONDS)
                self._check(error, record, "reading what the program printed")
                if record.bytes:
                    self._port.pull(self._records, 0, record.bytes)
                    found += trace.records(bytes(self._records.data[:record.bytes]))
                elif record.next > room:
                    self._port.free(self._records)
                    self._records = self._port.memory(record.next)
                if not record.left:
                    break
            lost, self._dropped = record.dropped - self._dropped, record.dropped
        if lost:
            warnings.warn(f"{lost} prints of a program were lost: its ring was full. Load it with a larger trace_bytes, or "
                          "print less in one run.", RuntimeWarning, stacklevel=2)
        return found

    def show_traces(self):
        """Print, as JAX would, what the program's runs have printed."""
        for record in self.read_traces():
            self._host(record.site, record.lane, record.arrays)

    def _match(self, lanes):
        if len(lanes) != self.facts.lanes:
            raise TypeError(f"the program runs on {self.facts.lanes} lanes but got arguments for {len(lanes)}")
        for lane in lanes:
            if len(lane) != len(self.inputs):
                raise TypeError(f"the program takes {len(self.inputs)} arguments but got {len(lane)}")
            for i, (want, array) in enumerate(zip(self.inputs, lane, strict=True)):
                if not isinstance(array, np.ndarray) or array.dtype != want.dtype or array.shape != want.shape:
                    have = (f"{array.dtype.name}[{','.join(map(str, array.shape))}]" if isinstance(array, np.ndarray)
                            else type(array).__name__)
                    name = self._names[i] if i < len(self._names) else f"args[{i}]"
                    raise TypeError("Argument types differ from the types for which this computation was compiled. "
                                    f"The mismatches are:\nArgument '{name}' compiled with {want} and called with "
                                    f"{have}")

    def close(self):
        with self._lock:
            if self._closed:
                return
            self._closed, idle, self._idle = True, self._idle, []
        for buffer in idle:
            buffer.close()
        with self._trace_lock:
            if self._records is not None:
                self._port.free(self._records)
                self._records = None
        self._port.close(self._fd)
        self._environment.forget(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class KernelLibrary:
    """A library fd: named variants. ``entries``: tuple of (transformation, function, signature)."""

    def __init__(self, environment, fd, count):
        self._environment, self._fd = environment, fd
        self.entries = tuple(self._entry(i) for i in range(count))

    def _entry(self, index):
        port, needed = self._environment.port, _SIGNATURE
        while True:
            with Block(port, needed) as block:
                record = uapi.Entry(index=index, signature=block.address, signature_capacity=needed)
                error = port.ioctl(self._fd, uapi.ENTRY, record, pull=[(block, 0, needed)], timeout=DEFAULT_SECONDS)
                if error:
                    raise failure(error, record, f"reading entry {index} of a library")
                signature = bytes(block.data).split(b"\0")[0].decode()
            if record.signature_needed <= needed:
                return record.transformation.decode(), record.function.decode(), signature
            needed = record.signature_needed

    def open(self, transformation, function, signature=""):
        """The variant as a loaded program; ``signature``: types of the arguments, "f32[31],i32[]", "" the first one.

        Raises KeyError when the library has none, DeviceError.
        """
        return self._environment.open(transformation, function, signature, library=self._fd)

    def close(self):
        if self._fd is not None:
            self._environment.port.close(self._fd)
            self._environment.forget(self)
            self._fd = None


class KernelEnvironment:
    """An open file of ``/dev/kjax``, through a port: ``base.Environment`` but for its name."""

    def __init__(self, port):
        """Raises OSError when the node cannot be opened, DeviceError when the module is another version's."""
        self.port = port
        self._open_things = set()
        self.fd = port.open(uapi.PATH)
        self.closed = False
        try:
            if (version := self.query().abi_version) != uapi.ABI_VERSION:
                raise errors.DeviceError(f"the loaded kjax module speaks ABI {version}, this package "
                                         f"{uapi.ABI_VERSION}: load the module of this package's version")
        except BaseException:
            self.close()
            raise

    def _call(self, request, record, what, **keywords):
        if error := self.port.ioctl(self.fd, request, record, timeout=DEFAULT_SECONDS, **keywords):
            raise failure(error, record, what)
        return record

    def query(self):
        """What the kernel offers, a ``uapi.Query``."""
        return self._call(uapi.QUERY, uapi.Query(), "asking the module what it offers")

    def forget(self, thing):
        self._open_things.discard(thing)

    def _load(self, request, image, memory_limit, cost_limit, cpu, runs, trace_bytes=None, trace_log=False):
        limit = self.query().image_limit
        if limit and len(image) > limit:
            raise errors.LimitError(f"the image has {len(image)} bytes and the module takes {limit}", status=80)
        if cpu is not None and cpu not in uapi.CPUS:
            raise ValueError(f"cpu {cpu!r} is unknown; it may be {', '.join(uapi.CPUS)}")
        with Block(self.port, aligned(len(image)) + _LOG) as block:
            block.data[:len(image)] = np.frombuffer(image, np.uint8)
            log = aligned(len(image))
            record = uapi.Load(
                image=block.address, image_bytes=len(image), memory_limit=memory_limit or 0, cost_limit=cost_limit or 0,
                log=block.address + log, log_capacity=_LOG, cpu=uapi.CPUS.get(cpu, 0), runs=runs,
                trace_bytes=trace_bytes or 0, flags=uapi.LOAD_TRACE_LOG if trace_log else 0)
            error = self.port.ioctl(self.fd, request, record, push=[(block, 0, log)], timeout=DEFAULT_SECONDS)
            if error:
                raise failure(error, record, "the kernel refused the image", self._log(block, log, record.log_needed))
        return record

    def _log(self, block, start, needed):
        if not needed:
            return ""
        self.port.pull(block, start, start + min(needed, _LOG))
        return bytes(block.data[start:start + min(needed, _LOG)]).split(b"\0")[0].decode(errors="replace")

    def load(self, image, *, memory_limit=None, cpu=None, cost_limit=None, runs=1, names=None, host=None, trace_bytes=None,
             trace_log=False, threads=None):
        """See ``base.Environment.load``; a run has one thread.

        ``cost_limit`` in work units; ``runs``: arenas for so many runs at once; ``names``: what the inputs are called
        in error messages; ``trace_bytes``: ring for what the program prints (64 KiB, at most 1 MiB), read after each run;
        ``trace_log``: the prints go to the kernel's log, too, rate limited.
        """
        host = without_calls(host or Host.of(image))
        one_thread(threads)
        fd = self._load(uapi.LOAD, image, memory_limit, cost_limit, cpu, runs, trace_bytes, trace_log).fd
        return self._adopt(fd, names, host)

    def _adopt(self, fd, names=None, host=None):
        try:
            program = KernelProgram(self, fd, names, host)
        except BaseException:
            self.port.close(fd)
            raise
        self._open_things.add(program)
        return program

    def load_library(self, image, *, memory_limit=None):
        """Verify and keep a library (the bytes of a .kjl). Returns a KernelLibrary."""
        record = self._load(uapi.LOAD_LIBRARY, image, memory_limit, None, None, 1)
        library = KernelLibrary(self, record.fd, record.count)
        self._open_things.add(library)
        return library

    def open(self, transformation, function, signature="", *, library=-1):
        """A program out of a library, or with ``library`` -1 out of what is pinned. Raises KeyError, DeviceError."""
        types = signature.encode()
        with Block(self.port, max(1, len(types))) as block:
            block.data[:len(types)] = np.frombuffer(types, np.uint8)
            record = uapi.Open(library=library, transformation=_name(transformation), function=_name(function),
                               signature=block.address if types else 0, signature_bytes=len(types))
            error = self.port.ioctl(self.fd, uapi.OPEN, record, push=[(block, 0, len(types))] if types else [],
                                    timeout=DEFAULT_SECONDS)
        if error == errno.ENOENT:
            raise KeyError((transformation, function))
        if error:
            raise failure(error, record, f"opening {transformation}({function})")
        return self._adopt(record.fd)

    def pin(self, name, thing, *, replace=False):
        """Give a program or library of this environment a name that kernel callers find. Needs CAP_SYS_ADMIN."""
        self._call(uapi.PIN, uapi.Pin(fd=thing._fd, name=_name(name), flags=uapi.PIN_REPLACE if replace else 0),
                   f"pinning {name!r}")

    def unpin(self, name):
        """Take a name away. Raises DeviceError when nobody has it."""
        self._call(uapi.PIN, uapi.Pin(fd=-1, name=_name(name), flags=uapi.PIN_REMOVE), f"removing the name {name!r}")

    def devices(self, *, model="CPU", features=()):
        """Tuple of Device: the CPU lanes, then what sits on the PCI bus."""
        query = self.query()
        cpus = tuple(name for name, n in uapi.CPUS.items() if query.cpus >> n & 1)
        lanes = [Device(f"cpu:{i}", "cpu", model, tuple(dict.fromkeys((*cpus, *features))), "kjax") for i in range(query.lanes)]
        return (*lanes, *pci.describe(self._accelerators()))

    def _accelerators(self):
        count = self._call(uapi.DEVICES, uapi.Devices(), "listing the accelerators").count
        if not count:
            return []
        bytes_ = count * sizeof(uapi.Device)
        with Block(self.port, bytes_) as block:
            record = uapi.Devices(capacity=count, devices=block.address)
            self._call(uapi.DEVICES, record, "listing the accelerators", pull=[(block, 0, bytes_)])
            return list((uapi.Device * min(count, record.count)).from_buffer_copy(block.data))

    def memory(self):
        """Bytes ``used`` by this environment's programs and buffers, their ``limit``, and the same of ``everybody``."""
        query = self.query()
        return {"used": query.owner_used, "limit": query.owner_limit or None,
                "everybody": {"used": query.memory_used, "limit": query.memory_limit or None}}

    def close(self):
        """Free what was loaded. Closing twice does nothing."""
        if self.closed:
            return
        self.closed = True
        for thing in list(self._open_things):
            thing.close()
        self.port.close(self.fd)


def _name(text):
    data = text.encode()
    if len(data) >= uapi.NAME_MAX or b"\0" in data:
        raise ValueError(f"{text!r} is no name: at most {uapi.NAME_MAX - 1} bytes and no NUL")
    return data
