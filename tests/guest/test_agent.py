"""Boot, the agent's operations, and every way in which a guest or a call can end."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from kjax.errors import DeadlineError, DeviceError
from kjax.runtime.guest import Guest, kernels, machine, module
from kjax.runtime.guest import protocol as p

BUSYBOX = "/bin/busybox"


@pytest.fixture(scope="module")
def shell(bare):
    """Runs a line of shell in the guest, with a static busybox."""
    path = shutil.which("busybox")
    if not path:
        pytest.skip("no busybox (Debian: busybox-static)")

    def run(line, **keywords):
        port = bare.port()
        try:
            port.spawn(BUSYBOX, "true")
        except FileNotFoundError:
            try:
                with port._text("/bin") as text:
                    port._syscall("mkdir", text, 0o755)
            except FileExistsError:
                pass
            with open(path, "rb") as file:
                port.write_file(BUSYBOX, file.read())
        return port.spawn(BUSYBOX, "sh", "-c", line, **keywords)

    return run


def test_boots_the_cached_kernel(bare):
    port = bare.port()
    assert port.machine.hello.release == kernels.ensure().release
    assert port.machine.hello.machine == "x86_64"
    assert "sse2" in port.machine.hello.flags
    assert port.machine.boot_seconds < 60
    assert bare.port() is port  # booted once


def test_memory_round_trip_of_several_frames(bare):
    port = bare.port()
    memory = port.memory(9_000_001)
    data = os.urandom(memory.length)
    memory.data[:] = bytearray(data)
    port.push(memory)
    memory.data[:] = 0
    port.pull(memory)
    assert bytes(memory.data) == data
    port.free(memory)


def test_operations_after_a_failure_are_left_out_unless_always(bare):
    page = bare.port().memory(4096)
    answers = bare.port().machine.request([
        p.syscall("close", 999),
        p.write(page.address, b"x"),
        p.read(page.address, 1, always=True),
        p.Op(77, always=True),
    ])
    assert [a.value for a in answers] == [-9, -125, 0, -38]
    assert bytes(answers[2].data) == b"\0"


def test_missing_file_is_the_usual_exception(bare):
    with pytest.raises(FileNotFoundError, match="/nowhere"):
        bare.port().open("/nowhere")


def test_clock_is_set_in_the_guest(bare):
    page = bare.port().memory(4096)
    (*_, answer) = bare.port().machine.request([p.now(page.address, 0), p.now(page.address + 8, 10**9),
                                                p.read(page.address, 16)])
    before, after = (int.from_bytes(answer.data[i:i + 8], "little") for i in (0, 8))
    assert 10**9 <= after - before < 2 * 10**9


def test_shell(shell):
    status, said = shell("echo out; echo err >&2; exit 3")
    assert (status, said) == (3, b"out\nerr\n")
    assert shell("kill -9 $$")[0] == -signal.SIGKILL


def test_calls_run_concurrently(shell):
    shell("true")
    results = []
    threads = [threading.Thread(target=lambda i=i: results.append(shell(f"sleep 1; echo {i}"))) for i in range(6)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(0, b"%d\n" % i) for i in range(6)]
    assert time.monotonic() - started < 5


def test_call_past_its_timeout_is_given_up_and_the_guest_lives(shell, bare):
    pid = bare.port().machine.pid
    started = time.monotonic()
    with pytest.raises(DeadlineError):
        shell("exec sleep 60", timeout=1)
    assert time.monotonic() - started < 6
    assert shell("echo well") == (0, b"well\n")
    assert bare.port().machine.pid == pid


TRIVIAL = """
#include <linux/module.h>
static int answer; module_param(answer, int, 0444);
static int __init trivial_init(void) { pr_info("trivial: %d\\n", answer); return answer == 42 ? 0 : -ERANGE; }
static void __exit trivial_exit(void) { }
module_init(trivial_init); module_exit(trivial_exit); MODULE_LICENSE("GPL");
"""


def test_module_is_built_loaded_and_refused(bare, tmp_path):
    (tmp_path / "trivial.c").write_text(TRIVIAL)
    (tmp_path / "Kbuild").write_text("obj-m := trivial.o\n")
    module.make(kernels.ensure(), tmp_path)
    image = (tmp_path / "trivial.ko").read_bytes()
    port = bare.port()
    with pytest.raises(DeviceError, match=r"(?s)out of range.*trivial: 7"):
        port.insert_module(image, "answer=7")
    port.insert_module(image, "answer=42")
    assert "trivial: 42" in port.dmesg()
    with pytest.raises(DeviceError, match="File exists"):
        port.insert_module(image, "answer=42")
    port.remove_module("trivial")
    with pytest.raises(DeviceError, match="(?i)exec format"):
        port.insert_module(b"\x7fELF" + bytes(100))


def test_compiler_errors_are_shown(tmp_path):
    (tmp_path / "broken.c").write_text("#include <linux/module.h>\nint broken(void) { return not_declared; }\n")
    (tmp_path / "Kbuild").write_text("obj-m := broken.o\n")
    with pytest.raises(DeviceError, match="not_declared"):
        module.make(kernels.ensure(), tmp_path)


def test_guest_killed_during_a_call(shell, bare):
    shell("true")
    port = bare.port()
    threading.Timer(0.5, lambda: os.kill(port.machine.pid, signal.SIGKILL)).start()
    with pytest.raises(DeviceError, match="died during the call"):
        shell("sleep 60")
    assert not port.machine.alive
    with pytest.raises(DeviceError, match="gone"):
        port.dmesg()
    assert shell("echo again") == (0, b"again\n")  # another guest
    assert bare.port() is not port


def test_kernel_crash_shows_the_guests_last_lines(bare):
    port = bare.port()
    with pytest.raises(DeviceError) as caught:
        port.write_file("/proc/sysrq-trigger", b"c")
    assert "sysrq triggered crash" in caught.value.tail
    assert re.search("Kernel panic", caught.value.tail)
    assert bare.port().machine.alive


def test_kernel_that_cannot_boot_shows_its_console():
    with pytest.raises(DeviceError) as caught:
        Guest(load=False, append="rdinit=/nowhere root=/dev/none").port()
    assert "Kernel panic" in caught.value.tail


def _machine(monkeypatch, script, seconds=20):
    """A "QEMU" that is a Python script; ``port`` is its end of the agent's port."""
    monkeypatch.setattr(machine, "_command", lambda config, fd: [
        sys.executable, "-c", f"import socket, sys, time\nport = socket.socket(fileno={fd})\n{script}"])
    return machine.Machine(machine.Config("", "", boot_seconds=seconds))


