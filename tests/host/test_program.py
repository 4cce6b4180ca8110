"""The engine in this process: what a caller may pass, what comes back, and how a run ends."""

import signal
import threading
import time

import handmade as images
import ml_dtypes
import numpy as np
import pytest

from kjax import _engine, errors
from kjax.runtime.embedded import Embedded


@pytest.fixture
def add():
    return _engine.Program(images.elementwise("add"))


@pytest.fixture
def add34():
    return _engine.Program(images.elementwise("add", (3, 4)))


def f32(x):
    return np.asarray(x, np.float32)


def test_a_call_gives_new_arrays(add34):
    a, b = f32(np.arange(12).reshape(3, 4)), f32(np.ones((3, 4)))
    (out,) = add34(a, b)
    np.testing.assert_array_equal(out, a + b)
    assert out.dtype == np.float32 and out.base is None
    (again,) = add34(a, a)
    np.testing.assert_array_equal(out, a + b)
    np.testing.assert_array_equal(again, 2 * a)


@pytest.mark.parametrize("table", _engine.cpus())
def test_every_cpu_table_runs(table):
    program = _engine.Program(images.elementwise("mul", (5, 7)), cpu=table)
    a = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    assert program.cpu == table
    np.testing.assert_array_equal(program(a, a)[0], a * a)


@pytest.mark.parametrize("make", [
    lambda x: x[::2], lambda x: x[:3].T.copy().T, lambda x: np.asfortranarray(x[:3]), lambda x: x[:3].astype(np.float64),
    lambda x: x[:3].astype(">f4"), lambda x: np.concatenate([[0], x[:3].view(np.uint8).ravel()]).astype(np.uint8)[1:]
    .view(np.float32).reshape(3, 4)])
def test_other_layouts_are_copied(add34, make):
    x = f32(np.arange(24).reshape(6, 4))
    given = make(x)
    expected = np.asarray(given, np.float32) * 2
    np.testing.assert_array_equal(add34(given, given)[0], expected)


@pytest.mark.parametrize("number", [2, 2.5, np.float32(1.5), np.float64(0.25), np.array(3.0)])
def test_numbers_for_scalars(add, number):
    assert add(number, 1)[0] == np.float32(number) + 1


SCALARS = ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64", "c64", "c128"]


