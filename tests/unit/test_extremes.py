"""Maxima and minima of 16-bit floats are reduced in f32: the same values, no-numbers and zeros among them."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import kjax


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_extremes_of_halves(dtype, name, axis):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(40, 300)) * 10.0 ** rng.integers(-7, 6, (40, 300))).astype(dtype)
    x[3, 7], x[4], x[5, 100:], x[6, 9], x[7, 299] = np.nan, -0.0, 0.0, np.inf, -np.inf
    program = kjax.compile(lambda a: getattr(a, name)(axis), x)
    assert f"{name}.f32" in program.as_text() and f"{name}.f16" not in program.as_text()
    got, want = np.asarray(program(x)), getattr(x.astype(np.float32), name)(axis)  # XLA's minima of f16 may lose what is no number
    assert got.dtype == dtype
    np.testing.assert_array_equal(got.astype(np.float32), want)


def test_an_initial_value_that_counts():
    x = np.full((4, 70), -3, np.float16)
    got = kjax.jit(lambda a: lax.reduce(a, np.float16(-1), lax.max, (1,)))(x)
    np.testing.assert_array_equal(np.asarray(got), np.full(4, -1, np.float16))
