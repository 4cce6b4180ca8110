"""The device environment, in Python inside a guest: /dev/kjax of its own kernel, through ioctl and mmap.

The guest sees this machine's file system read-only (9p), so it runs this very Python with this very package.
"""

import os
import sys
from pathlib import Path

import kjax._engine
import pytest

import kjax
from kjax.runtime.guest import Guest, initramfs, kernels

SOURCE = Path(kjax.__file__).resolve().parent.parent
# An editable install builds on import, which a read-only file system does not let it: it is told not to, and the
# engine is handed to the package.
HANDED = f"""
import importlib.util, sys
class Engine:
    def find_spec(name, path=None, target=None):
        if name == "kjax._engine":
            return importlib.util.spec_from_file_location(name, {kjax._engine.__file__!r})
sys.meta_path.insert(0, Engine)
"""
BUILDS = ":".join(str(path) for path in (SOURCE.parent / "build").glob("*"))
SHARE = ("-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
         "-device", "virtio-9p-pci,fsdev=root,mount_tag=root")  # fmt: skip
READ_ONLY = 1


@pytest.fixture(scope="module")
def inside():
    """Runs Python source in a guest; returns (exit status, what it printed)."""
    guest = Guest(devices=SHARE)
    port = guest.port()
    loaded = {line.split()[0] for line in port.read_file("/proc/modules").decode().splitlines()}
    for name, image in initramfs.drivers(kernels.ensure(), ("9p", "9pnet_virtio")):
        if name not in loaded:
            port.insert_module(image)

    def mount(source, target, kind, flags=0, data=""):
        with port._text(source) as a, port._text(target) as b, port._text(kind) as c, port._text(data) as d:
            port._syscall("mount", a, b, c, flags, d)

    with port._text("/host") as path:
        port._syscall("mkdir", path, 0o755)
    mount("root", "/host", "9p", READ_ONLY, "trans=virtio,version=9p2000.L,msize=1048576,cache=loose")
    mount("proc", "/host/proc", "proc")
    mount("dev", "/host/dev", "devtmpfs")

    def run(source, *wrapper):
        return port.spawn(
            "/host/bin/busybox", "chroot", "/host", *wrapper, "/usr/bin/env", f"PYTHONPATH={SOURCE}:{Path(__file__).parent}",
            "PYTHONDONTWRITEBYTECODE=1", f"MESONPY_EDITABLE_SKIP={BUILDS}", f"PATH={os.environ['PATH']}",
            sys.executable, "-c", HANDED + source, timeout=300)

    yield run
    guest.stop()


RUN = """
import threading, time, os, signal
import numpy as np
import small
from kjax import errors
from kjax.runtime.device import DeviceEnvironment

environment = DeviceEnvironment()
a, b = np.arange(100_003, dtype=np.float32), np.ones(100_003, np.float32)
program = environment.load(small.add(100_003))
for _ in range(3):
    (out,) = program.run([a, b])
    assert np.array_equal(out, a + b)
used = environment.memory()["used"]
program.close()
assert environment.memory()["used"] < used
print("adds")

x = np.arange(8, dtype=np.float32)
with environment.load(small.double_in_place(8)) as program:
    twice, negated = program.run([x], in_place=True)
assert twice is x and x[3] == 6 and negated[3] == -3
print("in place")

with environment.load(small.gather_lanes(3)) as program:
    outs = program.run([[np.full(2, i, np.float32)] for i in range(3)])
assert [int(o[1]) for o in outs] == [0, 1, 2] and outs[2][0][1, 0] == 1
print("lanes")

try:
    environment.load(small.add(10)[:-64])
except errors.VerifyError as e:
    print(e.status.name)

with environment.load(small.endless()) as program:
    one = np.array(1, np.int32)
    try:
        program.run([one], deadline=0.2)
    except errors.DeadlineError as e:
        print(e.status.name)
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    try:
        program.run([one])
    except KeyboardInterrupt:
        print("interrupted")
print(environment.devices()[0].id, environment.devices()[0].usable)
environment.close()
"""


@pytest.mark.slow
def test_device_environment_in_its_own_kernel(inside):
    status, said = inside(RUN)
    assert status == 0, said.decode()
    assert said.decode().split("\n") == [
        "adds", "in place", "lanes", "truncated", "deadline", "interrupted", "cpu:0 True", ""]


@pytest.mark.slow
def test_user_without_the_right_is_told_the_group(inside):
    status, said = inside("import os\nfrom kjax.runtime.device import DeviceEnvironment as D\n"
                          "os.setgroups([])\nos.setgid(12345)\nos.setuid(12345)\n"
                          "try: D()\nexcept Exception as e: print(e)")
    assert status == 0 and b"group kjax" in said, said.decode()
