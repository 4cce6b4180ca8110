"""What is done to a whole tensor before a loop that takes elements from it (compiler/passes/taken.py): results are JAX's to the bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from frontend_oracle import imported
from jax import lax

import kjax
from kjax.compiler.passes import expand, hoist, simplify


def body_of(fn, *args):
    """Names of the operations in the only loop of ``fn``."""
    graph = imported(fn, *args)
    for one in (simplify.run, expand.run, simplify.run, hoist.run, simplify.run):
        one(graph)
    (loop,) = (op for op in graph.ops if op.name == "while")
    return [op.name for op in loop.regions[1].ops]


def same(fn, *args):
    want = jax.tree.leaves(jax.jit(fn)(*args))
    for got, expected in zip(jax.tree.leaves(kjax.jit(fn)(*args)), want, strict=True):
        np.testing.assert_array_equal(got, expected)


RNG = np.random.default_rng(5)
HARD = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.5], np.float32)


@pytest.mark.parametrize("side", ["left", "right"])
def test_searches(side):
    values = np.concatenate([HARD, RNG.standard_normal(500).astype(np.float32)])
    table = np.sort(values[:100])
    fn = lambda a, v: jnp.searchsorted(a, v, side=side)  # noqa: E731
    assert "bitcast_convert" not in body_of(fn, table, values)
    same(fn, table, values)
    same(fn, np.sort(RNG.integers(-50, 50, 30).astype(np.int16)), RNG.integers(-60, 60, 400).astype(np.int16))
    same(lambda x: jnp.histogram(x, 16)[0], values[10:])


def test_scanned_scalars_are_scaled_before():
    def fn(x):
        return lax.scan(lambda s, v: (s + v * 0.5 - 1, s), jnp.float32(0), x)[1]
    x = (RNG.integers(-8, 8, 64) * 0.25).astype(np.float32)
    assert body_of(fn, x).count("mul") == 0
    same(fn, x)
    same(fn, x[:1])
    same(fn, x[:0])
    same(lambda x: lax.scan(lambda s, v: (s + v * 0.5, s), jnp.float32(0), x, reverse=True)[1], x)


@pytest.mark.parametrize("fn, stays", [
    (lambda x: lax.scan(lambda s, v: (s + v * 0.5, s * v), jnp.float32(0), x), "mul"),  # v itself is used, too
    (lambda x: lax.scan(lambda s, v: (s + v * 0.5 + (v - 1) * s, s), jnp.float32(0), x), "mul"),  # two values go on
    (lambda x: lax.scan(lambda s, v: (s + v * s, s), jnp.float32(0), x), "mul"),  # what varies
    (lambda x: lax.fori_loop(0, 3, lambda k, s: s + x[k] * 0.5, jnp.float32(0)), "mul"),  # 64 elements for three
    (lambda x: lax.scan(lambda s, v: (s + (v * 0.5).sum(), s), jnp.float32(0), jnp.stack([x] * 8, 1)), "mul"),  # rows
])
def test_what_does_not_pay_stays(fn, stays):
    x = (RNG.integers(-8, 8, 64) * 0.25).astype(np.float32)
    assert stays in body_of(fn, x)
    same(fn, x)


def test_indices_out_of_range_take_the_same():
    at = np.array([0, 3, 9, -1, -20, 2, 100, -4], np.int32)
    fn = lambda x, at: lax.fori_loop(0, 8, lambda k, s: s * 0.5 + jnp.maximum(x[at], x.dtype.type(0.25)).sum(), jnp.float32(0))  # noqa: E731
    same(fn, np.array([1, 2, -3, 4], np.float32), at)
    drawn = lambda x, at: lax.fori_loop(0, 8, lambda k, s: s * 0.5 + jnp.abs(x[at[k] + 1]), jnp.float32(0))  # noqa: E731
    same(drawn, np.array([1, 2, -3, 4], np.float32), at)
    other = lambda x, c, at: lax.fori_loop(0, 8, lambda k, s: s + (x[at[k]] * c[0]).astype(jnp.int32), jnp.int32(0))  # noqa: E731
    same(other, np.array([1, 2, -3, 4], np.float32), np.array([3], np.float32), at)
