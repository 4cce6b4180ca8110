"""Factorizations and systems in blocks (ukernels/linalg_block.inc, linalg_wy.inc): sizes at and around a few rows, a panel's
width and a block; every cpu table; slices; what is singular, and where NaN spreads."""

import numpy as np
import pytest
import scipy.linalg
import tables
from test_linalg import DTYPES, adjoint, is_small, is_unitary, matrix, program, run, wide

from kjax.isa import dtypes

FEW, WIDE, BLOCK = 8, 16, {"f32": 64, "f64": 64, "c64": 32, "c128": 32}


def edges(dtype):
    return [1, FEW - 1, FEW, FEW + 1, WIDE + 1, *(BLOCK[dtype] + d for d in (-1, 0, 1, FEW + 1)), 3 * BLOCK[dtype] + 5]


def positive(dtype, n, seed=0):
    a = wide(matrix(dtype, n, n, seed=seed))
    return (a @ adjoint(a) / n + np.eye(n)).astype(dtypes.BY_NAME[dtype].numpy)


def check_cholesky(dtype, n, **options):
    a = positive(dtype, n, seed=n)
    got = run("cholesky", dtype, [np.tril(a) + np.triu(np.full_like(a, np.nan), 1)], {"n": n}, **options)
    # only the lower triangle counts, but what is not finite anywhere is not scaled
    low = wide(got["l"])
    assert got["info"] == 0 and not np.triu(low, 1).any()
    is_small(low @ adjoint(low) - a, 4, dtype, n)


def check_lu(dtype, m, n, **options):
    a = matrix(dtype, m, n, seed=m + n)
    got = run("lu", dtype, [a], {"m": m, "n": n}, **options)
    k = min(m, n)
    low, up = np.tril(wide(got["lu"])[:, :k], -1) + np.eye(m, k), np.triu(wide(got["lu"]))[:k]
    order = np.arange(m)
    for j, pivot in enumerate(got["pivots"]):
        assert j < pivot <= m
        order[[j, pivot - 1]] = order[[pivot - 1, j]]
    assert got["info"] == 0
    size = np.abs(low.real) + np.abs(low.imag)
    assert size.max() <= (1 if low.dtype.kind == "f" else 2) * (1 + 1e-6)
    is_small(low @ up - a[order], 4, dtype, k)


