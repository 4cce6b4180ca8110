"""The guest's parts that need no guest: archive, kernel extraction, frames, cache, apt's answers, errors."""

import gzip
import lzma
import os
import shutil
import struct
import subprocess
import threading

import pytest

from kjax.errors import DeviceError
from kjax.runtime import device, uapi
from kjax.runtime.guest import accel, cache, cpio, packages, tools, vmlinux
from kjax.runtime.guest import protocol as p


def test_archive_is_what_cpio_reads(tmp_path):
    files = {"init": b"#!", "lib/deep/er": os.urandom(1001), "lib/deep/empty": b""}
    archive = cpio.archive(files)
    if not shutil.which("cpio"):
        pytest.skip("no cpio")
    subprocess.run(["cpio", "-id", "--quiet"], input=archive, cwd=tmp_path, check=True)
    assert {str(f.relative_to(tmp_path)): f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()} == files
    assert os.access(tmp_path / "init", os.X_OK)


def _bzimage(payload, sectors=4):
    image = bytearray((sectors + 1) * 512)
    image[0x1F1] = sectors
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", image, 0x248, 16, len(payload))
    return bytes(image) + bytes(16) + payload + b"trailing"


ELF = b"\x7fELF" + bytes(5000)


@pytest.mark.parametrize("pack", [
    lambda d: d,
    lambda d: gzip.compress(d) + b"size",
    lambda d: lzma.compress(d, lzma.FORMAT_XZ) + b"size",
    lambda d: lzma.compress(d, lzma.FORMAT_ALONE) + b"size",
])  # fmt: skip
def test_kernel_comes_out_of_its_image(pack):
    assert vmlinux.extract(_bzimage(pack(ELF))) == ELF


def test_zstd_kernel():
    if not shutil.which("zstd"):
        pytest.skip("no zstd")
    packed = subprocess.run(["zstd", "-qc"], input=ELF, capture_output=True, check=True).stdout
    assert vmlinux.extract(_bzimage(packed + struct.pack("<I", len(ELF)))) == ELF


def test_unknown_image_is_left_to_the_boot_loader():
    assert vmlinux.extract(bytes(4096)) is None
    assert vmlinux.extract(_bzimage(b"\x02\x21\x4c\x18lz4")) is None


def test_frames_round_trip():
    parts = p.encode(7, [p.write(0x1000, b"abc"), p.syscall("close", -1), p.read(0x2000, 5, always=True)])
    data = b"".join(bytes(part) for part in parts)
    magic, number, count, length = p.FRAME.unpack_from(data)
    assert (magic, number, count, length) == (p.MAGIC, 7, 3, len(data) - p.FRAME.size)
    first = p.OP.unpack_from(data, p.FRAME.size)
    assert first[:4] == (p.WRITE, 0, 3, 0x1000)
    assert data[p.FRAME.size + p.OP.size:][:8] == b"abc" + bytes(5)
    second = p.OP.unpack_from(data, p.FRAME.size + p.OP.size + 8)
    assert second[3:5] == (3, (1 << 64) - 1)


def test_too_much_for_a_frame():
    with pytest.raises(ValueError, match="do not fit"):
        p.encode(1, [p.write(0, bytes(p.MAX_FRAME))])
    with pytest.raises(ValueError, match="do not fit"):
        p.encode(1, [p.syscall("close", 1)] * (p.MAX_OPS + 1))


ANSWERS = p.ANSWER.pack(1, 3, -5) + b"abc" + bytes(5) + p.ANSWER.pack(2, 0, 1 << 40)


def test_answers():
    first, second = p.decode(2, ANSWERS)
    assert (first.value, bytes(first.data), second.value, bytes(second.data)) == (-5, b"abc", 1 << 40, b"")


@pytest.mark.parametrize("count,body", [(3, ANSWERS), (1, ANSWERS), (2, ANSWERS[:-1]), (1, ANSWERS[:20]), (1, b"")])
def test_broken_answers(count, body):
    with pytest.raises(p.ProtocolError):
        p.decode(count, body)


