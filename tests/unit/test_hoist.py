"""What leaves a loop and what stays (compiler/passes/hoist.py), and that results are JAX's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from frontend_oracle import imported
from jax import lax

import kjax
from kjax.compiler.passes import counters, expand, hoist, simplify


def f32(*shape, seed=0):
    return (np.random.default_rng(seed).standard_normal(shape) * 0.3).astype(np.float32)


def loops(fn, *args):
    """(names of the operations before the loop, of those in its body, how many values it carries) of ``fn``."""
    graph = imported(fn, *args)
    for one in (simplify.run, expand.run, simplify.run, hoist.run, simplify.run):
        one(graph)
    (loop,) = (op for op in graph.ops if op.name == "while")
    before = [op.name for op in graph.ops[:graph.ops.index(loop)]]
    return before, [op.name for op in loop.regions[1].ops], len(loop.operands)


def same(fn, *args, rtol=1e-5):
    want = jax.tree.leaves(jax.jit(fn)(*args))
    for got, expected in zip(jax.tree.leaves(kjax.jit(fn)(*args)), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=1e-5)


def rnn(wx, wh, b, h, xs):
    def step(h, x):
        h = jnp.tanh(x @ wx + h @ wh + b)
        return h, h
    return lax.scan(step, h, xs)


RNN = f32(40, 64) / 4, f32(64, 64, seed=1) / 4, f32(64, seed=2), f32(3, 64, seed=3), f32(20, 3, 40, seed=4)


def test_products_of_scanned_rows_are_one_product():
    before, body, carried = loops(rnn, *RNN)
    assert before.count("dot_general") == body.count("dot_general") == 1
    assert carried == 3  # counter, h, ys
    same(rnn, *RNN)


def test_with_the_row_on_the_right_and_in_another_type():
    def right(w, h, xs):
        def step(h, x):
            h = jnp.tanh(w @ x.astype(jnp.float32).reshape(40, 3) + h)
            return h, h.sum()
        return lax.scan(step, h, xs)
    args = f32(64, 40), f32(64, 3, seed=1), f32(20, 120, seed=2).astype(np.float16)
    before, body, _ = loops(right, *args)
    assert "dot_general" in before and "dot_general" not in body
    same(right, *args)


@pytest.mark.parametrize("change", ["few", "reversed", "state"])
def test_other_products_stay(change):
    """Small ones; rows in another order; rows of what the loop changes."""
    if change == "few":
        args = f32(8, 8), f32(8, 8), f32(8), f32(1, 8), f32(20, 1, 8)
        assert loops(rnn, *args)[1].count("dot_general") == 2
        return same(rnn, *args)
    if change == "reversed":
        def fn(w, h, xs):
            return lax.scan(lambda h, x: (jnp.tanh(x @ w + h), h), h, xs, reverse=True)
    else:
        def fn(w, h, xs):
            def step(i, c):
                xs, h = c
                h = jnp.tanh(lax.dynamic_slice(xs, (i, 0, 0), (1, 3, 40))[0] @ w + h)
                return lax.dynamic_update_slice(xs, h[None, :, :40], ((i + 1) % 20, 0, 0)), h
            return lax.fori_loop(0, 20, step, (xs, h))
    args = f32(40, 64), f32(3, 64, seed=3), f32(20, 3, 40, seed=4)
    before, body, _ = loops(fn, *args)
    assert "dot_general" not in before and "dot_general" in body
    same(fn, *args)


def test_what_does_not_change_is_computed_once():
    def fn(a, b, x):
        return lax.fori_loop(0, 5, lambda i, x: x * jnp.exp(a) @ jnp.tanh(b).T, x)
    args = f32(6), f32(6, 6, seed=1), f32(4, 6, seed=2)
    before, body, carried = loops(fn, *args)
    assert "exp" in before and "tanh" in before and not {"exp", "tanh", "transpose"} & set(body) and carried == 2
    same(fn, *args)


def test_out_of_both_of_two_loops():
    def fn(a, x):
        def outer(i, x):
            return lax.fori_loop(0, 3, lambda j, x: x + jnp.exp(a) * jnp.sin(x[0]), x)
        return lax.fori_loop(0, 4, outer, x)
    args = f32(5), f32(5, seed=1)
    assert "exp" in loops(fn, *args)[0]
    same(fn, *args)


def test_a_loop_that_runs_zero_times():
    def fn(a, n, x):
        return lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * (1 / a)), (0, x))
    for n in (0, 3):
        same(fn, np.float32(0) if n == 0 else np.float32(2), np.int32(n), f32(3))


def test_effects_stay(capfd):
    def fn(x):
        def step(i, x):
            jax.debug.print("once a turn {}", i)
            return x + 1
        return lax.fori_loop(0, 3, step, x)
    kjax.jit(fn)(np.float32(0))
    assert capfd.readouterr().out.count("once a turn") == 3


@pytest.mark.parametrize("shape,pitch", [((64, 64), 80), ((32, 256), 272), ((48, 48), 48), ((64, 100), 100)])
def test_weights_that_stay_are_apart(shape, pitch):
    """Rows of an even number of cache lines are copied with a line between them, where only products read them."""
    def many(w, h, xs):
        def step(h, x):
            return jnp.tanh(h[:, :w.shape[0]] @ w + x), h[0, 0]
        return lax.scan(step, h, xs)

    args = f32(*shape) / 4, f32(1, shape[1], seed=1), f32(20, 1, shape[1], seed=2)
    text = kjax.compile(many, *args).as_text()
    (rhs,) = (line for line in text.splitlines() if line.strip().startswith("rhs ="))
    assert f"{pitch}*i1" in rhs
    same(many, *args)


def test_weights_that_something_else_reads_are_not():
    def fn(w, h, xs):
        def step(h, x):
            return jnp.tanh(h @ w + x), (w * h.T).sum()
        return lax.scan(step, h, xs)
    args = f32(64, 64) / 4, f32(1, 64, seed=1), f32(20, 1, 64, seed=2)
    assert "80*i" not in kjax.compile(fn, *args).as_text()
    same(fn, *args, rtol=1e-4)


def test_counters_that_agree_are_one():
    fn = lambda x: lax.fori_loop(0, 9, lambda k, v: v * 1.5 + k, x)  # noqa: E731
    before, body, carried = loops(fn, np.float32(2))
    assert carried == 2 and body.count("add") == 2
    same(fn, np.float32(2))
    down = lambda x: lax.while_loop(lambda s: s[0] < 9, lambda s: (s[0] + 1, s[1] + 2, s[2] + s[0] * s[1]), (0, 0, x))  # noqa: E731
    assert loops(down, np.int32(2))[2] == 3  # another step
    same(down, np.int32(2))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_scans_over_scalars(n, reverse):
    def fn(x, k):
        def step(carry, item):
            s, i, last = carry
            v, j = item
            return (s * 0.9 + v * 0.1, i + j, v), (s - last, i * 2, v > s)
        return lax.scan(step, (jnp.float32(1), jnp.int32(3), jnp.float32(0)), (x, k), reverse=reverse)
    same(fn, f32(n), np.arange(n, dtype=np.int32))


def test_scans_in_scans_and_over_lanes():
    def total(x):
        return lax.scan(lambda s, row: (s + lax.scan(lambda t, v: (t * 0.5 + v, t), s, row)[1][-1], s), jnp.float32(0), x)
    same(total, f32(5, 7))
    same(jax.vmap(total), f32(3, 5, 7))
    same(jax.grad(lambda x: total(x)[0]), f32(5, 7))


def test_elements_written_and_added_to_in_a_loop():
    def fn(x, at):
        y = lax.fori_loop(0, 12, lambda k, y: y.at[at[k]].set(x[k % 5] * 2), x)
        z = lax.fori_loop(0, 12, lambda k, y: y.at[at[k]].add(x[at[k] - 3]), y)
        return lax.fori_loop(0, 5, lambda k, y: y.at[k].max(z[4 - k], mode="promise_in_bounds"), z)
    same(fn, f32(5), np.array([0, 4, 7, -1, -5, -6, 2, 2, 100, 3, 1, 0], np.int32))
    same(fn, f32(5), np.array([0, 4, 7, 2**32 - 1, 5, 6, 2, 2, 100, 3, 1, 0], np.uint32))
    same(fn, np.arange(5), np.array([0, 4, 7, -1, -5, -6, 2, 2, 100, 3, 1, 0], np.int16))


def test_counters_come_last():
    """Addition, comparison and jump are then one operation of the engine."""
    fn = lambda x: lax.while_loop(lambda s: s[0] < 9, lambda s: (s[0] + 1, s[1] * 1.5), (0, x))  # noqa: E731
    graph = imported(fn, np.float32(2))
    for one in (simplify.run, hoist.run, simplify.run, counters.run):
        one(graph)
    (loop,) = (op for op in graph.ops if op.name == "while")
    assert [op.name for op in loop.regions[1].ops] == ["mul", "add"]
    same(fn, np.float32(2))