def check_solve(dtype, n, k, flags, **options):
    a = positive(dtype, n, seed=n)
    b = matrix(dtype, n, k, seed=k)
    t = np.tril(wide(a)) if "lower" in flags else np.triu(wide(a))
    if "unit" in flags:
        t = t - np.diag(np.diag(t)) + np.eye(n)
    x = wide(run("triangular_solve", dtype, [a, b], {"n": n, "k": k}, flags, **options)["x"])
    is_small(t @ x - b, (np.abs(t) @ np.abs(x)).max(), dtype, 4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cholesky(dtype):
    for n in edges(dtype):
        check_cholesky(dtype, n)


@pytest.mark.parametrize("dtype", DTYPES)
def test_lu(dtype):
    for n in edges(dtype):
        for m in sorted({n, max(1, n // 2), n + FEW + 1, 2 * n + 1, 1}):
            check_lu(dtype, m, n)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("flags", [(), ("lower",), ("unit",), ("lower", "unit")])
def test_triangular_solve(dtype, flags):
    for n in edges(dtype):
        for k in (1, 8, 9, WIDE, WIDE + 1):
            check_solve(dtype, n, k, flags)
    for k in (127, 128, 129, 300):
        check_solve(dtype, BLOCK[dtype] + 9, k, flags)


@pytest.mark.parametrize("cpu", ["scalar", "avx2", "avx512"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_cpu_tables(cpu, dtype):
    if not set(tables.HAS[cpu]) <= set(open("/proc/cpuinfo").read().split()):
        pytest.skip(f"this processor has no {cpu}")
    n = BLOCK[dtype] + 13
    check_cholesky(dtype, n, cpu=cpu)
    check_lu(dtype, n + 5, n, cpu=cpu)
    check_solve(dtype, n, 21, (), cpu=cpu)
    check_solve(dtype, n, 21, ("lower",), cpu=cpu)


@pytest.mark.parametrize("dtype", ["f32", "c128"])
@pytest.mark.parametrize("kind", ["cholesky", "lu", "triangular_solve", "qr", "reflector_product", "reflector_apply"])
def test_slices_change_nothing(kind, dtype):
    n = BLOCK[dtype] + 27
    a = positive(dtype, n)
    sizes = {"cholesky": {"n": n}, "lu": {"m": n, "n": n}, "triangular_solve": {"n": n, "k": 33}, "qr": {"m": n, "n": n},
             "reflector_product": {"m": n, "n": n, "k": n}, "reflector_apply": {"m": n, "n": 33, "k": n}}[kind]
    arrays = [np.stack([a, matrix(dtype, n, n), a])]
    if kind.startswith("reflector"):
        arrays.append(np.stack([matrix(dtype, n, seed=s) / n for s in range(3)]))
    if kind in ("triangular_solve", "reflector_apply"):
        arrays.append(np.stack([matrix(dtype, n, 33, seed=s) for s in range(3)]))
    made = program(kind, dtype, 3, tuple(sorted(sizes.items())))
    whole = made.run(*arrays)
    for budget in (1, 999, 100_000):
        lane = made.lane(arrays)
        lane.finish(budget)
        assert lane.vm.used <= made.facts.cost
        for got, want in zip(lane.outputs(), whole, strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_column_without_a_pivot(dtype):
    """It is left as it is, the others go on, and info names the first."""
    n = 2 * BLOCK[dtype] + 3
    for column in (0, 5, FEW, BLOCK[dtype] - 1, BLOCK[dtype], n - 1):
        a = matrix(dtype, n, n)
        a[:, column] = 0
        got = run("lu", dtype, [a], {"m": n, "n": n})
        assert got["info"] == column + 1 and not got["lu"][:, column].any()
        low, up = np.tril(wide(got["lu"]), -1) + np.eye(n), np.triu(wide(got["lu"]))
        order = np.arange(n)
        for j, pivot in enumerate(got["pivots"]):
            order[[j, pivot - 1]] = order[[pivot - 1, j]]
        is_small(low @ up - a[order], 4, dtype, n)


@pytest.mark.parametrize("dtype", DTYPES)
def test_where_cholesky_stops(dtype):
    """What is left of the first pivot that is not positive is as in the factor of the rest; from there on all is NaN."""
    n = 2 * BLOCK[dtype] + 3
    for at in (0, 6, FEW, BLOCK[dtype] - 1, BLOCK[dtype], n - 1):
        a = positive(dtype, n)
        a[at, at] = -1
        got = run("cholesky", dtype, [a], {"n": n})
        assert got["info"] == at + 1
        low = got["l"]
        assert np.isfinite(low[:, :at]).all() and np.isnan(low[at:, at:][np.tril_indices(n - at)]).all()
        assert not np.triu(low, 1).any()
        is_small(wide(low[:, :at]) @ adjoint(wide(low[:at, :at])) - a[:, :at], 4, dtype, n)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_ranges(scale):
    """Products of f64 elements would leave the range; of f32 ones they do not."""
    for dtype in ("f32", "f64"):
        n, factor = 90, scale if dtype == "f32" else scale ** 9
        a = positive(dtype, n)
        plain, big = (run("cholesky", dtype, [(a * f).astype(a.dtype)], {"n": n})["l"] for f in (1, factor))
        is_small(wide(big) / np.sqrt(factor) - plain, 2, dtype, n)
        plain, big = (run("lu", dtype, [(a * f).astype(a.dtype)], {"m": n, "n": n})["lu"] for f in (1, factor))
        is_small(np.triu(wide(big)) / factor - np.triu(plain), 2, dtype, n)


REFLECTORS = 16


def check_qr(dtype, m, n, **options):
    """R and reflectors as LAPACK's; the first columns of their product are orthonormal, and it times R is the matrix; what
    they do to another matrix is undone by their adjoint."""
    a, k = matrix(dtype, m, n, seed=m + 2 * n), min(m, n)
    got = run("qr", dtype, [a], {"m": m, "n": n}, **options)
    (h, taus), _ = scipy.linalg.qr(wide(a), mode="raw")
    is_small(got["r"] - h, np.abs(h).max(), dtype, m)
    is_small(got["taus"] - taus, 4, dtype, m)
    q = run("reflector_product", dtype, [got["r"][:, :k], got["taus"]], {"m": m, "n": k, "k": k}, **options)["q"]
    is_unitary(q, dtype)
    is_small(wide(q) @ np.triu(wide(got["r"]))[:k] - a, 4, dtype, k)
    c, sizes = matrix(dtype, m, 19, seed=5), {"m": m, "n": 19, "k": k}
    turned = run("reflector_apply", dtype, [got["r"][:, :k], got["taus"], c], sizes, ("adjoint",), **options)["c"]
    is_small(turned[:k] - adjoint(wide(q)) @ c, 8, dtype, m)
    back = run("reflector_apply", dtype, [got["r"][:, :k], got["taus"], turned], sizes, **options)["c"]
    is_small(wide(back) - c, 8, dtype, m)


@pytest.mark.parametrize("dtype", DTYPES)
def test_qr(dtype):
    for n in (1, FEW, REFLECTORS - 1, REFLECTORS, REFLECTORS + 1, 2 * REFLECTORS + 9):
        for m in sorted({n, max(1, n // 2), 2 * n + 1, 1}):
            check_qr(dtype, m, n)
    for m in (127, 128, 129, 300):  # rows go by 128
        check_qr(dtype, m, REFLECTORS + 1)


@pytest.mark.parametrize("cpu", ["scalar", "avx2", "avx512"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_qr_of_cpu_tables(cpu, dtype):
    if not set(tables.HAS[cpu]) <= set(open("/proc/cpuinfo").read().split()):
        pytest.skip(f"this processor has no {cpu}")
    check_qr(dtype, 2 * REFLECTORS + 11, REFLECTORS + 5, cpu=cpu)


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_that_need_no_reflector(dtype):
    """H = 1 where a column is zero below the diagonal already, in the midst of a block."""
    n = REFLECTORS + 9
    a = np.triu(matrix(dtype, n, n))
    a[np.diag_indices(n)] = a[np.diag_indices(n)].real  # a complex one would be turned to a real one
    got = run("qr", dtype, [a], {"m": n, "n": n})
    np.testing.assert_array_equal(got["r"], a)
    assert not got["taus"].any()
    assert not run("qr", dtype, [np.zeros_like(a)], {"m": n, "n": n})["r"].any()
