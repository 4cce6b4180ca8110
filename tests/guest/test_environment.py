"""Programs in a booted kernel: load, run, refuse, limits, deadlines, lanes, and a guest that dies."""

import os
import signal
import threading
import time

import numpy as np
import pytest
import small

from kjax import errors
from kjax.runtime.guest import Guest, GuestEnvironment
from kjax.runtime.guest.guest import shared

RNG = np.random.default_rng(7)


def f32(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("n", [1, 7, 1000, 100_003])
def test_adds(environment, n):
    with environment.load(small.add(n)) as program:
        for _ in range(2):
            a, b = f32(n), f32(n)
            (out,) = program.run([a, b])
            np.testing.assert_array_equal(out, a + b)


def test_facts_are_the_verifiers(environment):
    with environment.load(small.add(1000)) as program:
        facts = program.facts
        assert (facts.n_inputs, facts.n_outputs, facts.n_instructions, facts.lanes) == (2, 1, 1, 1)
        assert (facts.input_bytes, facts.output_bytes, facts.flops) == (8000, 4000, 1000)
        assert not facts.cost_is_open
        assert program.cpu == "avx2"


def test_members_of_a_family(environment):
    import jax
    from jax import export

    import kjax

    (n,) = export.symbolic_shape("n")
    artifact = export.export(jax.jit(lambda x: x[::-1] * n), platforms=("cpu",))(jax.ShapeDtypeStruct((n,), np.float32))
    family = kjax.compile(artifact.serialize())
    for size in (3, 70):
        x = f32(size)
        np.testing.assert_array_equal(family(x, environment=environment), x[::-1] * np.float32(size))


@pytest.mark.parametrize("cpu", ["scalar", "avx2"])
def test_cpu_table_can_be_chosen(environment, cpu):
    with environment.load(small.add(100), cpu=cpu) as program:
        assert program.cpu == cpu
        a, b = f32(100), f32(100)
        np.testing.assert_array_equal(program.run([a, b])[0], a + b)


def test_cpu_table_that_the_processor_lacks(environment):
    if "avx512" in environment.devices()[0].features:
        pytest.skip("it has AVX-512")
    with pytest.raises(errors.DeviceError):
        environment.load(small.add(100), cpu="avx512")
    with pytest.raises(ValueError, match="scalar, avx2, avx512, avx512vnni"):
        environment.load(small.add(100), cpu="neon")


def test_donated_argument(environment):
    with environment.load(small.double_in_place(100)) as program:
        x = f32(100)
        before = x.copy()
        doubled, negated = program.run([x])
        np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(doubled, 2 * before)
        np.testing.assert_array_equal(negated, -before)
        doubled, negated = program.run([x], in_place=True)
        assert doubled is x
        np.testing.assert_array_equal(x, 2 * before)
        np.testing.assert_array_equal(negated, -before)


def test_results_are_the_callers(environment):
    with environment.load(small.add(10)) as program:
        (first,) = program.run([f32(10), f32(10)])
        kept = first.copy()
        program.run([f32(10), f32(10)])
        np.testing.assert_array_equal(first, kept)


def test_argument_without_elements(environment):
    with environment.load(small.nothing()) as program:
        (out,) = program.run([np.zeros((0, 3), np.float32)])
        assert out.shape == (0, 3) and out.dtype == np.float32


def test_lanes_run_together(environment):
    lanes = 4
    with environment.load(small.gather_lanes(lanes)) as program:
        assert program.facts.lanes == lanes
        for _ in range(5):
            x = f32(lanes, 2)
            outs = program.run([[row] for row in x])
            for lane, (gathered, number) in enumerate(outs):
                np.testing.assert_array_equal(gathered, x)
                assert number == lane
        with pytest.raises(TypeError, match="4 lanes"):
            program.run([[x[0]]])


def test_wrong_arguments(environment):
    with environment.load(small.add(5), names=["a", "params['b']"]) as program:
        with pytest.raises(TypeError, match="takes 2 arguments but got 1"):
            program.run([f32(5)])
        with pytest.raises(TypeError, match=r"'params\['b'\]' compiled with float32\[5\] and called with float32\[6\]"):
            program.run([f32(5), f32(6)])
        with pytest.raises(TypeError, match=r"'a' compiled with float32\[5\] and called with int32\[5\]"):
            program.run([np.zeros(5, np.int32), f32(5)])
        with pytest.raises(ValueError, match="fuel"):
            program.run([f32(5), f32(5)], fuel=0)
    with pytest.raises(ValueError, match="closed"):
        program.run([f32(5), f32(5)])


def test_refusal_says_why(environment):
    image = bytearray(small.add(5))
    with pytest.raises(errors.VerifyError) as caught:
        environment.load(b"not a program at all" * 10)
    assert caught.value.status.name == "bad_magic"
    with pytest.raises(errors.VerifyError) as caught:
        environment.load(bytes(image[:100]))
    assert caught.value.status.name == "truncated"
    image[len(image) // 2] ^= 1
    with pytest.raises(errors.VerifyError) as caught:
        environment.load(bytes(image))
    assert caught.value.status.name in ("bad_hash", "reserved_set")
    with pytest.raises(errors.VerifyError):
        environment.load(b"")


def test_limits(environment):
    before = environment.memory()["used"]
    with pytest.raises(errors.LimitError):
        environment.load(small.add(1000), memory_limit=100)
    with pytest.raises(errors.LimitError):
        environment.load(small.add(1000), cost_limit=10)
    assert environment.memory()["used"] == before


def test_image_over_the_limit_is_refused_before_it_is_sent(guest):
    with GuestEnvironment(guest=guest) as environment:
        limit = environment.kernel().query().image_limit
        assert limit

        class Long(bytes):
            def __len__(self):
                return limit + 1

        with pytest.raises(errors.LimitError, match="image"):
            environment.kernel().load(Long())


def test_closing_frees(environment):
    start = environment.memory()["used"]
    program = environment.load(small.add(100_000))
    program.run([f32(100_000), f32(100_000)])
    assert environment.memory()["used"] > start
    program.close()
    program.close()
    assert environment.memory()["used"] == start


def test_deadline(environment):
    x = np.array(1, np.int32)
    with environment.load(small.endless()) as program:
        started = time.monotonic()
        with pytest.raises(errors.DeadlineError) as caught:
            program.run([x], deadline=0.3)
        assert 0.25 < time.monotonic() - started < 5
        assert caught.value.status.name == "deadline"
        with pytest.raises(errors.DeadlineError):
            program.run([x], deadline=0)
    with environment.load(small.add(5)) as program:
        np.testing.assert_array_equal(program.run([f32(5) * 0, f32(5) * 0])[0], np.zeros(5))


def test_fuel(environment):
    with environment.load(small.endless()) as program:
        assert program.facts.cost_is_open
        with pytest.raises(errors.DeadlineError) as caught:
            program.run([np.array(1, np.int32)], fuel=100_000)
        assert caught.value.status.name == "out_of_fuel"


def test_interrupt_ends_an_endless_run(environment, interruptible):
    with environment.load(small.endless()) as program:
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            program.run([np.array(1, np.int32)])
        assert time.monotonic() - started < 5
    with environment.load(small.add(5)) as program:
        program.run([f32(5), f32(5)])


def test_threads_share_a_program(environment):
    with environment.load(small.add(1000), runs=2) as program:
        failures = []

        def work(seed):
            rng = np.random.default_rng(seed)
            for _ in range(10):
                a, b = rng.standard_normal((2, 1000)).astype(np.float32)
                if not np.array_equal(program.run([a, b])[0], a + b):
                    failures.append(seed)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures


def test_devices(environment):
    lanes = [d for d in environment.devices() if d.kind == "cpu"]
    assert lanes and lanes[0].id == "cpu:0" and lanes[0].usable
    assert "scalar" in lanes[0].features and "TCG" in lanes[0].name


def test_accelerators_on_the_bus_are_listed():
    guest = Guest(devices=("-device", "VGA"))
    try:
        with GuestEnvironment(guest=guest) as environment:
            (gpu,) = [d for d in environment.devices() if d.kind != "cpu"]
            assert gpu.id == "gpu:0" and "1234:1111" in gpu.name and not gpu.usable and "StableHLO" in gpu.why
    finally:
        guest.stop()


def test_guest_killed_during_a_run(guest, environment):
    program = environment.load(small.endless())
    other = environment.load(small.add(5))
    pid = guest.port().machine.pid
    threading.Timer(0.5, lambda: os.kill(pid, signal.SIGKILL)).start()
    with pytest.raises(errors.DeviceError, match="died during the call"):
        program.run([np.array(1, np.int32)])
    a, b = f32(5), f32(5)
    np.testing.assert_array_equal(other.run([a, b])[0], a + b)  # in another guest
    assert guest.port().machine.pid != pid
    program.close()


def test_shared_guest_is_booted_once_and_stopped_by_the_last_user():
    with GuestEnvironment() as one:
        pid = shared().port().machine.pid
        with GuestEnvironment() as two:
            assert two.kernel().port is one.kernel().port
        assert shared().running
    assert not shared().running
    assert not os.path.exists(f"/proc/{pid}")
    with pytest.raises(ValueError, match="closed"):
        one.load(small.add(1))


def test_module_of_another_abi_is_refused(guest, monkeypatch):
    from kjax.runtime import uapi

    monkeypatch.setattr(uapi, "ABI_VERSION", 99)
    with pytest.raises(errors.DeviceError, match="ABI 1, this package 99"):
        GuestEnvironment(guest=guest)
