"""Calls of a ``Program``: after the first one like it, without Python code on the way; the results are those of the long way."""

import enum
import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kjax
from kjax.api import environments


def _direct(program):
    return program._direct.known


def test_a_call_is_learned_and_gives_the_same(tmp_path):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    made = kjax.compile(lambda d, y: {"sum": d["a"] + y, "rest": (d["b"], [d["a"].T])}, {"a": x, "b": x}, np.float32(2))
    made.save(tmp_path / "p.kjx")
    program = kjax.load(tmp_path / "p.kjx")
    first = program({"a": x, "b": x}, np.float32(2))
    assert _direct(program) == 1
    second = program({"a": x, "b": x}, np.float32(2))
    assert _direct(program) == 1
    jax.tree.map(np.testing.assert_array_equal, first, second)
    assert jax.tree.structure(first) == jax.tree.structure(second)
    np.testing.assert_array_equal(second["rest"][1][0], x.T)


def test_python_numbers():
    program = kjax.compile(lambda x, n: x * n, jax.ShapeDtypeStruct((), jnp.float32), jax.ShapeDtypeStruct((), jnp.float32))
    for args in ((3.0, 2.0), (3, 2.0), (np.float32(3), 2), (True, 6.0)) * 2:
        assert program(*args) == np.float32(6)
    assert _direct(program) == 1  # an int for a float is converted on the long way
    whole = kjax.compile(lambda n: n + 1, jax.ShapeDtypeStruct((), jnp.int32))
    assert whole(4) == whole(4) == whole(np.int32(4)) == 5
    with pytest.raises(TypeError, match="compiled with int32"):
        whole(4.5)


def test_what_does_not_fit_is_said_as_before():
    x = np.ones(4, np.float32)
    program = kjax.compile(lambda a, b: a + b, x, x)
    program(x, x)
    with pytest.raises(TypeError, match="Argument 'args\\[1\\]' compiled with float32\\[4\\]"):
        program(x, x[:3])
    with pytest.raises(TypeError, match="input pytree"):
        program(x)
    with pytest.raises(TypeError, match="float64"):
        kjax.compile(lambda a: a, x.astype(np.int32))(x.astype(np.float64))
    strided = np.ones(8, np.float32)[::2]
    np.testing.assert_array_equal(program(strided, x), 2 * x)
    np.testing.assert_array_equal(program(jnp.ones(4), x), 2 * x)


def test_a_donated_argument_keeps_its_value():
    x = np.arange(5, dtype=np.float32)
    program = kjax.compile(lambda a: a + 1, x, donate_argnums=0)
    for _ in range(3):
        np.testing.assert_array_equal(program(x), np.arange(5) + 1)
        np.testing.assert_array_equal(x, np.arange(5))


def test_options_take_the_long_way():
    x = np.ones(4, np.float32)
    program = kjax.compile(lambda a: a * 2, x)
    program(x)
    np.testing.assert_array_equal(program(x, threads=2), 2 * x)
    np.testing.assert_array_equal(program(x, deadline=10.0), 2 * x)
    np.testing.assert_array_equal(program(x, environment="embedded"), 2 * x)
    assert _direct(program) == 1


def test_a_closed_environment_is_loaded_again():
    x = np.ones(4, np.float32)
    program = kjax.compile(lambda a: a * 2, x)
    program(x)
    environments.close_all()
    for _ in range(3):
        np.testing.assert_array_equal(program(x), 2 * x)
    assert _direct(program) == 2


def test_a_program_is_collected_at_once():
    x = np.ones(4, np.float32)
    program = kjax.compile(lambda a: a * 2, x)
    program(x)
    gone = weakref.ref(program)
    gc.disable()
    try:
        del program
        assert gone() is None
    finally:
        gc.enable()


def test_more_arrays_than_the_direct_way_takes():
    xs = [np.float32(k) for k in range(300)]
    program = kjax.compile(lambda xs: sum(xs), xs)
    assert program(xs) == program(xs) == sum(range(300))


class Grade(enum.IntEnum):
    GOOD = 3


ARGUMENTS = [np.arange(6.), np.arange(6), np.arange(6, dtype=np.uint64), np.arange(6) * (1 + 2j), np.arange(12, dtype=np.float32)[::2],
             np.arange(12, dtype=np.int16).reshape(4, 3).T, np.arange(12.).reshape(4, 3).T, np.float64(3), np.int64(-3), np.uint64(3),
             np.complex128(2j), np.float32(3), np.bool_(True), np.arange(3) > 1, jnp.arange(3), jnp.full((2,), 1.0), jnp.asarray(2), 3,
             2.5, True, 2j, Grade.GOOD]


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("x", ARGUMENTS, ids=lambda x: f"{type(x).__name__}-{getattr(x, 'dtype', '')}{np.shape(x)}")
def test_whatever_numpy_and_jax_hand_over(x, x64):
    with jax.enable_x64(x64):
        want = jax.jit(lambda x: x + x)(x)
        jitted = kjax.jit(lambda x: x + x)
        compiled = kjax.compile(lambda x: x + x, x)
        for f in (jitted, jitted, compiled, compiled):  # the long way, then the one that was learned
            got = f(x)
            np.testing.assert_array_equal(got, want)
            assert got.dtype == want.dtype and got.shape == want.shape
    assert jitted.known == _direct(compiled) == (not isinstance(x, Grade))


def test_x64_calls_have_programs_of_their_own():
    x, f = np.full(3, 1 / 3), kjax.jit(lambda x: x * 1)
    for x64 in (False, True) * 3:
        with jax.enable_x64(x64):
            np.testing.assert_array_equal(f(x), x if x64 else x.astype(np.float32))
    assert f.known == 2
    np.testing.assert_array_equal(f(x.astype(np.float32)), x.astype(np.float32))
