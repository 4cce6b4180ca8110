"""Linear algebra as JAX writes it for kjax's own platform, and for the CPU: calls of LAPACK become the op linalg."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Primitive

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
    unknown = Primitive("unknown")
    unknown.def_abstract_eval(lambda x: x)
    with pytest.raises(UnsupportedOpError, match="unknown at .*test_frontend_linalg.py.*: JAX has no rule"):
        run(lambda x: unknown.bind(x), np.eye(3, dtype=np.float32))


def test_an_option_that_jax_cannot_lower_is_an_unsupported_op():
    with pytest.raises(UnsupportedOpError, match="QDWH"):
        run(lambda a: jax.lax.linalg.eigh(a, implementation=jax.lax.linalg.EighImplementation.QDWH), np.eye(3, dtype=np.float32))


@pytest.mark.parametrize("subset", [(0, 2), (1, 4), (3, 5), (0, 5)])
def test_a_range_of_eigenvalues(subset):
    a = matrix("float32", 2, 5, 5)
    v, w = run(lambda a: jax.lax.linalg.eigh(a, subset_by_index=subset), a)
    all_v, all_w = run(lambda a: jax.lax.linalg.eigh(a), a)
    some = slice(*subset)
    np.testing.assert_array_equal(w, all_w[..., some])
    np.testing.assert_array_equal(v, all_v[..., some])


@pytest.mark.parametrize("subset", [(0, 2), (1, 3), (0, 4)])
def test_a_range_of_singular_values(subset):
    a = matrix("complex64", 6, 4)
    u, s, vh = run(lambda a: jax.lax.linalg.svd(a, full_matrices=False, subset_by_index=subset), a)
    some = slice(*subset)
    np.testing.assert_allclose(s, np.linalg.svd(a)[1][some], rtol=1e-5)
    np.testing.assert_allclose(u.conj().T @ a @ vh.conj().T, np.diag(s), atol=1e-5)
    (only,) = run(lambda a: [jax.lax.linalg.svd(a, full_matrices=False, compute_uv=False, subset_by_index=subset)], a)
    np.testing.assert_array_equal(only, s)


def cpu(function, *args):
    """As an artifact that was exported for the CPU."""
    return evaluate(import_module(jax.jit(function).trace(*args).lower(lowering_platforms=("cpu",))), list(args))


FALSE_TRUE = (False, True)
CALLS = {
    "syevd": (lambda a: rebuilt(*jnp.linalg.eigh(a, symmetrize_input=False)), "h"),
    "syevd_upper": (lambda a: rebuilt(*jnp.linalg.eigh(a, UPLO="U", symmetrize_input=False)), "h"),
    "gesdd": (lambda a: usv(*jnp.linalg.svd(a, full_matrices=False)), "m"),
    "gesdd_full": (lambda a: usv(*jnp.linalg.svd(a)), "w"),
    "gesvd": (lambda a: usv(*(lambda u, s, v: (u, s, v))(*jax.lax.linalg.svd(a, algorithm=jax.lax.linalg.SvdAlgorithm.QR))), "m"),
    "geev": (lambda a: jnp.sort(jnp.abs(jnp.linalg.eigvals(a))), "a"),
    "gees": (lambda a: (lambda t, z: z @ t @ z.conj().T)(*jax.lax.linalg.schur(a)), "a"),
    "gehrd": (lambda a: jax.lax.linalg.hessenberg(a), "a"),
    "sytrd": (lambda a: jax.lax.linalg.tridiagonal(a)[1:], "h"),
    "sytrd_upper": (lambda a: (lambda h, d, e, t: (jnp.triu(h), d, e, t))(*jax.lax.linalg.tridiagonal(a, lower=False)), "h"),
    "potrf": (jnp.linalg.cholesky, "p"),
    "potrf_upper": (lambda a: jnp.linalg.cholesky(a, upper=True), "p"),
    "getrf": (jax.lax.linalg.lu, "m"),
    "geqrf_orgqr": (jnp.linalg.qr, "m"),
    "geqrf_orgqr_complete": (lambda a: jnp.linalg.qr(a, mode="complete"), "m"),
    "geqp3": (lambda a: jax.lax.linalg.qr(a, pivoting=True), "m"),
    "ormqr": (lambda a: [jax.lax.linalg.ormqr(*raw(a), c, left=left, transpose=t) for left, c in ((True, a), (False, a.T))
                         for t in (False, True)], "m"),
    "trsm": (lambda a: [jax.lax.linalg.triangular_solve(a, a[:, :2] if left else a[:2], left_side=left, lower=low, transpose_a=t,
                                                        conjugate_a=t, unit_diagonal=unit)
                        for left in FALSE_TRUE for low in FALSE_TRUE for t in FALSE_TRUE for unit in FALSE_TRUE], "p"),
    "gtsv": (lambda a: jax.lax.linalg.tridiagonal_solve(a[0].at[0].set(0), a[1] + 4, a[2].at[-1].set(0), a), "a"),
    "gtsv_perturbed": (lambda a: jax.lax.linalg.tridiagonal_solve(a[0].at[0].set(0), a[1] + 4, a[2].at[-1].set(0), a,
                                                                  perturb_singular=True), "a"),
    "approx_top_k": (lambda a: jax.lax.approx_min_k(a.real, 2), "m"),
}


def rebuilt(w, v):
    return (v * w) @ v.conj().T


def usv(u, s, vh):
    k = s.shape[-1]
    return (u[:, :k] * s) @ vh[:k], s


def raw(a):
    h, taus = jnp.linalg.qr(a, mode="raw")
    return h.T, taus


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("way", [cpu, run])
def test_calls_of_lapack(name, dtype, way):
    function, kind = CALLS[name]
    if name == "gtsv_perturbed" and dtype == "complex64":
        pytest.skip("JAX has it for real numbers only")
    a = {"m": (5, 3), "w": (3, 5)}.get(kind, (4, 4))
    a = np.random.default_rng(7).normal(size=a) + (1j if dtype == "complex64" else 0) * np.random.default_rng(8).normal(size=a)
    if kind in "hp":
        a = a + a.conj().T + (9 * np.eye(4) if kind == "p" else 0)
    a = a.astype(dtype)
    want = jax.tree.leaves(jax.jit(function)(a))
    for x, y in zip(way(function, a), want, strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5)


def test_layouts_that_lapack_would_see_otherwise_are_refused():
    text = jax.jit(jnp.linalg.cholesky).trace(np.eye(3, dtype=np.float32)).lower(lowering_platforms=("cpu",)).as_text()
    assert "dense<[0, 1]>" in text
    with pytest.raises(UnsupportedOpError, match="column-major"):
        import_module(text.replace("operand_layouts = [dense<[0, 1]>", "operand_layouts = [dense<[1, 0]>"))


def test_empty_matrices():
    for function, shape in ((jnp.linalg.eigh, (0, 0)), (jnp.linalg.svd, (0, 3)), (jnp.linalg.qr, (3, 0)), (jnp.linalg.qr, (2, 0, 3)),
                            (jnp.linalg.eig, (0, 0)), (jax.scipy.linalg.schur, (0, 0)), (jnp.linalg.eigvalsh, (0, 4, 4))):
        a = np.zeros(shape, np.float32)
        for x, y in zip(cpu(function, a), jax.tree.leaves(jax.jit(function)(a)), strict=True):
            np.testing.assert_array_equal(x, y)
