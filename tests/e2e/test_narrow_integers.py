"""Integers below a byte: ml_dtypes keeps the low bits only, the engine the sign in all of the byte."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kjax

VALUES = [1, -2, -3, 4, -8, 7, 0, -1]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("function", [lambda x: x.astype(jnp.int8), lambda x: x.astype(jnp.float32) / 2, lambda x: x + x,
                                      lambda x: jnp.sort(x), lambda x: x < 0, lambda x: x[::-1]])
def test_signs_of_arguments(function, times):
    x = np.array(VALUES, jnp.int4)
    f = kjax.jit(function)
    for _ in range(times):  # a call like one before may take a shorter way
        np.testing.assert_array_equal(np.asarray(f(x)).astype(np.float32), np.asarray(function(jnp.asarray(x))).astype(np.float32))


def test_arguments_stay_as_they_are_and_jax_arrays_are_taken():
    x = np.array(VALUES, jnp.int4)
    before = x.view(np.int8).copy()
    assert kjax.jit(lambda a: a.astype(jnp.int32).sum())(x) == sum(VALUES)
    np.testing.assert_array_equal(x.view(np.int8), before)
    program = kjax.compile(lambda a: a.astype(jnp.int8), jax.ShapeDtypeStruct((2, 4), jnp.int4))
    np.testing.assert_array_equal(program(jnp.asarray(x).reshape(2, 4)), np.reshape(VALUES, (2, 4)))
    np.testing.assert_array_equal(program(x.reshape(4, 2).T), np.reshape(VALUES, (4, 2)).T)
