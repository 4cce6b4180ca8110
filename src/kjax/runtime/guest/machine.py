"""One QEMU process: start, say hello, exchange frames, end. A machine that has ended stays ended.

One thread (``_serve``) owns the process: it starts it, reads console and port, and reaps it. Callers send under a
lock and wait for their answer. Nothing outlives this process: QEMU gets PR_SET_PDEATHSIG (which is bound to
the starting *thread*: one more reason for that thread), the agent stops the guest when the port hangs up, and
``atexit`` kills what is left.
"""

import atexit
import collections
import contextlib
import itertools
import os
import re
import select
import selectors
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass

from kjax.errors import DeadlineError, DeviceError
from kjax.runtime.guest import accel
from kjax.runtime.guest import protocol as p

_CONSOLE_LINES = 200
_TAIL_LINES = 25
_ALARM = re.compile(r"BUG:|Oops|Kernel panic|general protection|WARNING:|invalid opcode|kjax-agent:")
_CANCEL_SECONDS = 5.0  # a cancelled call answers within this, or the guest is taken for dead
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Config:
    """What to boot. ``memory`` in MiB; ``boot_seconds``: limit for a boot up to the agent's hello."""

    image: str
    initramfs: str
    accel: str = "tcg,thread=multi"
    cpus: int = 2
    memory: int = 1024
    append: str = ""
    devices: tuple = ()  # more QEMU arguments
    boot_seconds: float = 120.0


class _Pending:
    __slots__ = ("answers", "error", "event")

    def __init__(self):
        self.event = threading.Event()
        self.answers = self.error = None


_alive = set()


@atexit.register
def _kill_all():
    for machine in list(_alive):
        machine.kill()


def _command(config, fd):
    # the death signal is set by setpriv: code between fork and exec is not safe in a process full of threads
    wrapper = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    return [
        *wrapper, "qemu-system-x86_64", "-accel", config.accel, *accel.MODEL, "-smp", str(config.cpus),
        "-m", f"{config.memory}M", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-serial", "stdio", "-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,fd={fd}",
        "-device", "virtserialport,chardev=agent,name=kjax.agent", *config.devices,
        "-kernel", str(config.image), "-initrd", str(config.initramfs),
        "-append", f"console=ttyS0 quiet panic=-1 oops=panic {config.append}".strip(),
    ]  # fmt: skip


