"""A guest that is there when it is asked for: booted once with kjax.ko in it, booted anew after it died."""

import os
import threading
from dataclasses import replace

from kjax.errors import DeviceError
from kjax.runtime.guest import accel, initramfs, kernels, module, tools
from kjax.runtime.guest.machine import Config, Machine
from kjax.runtime.guest.port import GuestPort


def setup(progress=lambda message, fraction: None, *, refresh=False):
    """Get everything a guest needs into the cache: kernel, headers, kjax.ko, initramfs.

    ``progress(message, fraction)`` is called as it goes on (fraction of the step, 0 to 1, or None). ``refresh``: look
    for a newer kernel of the distribution. Returns (Kernel, path of kjax.ko, path of the initramfs).
    Raises DeviceError that says what is missing and how to get it. Milliseconds when all is there.
    """
    kernel = kernels.ensure(progress, refresh=refresh)
    ko = module.ensure(kernel, progress)
    progress("Building the guest's file system", None)
    return kernel, ko, initramfs.ensure(kernel)


def _number(variable, default, low):
    text = os.environ.get(variable, "")
    if text and not (text.isdigit() and int(text) >= low):
        raise DeviceError(f"{variable} is {text!r}; it is a number, at least {low}")
    return int(text or default)


class Guest:
    """A guest, started when first needed. Thread-safe.

    ``cpus`` and ``memory`` (MiB) default to ``KJAX_GUEST_CPUS`` (2 to 4, by this machine's) and
    ``KJAX_GUEST_MEMORY`` (1024); ``append``: more kernel arguments; ``devices``: more QEMU arguments; ``params``: of
    kjax.ko; ``load``: False leaves kjax.ko out.
    """

    def __init__(self, *, cpus=None, memory=None, append="", devices=(), params="", load=True, progress=None):
        self._options = cpus, memory, append, tuple(devices)
        self._params, self._load = params, load
        self._progress = progress or (lambda message, fraction: None)
        self._lock = threading.RLock()
        self._port = None
        self._users = 0

    def port(self):
        """The GuestPort of a guest that lives, booted now if need be. Raises DeviceError."""
        with self._lock:
            if self._port is None or not self._port.machine.alive:
                self._port = self._boot()
            return self._port

    def report_to(self, progress):
        """Tell ``progress(message, fraction)`` about the next boot."""
        self._progress = progress

    def share(self):
        """Count one more user."""
        with self._lock:
            self._users += 1

    def release(self):
        """Count one less; without users it stops."""
        with self._lock:
            self._users -= 1
            if not self._users:
                self.stop()

    @property
    def running(self):
        return self._port is not None and self._port.machine.alive

    def _boot(self):
        cpus, memory, append, devices = self._options
        tools.require()
        if self._load:
            kernel, ko, image = setup(self._progress)
        else:
            kernel = kernels.ensure(self._progress)
            image = initramfs.ensure(kernel)
        config = Config(
            str(kernel.image), str(image), accel.choose(),
            cpus or _number("KJAX_GUEST_CPUS", max(2, min(4, os.cpu_count() or 1)), 1),
            memory or _number("KJAX_GUEST_MEMORY", 1024, 256), append, devices,
            boot_seconds=_number("KJAX_GUEST_BOOT_SECONDS", 120, 1))
        self._progress(f"Booting kernel {kernel.release}", None)
        try:
            machine = Machine(config)
        except DeviceError:
            if config.accel != "kvm" or os.environ.get("KJAX_GUEST_ACCEL"):
                raise
            accel.give_up_kvm()
            machine = Machine(replace(config, accel=accel.choose()))
        port = GuestPort(machine)
        if self._load:
            try:
                port.insert_module(ko.read_bytes(), self._params)
            except BaseException:
                machine.kill()
                raise
        return port

    def stop(self):
        """Power it off. The next ``port()`` boots another."""
        with self._lock:
            port, self._port = self._port, None
        if port:
            port.machine.stop()


_shared = Guest()


def _forked():
    global _shared
    _shared = Guest()  # the parent's guest, and its lock, are the parent's


os.register_at_fork(after_in_child=_forked)


def shared():
    """This process's guest: every environment uses it unless it is given one of its own."""
    return _shared
