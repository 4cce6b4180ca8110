"""Linear algebra as JAX writes it for kjax's own platform: no library calls, loops and dots instead."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kjax.errors import UnsupportedOpError
from kjax.frontend import import_module
from kjax.frontend.platform import lower
from kjax.runtime.reference import evaluate

RNG = np.random.default_rng(0)


def matrix(dtype, *shape):
    a = RNG.normal(size=shape)
    return (a + 1j * RNG.normal(size=shape) if np.dtype(dtype).kind == "c" else a).astype(dtype)


def run(function, *args):
    return evaluate(import_module(lower(jax.jit(function).trace(*args))), list(args))


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (2, 5, 4), (1, 1)])
def test_qr(dtype, shape):
    a = matrix(dtype, *shape)
    q, r = run(jnp.linalg.qr, a)
    np.testing.assert_allclose(q @ r, a, rtol=1e-4, atol=1e-5)
    k = q.shape[-1]
    eye = np.broadcast_to(np.eye(k), (*shape[:-2], k, k))
    np.testing.assert_allclose(q.conj().swapaxes(-1, -2) @ q, eye, atol=1e-5)
    np.testing.assert_array_equal(np.tril(r, -1), 0)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_cholesky_lower_and_upper(dtype):
    a = matrix(dtype, 2, 5, 5)
    spd = (a @ a.conj().swapaxes(-1, -2) + 5 * np.eye(5)).astype(dtype)
    (low,) = run(jnp.linalg.cholesky, spd)
    (up,) = run(lambda m: jnp.linalg.cholesky(m, upper=True), spd)
    np.testing.assert_allclose(low, np.linalg.cholesky(spd), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(up, low.conj().swapaxes(-1, -2), rtol=1e-5, atol=1e-6)


def test_solve_inverse_determinant_and_exponential():
    import scipy.linalg

    a, y = matrix("float32", 4, 4) + 4 * np.eye(4, dtype=np.float32), matrix("float32", 4, 2)
    np.testing.assert_allclose(run(jnp.linalg.solve, a, y)[0], np.linalg.solve(a, y), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(jnp.linalg.inv, a)[0], np.linalg.inv(a), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(jnp.linalg.det, a)[0], np.linalg.det(a), rtol=1e-4)
    np.testing.assert_allclose(run(jax.scipy.linalg.expm, a / 4)[0], scipy.linalg.expm(a / 4), rtol=1e-4)


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("lower_part", [True, False])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("unit", [False, True])
def test_triangular_solve_in_every_position(left, lower_part, transpose, unit):
    a = matrix("float32", 4, 4) / 4 + 2 * np.eye(4, dtype=np.float32)
    y = matrix("float32", 4, 3) if left else matrix("float32", 3, 4)
    options = dict(left_side=left, lower=lower_part, transpose_a=transpose, unit_diagonal=unit)
    (x,) = run(lambda m, v: jax.lax.linalg.triangular_solve(m, v, **options), a, y)
    t = np.tril(a) if lower_part else np.triu(a)
    if unit:
        t = t - np.diag(np.diag(t)) + np.eye(4, dtype=np.float32)
    t = t.T if transpose else t
    np.testing.assert_allclose(t @ x if left else x @ t, y, rtol=1e-4, atol=1e-5)


def test_a_gradient_through_a_solve():
    a, y = matrix("float32", 3, 3) + 3 * np.eye(3, dtype=np.float32), matrix("float32", 3)

    def f(m, v):
        return jax.grad(lambda w: jnp.linalg.solve(w, v).sum())(m)

    np.testing.assert_allclose(run(f, a, y)[0], np.asarray(jax.jit(f)(a, y)), rtol=1e-4, atol=1e-5)


def test_donation_is_kept_and_no_rule_is_an_unsupported_op():
    lowered = lower(jax.jit(lambda s, g: s - g, donate_argnums=0).trace(np.ones(3), np.ones(3)))
    assert import_module(lowered).aliases == {0: 0}
    with pytest.raises(UnsupportedOpError, match="eigh: JAX has no rule"):
        run(jnp.linalg.eigh, np.eye(3, dtype=np.float32))
