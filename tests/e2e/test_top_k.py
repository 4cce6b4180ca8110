"""The largest elements of rows, short ones and such as are cut into blocks (frontend/legalize/largest.py), bit by bit as JAX has them."""

import jax
import numpy as np
import pytest
from jax import lax

import kjax


@pytest.mark.parametrize("shape,k", [((5000,), 3), ((1000,), 8),
                                     ((7, 1000), 8), ((2, 3, 700), 5), ((30000,), 10), ((4, 333), 2), ((10,), 3),
                                     ((1, 2048), 100), ((3, 4096), 1), ((2, 1025), 4), ((5,), 0), ((0, 2000), 3)])
@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i4", "u4", "i2", "i8", "u1"])
def test_bits(shape, k, dtype):
    rng = np.random.default_rng(k)
    x = (rng.standard_normal(shape) * rng.choice([3, 1000])).astype(np.float64).astype(dtype)
    if dtype[0] == "f" and x.size:
        x.ravel()[rng.integers(0, x.size, max(1, x.size // 50))] = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, -np.nan])
    with jax.enable_x64(True):
        want = jax.jit(lambda x: lax.top_k(x, k))(x)
        got = kjax.compile(lambda x: lax.top_k(x, k), x)(x)
    bits = f"u{x.itemsize}"
    np.testing.assert_array_equal(got[0].view(bits), np.asarray(want[0]).view(bits))
    np.testing.assert_array_equal(got[1], want[1])
    assert got[0].dtype == want[0].dtype and got[1].dtype == want[1].dtype


def test_equal_elements_in_order():
    """Ties over many blocks, and the lowest integers, which pads equal."""
    x = np.full((2, 3000), np.iinfo(np.int32).min, np.int32)
    x[1, ::7] = 5
    values, places = kjax.jit(lambda x: lax.top_k(x, 9))(x)
    np.testing.assert_array_equal(places, [np.arange(9), np.arange(9) * 7])
    np.testing.assert_array_equal(values, [[x[0, 0]] * 9, [5] * 9])


def test_gradient():
    x = np.random.default_rng(0).standard_normal(4000).astype("f4")
    got = kjax.jit(jax.grad(lambda x: (lax.top_k(x, 5)[0] ** 2).sum()))(x)
    np.testing.assert_array_equal(got, jax.jit(jax.grad(lambda x: (lax.top_k(x, 5)[0] ** 2).sum()))(x))
