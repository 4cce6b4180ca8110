"""Sparse matrices of jax.experimental.sparse: what JAX leaves to native code is written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import sparse
from jax.experimental.sparse.linalg import spsolve

import kjax

RNG = np.random.default_rng(7)


def matrix(rows, columns, dtype=np.float32):
    """Small integers, most of them 0, the second row empty."""
    a = RNG.integers(-4, 5, (rows, columns)) * (RNG.random((rows, columns)) < 0.4)
    a[1:2] = 0
    return a.astype(dtype) * (1 + 2j if np.dtype(dtype).kind == "c" else 1)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.complex64])
@pytest.mark.parametrize(("rows", "columns", "width"), [(5, 7, ()), (5, 7, (3,)), (1, 4, ()), (40, 30, (20,)), (3, 2, (0,))])
@pytest.mark.parametrize("spare", [0, 6])
def test_compressed_rows_times_dense(rows, columns, width, dtype, spare):
    """As kjax lowers it, and as JAX does for the CPU: by a call. ``spare``: elements that belong to no row."""
    a, x = matrix(rows, columns, dtype), RNG.integers(-4, 5, (columns, *width)).astype(dtype)
    count = int((a != 0).sum()) + spare

    def multiply(a, x):
        return sparse.BCSR.fromdense(a, nse=count) @ x

    for program in (kjax.compile(multiply, a, x), kjax.compile(jax.jit(multiply).lower(a, x))):
        got = program(a, x)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, a @ x)


def test_a_matrix_by_columns_is_refused():
    x = jnp.ones((3, 2))
    text = jax.jit(lambda a: sparse.BCSR.fromdense(a, nse=3) @ x).lower(np.eye(3, dtype=np.float32)).as_text()
    assert "cpu_csr_sparse_dense_ffi" in text and "dense<[1, 0]>" in text
    with pytest.raises(kjax.UnsupportedOpError, match="column-major"):
        kjax.compile(text.replace("dense<[1, 0]>", "dense<[0, 1]>"))


@pytest.mark.parametrize("n", [1, 6, 35])
def test_solutions_of_sparse_systems(n):
    a = matrix(n, n) + (4 * n * np.eye(n, dtype=np.float32))
    rows, b = sparse.BCSR.fromdense(a, nse=n * n), RNG.standard_normal(n).astype(np.float32)

    def solution(data, b):
        return spsolve(data, rows.indices, rows.indptr, b)

    np.testing.assert_allclose(kjax.jit(solution)(rows.data, b), np.linalg.solve(a, b), rtol=2e-5, atol=1e-6)
    weight = np.arange(n, dtype=np.float32)
    got = kjax.jit(jax.grad(lambda b: solution(rows.data, b) @ weight))(b)
    np.testing.assert_allclose(got, np.linalg.solve(a.T, weight), rtol=2e-5, atol=1e-6)
