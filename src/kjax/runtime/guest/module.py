"""kjax.ko for a kernel in the cache, built from the sources that came with this package."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import kjax
from kjax.errors import DeviceError
from kjax.runtime.guest import cache, tools

_PARTS = ("Kbuild", "module", "engine", "include")
_KINDS = {".c", ".h", ".inc", ".def", ".mk", ".S"}
_KEEP = 4  # builds of one kernel that stay in the cache


def sources():
    """The folder that holds Kbuild, module/, engine/ and include/: ``kjax/_sources`` of an installed package, or
    the checkout that this package is imported from. Raises DeviceError."""
    package = Path(kjax.__file__).parent
    for folder in (package / "_sources", package.parent.parent):
        if (folder / "Kbuild").is_file():
            return folder
    raise DeviceError("the module's sources are not in this installation (kjax/_sources); install kjax from its wheel")


def _files(folder):
    """Paths below ``folder`` that a build reads, relative to it and sorted."""
    found = []
    for part in _PARTS:
        top = folder / part
        for path in [top] if top.is_file() else top.rglob("*"):
            name = path.name
            if path.is_file() and not name.endswith(".mod.c") and (path.suffix in _KINDS or name == "Kbuild"):
                found.append(path.relative_to(folder))
    return sorted(found)


def _digest(folder, files):
    digest = hashlib.sha256()
    for name in files:
        data = (folder / name).read_bytes()
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:16]


def _sync(folder, files, tree):
    """Make ``tree`` hold exactly ``files``; what is the same already keeps its time, so make leaves its object alone."""
    tree.mkdir(exist_ok=True)
    for stale in set(_files(tree)) - set(files):
        (tree / stale).unlink()
    for name in files:
        data, to = (folder / name).read_bytes(), tree / name
        if not to.is_file() or to.read_bytes() != data:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(data)


def make(kernel, folder, progress=lambda message, fraction: None):
    """Run the kernel's build in ``folder``, which holds a Kbuild. Raises DeviceError with the compiler's words."""
    command = ["make", "-C", str(kernel.headers), f"M={folder}", f"-j{os.cpu_count() or 1}", "modules"]
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARCH")}
    said = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                          text=True, errors="replace", env=environment) as process:  # fmt: skip
        for line in process.stdout:
            said.append(line)
            if line.lstrip().startswith(("CC [M]", "LD [M]", "AS [M]")):
                name = line.split()[-1].removeprefix(f"{folder}/")
                progress(f"Building kjax.ko: {name}", None)
    if process.returncode:
        bad = [line for line in said if "error" in line.lower() or "undefined" in line.lower()]
        shown = [*bad[:20], "...\n", *said[-20:]] if len(said) > 40 else said
        raise DeviceError(f"building the module for {kernel.release} failed:\n{''.join(shown)}"
                          f"The whole of it: {' '.join(command)}")


def _last_used(path):
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process tidies up at the same time
        return 0.0


def ensure(kernel, progress=lambda message, fraction: None):
    """Path of kjax.ko for ``kernel``, built when the cache has none of these sources. Raises DeviceError.

    Minutes of compiler time the first time, then what a change needs.
    """
    folder = sources()
    files = _files(folder)
    key = _digest(folder, files)

    def build(scratch):
        tools.require()
        tree = scratch.parent / ".tree"  # stays: the next build compiles what changed
        _sync(folder, files, tree)
        if _digest(tree, files) != key:
            raise DeviceError("the module's sources changed while they were copied; try again")
        make(kernel, tree, progress)
        # debugging information is nine tenths of it, and all of it would travel to the guest
        tools.run(["strip", "--strip-debug", "-o", scratch / "kjax.ko", tree / "kjax.ko"], "stripping kjax.ko")
        shutil.copy(tree / "Module.symvers", scratch)  # for modules that call this one's functions

    built = cache.build(f"modules/{kernel.release}/{key}", build)
    os.utime(built)
    others = sorted((p for p in built.parent.iterdir() if not p.name.startswith(".")), key=_last_used)
    for old in others[:-_KEEP]:
        shutil.rmtree(old, ignore_errors=True)
    return built / "kjax.ko"