HELLO = "port.sendall(__import__('struct').pack('<IIIIIIq', 0x31414a4b, 0, 1, 32, 0, 10, 0) + b'1\\n6\\nx\\nm\\nf\\n' + bytes(6))\n"


@pytest.mark.parametrize(
    "garbage",
    ["b'x' * 64",
     "__import__('struct').pack('<IIII', 0x31414a4b, 1, 1, 1 << 31)",
     "__import__('struct').pack('<IIII', 0x31414a4b, 1, 2000, 16)",
     "__import__('struct').pack('<IIIIIIq', 0x31414a4b, 1, 1, 16, 0, 99, 0)",
     "__import__('struct').pack('<IIIIIIqq', 0x31414a4b, 1, 1, 24, 0, 0, 0, 0)"])  # fmt: skip
def test_garbage_from_the_agent_ends_the_guest(monkeypatch, garbage):
    fake = _machine(monkeypatch, HELLO + f"port.recv(1)\nport.sendall({garbage})\ntime.sleep(60)")
    with pytest.raises(DeviceError, match="ProtocolError"):
        fake.request([p.syscall("close", 1)], timeout=30)
    fake.kill()
    assert fake._process.returncode is not None


def test_agent_of_another_version(monkeypatch):
    with pytest.raises(DeviceError, match="speaks version"):
        _machine(monkeypatch, HELLO.replace("b'1", "b'2") + "time.sleep(60)")


def test_silent_agent_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(machine, "_CANCEL_SECONDS", 0.5)
    fake = _machine(monkeypatch, HELLO + "time.sleep(60)")
    with pytest.raises(DeviceError, match="did not answer within 1 s"):
        fake.request([p.syscall("close", 1)], timeout=1)
    assert not fake.alive


def test_agent_that_does_not_read(monkeypatch):
    fake = _machine(monkeypatch, HELLO + "time.sleep(60)")
    with pytest.raises(DeviceError, match="does not read"):
        fake.request([p.write(0, bytes(8 << 20))], timeout=1)


def test_console_is_shown_when_the_boot_fails(monkeypatch):
    with pytest.raises(DeviceError, match="(?s)did not boot.*out of luck"):
        _machine(monkeypatch, "print('out of luck', flush=True)")
    with pytest.raises(DeviceError, match="did not boot within 1 s"):
        _machine(monkeypatch, "time.sleep(60)", seconds=1)


OWNER = """
import os, signal, sys, time
from kjax.runtime.guest import Guest
guest = Guest(load=False)
print(guest.port().machine.pid, flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)", "raise SystemExit(3)"])
def test_no_qemu_outlives_its_owner(end):
    done = subprocess.run([sys.executable, "-c", OWNER.format(end=end)], capture_output=True, text=True, timeout=120)
    pid = int(done.stdout)
    for _ in range(50):
        if not os.path.exists(f"/proc/{pid}"):
            return
        time.sleep(0.1)
    with open(f"/proc/{pid}/stat") as file:
        assert file.read().split(")")[1].split()[0] == "Z", "a QEMU is left behind"


def test_forked_child_leaves_the_parents_guest_alone(bare):
    port = bare.port()
    child = os.fork()
    if not child:
        port.machine.kill()
        os._exit(0 if not port.machine.alive else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert port.machine.alive
    port.dmesg()
