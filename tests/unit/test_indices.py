"""Indices counted from the end become part of gather, scatter and dynamic slices (compiler/passes/indices.py)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import kjax

X = np.arange(35, dtype=np.float32).reshape(7, 5)
I32 = np.array([0, 6, -1, -7, 3, -8, 7, 2**31 - 1, -2**31, 2], np.int32)  # in range, from the end, and out of range
J = np.array([4, -5, -1, 0, 2, 4, -6, 5, 1, -2**31], np.int32)

CASES = {
    "row": (lambda x, i: x[i], X, I32),
    "element": (lambda x, i: x[:, 0][i], X, I32),
    "two components": (lambda x, i, j: x[i, j], X, I32, J),
    "one of two": (lambda x, i, j: x[i, jnp.clip(j, 0, 4)], X, I32, J),
    "along columns": (lambda x, j: x[:, j], X, J),
    "fill": (lambda x, i: x.at[i].get(mode="fill", fill_value=-1), X, I32),
    "add": (lambda x, i: x.at[i].add(2.5), X, I32),
    "set, two components": (lambda x, i, j: x.at[i, j].set(-1.0), X, I32[:5], J[:5]),
    "one row": (lambda x, i: x[i], X, np.int32(-2)),
    "a slice": (lambda x, i: lax.dynamic_slice_in_dim(x, i, 3), X, np.int32(-3)),
    "an update": (lambda x, i: lax.dynamic_update_slice_in_dim(x, x[:2] * 2, i, 0), X, np.int32(-3)),
    "in a loop": (lambda x, i: lax.fori_loop(0, 10, lambda k, c: c + x[i[k]], jnp.zeros(5)), X, I32),
}
PLAIN = {"fill", "one row", "in a loop"}  # other comparisons stay


@pytest.mark.parametrize("name", CASES)
def test_same_as_jax(name):
    fn, *args = CASES[name]
    want = jax.jit(fn)(*args)
    np.testing.assert_array_equal(np.asarray(kjax.jit(fn)(*args)), np.asarray(want))
    text = kjax.compile(fn, *args).as_text()
    assert "below zero +" in text
    assert name in PLAIN or "select" not in text


def test_what_is_something_else():
    """Another number below zero, another comparison, unsigned indices: they are computed."""
    def shifted(x, i):
        return lax.gather(x, jnp.where(i < 1, i + 7, i)[:, None], lax.GatherDimensionNumbers((1,), (0,), (0,)), (1, 5),
                          mode="clip")

    def other(x, i, j):
        return lax.gather(x, jnp.where(i < 0, j + 7, i)[:, None], lax.GatherDimensionNumbers((1,), (0,), (0,)), (1, 5),
                          mode="clip")

    for fn, args in ((shifted, (X, I32)), (other, (X, I32, J))):
        assert "below zero" not in kjax.compile(fn, *args).as_text()
        np.testing.assert_array_equal(np.asarray(kjax.jit(fn)(*args)), np.asarray(jax.jit(fn)(*args)))
    for indices in (np.array([0, 6, 7, 255], np.uint8), np.array([-1, -7, 3, -8, 127, -128], np.int8)):
        fn = jax.jit(lambda x, i: x[i])
        assert indices.dtype == np.int8 or "below zero" not in kjax.compile(fn, X, indices).as_text()
        np.testing.assert_array_equal(np.asarray(kjax.jit(fn)(X, indices)), np.asarray(fn(X, indices)))


def test_indices_that_others_read_too():
    def fn(x, i):
        j = jnp.where(i < 0, i + 7, i)
        return lax.gather(x, j[:, None], lax.GatherDimensionNumbers((1,), (0,), (0,)), (1, 5), mode="clip"), j
    for got, want in zip(kjax.jit(fn)(X, I32), jax.jit(fn)(X, I32), strict=True):
        np.testing.assert_array_equal(np.asarray(got), np.asarray(want))
