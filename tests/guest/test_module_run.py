"""Long runs in ring 0: fuel, deadlines, signals, many runs at once, lanes; and the module's own coming and going."""

import errno
import threading
import time

import module_programs as programs
import numpy as np
import pytest
from test_module_ioctl import NO_FD, Device, device  # noqa: F401  (fixture)

from kjax.isa import status
from kjax.runtime import uapi
from kjax.runtime.guest import protocol as p

STATUS = {row.name: row.number for row in status.STATUSES}


def run(device, program, inputs=(), outputs=(), *, after=None, **fields):  # noqa: F811
    """(errno, record, seconds of the guest's clock). ``after``: deadline in seconds from now."""
    record = uapi.Execute(inputs=device.slots(*inputs), outputs=device.slots(*outputs, at=1 << 15),
                          n_inputs=len(inputs), n_outputs=len(outputs), **fields)
    error = device.port.ioctl(program, uapi.EXECUTE, record, timeout=120, after=None if after is None else int(after * 1e9))
    return error, record, record.time / 1e9


def test_fuel_ends_an_endless_run(device):  # noqa: F811
    program, buffer = device.program(programs.endless()), device.buffer(64)
    error, record, _ = run(device, program, outputs=[(buffer, 0)], fuel=100_000)
    assert (error, record.status) == (errno.ETIME, STATUS["out_of_fuel"])
    assert 100_000 <= record.used < 200_000 and record.failed_lane == 0
    error, record, _ = run(device, program, outputs=[(buffer, 0)], fuel=1)
    assert (error, record.status) == (errno.ETIME, STATUS["out_of_fuel"])


def test_a_loop_that_breaks_its_own_bound(device):  # noqa: F811
    program, buffer = device.program(programs.endless(trips=50)), device.buffer(64)
    error, record, _ = run(device, program, outputs=[(buffer, 0)])
    assert (error, record.status) == (errno.ETIME, STATUS["too_many_trips"])


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_deadline_ends_an_endless_run(device, lanes):  # noqa: F811
    program, buffer = device.program(programs.endless(lanes)), device.buffer(64 * lanes)
    outputs = [(buffer, 64 * lane) for lane in range(lanes)]
    error, record, seconds = run(device, program, outputs=outputs, after=0.3)
    assert (error, record.status) == (errno.ETIMEDOUT, STATUS["deadline"])
    assert 0.25 < seconds < 3
    # and the program is usable at once
    error, record, _ = run(device, program, outputs=outputs, fuel=1000)
    assert error == errno.ETIME
    error, record, _ = run(device, program, outputs=outputs, deadline=1)  # long past
    assert (error, record.status) == (errno.ETIMEDOUT, STATUS["deadline"])


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_signal_ends_a_run(device, lanes):  # noqa: F811
    port = device.port
    program, buffer = device.program(programs.endless(lanes)), device.buffer(64 * lanes)
    slots = device.slots(*[(buffer, 64 * lane) for lane in range(lanes)])
    record = uapi.Execute(outputs=slots, n_outputs=lanes)
    place = port.memory(4096)
    place.data[:len(bytes(record))] = np.frombuffer(bytes(record), np.uint8)
    port.push(place)
    # the machine sends the signal to the thread in the call when the time limit of the request passes
    begun = time.monotonic()
    with pytest.raises(Exception) as e:
        port.machine.request([p.syscall("ioctl", program, uapi.EXECUTE, place.address)], timeout=1.0)
    assert "Deadline" in type(e.value).__name__ and time.monotonic() - begun < 60
    port.pull(place)
    ended = uapi.Execute.from_buffer_copy(place.data)
    assert ended.status == STATUS["interrupted"]
    port.free(place)
    assert run(device, program, outputs=[(buffer, 64 * lane) for lane in range(lanes)], fuel=10)[0] == errno.ETIME


def test_a_long_run_is_many_sections(device):  # noqa: F811
    """The scheduler gets in: a thread that does nothing but answer is answered during a run."""
    n = 1 << 16
    program, buffer = device.program(programs.long(n, 256)), device.buffer(4 * n)
    done = {}

    def long_run():
        done["run"] = run(device, program, [(buffer, 0)], [(NO_FD, 0)])

    thread = threading.Thread(target=long_run)
    thread.start()
    latencies = []
    while thread.is_alive():
        begun = time.monotonic()
        device.query()
        latencies.append(time.monotonic() - begun)
    thread.join()
    error, record, _ = done["run"]
    assert error == 0 and len(latencies) > 1
    block = device.port.memory(4 * n, buffer)
    device.port.pull(block)
    assert (block.data.view(np.float32) == 256).all()
    device.port.free(block)


