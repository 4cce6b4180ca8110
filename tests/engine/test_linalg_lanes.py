"""Small matrices of a batch, each in a lane (ukernels/linalg_lanes.inc): sizes up to the largest one and the next, groups that
are full and not, every cpu table; that a matrix' neighbours and its place do not matter; what is singular, not finite, or too
large for a lane."""

import numpy as np
import pytest
import tables
from test_linalg import adjoint, is_small, is_unitary, matrix, program, wide

from kjax.isa import dtypes, linalg

MOST = 16  # KJX_LINALG_SMALL
DTYPES = ("f32", "f64")
CPUS = ("scalar", "avx2", "avx512")


def run(kind, dtype, arrays, sizes, flags=(), cpu=None, budget=None):
    """Results for a batch, by name."""
    made = program(kind, dtype, len(arrays[0]), tuple(sorted(sizes.items())), flags, (), cpu)
    lane = made.lane(arrays)
    lane.finish(*(() if budget is None else (budget,)))
    assert lane.vm.used <= made.facts.cost
    return dict(zip((o[0] for o in linalg.BY_NAME[kind].results), lane.outputs(), strict=True))


def positive(dtype, batch, n):
    a = wide(matrix(dtype, batch, n, n, seed=n))
    return (a @ adjoint(a) / n + np.eye(n)).astype(dtypes.BY_NAME[dtype].numpy)


def check_cholesky(dtype, batch, n, **options):
    a = positive(dtype, batch, n)
    got = run("cholesky", dtype, [a + np.triu(np.ones_like(a), 1)], {"n": n}, **options)
    low = wide(got["l"])
    assert not got["info"].any() and not np.triu(low, 1).any()
    is_small(low @ adjoint(low) - a, 4, dtype, n)


def check_lu(dtype, batch, m, n, **options):
    a = matrix(dtype, batch, m, n, seed=m + n)
    got = run("lu", dtype, [a], {"m": m, "n": n}, **options)
    k = min(m, n)
    assert not got["info"].any()
    for one, lu, pivots in zip(a, wide(got["lu"]), got["pivots"], strict=True):
        low, up = np.tril(lu[:, :k], -1) + np.eye(m, k), np.triu(lu)[:k]
        order = np.arange(m)
        for j, pivot in enumerate(pivots):
            assert j < pivot <= m
            order[[j, pivot - 1]] = order[[pivot - 1, j]]
        assert np.abs(low).max() <= 1
        is_small(low @ up - one[order], 4, dtype, k)


def check_solve(dtype, batch, n, k, flags, **options):
    a, b = positive(dtype, batch, n), matrix(dtype, batch, n, k, seed=k)
    t = np.tril(wide(a)) if "lower" in flags else np.triu(wide(a))
    if "unit" in flags:
        t = np.where(np.eye(n, dtype=bool), 1, t)
    x = wide(run("triangular_solve", dtype, [a, b], {"n": n, "k": k}, flags, **options)["x"])
    is_small(t @ x - b, (np.abs(t) @ np.abs(x)).max(), dtype, 4)


def check_qr(dtype, batch, m, n, **options):
    a, k = matrix(dtype, batch, m, n, seed=20 * m + n), min(m, n)
    got = run("qr", dtype, [a], {"m": m, "n": n}, **options)
    columns = np.ascontiguousarray(got["r"][:, :, :k])
    q = run("reflector_product", dtype, [columns, got["taus"]], {"m": m, "n": k, "k": k}, **options)["q"]
    for one, r, basis in zip(a, wide(got["r"]), q, strict=True):
        is_unitary(basis, dtype)
        is_small(wide(basis) @ np.triu(r)[:k] - one, 4, dtype, m)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, MOST - 1, MOST, MOST + 1])
def test_sizes(dtype, n):
    check_cholesky(dtype, 9, n)
    for m in {1, n, max(1, n - 2), n + 3, MOST}:
        check_lu(dtype, 9, m, n)
        check_qr(dtype, 9, m, n)
    for flags in ((), ("lower",), ("unit",), ("lower", "unit")):
        for k in (1, 3, MOST, MOST + 1):
            check_solve(dtype, 9, n, k, flags)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_groups_of_every_cpu_table(cpu, dtype):
    if not set(tables.HAS[cpu]) <= set(open("/proc/cpuinfo").read().split()):
        pytest.skip(f"this processor has no {cpu}")
    for batch in (2, 3, 4, 7, 8, 9, 17):
        check_cholesky(dtype, batch, 5, cpu=cpu)
        check_lu(dtype, batch, 5, 4, cpu=cpu)
        check_qr(dtype, batch, 4, 5, cpu=cpu)
        check_solve(dtype, batch, 5, 2, (), cpu=cpu)