@pytest.mark.parametrize("dtype", SCALARS)
def test_numpy_scalars_are_read_where_they_lie(dtype):
    scalar = np.dtype({"i": "int", "u": "uint", "f": "float", "c": "complex"}[dtype[0]] + dtype[1:]).type
    program = _engine.Program(images.elementwise("sub", (), dtype, size=int(dtype[1:]) // 8))
    a, b = scalar(100), scalar(3)
    (out,) = program(a, b)
    assert out == scalar(97) and out.dtype == scalar and out.shape == ()
    assert a == 100 and b == 3


def test_other_libraries_arrays(add34):
    import jax.numpy as jnp

    x = jnp.arange(12, dtype=jnp.float32).reshape(3, 4)
    np.testing.assert_array_equal(add34(x, memoryview(np.asarray(x)))[0], 2 * np.asarray(x))


def test_small_floats_keep_their_type():
    x = np.zeros(3, ml_dtypes.bfloat16)
    program = _engine.Program(images.elementwise("or", (3,), "u16", size=2))
    with pytest.raises(TypeError, match="compiled with uint16.*called with bfloat16"):
        program(x, x)


@pytest.mark.parametrize("bad, why", [
    (np.zeros((4, 3), np.float32), r"'args\[0\]' compiled with float32\[3,4\] and called with float32\[4,3\]"),
    (np.zeros((3, 4), np.int32), r"called with int32\[3,4\]"),
    (np.zeros((3, 4), np.complex64), "called with complex64"),
    (1.0, r"called with float64\[\]"),
    ("x", "of type <class 'str'> is not a valid JAX type"),
    (b"0123456789ab", "is not a valid JAX type"),
    ([[0.0] * 4] * 3, "of type <class 'list'> is not"),
    (None, "NoneType")])
def test_wrong_arguments_are_named(add34, bad, why):
    with pytest.raises(TypeError, match=why):
        add34(bad, np.zeros((3, 4), np.float32))


def test_names_appear_in_messages():
    program = _engine.Program(images.elementwise("add"), names=["params['w']", "x"])
    with pytest.raises(TypeError, match=r"Argument 'params\['w'\]'"):
        program(np.zeros(3, np.float32), 1)


def test_counts_and_keywords(add):
    with pytest.raises(TypeError, match="takes 2 arrays, and was called with 1"):
        add(1.0)
    with pytest.raises(TypeError, match="keyword"):
        add(1.0, b=2.0)
    with pytest.raises(TypeError, match="takes 2 arrays"):
        add.run([f32(1)])


def test_an_integer_that_does_not_fit():
    program = _engine.Program(images.elementwise("add", (), "u8", size=1))
    assert program(250, 5)[0] == 255
    with pytest.raises(OverflowError):
        program(300, 5)


def test_updates_leave_the_input_alone_unless_in_place():
    program = _engine.Program(images.elementwise("add", (4,), alias=0))
    state, step = f32([1, 2, 3, 4]), f32([1, 1, 1, 1])
    (out,) = program(state, step)
    np.testing.assert_array_equal(out, [2, 3, 4, 5])
    np.testing.assert_array_equal(state, [1, 2, 3, 4])
    (kept,) = program.run([state, step])
    assert kept is not state
    (updated,) = program.run([state, step], in_place=True)
    assert updated is state
    np.testing.assert_array_equal(state, [2, 3, 4, 5])


def test_in_place_needs_an_array_of_its_own():
    program = _engine.Program(images.elementwise("add", (4,), alias=0))
    state = f32([1, 2, 3, 4])
    with pytest.raises(ValueError, match="donate the same buffer twice"):
        program.run([state, state], in_place=True)
    with pytest.raises(TypeError, match="writable"):
        program.run([state.astype(np.float64), state], in_place=True)
    state.flags.writeable = False
    with pytest.raises(TypeError, match="writable"):
        program.run([state, f32([0] * 4)], in_place=True)
    np.testing.assert_array_equal(program(state, state)[0], [2, 4, 6, 8])


def test_an_endless_loop_ends_at_its_deadline():
    program = _engine.Program(images.endless())
    assert program.facts["cost_is_open"]
    began = time.monotonic()
    with pytest.raises(errors.DeadlineError) as caught:
        program.run([f32(1)], deadline=0.05)
    assert time.monotonic() - began < 2 and caught.value.status.name == "deadline"
    with pytest.raises(errors.DeadlineError) as caught:
        program.run([f32(1)], fuel=10_000)
    assert caught.value.status.name == "out_of_fuel"


def test_control_c_ends_an_endless_loop():
    program = _engine.Program(images.endless())
    old = signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            program(1.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_other_threads_go_on_during_a_long_run():
    program = _engine.Program(images.endless())
    seen = []

    def run():
        try:
            program.run([f32(1)], deadline=0.4)
        except errors.DeadlineError:
            seen.append("ended")

    thread = threading.Thread(target=run)
    thread.start()
    ticks = 0
    while thread.is_alive():
        ticks += 1
        time.sleep(0.01)
    assert seen == ["ended"] and ticks > 5


def test_many_threads_share_a_program(add34):
    failures = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(300):
            a, b = rng.standard_normal((2, 3, 4)).astype(np.float32)
            if not np.array_equal(add34(a, b)[0], a + b):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("lanes", [2, 3, 8, 64])
def test_lanes_exchange(lanes):
    program = _engine.Program(images.gather_lanes(lanes))
    x = np.arange(lanes * 3, dtype=np.float32).reshape(lanes, 3)
    (stacked,) = program(x)
    np.testing.assert_array_equal(stacked, np.broadcast_to(x, (lanes, lanes, 3)))
    for (out,) in program.run([[row] for row in x]):
        np.testing.assert_array_equal(out, x)
    with pytest.raises(TypeError, match=f"{lanes} lanes"):
        program.run([[x[0]]])


@pytest.mark.parametrize("lanes", [2, 5])
def test_stopped_lanes_leave_nothing_behind(lanes):
    program = _engine.Program(images.endless_lanes(lanes))
    for _ in range(3):
        with pytest.raises(errors.DeadlineError):
            program.run([[f32(1)]] * lanes, deadline=0.02)
        with pytest.raises(errors.DeadlineError) as caught:
            program.run([[f32(1)]] * lanes, fuel=1000)
        assert caught.value.status.name == "out_of_fuel"


def test_refusals_say_why_and_where():
    image = bytearray(images.elementwise("add"))
    with pytest.raises(errors.VerifyError) as caught:
        _engine.Program(bytes(image[:100]))
    assert caught.value.status.name == "truncated" and "100" in str(caught.value)
    assert caught.value.instruction is None
    with pytest.raises(ValueError, match="no cpu table"):
        _engine.Program(bytes(image), cpu="riscv")


def test_memory_is_counted_limited_and_given_back():
    image = images.elementwise("add", (64, 64))
    env = Embedded()
    programs = [env.load(image) for _ in range(3)]
    used = env.memory()["used"]
    assert used >= 3 * (len(image) + programs[0].facts.plan_bytes + programs[0].facts.arena_bytes)
    programs[0].close()
    assert env.memory()["used"] == used * 2 // 3
    env.close()
    assert env.memory() == {"used": 0, "limit": None}
    with pytest.raises(ValueError, match="closed"):
        programs[1].run([np.zeros((64, 64), np.float32)] * 2)
    with pytest.raises(errors.DeviceError):
        env.load(image)
    tight = Embedded(memory_limit=used // 3 - 1)
    with pytest.raises(errors.LimitError):
        tight.load(image)
    assert tight.memory()["used"] == 0
    with pytest.raises(errors.LimitError):
        Embedded().load(image, memory_limit=10)


def test_close_during_a_run_waits_for_its_end():
    program = _engine.Program(images.endless())
    closing = threading.Timer(0.05, program.close)
    closing.start()
    with pytest.raises(errors.DeadlineError):
        program.run([f32(1)], deadline=0.2)
    closing.join()
    with pytest.raises(ValueError, match="closed"):
        program(1.0)


def test_devices():
    devices = Embedded().devices()
    assert devices and all(d.usable and d.kind == "cpu" and "scalar" in d.features for d in devices)


def test_the_memory_of_large_results_is_recycled():
    program = _engine.Program(images.elementwise("add", (100_000,)))
    x = np.ones(100_000, np.float32)
    (first,) = program(x, x)
    at, kept = first.ctypes.data, first[10:]
    (second,) = program(x, x)
    assert second.ctypes.data != at, "a view still holds the first result"
    del first, kept
    (third,) = program(x, x + 1)
    assert third.ctypes.data == at
    assert third.flags.writeable and third.flags.aligned and (third == 3).all() and (second == 2).all()
