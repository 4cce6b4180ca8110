"""Which accelerator QEMU runs on: TCG always works; KVM is used only where it was seen to work just now.

``/dev/kvm`` may be there and refuse, or hang for good (nested virtual machines). So a child boots a machine of
five instructions that ends QEMU through the isa-debug-exit device, and has a few seconds to do so.
"""

import functools
import os
import struct
import subprocess
import tempfile
from pathlib import Path

from kjax.errors import DeviceError
from kjax.runtime.guest import cache

_SECONDS = 3
MODEL = ("-cpu", "max")  # of the guest, and of the probe: a KVM may run instructions but refuse the model's registers
_SUCCESS = 0x31  # isa-debug-exit ends QEMU with (value << 1) | 1

# A multiboot image: magic, flags (bit 16: the addresses are here), checksum, then header, load start, load end,
# end of bss and entry; loaded at 1 MiB.
_AT = 0x100000
_CODE = bytes((0xB0, _SUCCESS >> 1, 0xE6, 0xF4, 0xF4, 0xEB, 0xFD))  # mov al, n; out 0xf4, al; 1: hlt; jmp 1b


def _image():
    flags = 1 << 16
    end = _AT + 32 + len(_CODE)
    return struct.pack("<8I", 0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFFFFFF, _AT, _AT, end, end, _AT + 32) + _CODE


def probe(accel):
    """True when QEMU with ``accel`` ("kvm", "tcg") ran a few instructions just now. Takes at most some seconds."""
    with tempfile.NamedTemporaryFile(suffix=".multiboot") as file:
        file.write(_image())
        file.flush()
        try:
            child = subprocess.Popen(
                ["qemu-system-x86_64", "-accel", accel, *MODEL, "-nodefaults", "-no-user-config", "-display", "none", "-m", "16M",
                 "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", file.name],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except OSError:
            return False
        try:
            return child.wait(_SECONDS) == _SUCCESS
        except subprocess.TimeoutExpired:
            return False
        finally:
            if child.poll() is None:
                child.kill()
                try:
                    child.wait(_SECONDS)  # a child stuck in /dev/kvm may not die: leave it to init
                except subprocess.TimeoutExpired:
                    pass


@functools.cache
def choose():
    """QEMU's ``-accel`` argument. ``KJAX_GUEST_ACCEL`` ("tcg" or "kvm") overrides the probe; raises DeviceError."""
    wanted = os.environ.get("KJAX_GUEST_ACCEL", "")
    if wanted not in ("", "tcg", "kvm"):
        raise DeviceError(f"KJAX_GUEST_ACCEL is {wanted!r}; it may be tcg or kvm")
    if wanted:
        return "tcg,thread=multi" if wanted == "tcg" else "kvm"
    return "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) and _kvm_works() else "tcg,thread=multi"


def _kvm_works():
    """Probe, unless a probe failed since this machine was booted: a hanging KVM costs seconds to find out."""
    failed = cache.root() / "kvm-failed"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    if failed.is_file() and failed.read_text() == boot:
        return False
    if probe("kvm"):
        return True
    _remember(failed, boot)
    return False


def _remember(failed, boot):
    failed.parent.mkdir(parents=True, exist_ok=True)
    failed.write_text(boot)


def give_up_kvm():
    """A guest did not boot with KVM although the probe did: from now on, until this machine is booted again, TCG."""
    _remember(cache.root() / "kvm-failed", Path("/proc/sys/kernel/random/boot_id").read_text())
    choose.cache_clear()