KINDS = {"cholesky": {"n": 6}, "lu": {"m": 6, "n": 6}, "triangular_solve": {"n": 6, "k": 6}, "qr": {"m": 6, "n": 6},
         "reflector_product": {"m": 6, "n": 6, "k": 6}}


def operands(kind, dtype, batch):
    second = {"triangular_solve": (6, 6), "reflector_product": (6,)}.get(kind)
    more = [matrix(dtype, batch, *second, seed=1) / 6] if second else []
    return [positive(dtype, batch, 6), *more]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_place_and_neighbours_do_not_matter(kind, dtype):
    arrays = operands(kind, dtype, 19)
    whole = run(kind, dtype, arrays, KINDS[kind])
    order = np.random.default_rng(0).permutation(19)
    moved = run(kind, dtype, [a[order] for a in arrays], KINDS[kind])
    few = run(kind, dtype, [a[5:8] for a in arrays], KINDS[kind])
    for name in whole:
        np.testing.assert_array_equal(moved[name], whole[name][order])
        np.testing.assert_array_equal(few[name], whole[name][5:8])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_slices_change_nothing(kind, dtype):
    arrays = operands(kind, dtype, 21)
    whole = run(kind, dtype, arrays, KINDS[kind])
    for budget in (1, 300, 5000):
        for name, value in run(kind, dtype, arrays, KINDS[kind], budget=budget).items():
            np.testing.assert_array_equal(value, whole[name])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_finite_stays_in_its_lane(kind, dtype):
    arrays = operands(kind, dtype, 9)
    whole = run(kind, dtype, arrays, KINDS[kind])
    for number in (np.nan, np.inf):
        wrong = [arrays[0].copy(), *arrays[1:]]
        wrong[0][4, 3, 3] = number
        got = run(kind, dtype, wrong, KINDS[kind])
        others = [k for k in range(9) if k != 4]
        for name in whole:
            np.testing.assert_array_equal(got[name][others], whole[name][others])
        if kind in ("cholesky", "lu") and number != np.inf:
            assert np.isnan(next(iter(got.values()))[4]).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_singular_matrices(dtype):
    a = positive(dtype, 6, 4)
    a[1] = 0
    a[2, 2] = a[2, 1]  # two equal rows
    a[3, :, 1] = 0
    got = run("lu", dtype, [a], {"m": 4, "n": 4})
    # like LAPACK: the first pivot that is zero, the factors finite
    assert got["info"][[0, 1, 3, 4, 5]].ravel().tolist() == [0, 1, 2, 0, 0] and np.isfinite(got["lu"]).all()
    assert (got["lu"][1] == 0).all() and got["pivots"][1].tolist() == [1, 2, 3, 4]
    got = run("qr", dtype, [a], {"m": 4, "n": 4})
    assert np.isfinite(got["r"]).all() and (got["taus"][1] == 0).all() and (got["r"][1] == 0).all()
    a = positive(dtype, 4, 4)
    a[1, 2, 2] = -1
    a[2, 0, 0] = 0
    got = run("cholesky", dtype, [a], {"n": 4})
    assert got["info"].ravel().tolist() == [0, 3, 1, 0] and np.isfinite(got["l"][[0, 3]]).all()
    assert np.isnan(got["l"][1, 2, 2]) and np.isfinite(got["l"][1, :2]).all()


@pytest.mark.parametrize("scale", [1e-300, 1e300, 1e-70, 1e70])
def test_matrices_whose_products_would_overflow_or_vanish(scale):
    """They go the way of single ones, which scales them; those beside them give the same as ever."""
    plain = positive("f64", 9, 5)
    a = plain.copy()
    a[4] *= scale
    for kind, sizes in (("cholesky", {"n": 5}), ("lu", {"m": 5, "n": 5}), ("qr", {"m": 5, "n": 5})):
        want, got = (run(kind, "f64", [x], sizes) for x in (plain, a))
        power = 0.5 if kind == "cholesky" else 1
        factor = next(iter(want))
        expected = np.array(want[factor][4])
        by = np.triu(np.full((5, 5), scale**power)) + np.tril(np.full((5, 5), 1.0 if kind != "cholesky" else scale**power), -1)
        np.testing.assert_allclose(got[factor][4], expected * by, rtol=1e-12)
        others = [0, 1, 2, 3, 5, 6, 7, 8]
        np.testing.assert_allclose(got[factor][others], want[factor][others], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["cholesky", "lu", "triangular_solve", "qr"])
def test_a_batch_is_close_to_its_members(kind, dtype):
    arrays = operands(kind, dtype, 5)
    whole = run(kind, dtype, arrays, KINDS[kind])
    for k in range(5):
        for name, value in run(kind, dtype, [a[k:k + 1] for a in arrays], KINDS[kind]).items():
            near = {"rtol": 1e-5, "atol": 1e-6} if dtype == "f32" else {"rtol": 1e-12, "atol": 1e-13}
            np.testing.assert_allclose(whole[name][k], value[0], **near)
