"""Bodies of reductions and windows that depend on the order of the elements: they get them in it. The definition, in NumPy, is
the measure: XLA on the CPU itself turns some windows around (those with padding, and cumulative ones beyond 16 elements)."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import kjax

ONE, ZERO = np.float32(1), np.float32(0)


def then(a, b):
    """First the map v -> a0 v + a1, then b's: associative, and not commutative."""
    return a[0] * b[0], a[1] * b[0] + b[1]


def maps(*shape):
    rng = np.random.default_rng(shape)
    return (1 + 0.1 * rng.standard_normal(shape)).astype(np.float32), rng.standard_normal(shape).astype(np.float32)


def folded(pairs):
    return functools.reduce(then, ((np.float64(a), np.float64(c)) for a, c in pairs), (1.0, 0.0))


@pytest.mark.parametrize("dims", [(0,), (1,), (0, 1), (0, 2), (0, 1, 2), ()])
@pytest.mark.parametrize("shape", [(3, 2, 67), (2, 5, 1), (1, 1, 1), (2, 0, 3), (1, 3, 1030)])
def test_a_reduction_keeps_the_order(shape, dims):
    a, c = maps(*shape)
    got = kjax.jit(lambda a, c: lax.reduce((a, c), (ONE, ZERO), then, dims))(a, c)
    kept = [k for k in range(3) if k not in dims]
    for place in np.ndindex(*(shape[k] for k in kept)):
        at = [slice(None)] * 3
        for k, i in zip(kept, place):
            at[k] = i
        want = folded(zip(a[tuple(at)].reshape(-1), c[tuple(at)].reshape(-1)))
        np.testing.assert_allclose([g[place] for g in got], want, rtol=1e-4, atol=1e-3 * max(abs(w) for w in want))


@pytest.mark.parametrize(("window", "strides", "padding", "base", "dilation"), [
    ((2, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1)),
    ((2, 2), (1, 2), ((-1, 0), (3, -2)), (1, 1), (1, 1)),
    ((3, 4), (2, 1), ((1, 2), (0, 5)), (2, 1), (1, 2)),
    ((1, 20), (1, 1), ((0, 0), (19, 0)), (1, 1), (1, 1)),
    ((1, 20), (1, 1), ((0, 0), (0, 19)), (1, 1), (1, 1)),
    ((5, 20), (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1)),
    ((6, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1)),
    ((1, 1), (3, 2), ((0, 0), (0, 0)), (1, 1), (1, 1)),
])
def test_windows_keep_the_order(window, strides, padding, base, dilation):
    arrays = maps(5, 20)
    got = kjax.jit(lambda a, c: lax.reduce_window((a, c), (ONE, ZERO), then, window, strides, padding, base, dilation))(*arrays)
    config = [(*p, n - 1) for p, n in zip(padding, base)]
    a, c = (np.asarray(lax.pad(x, i, config)) for x, i in zip(arrays, (ONE, ZERO)))
    for y, x in np.ndindex(*got[0].shape):
        places = [(y * strides[0] + i * dilation[0], x * strides[1] + j * dilation[1])
                  for i, j in itertools.product(*map(range, window))]
        np.testing.assert_allclose([g[y, x] for g in got], folded((a[p], c[p]) for p in places), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_of_several_nans_the_first_is_found(name, dtype):
    with jax.enable_x64(dtype == "float64"):
        x = np.random.default_rng(3).standard_normal((9, 70)).astype(dtype)
        x[np.abs(x) > 1] = np.nan
        x[4] = np.where(np.isnan(x[4]), 0, x[4])
        for axis in (0, 1, None):
            found = functools.partial(getattr(jnp, name), axis=axis)
            want = getattr(np, name)(x.astype(np.float64), axis)
            np.testing.assert_array_equal(kjax.jit(found)(x), want)
            if axis is not None:
                np.testing.assert_array_equal(kjax.jit(jax.vmap(found))(np.stack([x, x]))[1], want)


def instructions(fn, *args):
    return kjax.compile(fn, *args).as_text().count(" nest ")


def test_what_does_not_depend_on_the_order_is_one_nest():
    x = np.ones((5, 70), np.float32)
    assert instructions(lambda x: jnp.argmax(x, 1), x[:, :63]) == 1
    assert instructions(lambda x: jnp.argmax(x, 1), x) <= 3  # the best, where it is, and whether the initial value is
    assert instructions(lambda x: lax.reduce(x, ZERO, lambda a, b: a + b + a * b, (1,)), x) == 1
    assert instructions(lambda x: lax.reduce(x, x[0, 0], lambda a, b: jnp.where(a == a, a, b), (1,)), x) > 1


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int32", "uint8", "int8"])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize(("shape", "axis"), [((3, 63), 1), ((3, 64), 1), ((2, 129, 5), 1), ((70, 3), 0), ((1000,), 0), ((9, 2000), 1)])
def test_the_first_of_equals_along_long_dims(name, dtype, shape, axis):
    x = np.random.default_rng(shape).integers(-3 if dtype != "uint8" else 0, 4, shape).astype(dtype)
    same = np.full(shape, np.iinfo(dtype).min if "int" in dtype else -np.inf).astype(dtype)
    for values in (x, np.abs(x), same, -same if "int" not in dtype else same):
        got = kjax.jit(functools.partial(getattr(jnp, name), axis=axis))(values)
        np.testing.assert_array_equal(got, getattr(np, name)(values.astype(np.float64), axis))


def best(order):
    """The body of JAX's argmax or argmin."""

    def body(a, b):
        left = order(a[0], b[0]) | (a[0] != a[0])
        return lax.select(left, a[0], b[0]), lax.select(left | ((a[0] == b[0]) & (a[1] < b[1])), a[1], b[1])

    return body


@pytest.mark.parametrize("order", [lax.gt, lax.lt])
@pytest.mark.parametrize("start", [-np.inf, np.inf, -2.0, 2.0, 9.0, np.nan, -0.0])
@pytest.mark.parametrize("place", [-1, 0, 40, 200])
def test_an_initial_value_and_its_place_take_part(order, start, place):
    x = np.random.default_rng(5).integers(-2, 3, (6, 100)).astype(np.float32)
    x[1, 50:60] = np.nan
    x[2] = 0.0
    x[3] = -0.0

    def found(x):
        places = lax.broadcasted_iota(np.int32, x.shape, 1)
        return lax.reduce((x, places), (np.float32(start), np.int32(place)), best(order), (1,))

    for row, v, w in zip(x, *kjax.jit(found)(x)):
        values, at = np.append(row, np.float32(start)), np.append(np.arange(100), place)
        good = np.isnan(values) if np.isnan(values).any() else values == (values.max() if order is lax.gt else values.min())
        assert w == at[good].min()
        np.testing.assert_array_equal(v, values[good][0])


def test_an_index_that_does_not_count_up_leaves_the_first_nan_on_the_left():
    x = np.array([[1, np.nan, 2, np.nan, 3]], np.float32)
    places = np.array([[5, 4, 3, 2, 1]], np.int32)

    def body(a, b):
        left = (a[0] > b[0]) | (a[0] != a[0])
        first = left | ((a[0] == b[0]) & (a[1] < b[1]))
        return lax.select(left, a[0], b[0]), lax.select(first, a[1], b[1])

    got = kjax.jit(lambda x, i: lax.reduce((x, i), (np.float32(-np.inf), np.int32(0)), body, (1,)))(x, places)
    assert got[1] == 4
