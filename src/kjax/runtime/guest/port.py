"""System calls in a guest, through its agent: ``runtime.port.Port``, and what tests and set-up need besides.

Memory blocks have a shadow here; ``ioctl`` packs what must travel, the call and what comes back into one frame, so
a run costs one round trip (about 0.3 ms under TCG, plus 20 ns a byte) whatever its number of arguments.
"""

import contextlib
import errno
import os
import threading
from ctypes import sizeof

import numpy as np

from kjax.errors import DeviceError, KjaxError
from kjax.runtime.guest import protocol as p

_FRAME = 4 << 20  # bytes sent at once: bounds the agent's copy
_GRACE = 15.0  # seconds over a deadline before the guest is taken for stuck
_BYTES_A_SECOND = 4e6  # a slow port: adds to every time limit
_SCRATCH = 4096
_SECONDS = 120.0

_PROT_RW, _SHARED, _PRIVATE_ANONYMOUS = 3, 1, 0x22
_O_RDWR_CLOEXEC = 0o2000002


class _Memory:
    def __init__(self, address, length):
        self.address, self.length = address, length
        self.data = np.zeros(length, np.uint8)


def _chunks(memory, start, stop):
    for at in range(start, stop, _FRAME):
        end = min(stop, at + _FRAME)
        yield memory.address + at, memory.data[at:end]


