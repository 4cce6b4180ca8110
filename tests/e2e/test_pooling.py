"""Pooling and its gradient against JAX, bit by bit: windows that touch and that do not, what they leave over, ties, NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import kjax

# shape, window, strides, padding
WINDOWS = {
    "nhwc": ((2, 6, 8, 5), (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
    "few channels": ((3, 28, 28, 6), (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
    "nchw": ((2, 3, 6, 6), (1, 1, 3, 3), (1, 1, 3, 3), "VALID"),
    "left over": ((2, 7, 9, 3), (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
    "gaps": ((1, 11, 10, 2), (1, 2, 1, 1), (1, 3, 4, 1), "VALID"),
    "overlapping": ((1, 7, 7, 4), (1, 3, 3, 1), (1, 2, 2, 1), "SAME"),
    "padded": ((1, 7, 5, 4), (1, 2, 2, 1), (1, 2, 2, 1), "SAME"),
    "large": ((1, 12, 10, 3), (1, 6, 5, 1), (1, 6, 5, 1), "VALID"),
    "line": ((37,), (4,), (4,), "VALID"),
    "one": ((4, 4), (1, 1), (1, 1), "VALID"),
    "single window": ((3, 3), (3, 3), (3, 3), "VALID"),
    "volume": ((1, 4, 6, 4, 3), (1, 2, 2, 2, 1), (1, 2, 2, 2, 1), "VALID"),
    "channels": ((5, 16), (1, 4), (1, 4), "VALID"),
}
KINDS = {"max": (-np.inf, lax.max), "min": (np.inf, lax.min)}


def _same(fn, *args):
    for got, want in zip(kjax.jit(fn)(*args), jax.jit(fn)(*args), strict=True):
        np.testing.assert_array_equal(np.asarray(got), np.asarray(want))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WINDOWS)
def test_gradient(name, kind):
    shape, window, strides, padding = WINDOWS[name]
    initial, body = KINDS[kind]
    rng = np.random.default_rng(len(name))

    def pool(x):
        return lax.reduce_window(x, initial, body, window, strides, padding)

    def both(x, g):
        y, back = jax.vjp(pool, x)
        return y, *back(g)

    out = jax.eval_shape(pool, jax.ShapeDtypeStruct(shape, np.float32)).shape
    g = rng.standard_normal(out).astype(np.float32)
    _same(both, rng.standard_normal(shape).astype(np.float32), g)
    _same(both, rng.integers(0, 3, shape).astype(np.float32), g)  # the first of equals gets it


def test_infinities():
    """A window of nothing but the initial value still has a first place."""
    x = np.full((4, 4), -np.inf, np.float32)
    x[0, 1] = 3
    _same(lambda x, g: jax.vjp(lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (2, 2), "VALID"), x)[1](g), x,
          np.arange(1, 5, dtype=np.float32).reshape(2, 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int8, np.int32, np.bool_])
@pytest.mark.parametrize("channels", [1, 2, 3, 5, 6, 7, 9, 15, 16, 17, 33])
def test_short_runs(dtype, channels):
    """Strided slices with few neighbouring elements each, of every size: read, and written (a concatenation in between)."""
    x = np.random.default_rng(channels).integers(0, 2 if dtype is np.bool_ else 100, (3, 6, 10, channels)).astype(dtype)

    def fn(x):
        a, b = x[:, ::2, 1::2], x[:, 1::2, ::2]
        y = jnp.stack([a & b, a | b] if dtype is np.bool_ else [a + b, jnp.maximum(a, b)], 3)
        return y, jnp.concatenate([y, y[:, :, :, :1]], 3)

    with jax.enable_x64(dtype is np.float64):
        _same(fn, x)
