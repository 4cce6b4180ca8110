"""Kernel packages of the distribution: which there are, fetch, unpack. Nothing is installed.

apt looks the versions up and checks the signatures; dpkg unpacks into a folder of ours, so the host's
boot set-up and package database stay as they are.
"""

import os
import re
import subprocess
import tarfile
import time
from pathlib import Path

from kjax.errors import DeviceError
from kjax.runtime.guest import tools

# The distribution's default kernel: Debian's metapackages, then Ubuntu's.
_META = (("linux-image-amd64", "linux-headers-amd64"), ("linux-image-generic", "linux-headers-generic"))
_PARTS = re.compile(r"linux-(image|modules|binary|base|headers|kbuild)-.*\d.*")

# What a guest may want of an image package: the kernel, and the drivers of QEMU's devices. (All of it is 400 MB.)
_KEEP = re.compile(r"\./(usr/)?(boot/vmlinuz-|boot/config-|lib/modules/[^/]+/(vmlinuz$|modules\.(order|builtin)$|"
                   r"kernel/(drivers/(virtio|char|block)/|fs/(9p|netfs|fscache|overlayfs)/|net/9p/)))")


def _depends(package):
    """Names of the packages that ``package`` depends on, or None when apt does not know it."""
    done = subprocess.run(["apt-cache", "depends", "--important", package], capture_output=True, text=True)
    if done.returncode:
        return None
    return [line.split()[-1] for line in done.stdout.splitlines() if "Depends:" in line and "<" not in line]


def _default_release():
    for image, _ in _META:
        for name in _depends(image) or ():
            if found := re.fullmatch(r"linux-image-(.*\d.*)", name):
                return found[1]
    return None


def default_release():
    """The release of the distribution's default kernel, as ``uname -r`` would say it ("6.1.0-9-amd64").

    As root the package lists are fetched when there are none. Raises DeviceError.
    """
    release = _default_release()
    if release is None and os.geteuid() == 0:
        tools.run(["apt-get", "update"], "fetching the package lists")
        release = _default_release()
    if release is None:
        raise DeviceError("apt knows no kernel package (linux-image-amd64 or linux-image-generic); fetch the lists:\n"
                          "    sudo apt-get update\nor name a kernel's release in KJAX_GUEST_KERNEL")
    return release


def _closure(release):
    """Packages that hold the image and the headers of ``release``."""
    todo, found = [f"linux-image-{release}", f"linux-headers-{release}"], {}
    while todo:
        name = todo.pop()
        if name in found:
            continue
        depends = _depends(name)
        if depends is None:
            raise DeviceError(f"apt knows no package {name}: is KJAX_GUEST_KERNEL a release that "
                              "`apt-cache search linux-image` lists?")
        found[name] = None
        todo += [d for d in depends if _PARTS.fullmatch(d)]
    return list(found)


def _fetch(names, folder, progress):
    """Download the packages into ``folder``; returns their paths. ``progress`` is told the fraction done."""
    command = ["apt-get", "-o", f"APT::Sandbox::User={'root' if os.geteuid() == 0 else ''}", "download"]
    uris = tools.run([*command, "--print-uris", *names], "looking the kernel packages up", cwd=folder)
    total = sum(int(line.split()[2]) for line in uris.splitlines() if line.startswith("'"))
    with open(folder / "apt.log", "w+") as log:
        process = subprocess.Popen([*command, *names], cwd=folder, stdout=log, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL)
        try:
            while process.poll() is None:
                time.sleep(0.1)
                here = sum(os.stat(p).st_size for p in os.scandir(folder) if not p.name.startswith("apt"))
                progress(min(1.0, here / total) if total else None)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode:
            log.seek(0)
            raise DeviceError("downloading the kernel packages failed:\n" + log.read()[-2000:])
    return sorted(folder.glob("*.deb"))


def _unpack(package, folder):
    """Unpack one .deb into ``folder``; of those that carry a kernel image or its drivers only what _KEEP names."""
    if package.name.startswith(("linux-headers-", "linux-kbuild-")):
        tools.run(["dpkg", "-x", package, folder], f"unpacking {package.name}")
        return
    process = subprocess.Popen(["dpkg", "--fsys-tarfile", package], stdout=subprocess.PIPE)
    with process, tarfile.open(fileobj=process.stdout, mode="r|", bufsize=1 << 20) as tar:
        for member in tar:
            if member.isfile() and _KEEP.match(member.name if member.name.startswith("./") else "./" + member.name):
                tar.extract(member, folder, filter="data")
        process.stdout.read()
    if process.returncode:
        raise DeviceError(f"unpacking {package.name}: dpkg ended with {process.returncode}")


def unpack_kernel(release, folder, progress):
    """Image, headers and kernel build tools of ``release`` below ``folder``, laid out as on a file system's root.

    ``progress(message, fraction)`` is called as it goes on. Raises DeviceError.
    """
    progress(f"Looking up kernel {release}", None)
    names = _closure(release)
    packages = Path(folder) / "packages"
    packages.mkdir()
    label = f"Downloading kernel {release}"
    progress(label, 0.0)
    files = _fetch(names, packages, lambda fraction: progress(label, fraction))
    for i, file in enumerate(files):
        progress(f"Unpacking {file.name.split('_')[0]}", i / len(files))
        _unpack(file, folder)
        file.unlink()
    (packages / "apt.log").unlink()
    packages.rmdir()