def test_cache_builds_once_and_leaves_no_ruins(tmp_path, monkeypatch):
    monkeypatch.setenv("KJAX_CACHE", str(tmp_path / "cache"))
    calls = []

    def broken(folder):
        (folder / "half").write_text("")
        raise OSError("disk full")

    def make(folder):
        calls.append(folder)
        (folder / "whole").write_text("x")

    with pytest.raises(OSError, match="disk full"):
        cache.build("a/b", broken)
    assert [f.name for f in (tmp_path / "cache/a").iterdir()] == [".lock"]
    threads = [threading.Thread(target=cache.build, args=("a/b", make)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert (cache.build("a/b", broken) / "whole").read_text() == "x"


def test_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.delenv("KJAX_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert str(cache.root()) == "/x/kjax"
    monkeypatch.setenv("KJAX_CACHE", "/y")
    assert str(cache.root()) == "/y"


DEPENDS = {
    "linux-image-amd64": "linux-image-amd64\n  Depends: linux-image-9.8.0-7-amd64\n",
    "linux-image-9.8.0-7-amd64": "x\n  Depends: kmod\n |Depends: initramfs-tools\n  Depends: <linux-initramfs-tool>\n"
                                 "  Depends: linux-modules-9.8.0-7-amd64\n",
    "linux-modules-9.8.0-7-amd64": "x\n",
    "linux-headers-9.8.0-7-amd64": "x\n  Depends: linux-headers-9.8.0-7-common\n  Depends: linux-kbuild-9.8\n"
                                   "  Depends: linux-compiler-gcc-42-x86\n",
    "linux-headers-9.8.0-7-common": "x\n",
    "linux-kbuild-9.8": "x\n  Depends: libc6\n",
}  # fmt: skip


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """An apt-cache that knows DEPENDS only."""
    lines = "".join(f"{name}) printf '%s' '{text}';;\n" for name, text in DEPENDS.items())
    (tmp_path / "apt-cache").write_text(f'#!/bin/sh\ncase "$3" in\n{lines}*) exit 100;;\nesac\n')
    (tmp_path / "apt-cache").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_release_and_packages_are_looked_up(apt):
    assert packages.default_release() == "9.8.0-7-amd64"
    assert set(packages._closure("9.8.0-7-amd64")) == set(DEPENDS) - {"linux-image-amd64"}
    with pytest.raises(DeviceError, match="KJAX_GUEST_KERNEL"):
        packages._closure("1.2.3-amd64")


def test_without_package_lists_the_error_has_the_line_to_type(tmp_path, monkeypatch):
    (tmp_path / "apt-cache").write_text("#!/bin/sh\nexit 100\n")
    (tmp_path / "apt-cache").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DeviceError, match="sudo apt-get update"):
        packages.default_release()


def test_missing_programs_are_one_apt_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DeviceError, match="sudo apt-get install .*qemu-system-x86 gcc make"):
        tools.require()


def test_probe_tells_a_working_accelerator():
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("no QEMU")
    assert accel.probe("tcg")
    assert not accel.probe("nonesuch")


def test_accelerator_can_be_chosen(monkeypatch):
    accel.choose.cache_clear()
    monkeypatch.setenv("KJAX_GUEST_ACCEL", "xen")
    with pytest.raises(DeviceError, match="tcg or kvm"):
        accel.choose()
    monkeypatch.setenv("KJAX_GUEST_ACCEL", "tcg")
    assert accel.choose().startswith("tcg")
    accel.choose.cache_clear()


def test_device_node_absent_or_forbidden(monkeypatch, tmp_path):
    monkeypatch.setattr(uapi, "PATH", str(tmp_path / "kjax"))
    with pytest.raises(DeviceError, match="modprobe kjax"):
        device.DeviceEnvironment()

    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(DeviceError, match="group kjax.*CAP_DAC_OVERRIDE"):
        device.DeviceEnvironment()


def test_something_else_at_the_node_is_closed_again(monkeypatch, tmp_path):
    (tmp_path / "kjax").write_text("")
    monkeypatch.setattr(uapi, "PATH", str(tmp_path / "kjax"))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(DeviceError, match="ENOTTY"):
        device.DeviceEnvironment()
    assert len(os.listdir("/proc/self/fd")) == before


def test_local_memory_is_the_callers(tmp_path):
    port = device.LocalPort()
    file = os.memfd_create("x")
    os.truncate(file, 8192)
    block = port.memory(8192, file)
    block.data[5] = 7
    assert os.pread(file, 1, 5) == b"\7"
    port.free(block)
    os.close(file)


def test_a_guest_that_kvm_does_not_boot_boots_without(monkeypatch, tmp_path):
    """The probe may pass where the guest's processor model is refused."""
    from kjax.errors import DeviceError
    from kjax.runtime.guest import cache, guest

    tried = []

    class Machine:
        def __init__(self, config):
            tried.append(config.accel)
            if config.accel == "kvm":
                raise DeviceError("failed to set MSR 0x10a")

    monkeypatch.delenv("KJAX_GUEST_ACCEL", raising=False)
    monkeypatch.setattr(cache, "root", lambda: tmp_path)
    monkeypatch.setattr(accel, "probe", lambda name: True)
    monkeypatch.setattr(os, "access", lambda *a: True)
    for name, value in (("Machine", Machine), ("GuestPort", lambda machine: machine)):
        monkeypatch.setattr(guest, name, value)
    monkeypatch.setattr(guest.tools, "require", lambda: None)
    monkeypatch.setattr(guest.kernels, "ensure", lambda progress: type("Kernel", (), {"image": "k", "release": "r"}))
    monkeypatch.setattr(guest.initramfs, "ensure", lambda kernel: "i")
    accel.choose.cache_clear()
    try:
        guest.Guest(load=False)._boot()
        assert tried == ["kvm", "tcg,thread=multi"]
        accel.choose.cache_clear()
        assert accel.choose().startswith("tcg")
    finally:
        accel.choose.cache_clear()
