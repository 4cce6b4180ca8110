"""Programs of the host that the guest needs: which are missing, how to get them, how to run them."""

import ctypes
import os
import platform
import shutil
import subprocess
from pathlib import Path

from kjax.errors import DeviceError

# what must be there -> the Debian/Ubuntu package that brings it
_PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "gcc": "gcc",
    "make": "make",
    "dpkg": "dpkg",
    "apt-get": "apt",
}


def _static_libc():
    path = subprocess.run(["gcc", "-print-file-name=libc.a"], capture_output=True, text=True).stdout.strip()
    return Path(path).is_file() and os.path.isabs(path)


def _libelf():
    """objtool, which every module build runs, is linked against it."""
    try:
        ctypes.CDLL("libelf.so.1")
    except OSError:
        return False
    return True


def missing():
    """Debian packages that the guest needs and this machine lacks, as a list."""
    packages = [package for program, package in _PROGRAMS.items() if not shutil.which(program)]
    if "gcc" in packages or not _static_libc():
        packages.append("libc6-dev")
    if not _libelf():
        packages.append("libelf-dev")
    return packages


def apt_line(packages):
    """The command that a user types to get them."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get update && {sudo}apt-get install --no-install-recommends -y {' '.join(packages)}"


def require():
    """Raise DeviceError with the one line that helps when this machine cannot boot a guest."""
    if platform.machine() not in ("x86_64", "AMD64"):
        raise DeviceError(f"the guest is an x86-64 kernel and this machine is {platform.machine()}: "
                          "use environment='embedded'")
    if packages := missing():
        raise DeviceError(f"the guest needs {', '.join(packages)}:\n    {apt_line(packages)}")


def run(arguments, what, **keywords):
    """Run a program to its end and return its standard output (str; bytes with ``text=False``).

    Raises DeviceError that says ``what`` was being done, with the last lines of what the program said.
    """
    keywords.setdefault("text", True)
    try:
        done = subprocess.run([str(a) for a in arguments], capture_output=True, **keywords)
    except OSError as e:
        raise DeviceError(f"{what}: cannot run {arguments[0]}: {e.strerror}") from e
    if done.returncode:
        said = done.stderr or done.stdout
        said = said if isinstance(said, str) else said.decode(errors="replace")
        tail = "\n".join(said.strip().splitlines()[-30:])
        raise DeviceError(f"{what}: {arguments[0]} ended with {done.returncode}:\n{tail}")
    return done.stdout