def test_runs_of_one_program_wait_for_an_arena_or_do_not(device):  # noqa: F811
    program, buffer = device.program(programs.endless()), device.buffer(192)
    results = []

    def hold():
        results.append(run(device, program, outputs=[(buffer, 0)], after=2.0))

    thread = threading.Thread(target=hold)
    thread.start()
    time.sleep(0.7)
    other = Device(device.port)
    with other.stack:
        error, record, _ = run(other, program, outputs=[(buffer, 64)], flags=uapi.EXECUTE_NOWAIT)
        assert error == errno.EBUSY
        error, record, _ = run(other, program, outputs=[(buffer, 64)], after=0.2)  # ends while waiting
        assert (error, record.status) == (errno.ETIMEDOUT, STATUS["deadline"])
        error, record, _ = run(other, program, outputs=[(buffer, 64)], fuel=1000)  # waits, then runs
        assert (error, record.status) == (errno.ETIME, STATUS["out_of_fuel"])
    thread.join()
    assert results[0][0] == errno.ETIMEDOUT


def test_as_many_runs_as_were_reserved(device):  # noqa: F811
    program, buffer = device.program(programs.endless(), runs=2), device.buffer(192)
    thread = threading.Thread(target=lambda: run(device, program, outputs=[(buffer, 0)], after=1.5))
    thread.start()
    time.sleep(0.5)
    other = Device(device.port)
    with other.stack:
        error, record, _ = run(other, program, outputs=[(buffer, 64)], flags=uapi.EXECUTE_NOWAIT, fuel=1000)
        assert (error, record.status) == (errno.ETIME, STATUS["out_of_fuel"])
    thread.join()


@pytest.mark.parametrize("lanes, rounds", [(2, 200), (5, 40), (64, 8)])
def test_lanes_meet(device, lanes, rounds):  # noqa: F811
    """More lanes than workers, more workers than lanes: every lane gets every round's array, bit for bit."""
    n = 16
    program, buffer = device.program(programs.ring(lanes, rounds, n)), device.buffer(128 * lanes)
    block = device.port.memory(128 * lanes, buffer)
    rows = block.data.view(np.float32).reshape(lanes, 2, n)
    rows[:, 0] = np.arange(lanes)[:, None] * 3 + np.arange(n)
    device.port.push(block)
    inputs, outputs = [[(buffer, 128 * lane + at) for lane in range(lanes)] for at in (0, 64)]
    want = rows[:, 0].copy()
    for _ in range(rounds):
        want = np.roll(want, 1, axis=0) + rows[:, 0]
    error, record, _ = run(device, program, inputs, outputs, after=60)
    assert (error, record.status, record.failed_lane) == (0, 0, 0xFFFFFFFF)
    device.port.pull(block)
    assert (rows[:, 1] == want).all()
    device.port.free(block)


def test_lanes_out_of_fuel_fail_together(device):  # noqa: F811
    lanes = 4
    program, buffer = device.program(programs.ring(lanes, 100)), device.buffer(128 * lanes)
    inputs, outputs = [[(buffer, 128 * lane + at) for lane in range(lanes)] for at in (0, 64)]
    error, record, _ = run(device, program, inputs, outputs, fuel=500)
    assert (error, record.status) == (errno.ETIME, STATUS["out_of_fuel"]) and record.failed_lane < lanes


def test_two_programs_of_lanes_at_once(device):  # noqa: F811
    lanes = 6
    program = device.program(programs.ring(lanes, 60), runs=3)
    results = []

    def one():
        own = Device(device.port)
        with own.stack:
            buffer = own.buffer(128 * lanes)
            inputs, outputs = [[(buffer, 128 * lane + at) for lane in range(lanes)] for at in (0, 64)]
            results.append(run(own, program, inputs, outputs, after=60)[:2])

    threads = [threading.Thread(target=one) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [error for error, _ in results] == [0] * 4


def test_the_module_stays_while_it_is_used(device):  # noqa: F811
    with pytest.raises(OSError) as e:
        device.port.remove_module("kjax")
    assert e.value.errno in (errno.EBUSY, errno.EAGAIN)


@pytest.mark.parametrize("table", ["scalar", "avx2"])
def test_cpu_tables_agree(device, table):  # noqa: F811
    if not device.query().cpus >> uapi.CPUS[table] & 1:
        pytest.skip(f"this processor has no {table}")
    n = 777
    x = np.random.default_rng(1).normal(size=n).astype(np.float32)
    y = np.random.default_rng(2).normal(size=n).astype(np.float32)
    program, buffer = device.program(programs.add(n), cpu=uapi.CPUS[table]), device.buffer(3 * 4096)
    block = device.port.memory(3 * 4096, buffer)
    rows = block.data.view(np.float32).reshape(3, 1024)
    rows[0, :n], rows[1, :n] = x, y
    device.port.push(block)
    assert run(device, program, [(buffer, 0), (buffer, 4096)], [(buffer, 8192)])[0] == 0
    device.port.pull(block)
    assert (rows[2, :n] == x + y).all() and not rows[2, n:].any()
    device.port.free(block)
