"""What needs a process of its own: rights, being killed, memory cgroups, threads; and what the counters say."""

import subprocess
from pathlib import Path

import module_programs as programs
import pytest
from test_module_ioctl import Device

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def process(guest, tmp_path_factory):
    """Runs process.c in the guest: (mode, image, *arguments) -> what it said; fails when its status is not 0."""
    out = tmp_path_factory.mktemp("process") / "process"
    (out.parent / "linux").mkdir()
    (out.parent / "linux/kjax.h").symlink_to(ROOT / "include/uapi/linux/kjax.h")
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-pthread", "-mavx", f"-I{out.parent}",
                    HERE / "process.c", "-o", out], check=True)  # fmt: skip
    guest.port().write_file("/process", out.read_bytes())

    def run(mode, image, *arguments):
        port = guest.port()
        port.write_file("/image", image, 0o644)
        status, said = port.spawn("/process", mode, "/image", *map(str, arguments), timeout=300)
        assert status == 0, said.decode()
        said_kernel = port.dmesg()
        assert "BUG:" not in said_kernel and "WARNING:" not in said_kernel and "Out of memory" not in said_kernel
        return said.decode()

    return run


def test_rights(process):
    process("rights", programs.add())


@pytest.mark.parametrize("lanes", [1, 5])
def test_being_killed_in_a_run_frees_everything(process, lanes):
    process("die", programs.endless(lanes))


def test_a_memory_cgroup_at_its_limit_gets_an_error(process):
    assert "refused" in process("memory", programs.wide(6 << 20))


def test_threads_keep_their_results_and_their_registers(guest, process):
    if "avx" not in guest.port().machine.hello.flags:
        pytest.skip("no AVX in this guest")
    process("threads", programs.add(), 8)


def counters(port):
    return {name: int(port.read_file(f"/sys/class/misc/kjax/stats/{name}")) for name in
            ("runs", "failed", "sections", "section_ns", "longest_section_ns", "memory")}  # fmt: skip


def test_counters(guest):
    port = guest.port()
    device = Device(port)
    with device.stack:
        before = counters(port)
        program, buffer = device.program(programs.add()), device.buffer(192)
        for _ in range(5):
            assert device.execute(program, [(buffer, 0), (buffer, 64)], [(buffer, 128)])[0] == 0
        endless = device.program(programs.endless())
        assert device.execute(endless, [], [(buffer, 0)], fuel=1000)[0]
        after = counters(port)
        assert after["runs"] - before["runs"] == 6 and after["failed"] - before["failed"] == 1
        assert after["sections"] - before["sections"] >= 6
        assert after["section_ns"] > before["section_ns"] and after["longest_section_ns"] > 0
        assert after["memory"] == device.query().memory_used


def test_sections_are_short(guest):
    """The mean section of a long run stays near 50 us; the clock under emulation allows no sharper bound."""
    port = guest.port()
    device = Device(port)
    with device.stack:
        n = 1 << 16
        program, buffer = device.program(programs.long(n, 128)), device.buffer(4 * n)
        before = counters(port)
        assert device.execute(program, [(buffer, 0)], [(-1, 0)])[0] == 0
        after = counters(port)
        sections = after["sections"] - before["sections"]
        mean = (after["section_ns"] - before["section_ns"]) / sections
        print(f"{sections} sections, {mean / 1000:.1f} us on average, longest {after['longest_section_ns'] / 1000:.0f} us")
        assert sections > 20 and mean < 500_000


def test_longer_sections_are_fewer(guest):
    port = guest.port()
    device = Device(port)
    parameter = "/sys/module/kjax/parameters/section_us"
    assert port.read_file(parameter).strip() == b"50"
    n, sections = 1 << 16, {}
    with device.stack:
        program, buffer = device.program(programs.long(n, 128)), device.buffer(4 * n)
        try:
            for us in (50, 5000):
                port.write_file(parameter, str(us).encode())
                before = counters(port)["sections"]
                assert device.execute(program, [(buffer, 0)], [(-1, 0)])[0] == 0
                sections[us] = counters(port)["sections"] - before
        finally:
            port.write_file(parameter, b"50")
    assert sections[5000] * 2 < sections[50]
