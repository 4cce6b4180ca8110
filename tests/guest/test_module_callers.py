"""Kernel code that calls the module: samples/module, built against the exported symbols, loaded beside kjax.ko."""

import shutil
import subprocess
from pathlib import Path

import module_programs as programs
import pytest
from test_module_ioctl import Device

from kjax.bytecode import library as kjl
from kjax.errors import DeviceError
from kjax.runtime import uapi
from kjax.runtime.guest import kernels, module

ROOT = Path(__file__).parents[2]
PATH = "/policy.kjl"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Bytes of kjax_sample.ko for the guest's kernel."""
    kernel = kernels.ensure()
    built = module.ensure(kernel).parent
    folder = tmp_path_factory.mktemp("sample")
    shutil.copytree(ROOT / "samples/module", folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KJAX", str(ROOT))
        patch.setenv("KBUILD_EXTRA_SYMBOLS", str(built / "Module.symvers"))
        module.make(kernel, folder)
    subprocess.run(["strip", "--strip-debug", folder / "kjax_sample.ko"], check=True)
    return (folder / "kjax_sample.ko").read_bytes()


@pytest.fixture
def port(guest):
    port = guest.port()
    library = kjl.pack([
        kjl.entry("double", "jit", programs.bump(4)), kjl.entry("double", "vmap", programs.bump(6)),
        kjl.entry("sum", "jit", programs.add(2)), kjl.entry("sum", "jit", programs.add(3)),
        kjl.entry("same", "jit", programs.wide(64)), kjl.entry("costly", "jit", programs.wide(64, 200_000)),
        kjl.entry("round", "pmap", programs.ring(2, 1, 2)), kjl.entry("forever", "jit", programs.endless(trips=9)),
    ])  # fmt: skip
    port.write_file(PATH, library)
    port.write_file("/cut.kjl", library[:-64])
    device = Device(port)
    before = device.query().memory_used
    yield port
    assert device.query().memory_used == before
    device.stack.close()
    assert "BUG:" not in port.dmesg() and "WARNING:" not in port.dmesg()


def insert(port, sample, **params):
    """What the sample said, after it was loaded and unloaded again."""
    values = {"library": PATH, "transformation": "jit", **params}
    before = len(port.dmesg())
    text = " ".join(f'{k}="{v}"' for k, v in values.items())
    try:
        port.insert_module(sample, text)
    except DeviceError:
        return port.dmesg()[before:]
    port.remove_module("kjax_sample")
    return port.dmesg()[before:]


@pytest.mark.parametrize("transformation, function, args, want", [
    ("jit", "double", "[[1, 2.5, -3e-1, 1e39]]", "[[2.0,5.0,-0.6,Infinity]]"),
    (" jit ( vmap )", "double", "[ [0.1,0.2,0.3,0.4,0.5,NaN] ]", "[[0.2,0.4,0.6,0.8,1.0,NaN]]"),
    ("jit", "sum", "[[1,2],[3,4]]", "[[4.0,6.0]]"),  # the first variant whose types fit
    ("jit", "sum", "[[1,2,3],[3,4,5]]", "[[4.0,6.0,8.0]]"),
    ("pmap", "round", "[[[1,2],[10,20]]]", "[[[11.0,22.0],[11.0,22.0]]]"),
])  # fmt: skip
def test_execute_jax_transformation(port, sample, transformation, function, args, want):
    said = insert(port, sample, transformation=transformation, function=function, args=args)
    assert f": {want} (" in said


@pytest.mark.parametrize("params, error", [
    ({"function": "absent"}, -2), ({"function": "double", "transformation": "grad"}, -2),
    ({"function": "double", "args": "[[1,2,3]]"}, -22), ({"function": "double", "args": "[[1,2,3,4]"}, -22),
    ({"function": "double", "args": "[[1,2,3,4]] x"}, -22), ({"function": "forever"}, -62),
    ({"library": "/absent.kjl"}, -2), ({"library": "/cut.kjl"}, -8), ({"library": "/init"}, -8),
])  # fmt: skip
def test_errors_reach_the_caller(port, sample, params, error):
    said = insert(port, sample, **params)
    assert f"error {error}\n" in said


def test_runs_where_sleeping_is_forbidden(port, sample):
    said = insert(port, sample, function="same", args="[[0.5]]", in_bytes=4, out_bytes=4)
    assert ": [[0.5]] (" in said and "timer: 0, 3f 3f 3f 3f" in said
    said = insert(port, sample, function="costly", args="[[0.5]]", in_bytes=4, out_bytes=4)
    assert "timer: -27," in said  # EFBIG: more work than may be done there
    said = insert(port, sample, function="double", args="[[0,0,0,0]]", in_bytes=16, out_bytes=16)
    # the one output is the input's memory, updated in place: another address is refused
    assert "timer: -22," in said
    said = insert(port, sample, function="double", args="[[0,0,0,0]]", in_bytes=12, out_bytes=12)
    assert "timer: -22," in said


def test_a_pinned_library_serves_user_space_too(port):
    device = Device(port)
    with device.stack:
        error, record = device.load(port.read_file(PATH, 1 << 20), uapi.LOAD_LIBRARY)
        assert error == 0
        assert device.call(device.fd, uapi.PIN, uapi.Pin(fd=record.fd, name=b"policy")) == 0
        found = uapi.Open(library=-1, transformation=b"jit", function=b"sum")
        assert device.call(device.fd, uapi.OPEN, found) == 0
        device.keep(found.fd)
        assert device.call(device.fd, uapi.PIN, uapi.Pin(fd=-1, name=b"policy", flags=uapi.PIN_REMOVE)) == 0
        assert device.call(device.fd, uapi.OPEN, uapi.Open(library=-1, transformation=b"jit", function=b"sum")) == 2
        info = uapi.Info()
        assert device.call(found.fd, uapi.INFO, info) == 0  # what is open stays


def test_loading_and_unloading_the_module_again_and_again(guest, sample):
    port = guest.port()
    kernel = kernels.ensure()
    image = module.ensure(kernel).read_bytes()
    for _ in range(5):
        port.remove_module("kjax")
        port.insert_module(image, "lanes=3")
        device = Device(port)
        with device.stack:
            assert device.query().lanes == 3 and device.query().memory_used == 0
            device.program(programs.add())
            pinned = device.program(programs.bump())
            # left behind: the module gives it up when it goes
            assert device.call(device.fd, uapi.PIN, uapi.Pin(fd=pinned, name=b"left")) == 0
    port.remove_module("kjax")
    port.insert_module(image)
    assert "BUG:" not in port.dmesg() and "WARNING:" not in port.dmesg()