class Machine:
    """A running guest. Thread-safe. ``hello``: what the agent said of the system."""

    def __init__(self, config):
        """Boot; returns when the agent is there. Raises DeviceError with the console's last lines."""
        self._config = config
        self._pid = os.getpid()
        self._console = collections.deque(maxlen=_CONSOLE_LINES)
        self._partial = b""
        self._pending = {}
        self._lock = threading.Lock()  # _pending, _why
        self._send_lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._why = None
        self._process = None
        self.hello = None
        started = time.monotonic()
        self._socket, self._theirs = socket.socketpair()
        self._socket.setblocking(False)
        _alive.add(self)
        threading.Thread(target=self._serve, name="kjax-guest", daemon=True).start()
        try:
            if not self._ready.wait(config.boot_seconds):
                self._end(f"it did not boot within {config.boot_seconds:.0f} s")
            if self._why:
                raise self.error("the guest did not boot")
        except BaseException:
            self.kill()
            raise
        self.boot_seconds = time.monotonic() - started

    # --- state

    @property
    def alive(self):
        return self._why is None and self._pid == os.getpid()

    @property
    def pid(self):
        """QEMU's process id."""
        return self._process.pid if self._process else None

    def console(self, lines=_TAIL_LINES):
        """The console's last lines as one string, and before them where the trouble began if they do not reach so far."""
        seen = [*self._console, *filter(None, [self._partial.decode(errors="replace")])]
        first = next((i for i, line in enumerate(seen) if _ALARM.search(line)), len(seen))
        cut = len(seen) - lines
        head = [*seen[first:min(first + 8, cut)], "..."] if first < cut else []
        return "\n".join([*head, *seen[max(0, cut):]])

    def error(self, what):
        return DeviceError(f"{what}: {self._why}" if self._why else what, tail=self.console())

    def kill(self):
        """End QEMU now and wait for it. Does nothing in a forked child, whose parent owns the guest."""
        if self._pid != os.getpid():
            return
        self._end("it was stopped")
        if threading.current_thread().name != "kjax-guest":
            self._ended.wait(10)

    def stop(self):
        """Let the guest power off, and kill it when it does not."""
        if self.alive:
            with contextlib.suppress(DeviceError, DeadlineError):
                self.request([p.syscall("reboot", 0xFEE1DEAD, 0x28121969, 0x01234567, 0)], timeout=2)
        self.kill()

    # --- requests

    def request(self, ops, *, timeout=None):
        """Run ``ops`` in the guest, in order; returns their answers.

        ``timeout`` in seconds, None waits for ever. Raises DeadlineError when the time is over and the guest could be
        brought to give the call up, DeviceError when the guest is dead or had to be ended.
        """
        number = next(self._numbers)
        parts = p.encode(number, ops)
        pending = _Pending()
        with self._lock:
            if not self.alive:
                raise self.error("the guest is gone")
            self._pending[number] = pending
        until = None if timeout is None else time.monotonic() + timeout
        try:
            self._send(parts, until)
            if pending.event.wait(timeout if until is None else max(0, until - time.monotonic())):
                return self._result(pending)
            if self._cancel(number, pending):
                raise DeadlineError(f"the guest did not finish within {timeout:g} s; the call was given up", status=98)
            self._end(f"it did not answer within {timeout:g} s, nor give the call up")
            raise self.error("the guest was ended")
        except (KeyboardInterrupt, SystemExit):
            if not pending.event.is_set() and not self._cancel(number, pending):
                self._end("it did not give an interrupted call up")
            raise
        finally:
            with self._lock:
                self._pending.pop(number, None)

    def _result(self, pending):
        if pending.error:
            raise self.error("the guest died during the call")
        return pending.answers

    def _cancel(self, number, pending):
        """Interrupt what request ``number`` is doing until it answers; False when it does not."""
        until = time.monotonic() + _CANCEL_SECONDS
        while time.monotonic() < until and self.alive:
            self._send(p.encode(next(self._numbers), [p.Op(p.CANCEL, (number,))]), until)
            if pending.event.wait(0.1):
                return pending.error is None
        return False

    def _send(self, parts, until):
        if sum(map(len, parts)) <= _CHUNK:
            parts = [b"".join(parts)]  # each send wakes QEMU up
        with self._send_lock:
            for part in parts:
                view = memoryview(part)
                while len(view):
                    try:
                        view = view[self._socket.send(view[:_CHUNK]):]
                    except BlockingIOError:
                        if until is not None and time.monotonic() > until:
                            self._end("it does not read what it is sent")  # half a frame is out: no way back
                            raise self.error("the guest hangs") from None
                        select.select([], [self._socket], [], 0.2)
                        if not self.alive:
                            raise self.error("the guest died during the call") from None
                    except OSError as e:
                        self._end(f"the port broke ({e.strerror})")
                        raise self.error("the guest died during the call") from None
                    except BaseException:
                        self._end("a call was interrupted while it was sent")
                        raise

    # --- the owning thread

    def _serve(self):
        try:
            with self._theirs:
                self._process = subprocess.Popen(
                    _command(self._config, self._theirs.fileno()), pass_fds=[self._theirs.fileno()],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        except OSError as e:
            self._end(f"QEMU does not start ({e.strerror})")
        if self._process:
            if self._why:  # ended before it began
                self._process.kill()
            try:
                self._read_all()
            except Exception as e:  # whatever breaks the reader ends the guest, and callers are told
                self._end(f"{type(e).__name__}: {e}")
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            self._process.stdout.close()
        self._socket.close()
        _alive.discard(self)
        self._fail_pending()
        self._ended.set()
        self._ready.set()

    def _read_all(self):
        out = self._process.stdout.fileno()
        os.set_blocking(out, False)
        reader = self._frames()
        need = next(reader)
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            selector.register(self._socket, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == out:
                        data = os.read(out, 65536)
                        if not data:
                            self._end("QEMU ended")
                            return
                        self._see(data)
                        continue
                    try:
                        n = self._socket.recv_into(need)
                    except BlockingIOError:
                        continue
                    except OSError:
                        n = 0
                    if not n:  # QEMU closes the port before the console: hear the last words first
                        selector.unregister(self._socket)
                        continue
                    need = need[n:] if n < len(need) else reader.send(None)

    def _see(self, data):
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._console.append(line.decode(errors="replace").rstrip("\r"))

    def _frames(self):
        """A generator that yields the memory to be filled next, and deals with frames as they are whole."""
        head = bytearray(p.FRAME.size)
        while True:
            yield memoryview(head)
            number, count, length = p.decode_head(head)
            body = bytearray(length)
            if length:
                yield memoryview(body)
            self._deliver(number, p.decode(count, body))

    def _deliver(self, number, answers):
        if number == 0:
            if self.hello or len(answers) != 1:
                raise p.ProtocolError("a second hello")
            self.hello = p.decode_hello(answers[0].data)
            self._ready.set()
            return
        with self._lock:
            pending = self._pending.get(number)
        if pending:  # else: the answer to a cancel, or to a call that was given up
            pending.answers = answers
            pending.event.set()

    def _end(self, why):
        with self._lock:
            self._why = self._why or why
        if self._process and self._process.poll() is None:
            self._process.kill()

    def _fail_pending(self):
        with self._lock:
            pending = list(self._pending.values())
        for one in pending:
            if not one.event.is_set():
                one.error = self._why
                one.event.set()
