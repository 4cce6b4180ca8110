"""Programs behind ``/dev/kjax``, in whichever kernel: what the ``device`` and the ``guest`` environment share.

A *port* reaches a process that may open the node: this one (``device.LocalPort``) or the agent in a guest
(``guest.port.GuestPort``). Its memory blocks have an ``address`` over there and a ``data`` array here; ``push`` and
``pull`` are ranges to be brought over before and back after a call, which cost nothing where both are one memory.

Arguments travel through one kernel buffer for each run in flight, kept for the next: inputs, then outputs, lane
after lane, each at a multiple of 64 bytes.
"""

import contextlib
import errno
import os
import threading
import warnings
from ctypes import sizeof
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kjax import errors
from kjax.isa import dtypes
from kjax.runtime import pci, trace, uapi
from kjax.runtime.base import Device, Facts
from kjax.runtime.trace import Host

_ALIGN = 64
_LOG = 4096
_SIGNATURE = 512
_DEFAULT_SECONDS = 120.0  # for calls that end by themselves


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


@dataclass(frozen=True)
class Argument:
    """An input or output of a loaded program; ``alias``: the input that an output updates in place, or None."""

    dtype: np.dtype
    shape: tuple
    bytes: int
    alias: int | None

    def __str__(self):
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"


def failure(number, record, what, log=""):
    """The exception for a call that ended with errno ``number``; ``record.status`` says more when it is not 0."""
    status = getattr(record, "status", 0)
    if not status:
        return errors.DeviceError(f"{what}: {os.strerror(number)} ({errno.errorcode.get(number, number)})")
    at = getattr(record, "failed_at", uapi.NO_INSTRUCTION)
    text = log or f"{what}: {uapi.meaning(status)}"
    return errors.for_status(status, text, instruction=None if at == uapi.NO_INSTRUCTION else at)


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


def _round(n):
    return n + -n % _ALIGN


