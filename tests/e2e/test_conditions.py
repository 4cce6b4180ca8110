"""Conditions of loops that compute: the state that they read stays what it is, for the body and for what follows the loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import kjax


def flag(x):
    """The predicate has the type and shape of a state, which it is computed from."""
    def body(state):
        return state[2].sum() > 20, state[1] + 1, state[2] * 2

    done, count, x = lax.while_loop(lambda s: ~s[0] & (s[1] < 5), body, (x[0] > 5, 0, x))
    return jnp.where(done, x, -x), count, ~done


def two_flags(x):
    state = lax.while_loop(lambda s: ~(s[0] | s[1]), lambda s: (s[2] > 40, s[2] == 37, s[2] + x[0]), (x[0] > 5, x[1] > 5, x[2]))
    return [~s if s.dtype == bool else -s for s in state]


def update(x):
    def goes_on(state):
        return lax.cumsum(state[0].at[0].set(0.0))[-1] < 50

    x, total = lax.while_loop(goes_on, lambda s: (s[0] * 2, s[1] + s[0][0]), (x, x.sum()))
    return x + 1, total * 2


def order(x):
    x = lax.while_loop(lambda x: jnp.sort(x)[1] + (-x)[0] < 9, lambda x: x + jnp.arange(x.size), x[::-1])
    return x * 2


def loop(x):
    def grown(y):
        return lax.fori_loop(0, 3, lambda i, y: y * 1.5, y)

    return lax.while_loop(lambda y: grown(y).sum() < 90, lambda y: y + 1, x) + 1


def choice(x):
    def limit(y):
        return lax.cond(y[0] > 3, lambda y: (y * 2).at[1].set(4), lambda y: (y + 1).at[0].mul(2), y)

    return lax.while_loop(lambda y: limit(y).sum() < 60, lambda y: y + 1, x) + 1


def nested(x):
    """The state of a loop in a body, and of the loop around it."""
    def body(state):
        done, x, _ = state
        inner, x = lax.while_loop(lambda s: ~s[0], lambda s: (s[1].sum() > 30, s[1] + 1), (done, x))
        return x.sum() > 35, x + 1, ~inner

    done, x, inner = lax.while_loop(lambda s: ~s[0], body, (x[0] > 5, x, x[0] > 7))
    return ~done, -x, ~inner


@pytest.mark.parametrize("first", [1, 9])
@pytest.mark.parametrize("function", [flag, two_flags, update, order, loop, choice, nested])
def test_a_condition_leaves_the_state_alone(function, first):
    """From 9 on, most of these loops end before their first iteration."""
    x = np.arange(first, first + 4, dtype=np.float32)
    got, want = jax.tree.leaves(kjax.jit(function)(x)), jax.tree.leaves(jax.jit(function)(x))
    for g, w in zip(got, want, strict=True):
        np.testing.assert_array_equal(g, w)


@pytest.mark.parametrize("function", [flag, update, loop])
def test_so_do_conditions_for_a_batch(function):
    x = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    got, want = (jax.tree.leaves(jit(jax.vmap(function))(x)) for jit in (kjax.jit, jax.jit))
    for g, w in zip(got, want, strict=True):
        np.testing.assert_array_equal(g, w)
