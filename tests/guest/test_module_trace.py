"""What programs print in the kernel: read after a run, bounded, in the log when asked."""

import contextlib
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kjax
from kjax import errors
from kjax.runtime import uapi

X = np.array([0.5, -1.25, 3.0], np.float32)


def printed(function, *args, **options):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        results = function(*args, **options)
        jax.effects_barrier()
    return out.getvalue(), results


def steps(x):
    def step(c, y):
        jax.debug.print("step {c:.2f} {!r}", y, c=c, ordered=True)
        return c + y, c

    jax.debug.print("x {} {n}", x, n="name", ordered=True)
    total, rows = jax.lax.scan(step, jnp.float32(0), x)
    jax.debug.print("{} {}", total > 0, rows.astype(jnp.bfloat16), ordered=True)
    return total


def counted(n):
    return lambda x: jax.lax.fori_loop(0, n, lambda i, c: (jax.debug.print("{} {}", i, c), c + 1)[1], x)


def test_prints_as_jax_does(environment):
    want, total = printed(jax.jit(steps), X)
    program = kjax.compile(steps, X)
    for _ in range(2):
        text, got = printed(program, X, environment=environment)
        assert text == want
        np.testing.assert_array_equal(got, total)


def test_records_tell_runs_and_order(environment):
    program = kjax.compile(counted(5), X)
    with environment.load(program.image) as loaded:
        kernel = loaded._get()
        kernel.show_traces = lambda: None
        loaded.run([X]), loaded.run([X])
        records = loaded.read_traces()
        assert [(r.run, r.sequence, int(r.arrays[0])) for r in records] == [(1 + k // 5, k, k % 5) for k in range(10)]
        assert all(a.time <= b.time for a, b in zip(records, records[1:]))
        np.testing.assert_array_equal(records[-1].arrays[1], X + 4)
        assert loaded.read_traces() == []


def test_a_full_ring_drops_and_counts(environment):
    program = kjax.compile(counted(100), X)
    with environment.load(program.image, trace_bytes=1024) as loaded:
        with pytest.warns(RuntimeWarning, match=r"\d\d prints of a program were lost"):
            text, (out,) = printed(loaded.run, [X])
        np.testing.assert_array_equal(out, X + 100)
        lines = text.splitlines()
        assert 5 < len(lines) < 15 and lines[0] == f"0 {X}"
        assert lines == [f"{k} {X + k}" for k in range(len(lines))]
    with environment.load(program.image, trace_bytes=64 << 10) as loaded:
        assert len(printed(loaded.run, [X])[0].splitlines()) == 100


def test_ring_is_charged_and_bounded(environment):
    image = kjax.compile(counted(2), X).image
    before = environment.memory()["used"]
    with environment.load(image, trace_bytes=512 << 10) as loaded:
        loaded.facts  # noqa: B018  (loads it)
        assert environment.memory()["used"] - before > 512 << 10
    with pytest.raises(errors.KjaxError, match="bad_call"):
        environment.load(image, trace_bytes=(1 << 20) + 1).facts  # noqa: B018


def test_a_record_larger_than_the_readers_block(environment):
    x = np.arange(30_000, dtype=np.float32)
    program = kjax.compile(lambda x: (jax.debug.print("{}", x[-1]), jax.debug.print("{}", x), x + 1)[2], x)
    with environment.load(program.image, trace_bytes=512 << 10) as loaded:
        loaded._get().show_traces = lambda: None
        loaded.run([x])
        np.testing.assert_array_equal(loaded.read_traces()[1].arrays[0], x)


def test_log_when_asked(environment):
    program = kjax.compile(steps, X)
    with environment.load(program.image, trace_log=True) as loaded:
        printed(loaded.run, [X])
    log = environment.kernel().port.dmesg()
    assert "prints (site 0): [0.5,-1.25,3.0]" in log
    assert "prints (site 1): 3.0 -0.75" in log


def test_lanes_print_their_parts(environment):
    def f(x):
        jax.debug.print("lane {}: {}", jax.lax.axis_index("i"), x, partitioned=True)
        return jax.lax.psum(x, "i")

    rows = np.arange(4, dtype=np.float32).reshape(4, 1)
    text, out = printed(lambda: kjax.execute_jax_transformation("pmap", f, (rows,), axis_name="i", environment=environment))
    assert sorted(text.splitlines()) == [f"lane {k}: [{k}.]" for k in range(4)]
    np.testing.assert_array_equal(out, np.full((4, 1), 6, np.float32))


def test_what_was_printed_before_a_failure_is_shown(environment):
    program = kjax.compile(counted(1000), X)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with pytest.raises(kjax.DeadlineError):
            program(X, environment=environment, fuel=2000)
    assert out.getvalue().startswith(f"0 {X}\n")
    assert printed(program, X, environment=environment)[0]


def test_the_kernel_calls_no_python(environment):
    def f(x):
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    program = kjax.compile(f, X)
    with pytest.raises(kjax.UnsupportedOpError, match=r"jax.pure_callback\(sin\) at .*test_module_trace.py:\d+.*embedded"):
        program(X, environment=environment)
    kernel = environment.kernel()
    with pytest.raises(errors.VerifyError, match="takes no calls") as caught:  # whatever user space checks
        kernel._load(uapi.LOAD, program.image, None, None, None, 1)
    assert caught.value.status.name == "no_host"


def test_malformed_reads(environment):
    program = environment.load(kjax.compile(counted(2), X).image)
    kernel = program._get()
    kernel.show_traces = lambda: None
    program.run([X])
    port = environment.kernel().port
    for fields in ({"flags": 1}, {"reserved0": 1}):
        record = uapi.Trace(**fields)
        assert port.ioctl(kernel._fd, uapi.TRACE, record) and record.status == 103
    record = uapi.Trace()
    assert port.ioctl(kernel._fd, uapi.TRACE, record) == 0
    assert (record.bytes, record.count) == (0, 0) and 0 < record.next < record.left
    record = uapi.Trace(records=8, capacity=4096)  # nothing is mapped there: the records stay
    assert port.ioctl(kernel._fd, uapi.TRACE, record)
    assert len(program.read_traces()) == 2
