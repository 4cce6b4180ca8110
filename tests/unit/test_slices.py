"""Which elementwise operations are done on pieces of their result (compiler/passes/slices.py), and that results are JAX's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from frontend_oracle import imported
from jax import lax

import kjax
from kjax.compiler.passes import expand, hoist, simplify, slices


def f32(*shape, seed=0):
    return (np.random.default_rng(seed).standard_normal(shape) * 0.3).astype(np.float32)


def sizes(fn, *args, name="add"):
    """Elements of each operation ``name`` of ``fn``, before and after the pass, loops included; sorted."""
    graph = imported(fn, *args)
    for one in (simplify.run, expand.run, simplify.run, hoist.run, simplify.run):
        one(graph)

    def found(region):
        here = [op.result.type.size for op in region.ops if op.name == name]
        return here + [n for op in region.ops for inner in op.regions for n in found(inner)]

    before = sorted(found(graph))
    simplify.run(slices.run(graph))
    return before, sorted(found(graph))


def same(fn, *args):
    for got, want in zip(jax.tree.leaves(kjax.jit(fn)(*args)), jax.tree.leaves(jax.jit(fn)(*args)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def gates(x, y, b):
    i, f = jnp.split(x + y + b, 2, axis=-1)
    return jnp.tanh(i) * jnp.exp(f)


def test_sums_that_are_only_split():
    args = f32(1, 64), f32(1, 64, seed=1), f32(64, seed=2)
    assert sizes(gates, *args) == ([64, 64], [32] * 4)
    same(gates, *args)


def test_a_number_for_all_is_one_for_each_piece():
    def fn(x):
        i, f = jnp.split(x * 3 + 1, 2)
        return jnp.tanh(i) - f
    before, after = sizes(fn, f32(40), name="mul")
    assert (before, after) == ([40], [20, 20])
    same(fn, f32(40))


def whole_too(x, y):
    s = x + y
    return jnp.tanh(s[:32]) * jnp.exp(s[32:]), s


def rows(x, y):
    s = x + y
    return jnp.tanh(s[:, :32]) * jnp.exp(s[:, 32:])


def overlapping(x, y):
    s = x + y
    return jnp.tanh(s[:40]) * jnp.exp(s[24:])


def steps(x, y):
    s = x + y
    return jnp.tanh(s[::2]) * jnp.exp(s[1::2])


def tiny(x, y):
    s = x + y
    return jnp.tanh(s[:4]) * jnp.exp(s[60:])


def not_elementwise(x, y):
    s = x + y
    return jnp.tanh(s[:32]) + jnp.sort(s[32:])


def many(x, y):
    s = (x + y).reshape(-1)
    return sum(jnp.tanh(s[k * 16:(k + 1) * 16]) for k in range(9))


@pytest.mark.parametrize("fn, shape", [(whole_too, (64,)), (rows, (3, 64)), (overlapping, (64,)), (steps, (64,)), (tiny, (64,)),
                                       (not_elementwise, (64,)), (many, (144,))])
def test_others_stay_whole(fn, shape):
    """Used as a whole, too; cut from several rows; more elements than there were; not neighbours; few; used otherwise; many pieces."""
    args = f32(*shape), f32(*shape, seed=1)
    size = int(np.prod(shape))
    assert sizes(fn, *args)[1].count(size) == 1
    same(fn, *args)


def test_what_an_inner_region_uses_stays_whole():
    def fn(x, y):
        s = x + y
        a = jnp.tanh(s[:32])
        return lax.fori_loop(0, 3, lambda _, c: c * s[32:], a)
    args = f32(64), f32(64, seed=1)
    assert 64 in sizes(fn, *args)[1]
    same(fn, *args)


def test_branches_have_pieces_of_their_own():
    def fn(n, x, y):
        def branch(f):
            def run(_):
                s = x + f(y)
                return jnp.tanh(s[:32]) * jnp.exp(s[32:])
            return run
        return lax.switch(n, [branch(jnp.sin), branch(jnp.cos), branch(jnp.sin)], 0)
    args = f32(64), f32(64, seed=1)
    assert set(sizes(fn, np.int32(0), *args)[1]) == {32}
    for n in range(3):
        same(fn, np.int32(n), *args)


def test_a_long_chain_ends():
    def fn(x):
        for k in range(12):
            x = x + jnp.float32(k) * x
        return jnp.tanh(x[:32]) * jnp.exp(x[32:])
    before, after = sizes(fn, f32(64))
    assert before == [64] * 12 and after.count(64) == after.count(32) == 8
    same(fn, f32(64))


@pytest.mark.parametrize("hidden, batch", [(64, 1), (48, 1), (16, 1), (10, 1), (64, 3)])
def test_recurrent_cells(hidden, batch):
    """LSTM and GRU of several sizes against JAX: pieces of whole tiles, of parts of one, of less than a vector."""
    def lstm(w, u, b, xs):
        def step(hc, x):
            h, c = hc
            i, f, g, o = jnp.split(x @ w + h @ u + b, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h
        z = jnp.zeros((batch, hidden), xs.dtype)
        return lax.scan(step, (z, z), xs)

    def gru(w, u, b, xs):
        def step(h, x):
            xr, xz, xn = jnp.split(x @ w[:, :3 * hidden] + b[:3 * hidden], 3, axis=-1)
            hr, hz, hn = jnp.split(h @ u[:, :3 * hidden], 3, axis=-1)
            r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
            h = (1 - z) * jnp.tanh(xn + r * hn) + z * h
            return h, h
        return lax.scan(step, jnp.zeros((batch, hidden), xs.dtype), xs)

    args = f32(8, 4 * hidden), f32(hidden, 4 * hidden, seed=1), f32(4 * hidden, seed=2), f32(12, batch, 8, seed=3)
    for cell in (lstm, gru):
        got, want = kjax.jit(cell)(*args), jax.jit(cell)(*args)
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
