"""Factorizations from the outside: artifacts that were exported for the CPU, failures, batches, limits, listings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import kjax

RNG = np.random.default_rng(0)
A = RNG.standard_normal((3, 6, 4)).astype(np.float32)
S = (A @ A.swapaxes(-1, -2) + np.eye(6)).astype(np.float32)


def least_squares_and_values(a):
    u, s, vh = jnp.linalg.svd(a, full_matrices=False)
    return (u * s[..., None, :]) @ vh, jnp.linalg.pinv(a), jnp.linalg.cond(a)


def test_an_artifact_that_calls_lapack():
    exported = export.export(jax.jit(least_squares_and_values), platforms=("cpu",))(A)
    assert "lapack_sgesdd" in exported.mlir_module()
    want = jax.jit(least_squares_and_values)(A)
    for source in (exported, bytes(exported.serialize()), exported.mlir_module()):
        for x, y in zip(kjax.compile(source)(A), want, strict=True):
            np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("function", [jnp.linalg.eigvalsh, jnp.linalg.svdvals, jnp.linalg.eigvals, jnp.linalg.cholesky,
                                      lambda a: jax.lax.linalg.schur(a)[1]])
def test_what_cannot_be_factored_is_nan_and_its_neighbours_are_not(function):
    bad = S.copy()
    bad[1, 2, 2] = np.nan if function is not jnp.linalg.cholesky else -1
    got = kjax.compile(function, bad)(bad)
    assert np.isnan(got[1][np.tril_indices(6)] if got.ndim == 3 else got[1]).all()
    assert np.isfinite(got[[0, 2]]).all()


def test_a_budget_of_time_is_met_inside_of_a_factorization():
    large = np.eye(600, dtype=np.float32) + RNG.standard_normal((600, 600)).astype(np.float32)
    program = kjax.compile(jnp.linalg.eig, large)
    with pytest.raises(kjax.DeadlineError):
        program(large, deadline=0.01)


def test_matrices_beyond_the_limit():
    with pytest.raises(kjax.LimitError, match="40000 rows or columns"):
        kjax.compile(jnp.linalg.eigvalsh, jax.ShapeDtypeStruct((40000, 40000), np.float32))


def test_the_listing_names_kind_and_operands():
    text = kjax.compile(jnp.linalg.svdvals, A).as_text()
    assert "svd.f32 batch 3, m 6, n 4" in text and "-> u = none" in text and "-> s = t" in text




@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
@pytest.mark.parametrize("shape", [(40000, 3), (3, 40000), (2, 32769, 2)])
def test_more_rows_than_one_factorization_takes(shape, dtype):
    rng = np.random.default_rng(5)
    a = rng.standard_normal(shape).astype(dtype)
    if np.iscomplexobj(a):
        a += (1j * rng.standard_normal(shape)).astype(dtype)
    u, s, vh = kjax.jit(lambda a: jnp.linalg.svd(a, full_matrices=False))(a)
    np.testing.assert_allclose(s, np.linalg.svd(a.astype(np.complex128), compute_uv=False), rtol=1e-5)
    np.testing.assert_allclose((u * s[..., None, :]) @ vh, a, atol=2e-4)
    tall = u if shape[-2] > shape[-1] else np.swapaxes(vh, -1, -2).conj()
    eye = np.broadcast_to(np.eye(min(shape[-2:])), (*shape[:-2], min(shape[-2:]), min(shape[-2:])))
    np.testing.assert_allclose(np.swapaxes(tall, -1, -2).conj() @ tall, eye, atol=1e-5)
    p = kjax.jit(jnp.linalg.pinv)(a)
    np.testing.assert_allclose(p, np.linalg.pinv(a.astype(np.complex128)), atol=1e-6)