class _Block:
    """A memory block of the port's for the time of a ``with``."""

    def __init__(self, port, length):
        self._port, self._length = port, length

    def __enter__(self):
        self._memory = self._port.memory(self._length)
        return self._memory

    def __exit__(self, *_):
        self._port.free(self._memory)


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
        self._check(self._port.ioctl(self._fd, uapi.INFO, info, timeout=_DEFAULT_SECONDS), info, "asking for the facts")
        count = info.count
        with _Block(self._port, max(1, count) * sizeof(uapi.Argument)) as block:
            info = uapi.Info(capacity=count, arguments=block.address)
            error = self._port.ioctl(self._fd, uapi.INFO, info, timeout=_DEFAULT_SECONDS,
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
            buffer = _RunBuffer(self._port, self._environment.fd, self)
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
                error = self._port.ioctl(self._fd, uapi.TRACE, record, timeout=_DEFAULT_SECONDS)
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


class _RunBuffer:
    """What one run in flight needs: the kernel buffer with its mapping, and the slots that name its places."""

    def __init__(self, port, device, program):
        self._port, self._program, self._lanes = port, program, program.facts.lanes
        self._places_in, self._places_out, at = [], [], 0
        for places, arguments in ((self._places_in, program.inputs), (self._places_out, program.outputs)):
            for _ in range(self._lanes):
                for argument in arguments:
                    updates = argument.alias is not None
                    places.append(None if updates or not argument.bytes else at)
                    at += 0 if updates else _round(argument.bytes)
            if places is self._places_in:
                self._inputs_end = at
        self._bytes = at
        self._slots = port.memory(max(1, len(self._places_in) + len(self._places_out)) * sizeof(uapi.Slot))
        self._fd, self._memory = None, None
        try:
            if self._bytes:
                record = uapi.Buffer(bytes=self._bytes)
                if error := port.ioctl(device, uapi.BUFFER, record, timeout=_DEFAULT_SECONDS):
                    raise failure(error, record, f"reserving {self._bytes} bytes for arguments")
                self._fd = record.fd
                self._memory = port.memory(self._bytes, self._fd)
        except BaseException:
            self.close()
            raise
        self._views_in = self._views(self._places_in, program.inputs)
        self._views_out = self._views(self._places_out, program.outputs)
        self._write_slots()
        self._pull = self._ranges_to_pull()

    def _views(self, places, arguments):
        """NumPy arrays over the buffer, a list a lane; None for an output that updates an input."""
        views = []
        for i, place in enumerate(places):
            argument = arguments[i % len(arguments)]
            if place is not None:
                views.append(np.ndarray(argument.shape, argument.dtype, buffer=self._memory.data, offset=place))
            else:
                views.append(None if argument.alias is not None else np.empty(argument.shape, argument.dtype))
        per_lane = len(arguments)
        return [views[lane * per_lane:(lane + 1) * per_lane] for lane in range(self._lanes)]

    def _write_slots(self):
        places = self._places_in + self._places_out
        rows = (uapi.Slot * len(places))(*(
            uapi.Slot(fd=-1) if place is None else uapi.Slot(fd=self._fd, offset=place) for place in places))
        self._slots.data[:sizeof(rows)] = np.frombuffer(bytes(rows), np.uint8)
        self._slots_bytes, self._slots_sent = sizeof(rows), False

    def _ranges_to_pull(self):
        ranges = [(self._inputs_end, self._bytes)] if self._bytes > self._inputs_end else []
        updated = {a.alias for a in self._program.outputs if a.alias is not None}
        n = len(self._program.inputs)
        for i, place in enumerate(self._places_in):
            if place is not None and i % n in updated:
                ranges.append((place, place + self._program.inputs[i % n].bytes))
        return [(self._memory, start, stop) for start, stop in ranges]

    def run(self, lanes, deadline, fuel, in_place):
        for views, arrays in zip(self._views_in, lanes, strict=True):
            for view, array in zip(views, arrays, strict=True):
                view[...] = array
        push = [(self._memory, 0, self._inputs_end)] if self._inputs_end else []
        if not self._slots_sent and self._slots_bytes:
            push.append((self._slots, 0, self._slots_bytes))
        record = uapi.Execute(
            inputs=self._slots.address, outputs=self._slots.address + len(self._places_in) * sizeof(uapi.Slot),
            n_inputs=len(self._places_in), n_outputs=len(self._places_out), fuel=fuel or 0)
        error = self._port.ioctl(
            self._program._fd, uapi.EXECUTE, record, push=push, pull=self._pull, timeout=deadline,
            after=None if deadline is None else max(1, int(deadline * 1e9)))
        self._slots_sent = True
        if error:
            raise failure(error, record, "the run ended early")
        return [self._results(lane, arrays, in_place) for lane, arrays in enumerate(lanes)]

    def _results(self, lane, arrays, in_place):
        results = []
        for argument, view in zip(self._program.outputs, self._views_out[lane], strict=True):
            if view is not None:
                results.append(view.copy())
                continue
            view = self._views_in[lane][argument.alias]
            if in_place:
                arrays[argument.alias][...] = view
                results.append(arrays[argument.alias])
            else:
                results.append(view.copy())
        return results

    def close(self):
        self._views_in = self._views_out = self._pull = ()
        if self._memory is not None:
            self._port.free(self._memory)
        if self._fd is not None:
            self._port.close(self._fd)
        self._port.free(self._slots)
        self._memory = self._fd = None


class KernelLibrary:
    """A library fd: named variants. ``entries``: tuple of (transformation, function, signature)."""

    def __init__(self, environment, fd, count):
        self._environment, self._fd = environment, fd
        self.entries = tuple(self._entry(i) for i in range(count))

    def _entry(self, index):
        port, needed = self._environment.port, _SIGNATURE
        while True:
            with _Block(port, needed) as block:
                record = uapi.Entry(index=index, signature=block.address, signature_capacity=needed)
                error = port.ioctl(self._fd, uapi.ENTRY, record, pull=[(block, 0, needed)], timeout=_DEFAULT_SECONDS)
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
        if error := self.port.ioctl(self.fd, request, record, timeout=_DEFAULT_SECONDS, **keywords):
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
        with _Block(self.port, _round(len(image)) + _LOG) as block:
            block.data[:len(image)] = np.frombuffer(image, np.uint8)
            log = _round(len(image))
            record = uapi.Load(
                image=block.address, image_bytes=len(image), memory_limit=memory_limit or 0, cost_limit=cost_limit or 0,
                log=block.address + log, log_capacity=_LOG, cpu=uapi.CPUS.get(cpu, 0), runs=runs,
                trace_bytes=trace_bytes or 0, flags=uapi.LOAD_TRACE_LOG if trace_log else 0)
            error = self.port.ioctl(self.fd, request, record, push=[(block, 0, log)], timeout=_DEFAULT_SECONDS)
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
        with _Block(self.port, max(1, len(types))) as block:
            block.data[:len(types)] = np.frombuffer(types, np.uint8)
            record = uapi.Open(library=library, transformation=_name(transformation), function=_name(function),
                               signature=block.address if types else 0, signature_bytes=len(types))
            error = self.port.ioctl(self.fd, uapi.OPEN, record, push=[(block, 0, len(types))] if types else [],
                                    timeout=_DEFAULT_SECONDS)
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
        with _Block(self.port, bytes_) as block:
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
