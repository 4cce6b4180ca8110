"""What programs print, as C programs read it; programs that call Python are refused there."""

import ctypes as c
import json
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kjax
from kjax import _engine, config
from kjax.runtime import trace

X = np.array([0.5, -1.25, 3.0], np.float32)


@pytest.fixture(scope="module")
def lib():
    lib = c.CDLL(str(config.library()))
    lib.kjax_error.restype = c.c_char_p
    lib.kjax_record_text.restype = lib.kjax_program_meta.restype = c.c_void_p
    lib.free = c.CDLL(None).free
    lib.free.argtypes = [c.c_void_p]
    lib.kjax_program_listen.argtypes = [c.c_void_p, c.c_uint64]
    return lib


class Program:
    def __init__(self, lib, image):
        self.lib, self.at = lib, c.c_void_p()
        self.status = lib.kjax_program_open(bytes(image), c.c_size_t(len(image)), None, c.byref(self.at))

    def run(self, x):
        out = np.empty_like(x)
        assert self.lib.kjax_program_run(self.at, (c.c_void_p * 1)(x.ctypes.data), (c.c_void_p * 1)(out.ctypes.data), None) == 0
        return out

    def read(self, capacity=1 << 16):
        """(status, bytes, dropped)"""
        block, n, dropped = np.zeros(capacity // 8 + 1, np.uint64), c.c_size_t(), c.c_uint64()
        got = self.lib.kjax_program_read(self.at, c.c_void_p(block.ctypes.data), c.c_size_t(capacity), c.byref(n),
                                         c.byref(dropped))
        return got, block.tobytes()[:n.value], dropped.value


@pytest.fixture
def opened(lib):
    programs = []

    def open_(function):
        programs.append(Program(lib, kjax.compile(function, X).image))
        assert programs[-1].status == 0, lib.kjax_error()
        return programs[-1]

    yield open_
    for p in programs:
        lib.kjax_program_close(p.at)


def noisy(x):
    jax.debug.print("x = {}", x)
    return jax.lax.fori_loop(0, 3, lambda i, y: (jax.debug.print("{i} {}", y[0] > 0, i=i), y + 1)[1], x)


def test_records(lib, opened):
    program = opened(noisy)
    np.testing.assert_array_equal(program.run(X), X + 3)  # nobody listens
    assert program.read()[0] == 103 and b"nobody listens" in lib.kjax_error()
    assert lib.kjax_program_listen(program.at, 4096) == 0
    for _ in range(2):
        np.testing.assert_array_equal(program.run(X), X + 3)
    status, data, dropped = program.read()
    records = trace.records(data)
    assert (status, dropped) == (0, 0)
    assert [(r.run, r.sequence, r.site) for r in records] == [(1 + k // 4, k, min(k % 4, 1)) for k in range(8)]
    np.testing.assert_array_equal(records[0].arrays[0], X)
    assert [bool(a) for r in records[1:4] for a in r.arrays if a.dtype == bool] == [True] * 3
    assert program.read() == (0, b"", 0)
    assert lib.kjax_program_listen(program.at, 0) == 0 and program.read()[0] == 103


def test_text_and_format(lib, opened):
    program = opened(noisy)
    lib.kjax_program_listen(program.at, 4096)
    program.run(X)
    data = program.read()[1]
    block = np.frombuffer(data, np.uint64).copy()
    text = lib.kjax_record_text(c.c_void_p(block.ctypes.data))
    assert json.loads(c.string_at(text)) == [X.tolist()]
    lib.free(text)
    n = c.c_size_t()
    meta = json.loads(c.string_at(lib.kjax_program_meta(program.at, c.byref(n)), n.value))
    assert [s["format"] for s in meta["sites"]] == ["x = {}", "{i} {}"]


def test_a_full_ring_and_a_small_block(lib, opened):
    program = opened(noisy)
    lib.kjax_program_listen(program.at, 150)
    program.run(X)
    status, data, dropped = program.read(40)
    assert status == 80 and b"the capacity is 40" in lib.kjax_error() and not data
    status, data, dropped = program.read()
    records = trace.records(data)
    assert status == 0 and 0 < len(records) < 4 and dropped == 4 - len(records)
    program.run(X)
    again = trace.records(program.read()[1])
    assert again[0].sequence == 4 and again[0].run == 2


def test_readers_while_it_runs(lib, opened):
    program = opened(lambda x: jax.lax.fori_loop(0, 20_000, lambda i, y: (jax.debug.print("{}", i), y)[1], x))
    lib.kjax_program_listen(program.at, 1 << 14)
    done, seen, lost = threading.Event(), [], 0

    def work():
        program.run(X)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    last = False
    while not last:
        last = done.is_set()
        status, data, lost = program.read()
        seen += [int(r.arrays[0]) for r in trace.records(data)]
    thread.join()
    assert len(seen) + lost == 20_000 and seen == sorted(seen)


def test_calls_are_refused(lib):
    def f(x):
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    assert Program(lib, kjax.compile(f, X).image).status == 57
    assert b"takes no calls" in lib.kjax_error()


def test_a_process_without_a_host():
    """The engine alone: prints are left out, calls fail."""
    engine = _engine.Program(kjax.compile(noisy, X).image)
    np.testing.assert_array_equal(engine(X)[0], X + 3)
    engine = _engine.Program(kjax.compile(
        lambda x: jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x), X).image)
    with pytest.raises(kjax.KjaxError, match="host_failed"):
        engine(X)


def test_hosts_that_return_nonsense():
    image = kjax.compile(lambda x: jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x), X).image
    for answer in (None, 3, (), (X, X), (X.astype(np.float64),), (X[:2],), ("text",), [list(X)],
                   (X.astype(">f4"),)):
        with pytest.raises(TypeError):
            _engine.Program(image, host=lambda *asked: answer)(X)  # noqa: B023
    odd = np.arange(6, dtype=np.float32)[::2]
    np.testing.assert_array_equal(_engine.Program(image, host=lambda *asked: [odd])(X)[0], odd)


def test_meta_is_not_trusted():
    image = kjax.compile(lambda x: (jax.debug.print("{}", x), x)[1], X).image
    for sites in (None, 3, [], [3], [{}], [{"kind": "print"}], [{"kind": "call"}]):
        host = trace.Host(sites)
        host.missing(), host.calls()
        try:
            _engine.Program(image, host=host)(X)
        except (kjax.KjaxError, KeyError):
            pass


def test_64_bit_callbacks_keep_their_types():
    with jax.enable_x64(True):
        program = kjax.compile(lambda x: jax.pure_callback(lambda y: np.asarray(y) / 3, jax.ShapeDtypeStruct((3,), jnp.float64), x),
                               X.astype(np.float64))
    np.testing.assert_array_equal(program(X.astype(np.float64)), X.astype(np.float64) / 3)


def test_endless_printers_end():
    def f(x):
        return jax.lax.while_loop(lambda y: y[0] < 1e9, lambda y: (jax.debug.print("{}", y), y * 1.0)[1], x)

    program = kjax.compile(f, X)
    for host in (None, lambda *asked: ()):  # nobody listens, somebody does
        engine = _engine.Program(program.image, host=host)
        with pytest.raises(kjax.DeadlineError, match="deadline"):
            engine.run([X], deadline=0.2)

    def interrupt(*asked):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _engine.Program(program.image, host=interrupt).run([X])


def test_a_slow_callback_does_not_outlive_the_deadline():
    def slow(x):
        time.sleep(0.05)
        return np.asarray(x)

    def f(x):
        return jax.lax.fori_loop(0, 1000, lambda i, y: jax.pure_callback(slow, jax.ShapeDtypeStruct((3,), jnp.float32), y), x)

    start = time.monotonic()
    with pytest.raises(kjax.DeadlineError):
        kjax.compile(f, X)(X, deadline=0.2)
    assert time.monotonic() - start < 20
