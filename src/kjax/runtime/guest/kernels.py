"""Kernels to boot: a stock kernel of the distribution with its headers, in the cache.

A folder ``kernels/<release>/`` holds ``root/`` (what was unpacked), and ``vmlinux`` where the image could be
uncompressed. ``kernels/default`` names the release that was set up last, so that later runs need no
network and do not change kernels by themselves.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from kjax.errors import DeviceError
from kjax.runtime.guest import cache, packages, tools, vmlinux


@dataclass(frozen=True)
class Kernel:
    """A kernel in the cache; ``release`` is what ``uname -r`` says in the guest."""

    release: str
    folder: Path

    @property
    def image(self):
        """What QEMU boots: the uncompressed kernel, or the bzImage."""
        elf = self.folder / "vmlinux"
        return elf if elf.exists() else self.bzimage

    @property
    def bzimage(self):
        return _bzimage(self.folder / "root", self.release)

    @property
    def headers(self):
        """The folder that ``make -C`` builds modules against."""
        return self.folder / "root/usr/src" / f"linux-headers-{self.release}"

    @property
    def modules(self):
        """The folder of the kernel's own modules."""
        for lib in ("lib", "usr/lib"):
            if (path := self.folder / "root" / lib / "modules" / self.release).is_dir():
                return path
        raise DeviceError(f"the packages of kernel {self.release} hold no modules")


def _bzimage(root, release):
    for place in (f"boot/vmlinuz-{release}", f"usr/lib/modules/{release}/vmlinuz", f"lib/modules/{release}/vmlinuz"):
        if (path := root / place).is_file():
            return path
    raise DeviceError(f"the packages of kernel {release} hold no kernel image")


def _make_relocatable(root):
    """Debian's header Makefiles name each other by absolute path; make them relative to where they now lie."""
    source = root / "usr/src"
    for makefile in source.glob("linux-headers-*/Makefile"):
        text = makefile.read_text()
        fixed = re.sub(r"^include /usr/src/", "include $(dir $(lastword $(MAKEFILE_LIST)))../", text, flags=re.M)
        if fixed != text:
            makefile.write_text(fixed)
    for link in [p for top in source.glob("linux-headers-*") for p in top.iterdir() if p.is_symlink()]:
        target = os.readlink(link)
        if os.path.isabs(target):
            link.unlink()
            link.symlink_to(os.path.relpath(root / target.lstrip("/"), link.parent))


def _make(release, progress):
    def make(folder):
        root = folder / "root"
        root.mkdir()
        packages.unpack_kernel(release, root, progress)
        _make_relocatable(root)
        progress("Uncompressing the kernel", None)
        if elf := vmlinux.extract(_bzimage(root, release).read_bytes()):
            (folder / "vmlinux").write_bytes(elf)

    return make


def _default_file():
    return cache.root() / "kernels" / "default"


def _remembered():
    try:
        release = _default_file().read_text().strip()
    except FileNotFoundError:
        return None
    return release if (cache.root() / "kernels" / release).is_dir() else None


def _remember(release):
    scratch = _default_file().with_suffix(f".{os.getpid()}")
    scratch.write_text(release + "\n")
    scratch.rename(_default_file())


def ensure(progress=lambda message, fraction: None, *, refresh=False):
    """The kernel to boot, set up when it is not in the cache yet.

    ``KJAX_GUEST_KERNEL`` names a release; else the one set up before is taken, or with ``refresh`` or none the
    distribution's default of today. ``progress(message, fraction)``: fraction is of the step, or None.
    Raises DeviceError. About 85 MB of download the first time; milliseconds after that.
    """
    wanted = os.environ.get("KJAX_GUEST_KERNEL")
    release = wanted or (None if refresh else _remembered())
    if release is None or not (cache.root() / "kernels" / release).is_dir():
        tools.require()
        release = release or packages.default_release()
    if not re.fullmatch(r"[\w.+~-]+", release):
        raise DeviceError(f"{release!r} is no kernel release (KJAX_GUEST_KERNEL)")
    kernel = Kernel(release, cache.build(f"kernels/{release}", _make(release, progress)))
    if not wanted and _remembered() != release:
        _remember(release)
    return kernel