class GuestPort:
    """The agent of one ``Machine``. Everything raises DeviceError when the guest is dead. Thread-safe."""

    def __init__(self, machine):
        self.machine = machine
        self._lock = threading.Lock()
        self._scratch = []

    # --- runtime.port.Port

    def _syscall(self, name, *args, timeout=_SECONDS):
        """The system call's value. Raises OSError."""
        (answer,) = self.machine.request([p.syscall(name, *args)], timeout=timeout)
        if answer.value < 0:
            raise OSError(-answer.value, os.strerror(-answer.value))
        return answer.value

    def open(self, path, flags=_O_RDWR_CLOEXEC, mode=0o755):
        """Open ``path`` in the guest. Raises OSError, as ``os.open`` would."""
        with self._text(path) as address:
            try:
                return self._syscall("open", address, flags, mode)
            except KjaxError:  # is an OSError too
                raise
            except OSError as e:
                raise OSError(e.errno, e.strerror, path) from None

    def close(self, fd):
        """Close ``fd``; in a guest that is gone it is closed already."""
        if self.machine.alive:
            with contextlib.suppress(DeviceError, OSError):
                self._syscall("close", fd)

    def memory(self, length, fd=None):
        flags = _PRIVATE_ANONYMOUS if fd is None else _SHARED
        address = self._syscall("mmap", 0, length, _PROT_RW, flags, -1 if fd is None else fd, 0)
        return _Memory(address, length)

    def free(self, memory):
        if self.machine.alive:
            with contextlib.suppress(DeviceError, OSError):
                self._syscall("munmap", memory.address, memory.length)

    @contextlib.contextmanager
    def _page(self):
        """Address of a page of the agent's for the time of a call."""
        with self._lock:
            page = self._scratch.pop() if self._scratch else None
        page = page or self.memory(_SCRATCH)
        try:
            yield page.address
        finally:
            with self._lock:
                self._scratch.append(page)

    @contextlib.contextmanager
    def _text(self, text):
        data = os.fsencode(text) + b"\0"
        if len(data) > _SCRATCH:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        with self._page() as address:
            self.machine.request([p.write(address, data)], timeout=_SECONDS)
            yield address

    def push(self, memory, start=0, stop=None):
        """Bring ``memory.data[start:stop]`` over."""
        for address, data in _chunks(memory, start, memory.length if stop is None else stop):
            self.machine.request([p.write(address, data)], timeout=_SECONDS)

    def pull(self, memory, start=0, stop=None):
        """Bring the same range back."""
        stop = memory.length if stop is None else stop
        for address, data in _chunks(memory, start, stop):
            (answer,) = self.machine.request([p.read(address, len(data))], timeout=_SECONDS)
            data[:] = answer.data

    def ioctl(self, fd, request, record, *, push=(), pull=(), after=None, timeout=None):
        """See ``runtime.port.Port``. Raises DeadlineError when the guest does not keep a deadline but can be interrupted."""
        moved = sum(stop - start for _, start, stop in (*push, *pull))
        if sum(stop - start for _, start, stop in push) > _FRAME:
            for block in push:
                self.push(*block)
            push = ()
        with self._page() as page:
            ops = [p.write(m.address + start, m.data[start:stop]) for m, start, stop in push]
            ops.append(p.write(page, bytes(record)))
            if after is not None:
                ops.append(p.now(page + type(record).deadline.offset, after))
            call = len(ops)
            ops.append(p.syscall("ioctl", fd, request, page))
            ops.append(p.read(page, sizeof(record), always=True))
            ops += [p.read(m.address + start, stop - start) for m, start, stop in pull]
            limit = None if timeout is None else timeout + _GRACE + moved / _BYTES_A_SECOND
            answers = self.machine.request(ops, timeout=limit)
        memoryview(record).cast("B")[:] = answers[call + 1].data
        if answers[call].value < 0:
            return -answers[call].value
        for (m, start, stop), answer in zip(pull, answers[call + 2:], strict=True):
            m.data[start:stop] = answer.data
        return 0

    # --- for set-up and tests

    @contextlib.contextmanager
    def _block(self, data):
        memory = self.memory(max(1, len(data)))
        try:
            memory.data[:len(data)] = np.frombuffer(data, np.uint8)
            self.push(memory)
            yield memory
        finally:
            self.free(memory)

    def insert_module(self, image, params=""):
        """Load a kernel module (the bytes of a .ko). Raises DeviceError with what the kernel logged."""
        with self._block(image) as block, self._text(params) as text:
            before = len(self.dmesg())
            try:
                self._syscall("init_module", block.address, len(image), text)
            except KjaxError:
                raise
            except OSError as e:
                said = self.dmesg()
                raise DeviceError(f"the guest's kernel refused the module: {e.strerror}",
                                  tail=said[before:] if len(said) > before else said[-2000:]) from None

    def remove_module(self, name):
        """Unload a module. Raises OSError (EBUSY, EAGAIN while it is in use)."""
        with self._text(name) as text:
            self._syscall("delete_module", text, 0o4000)  # O_NONBLOCK: do not wait for users

    def dmesg(self, room=1 << 18):
        """The kernel's log (its last ``room`` bytes)."""
        memory = self.memory(room)
        try:
            n = self._syscall("syslog", 3, memory.address, room)
            self.pull(memory, 0, n)
            return bytes(memory.data[:n]).decode(errors="replace")
        finally:
            self.free(memory)

    def write_file(self, path, data, mode=0o755):
        """Put a file into the guest's (memory-backed) file system."""
        fd = self.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            with self._block(data) as block:
                done = 0
                while done < len(data):
                    done += self._syscall("write", fd, block.address + done, len(data) - done)
        finally:
            self.close(fd)

    def read_file(self, path, room=1 << 16):
        """The first ``room`` bytes of a file (of /proc, /sys). Raises OSError."""
        fd = self.open(path, os.O_RDONLY | os.O_CLOEXEC)
        memory = self.memory(room)
        try:
            done = 0
            while done < room and (n := self._syscall("read", fd, memory.address + done, room - done)):
                done += n
            self.pull(memory, 0, done)
            return bytes(memory.data[:done])
        finally:
            self.free(memory)
            self.close(fd)

    def spawn(self, *argv, timeout=_SECONDS):
        """Run a program of the guest's. Returns (exit status, negative: a signal; output, at most 1 MiB of bytes).

        Raises FileNotFoundError and other OSErrors, DeadlineError.
        """
        data = b"".join(os.fsencode(a) + b"\0" for a in argv)
        (answer,) = self.machine.request([p.Op(p.SPAWN, (), data)], timeout=timeout)
        if answer.value < 0:
            raise OSError(-answer.value, os.strerror(-answer.value), argv[0])
        return os.waitstatus_to_exitcode(answer.value), bytes(answer.data)
