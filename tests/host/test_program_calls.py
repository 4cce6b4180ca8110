"""Calls of a ``Program``: after the first one like it, without Python code on the way; the results are those of the long way."""

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
