"""Results that take a donated argument's memory, computed by instructions that move elements, or read others than they write."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import kjax

X = np.arange(4, dtype=np.float32)
M = np.arange(16, dtype=np.float32).reshape(4, 4)
PLACES = np.array([3, 0, 0, 1])

CASES = {
    "pad and crop": (lambda x: lax.pad(x, 0.0, [(1, -1, 0)]), X), "crop and pad": (lambda x: lax.pad(x, 0.0, [(-1, 1, 0)]), X),
    "pad every other": (lambda x: lax.pad(x[::2], 0.0, [(1, 1, 0)]), X), "pad apart": (lambda x: lax.pad(x[1:3], 0.0, [(0, 1, 1)]), X),
    "gather": (lambda x: x[PLACES], X), "gather rows": (lambda x: x[PLACES], M), "gather columns": (lambda x: x[:, PLACES], M),
    "take along": (lambda x: jnp.take_along_axis(x, jnp.broadcast_to(PLACES, (4, 4)), 1), M),
    "slice of all": (lambda x: lax.dynamic_slice(x, (PLACES[0], PLACES[1]), (4, 4)), M),
    "update by itself": (lambda x: lax.dynamic_update_slice(x, x[1:], (0, 0)), M),
    "scatter itself": (lambda x: x.at[PLACES].set(x), X), "scatter and add": (lambda x: x.at[PLACES].add(x), M),
    "transpose": (lambda x: x.T, M), "reverse": (lambda x: x[::-1], M), "roll": (lambda x: jnp.roll(x, 1), X),
    "roll some": (lambda x: jnp.where(x > 1, jnp.roll(x, 1), x), X), "halves": (lambda x: jnp.concatenate([x[2:], x[:2]]), X),
    "sort": (lambda x: jnp.sort(-x, 0), M), "prefixes": (lambda x: jnp.cumsum(x), X),
    "suffixes": (lambda x: jnp.cumsum(x[::-1])[::-1], X),
    "windows": (lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (1, 1), "SAME"), M),
    "product": (lambda x: x @ x, M), "less its sums": (lambda x: x - x.sum(0), M), "transposed and sums": (lambda x: x.T + x.sum(1), M),
    "scan": (lambda x: lax.scan(lambda c, y: (c + y, c), x[0], x)[1], M),
    "loop": (lambda x: lax.fori_loop(0, 3, lambda i, y: jnp.roll(y, 1, 0) + y, x), M),
}


@pytest.mark.parametrize("name", CASES)
def test_a_donated_argument_becomes_the_result(name):
    function, x = CASES[name]
    given = x.copy()
    got = kjax.jit(function, donate_argnums=0)(given)
    np.testing.assert_array_equal(got, jax.jit(function)(x))
    np.testing.assert_array_equal(given, got)


def test_every_call_updates_what_it_may_and_copies_what_it_may_not():
    f = kjax.jit(lambda state, x: {"n": state["n"] + x, "m": state["m"] * 2}, donate_argnums=0)
    state, n, m = {"n": X.copy(), "m": M.copy()}, X.copy(), M.copy()
    for _ in range(4):
        out = f(state, X)
        n, m = n + X, m * 2
        assert out["n"] is state["n"] and out["m"] is state["m"]
        np.testing.assert_array_equal(out["n"], n)
        np.testing.assert_array_equal(out["m"], m)
    assert f.known == 1  # not the first call, but all others went to the engine directly
    kept = {"n": jnp.asarray(X), "m": M.copy()}
    out = f(kept, X)
    np.testing.assert_array_equal(kept["n"], X)
    assert out["m"] is kept["m"]
    frozen = X.copy()
    frozen.flags.writeable = False
    with pytest.raises(TypeError, match="updated in place"):
        f({"n": frozen, "m": M.copy()}, X)
    np.testing.assert_array_equal(f(state, X)["n"], n + X)
