"""The guest's file system: the agent as /init, and the drivers of the port it speaks through.

kjax.ko is not in it: the host sends it, like any other module, once the agent is there.
"""

import hashlib
import re
from pathlib import Path

from kjax.errors import DeviceError
from kjax.runtime.guest import cache, cpio, tools, vmlinux

_HERE = Path(__file__).parent
_SOURCES = ("agent.c", "agent.h")
DRIVERS = ("virtio_pci", "virtio_console")


def _by_name(kernel):
    """Loadable modules of a kernel, {name: path}. Module names have "_" where file names may have "-"."""
    found = {}
    for path in kernel.modules.rglob("*.ko*"):
        found[path.name.split(".")[0].replace("-", "_")] = path
    return found


def drivers(kernel, wanted=DRIVERS):
    """Modules to load for ``wanted``, dependencies first: list of (name, bytes). Built-in ones are left out.

    Raises DeviceError for a name that the kernel does not have.
    """
    loadable = _by_name(kernel)
    builtin = {Path(line).name.split(".")[0].replace("-", "_")
               for line in (kernel.modules / "modules.builtin").read_text().split()}
    done, order = set(), []

    def visit(name):
        if name in done or name in builtin:
            return
        done.add(name)
        if name not in loadable:
            raise DeviceError(f"kernel {kernel.release} has no driver {name}")
        image = vmlinux.decompress(loadable[name].read_bytes())
        if image is None:
            raise DeviceError(f"unpacking {loadable[name].name} needs zstd:\n    {tools.apt_line(['zstd'])}")
        depends = re.search(rb"\0depends=([^\0]*)\0", image)
        for other in depends[1].decode().split(",") if depends else ():
            if other:
                visit(other.replace("-", "_"))
        order.append((name, image))

    for name in wanted:
        visit(name)
    return order


def _agent(folder):
    out = folder / "agent"
    tools.run(["gcc", "-std=gnu11", "-O2", "-Wall", "-static", "-pthread", "-o", out, _HERE / "agent.c"],
              "building the guest's agent")
    image = out.read_bytes()
    out.unlink()
    return image


def ensure(kernel):
    """Path of the initramfs for ``kernel``, built when the cache has none of these sources. Raises DeviceError."""
    key = hashlib.sha256(b"\0".join((_HERE / name).read_bytes() for name in _SOURCES)).hexdigest()[:16]

    def make(folder):
        tools.require()
        files = {"init": _agent(folder)}
        for i, (name, image) in enumerate(drivers(kernel)):
            files[f"drivers/{i:02}-{name}.ko"] = image
        (folder / "initramfs.cpio").write_bytes(cpio.archive(files))

    return cache.build(f"initramfs/{kernel.release}-{key}", make) / "initramfs.cpio"
