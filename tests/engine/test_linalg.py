"""The linalg instruction: residuals, orthogonality and order over sizes, kinds of matrices and dtypes; slices; NaN."""

import functools
from fractions import Fraction

import numpy as np
import pytest
import tables
from programs import Builder

from engine import Program
from kjax.bytecode import program as p
from kjax.isa import dtypes, linalg

DTYPES = ("f32", "f64", "c64", "c128")


def build(kind, dtype, batch, sizes, flags=(), left_out=()):
    """A program of one instruction; inputs and outputs are the operands and results, in order."""
    row = linalg.BY_NAME[kind]
    b = Builder()
    operands = []
    for k, o in enumerate(row.operands + row.results):
        shape = (batch, *linalg.shape(o, sizes, "full" in flags))
        element = linalg.element(o[1], dtype)
        if o[0] in left_out or not np.prod(shape):
            operands.append(None)
            continue
        tensor = (b.input if k < len(row.operands) else b.output)(element, shape)
        operands.append(p.Operand(tensor, 0, ()))
    b.emit(p.Linalg(kind, dtype, batch, tuple(sizes.get(s, 0) for s in "mnk"), tuple(operands), flags))
    return b.image


@functools.cache
def program(kind, dtype, batch, sizes, flags=(), left_out=(), cpu=None):
    return Program(build(kind, dtype, batch, dict(sizes), flags, left_out), cpu)


def run(kind, dtype, arrays, sizes, flags=(), left_out=(), budget=None, cpu=None):
    """Results for one matrix (batch of one), by name."""
    made = program(kind, dtype, 1, tuple(sorted(sizes.items())), flags, left_out, cpu)
    lane = made.lane([a[None] for a in arrays])
    lane.finish(*(() if budget is None else (budget,)))
    assert lane.vm.used <= made.facts.cost
    row = linalg.BY_NAME[kind]
    names = [o[0] for o in row.results if o[0] not in left_out and np.prod(linalg.shape(o, sizes, "full" in flags))]
    return dict(zip(names, (a[0] for a in lane.outputs()), strict=True))


def matrix(dtype, *shape, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(shape)
    numpy = dtypes.BY_NAME[dtype].numpy
    if numpy.kind == "c":
        a = a + 1j * rng.standard_normal(shape)
    return (a * scale).astype(numpy)


def hermitian(dtype, n, **options):
    a = matrix(dtype, n, n, **options)
    return (a + a.conj().T) / 2


def eps(dtype):
    return np.finfo(dtypes.BY_NAME[dtype].numpy).eps


def adjoint(a):
    return a.conj().swapaxes(-1, -2)


def wide(a):
    return a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)


def is_small(residual, scale, dtype, n, factor=4):
    assert np.all(np.isfinite(residual))
    assert np.abs(residual).max(initial=0) <= factor * max(n, 4) * eps(dtype) * scale


def is_unitary(q, dtype):
    q = wide(q)
    k = q.shape[-1]
    is_small(adjoint(q) @ q - np.eye(k), 1, dtype, len(q))


SIZES = (1, 2, 3, 8, 33, 100)


def spectra(dtype, n):
    """Hermitian matrices that are hard in some way."""
    q = np.linalg.qr(wide(matrix(dtype, n, n, seed=3)))[0]

    def of(values):
        a = (q * values) @ adjoint(q)
        return ((a + adjoint(a)) / 2).astype(dtypes.BY_NAME[dtype].numpy)

    numpy = dtypes.BY_NAME[dtype].numpy
    yield "zero", np.zeros((n, n), numpy)
    yield "identity", np.eye(n, dtype=numpy)
    yield "repeated", of(np.repeat([1.0, -2.0, 5.0], -(-n // 3))[:n])
    yield "graded", of(10.0 ** -np.linspace(0, 6 if "32" in dtype or dtype == "c64" else 14, n))
    yield "diagonal", np.diag(np.arange(n, 0, -1)).astype(numpy)
    tiny = np.finfo(numpy).tiny
    yield "huge", (of(np.linspace(-1, 1, n)) * (np.finfo(numpy).max / 8)).astype(numpy)
    yield "small", (of(np.linspace(-1, 1, n)) * tiny * 1e3).astype(numpy)


def check_eigh(a, dtype):
    n = len(a)
    got = run("eigh", dtype, [a], {"n": n})
    assert got["info"] == 0
    scale = max(float(np.abs(wide(a)).max()), float(np.finfo(got["w"].dtype).tiny) / eps(dtype))
    unit = wide(a) / scale
    w, v = wide(got["w"]) / scale, wide(got["v"])
    assert np.all(np.diff(w) >= 0)
    is_unitary(got["v"], dtype)
    is_small(unit @ v - v * w, np.sqrt(n), dtype, n)
    is_small(w - np.linalg.eigvalsh(unit), np.sqrt(n), dtype, n)
    values = run("eigh", dtype, [a], {"n": n}, left_out=("v",))["w"]
    is_small(wide(values) / scale - w, np.sqrt(n), dtype, n)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_eigh(dtype, n):
    check_eigh(hermitian(dtype, n), dtype)
    lower = np.tril(hermitian(dtype, n)) + np.triu(np.full((n, n), 99, dtypes.BY_NAME[dtype].numpy), 1)
    first, second = (run("eigh", dtype, [m], {"n": n}) for m in (hermitian(dtype, n), lower))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 7, 30])
def test_eigh_of_hard_matrices(dtype, n):
    for _, a in spectra(dtype, n):
        check_eigh(a, dtype)


def check_svd(a, dtype, flags):
    m, n = a.shape
    got = run("svd", dtype, [a], {"m": m, "n": n}, flags)
    assert got["info"] == 0
    scale = max(float(np.abs(wide(a)).max()), float(np.finfo(got["s"].dtype).tiny) / eps(dtype))
    unit = wide(a) / scale
    s, u, vh = wide(got["s"]) / scale, wide(got["u"]), wide(got["vh"])
    k = min(m, n)
    assert np.all(s >= 0) and np.all(np.diff(s) <= 0)
    is_unitary(got["u"], dtype)
    is_unitary(adjoint(got["vh"]), dtype)
    is_small((u[:, :k] * s) @ vh[:k] - unit, np.sqrt(max(m, n)), dtype, max(m, n))
    is_small(s - np.linalg.svd(unit, compute_uv=False), np.sqrt(max(m, n)), dtype, max(m, n))
    values = run("svd", dtype, [a], {"m": m, "n": n}, flags, left_out=("u", "vh"))["s"]
    is_small(wide(values) / scale - s, np.sqrt(max(m, n)), dtype, max(m, n))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 2), (2, 3), (1, 5), (5, 1), (8, 8), (33, 10), (10, 33), (60, 60)])
@pytest.mark.parametrize("flags", [(), ("full",)])
def test_svd(dtype, shape, flags):
    check_svd(matrix(dtype, *shape), dtype, flags)


@pytest.mark.parametrize("dtype", DTYPES)
def test_svd_of_hard_matrices(dtype):
    for _, a in spectra(dtype, 20):
        check_svd(a, dtype, ())
    rank_two = matrix(dtype, 20, 2) @ matrix(dtype, 2, 15, seed=1)
    check_svd(rank_two, dtype, ("full",))
    bidiagonal = np.diag(np.array([1, 0, 2, 0, 3])) + np.diag(np.ones(4), 1)
    check_svd(bidiagonal.astype(dtypes.BY_NAME[dtype].numpy), dtype, ())


def general(dtype, n):
    numpy = dtypes.BY_NAME[dtype].numpy
    yield matrix(dtype, n, n)
    yield np.zeros((n, n), numpy)
    yield np.diag(np.ones(n - 1), 1).astype(numpy)  # defective: one Jordan block
    yield np.diag(np.ones(n - 1), -1).astype(numpy)
    companion = np.diag(np.ones(n - 1), -1)
    companion[0] = -1
    yield companion.astype(numpy)
    yield np.roll(np.eye(n), 1, 0).astype(numpy)  # a permutation: every shift is alike
    yield np.triu(matrix(dtype, n, n))
    yield (np.tril(wide(matrix(dtype, n, n))) * np.float32(10.0) ** -np.arange(n)).astype(numpy)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 3, 8, 33])
def test_schur(dtype, n):
    for a in general(dtype, n):
        got = run("schur", dtype, [a], {"n": n})
        assert got["info"] == 0
        t, z = wide(got["t"]), wide(got["z"])
        is_unitary(got["z"], dtype)
        is_small(z @ t @ adjoint(z) - wide(a), max(np.linalg.norm(wide(a), 2), 1), dtype, n)
        below = np.diag(t, -1)
        assert not np.tril(t, -2).any()
        if dtype.startswith("c"):
            assert not below.any()
        else:  # standard blocks, none touching another
            assert not (below[1:] * below[:-1]).any()
            for k in np.flatnonzero(below):
                assert t[k, k] == t[k + 1, k + 1] and t[k, k + 1] * t[k + 1, k] < 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_eig(dtype, n):
    for k, a in enumerate(general(dtype, n)):
        if k and n > 40:
            break
        got = run("eig", dtype, [a], {"n": n})
        assert got["info"] == 0
        scale = max(np.linalg.norm(wide(a), 2), 1)
        w, vl, vr = (x.astype(np.complex128) for x in (got["w"], got["vl"], got["vr"]))
        is_small(a @ vr - vr * w, scale, dtype, n)
        is_small(adjoint(vl) @ a - w[:, None] * adjoint(vl), scale, dtype, n)
        for v in (vl, vr):
            is_small(np.linalg.norm(v, axis=0) - 1, 1, dtype, n)
            near_top = np.abs(v) >= np.abs(v).max(0) * (1 - 1e-5)  # several may be as large
            assert np.all((near_top & (v.imag == 0)).any(0))
        if not dtype.startswith("c"):
            np.testing.assert_array_equal(np.sort_complex(w), np.sort_complex(w.conj()))
        if k == 0:
            want = np.linalg.eigvals(wide(a))
            is_small(min_distance(w, want), scale * 30, dtype, n)


def min_distance(w, want):
    return np.abs(w[:, None] - want[None]).min(1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_reductions(dtype, n):
    a, h = matrix(dtype, n, n), hermitian(dtype, n)

    def basis(reduced, taus):
        q = np.eye(n, dtype=np.complex128)
        for j in reversed(range(n - 1)):
            v = np.concatenate([np.zeros(j + 1), [1], wide(reduced)[j + 2:, j]])
            q -= taus[j].astype(complex) * np.outer(v, v.conj() @ q)
        return q

    got = run("hessenberg", dtype, [a], {"n": n})
    q = basis(got["h"], got.get("taus"))
    is_small(q @ np.triu(wide(got["h"]), -1) @ adjoint(q) - a, 3, dtype, n)
    got = run("tridiagonal", dtype, [h], {"n": n})
    q = basis(got["h"], got.get("taus"))
    e = wide(got["e"]) if n > 1 else np.zeros(0)
    t = np.diag(wide(got["d"])) + np.diag(e, 1) + np.diag(e, -1)
    is_small(q @ t @ adjoint(q) - h, 3, dtype, n)
    np.testing.assert_array_equal(np.diag(got["h"]).real, got["d"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (7, 4), (4, 7), (40, 30)])
def test_qr(dtype, shape):
    m, n = shape
    k = min(shape)
    a = matrix(dtype, *shape)
    got = run("qr", dtype, [a], {"m": m, "n": n})
    q = run("reflector_product", dtype, [got["r"][:, :k].copy(), got["taus"]], {"m": m, "n": k, "k": k})["q"]
    is_unitary(q, dtype)
    is_small(wide(q) @ np.triu(wide(got["r"]))[:k] - a, np.sqrt(m), dtype, m)
    c = matrix(dtype, m, 5, seed=9)
    whole = run("reflector_product", dtype, [np.pad(got["r"][:, :k], ((0, 0), (0, m - k))), got["taus"]],
                {"m": m, "n": m, "k": k})["q"]
    applied = run("reflector_apply", dtype, [got["r"][:, :k].copy(), got["taus"], c], {"m": m, "n": 5, "k": k})["c"]
    is_small(applied - wide(whole) @ c, np.sqrt(m), dtype, m)
    start = np.zeros(n, np.int32)
    start[n // 2] = 1
    for order in (np.zeros(n, np.int32), start):
        got = run("qr_pivoted", dtype, [a, order], {"m": m, "n": n})
        r = np.triu(wide(got["r"]))[:k]
        assert sorted(got["jpvt"]) == list(range(1, n + 1))
        q = run("reflector_product", dtype, [got["r"][:, :k].copy(), got["taus"]], {"m": m, "n": k, "k": k})["q"]
        is_small(wide(q) @ r - a[:, got["jpvt"] - 1], np.sqrt(m), dtype, m)
        first = 1 if order.any() else 0
        if first:
            assert got["jpvt"][0] == n // 2 + 1
        size = np.abs(np.diag(r))[first:]
        assert np.all(size[1:] <= size[:-1] * (1 + 1e-4))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (7, 4), (4, 7), (50, 50)])
def test_lu(dtype, shape):
    m, n = shape
    a = matrix(dtype, *shape)
    got = run("lu", dtype, [a], {"m": m, "n": n})
    assert got["info"] == 0
    k = min(shape)
    low, up = np.tril(wide(got["lu"])[:, :k], -1) + np.eye(m, k), np.triu(wide(got["lu"]))[:k]
    order = np.arange(m)
    for j, pivot in enumerate(got["pivots"]):
        order[[j, pivot - 1]] = order[[pivot - 1, j]]
    is_small(low @ up - a[order], np.sqrt(m) * 3, dtype, m)
    assert run("lu", dtype, [np.zeros_like(a)], {"m": m, "n": n})["info"] == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_solves(dtype):
    n, k = 30, 200
    h = hermitian(dtype, n) / 4 + 8 * np.eye(n, dtype=dtypes.BY_NAME[dtype].numpy)
    low = run("cholesky", dtype, [h], {"n": n})
    assert low["info"] == 0 and not np.triu(low["l"], 1).any()
    is_small(wide(low["l"]) @ adjoint(wide(low["l"])) - h, 10, dtype, n)
    assert run("cholesky", dtype, [-h], {"n": n})["info"] == 1
    b = matrix(dtype, n, k)
    for flags in ((), ("lower",), ("unit",), ("lower", "unit")):
        a = (h / 8).astype(h.dtype)
        t = np.tril(a) if "lower" in flags else np.triu(a)
        if "unit" in flags:
            t = t - np.diag(np.diag(t)) + np.eye(n)
        x = run("triangular_solve", dtype, [a, b], {"n": n, "k": k}, flags)["x"]
        is_small(wide(t) @ x - b, 10, dtype, n)
    dl, d, du = (matrix(dtype, n, seed=s) for s in (4, 5, 6))
    dl[0] = du[-1] = 0
    t = np.diag(d) + np.diag(dl[1:], -1) + np.diag(du[:-1], 1)
    got = run("tridiagonal_solve", dtype, [dl, d, du, b], {"n": n, "k": k})
    assert got["info"] == 0
    is_small(wide(t) @ got["x"] - b, 100 * np.linalg.cond(wide(t)), dtype, n)
    zero = np.zeros_like(d)
    assert run("tridiagonal_solve", dtype, [zero, zero, zero, b], {"n": n, "k": k})["info"] == 1
    got = run("tridiagonal_solve", dtype, [zero, zero, zero, b], {"n": n, "k": k}, ("perturb",))
    assert np.isfinite(got["x"]).all() or dtype in ("f32", "c64")


def test_solves_in_f32_round_once():
    """Substitution in f32 is off by dozens of ulp here; the exact solution, by rational numbers, is met to within one."""
    n = 8
    a, b = np.triu(matrix("f32", n, n)), matrix("f32", n, 3, seed=1)
    x = run("triangular_solve", "f32", [a, b], {"n": n, "k": 3})["x"]
    exact = [[Fraction(float(v)) for v in row] for row in b]
    for i in reversed(range(n)):
        for c in range(3):
            rest = sum(Fraction(float(a[i, j])) * exact[j][c] for j in range(i + 1, n))
            exact[i][c] = (exact[i][c] - rest) / Fraction(float(a[i, i]))
    want = np.array([[float(v) for v in row] for row in exact]).astype(np.float32)
    np.testing.assert_array_max_ulp(x, want, 1)


@pytest.mark.parametrize("cpu", ["avx2", "avx512"])
@pytest.mark.parametrize("dtype", ["f32", "c128"])
def test_other_cpu_tables(cpu, dtype):
    if not set(tables.HAS[cpu]) <= set(open("/proc/cpuinfo").read().split()):
        pytest.skip(f"this processor has no {cpu}")
    for kind, sizes in KINDS:
        made = program(kind, dtype, 1, tuple(sorted(sizes.items())), cpu=cpu)
        plain = program(kind, dtype, 1, tuple(sorted(sizes.items())))
        arrays = operands(kind, dtype, sizes, 1)
        for got, want in zip(made.run(*arrays), plain.run(*arrays), strict=True):
            if kind not in ("eig", "schur", "svd", "eigh"):  # whose signs rounding may turn
                np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
            assert np.isfinite(got).all()


KINDS = [("eigh", {"n": 9}), ("svd", {"m": 7, "n": 9}), ("svd", {"m": 9, "n": 7}), ("schur", {"n": 9}), ("eig", {"n": 9}),
         ("hessenberg", {"n": 9}), ("tridiagonal", {"n": 9}), ("qr", {"m": 9, "n": 7}), ("qr_pivoted", {"m": 9, "n": 7}),
         ("reflector_product", {"m": 9, "n": 7, "k": 5}), ("reflector_apply", {"m": 9, "n": 7, "k": 5}), ("lu", {"m": 9, "n": 7}),
         ("cholesky", {"n": 9}), ("triangular_solve", {"n": 9, "k": 140}), ("tridiagonal_solve", {"n": 9, "k": 140})]


def operands(kind, dtype, sizes, batch, seed=0):
    arrays = []
    for k, row in enumerate(linalg.BY_NAME[kind].operands):
        shape = (batch, *linalg.shape(row, sizes))
        if row[1] == "i":
            arrays.append(np.zeros(shape, np.int32))
            continue
        a = matrix(dtype, *shape, seed=seed + k)
        if kind in ("eigh", "tridiagonal", "cholesky"):
            a = a + adjoint(a) + 40 * np.eye(shape[-1], dtype=a.dtype)
        arrays.append(a)
    return arrays


@pytest.mark.parametrize("dtype", ["f32", "c128"])
@pytest.mark.parametrize("kind, sizes", KINDS)
def test_batches_and_slices_change_nothing(kind, sizes, dtype):
    made = Program(build(kind, dtype, 3, sizes))
    arrays = operands(kind, dtype, sizes, 3)
    whole = made.run(*arrays)
    for budget in (1, 777):
        lane = made.lane(arrays)
        lane.finish(budget)
        assert lane.vm.used <= made.facts.cost
        for a, b in zip(lane.outputs(), whole, strict=True):
            np.testing.assert_array_equal(a, b)
    one = program(kind, dtype, 1, tuple(sorted(sizes.items())))
    for k in range(3):
        for a, b in zip(one.run(*(x[k:k + 1] for x in arrays)), whole, strict=True):
            np.testing.assert_array_equal(a[0], b[k])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["f32", "c128"])
@pytest.mark.parametrize("kind, sizes", KINDS)
def test_what_is_not_finite_ends(kind, sizes, dtype, value):
    arrays = operands(kind, dtype, sizes, 1)
    for a in arrays:
        if a.dtype.kind in "fc":
            a[..., -1] = value
    made = program(kind, dtype, 1, tuple(sorted(sizes.items())))
    lane = made.lane(arrays)
    lane.finish()
    assert lane.vm.used <= made.facts.cost
    if kind in ("eigh", "svd", "schur", "eig"):
        *results, info = lane.outputs()
        assert info[0] and all(np.isnan(r).all() for r in results)


@pytest.mark.parametrize("dtype", DTYPES)
def test_eigenvalues_of_badly_scaled_matrices(dtype):
    """Balancing: d a d^-1 has the eigenvalues of a, whatever powers of two d has, and they come out as exactly."""
    n = 12
    a = wide(matrix(dtype, n, n))
    d = 2.0 ** np.array([0, 12, -9, 3, 20, -20, 7, -14, 1, 0, 16, -5])
    scaled = (a * d[:, None] / d).astype(dtypes.BY_NAME[dtype].numpy)
    want = np.linalg.eigvals(a)
    got = run("eig", dtype, [scaled], {"n": n})
    scale = np.linalg.norm(a, 2)
    is_small(min_distance(got["w"].astype(np.complex128), want), scale * 30, dtype, n)
    for k, (v, left) in enumerate(zip(got["vr"].T.astype(np.complex128), got["vl"].T.astype(np.complex128))):
        v, left = v / d, left * d  # the vectors of a
        is_small((a @ v - got["w"][k] * v) / np.linalg.norm(v), scale, dtype, n)
        is_small((left.conj() @ a - got["w"][k] * left.conj()) / np.linalg.norm(left), scale, dtype, n)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shift", [1, 4])
def test_eigenvalues_that_stand_alone(dtype, shift):
    """A matrix that rows and columns in another order make block triangular: what is put aside comes back in its place."""
    n = 9
    a = np.triu(wide(matrix(dtype, n, n)), -1)
    a[2, 1] = a[3, 2] = a[7, 6] = a[8, 7] = 0
    order = np.arange(n) * shift % n
    a = a[order][:, order].astype(dtypes.BY_NAME[dtype].numpy)
    got = run("eig", dtype, [a], {"n": n})
    w, vl, vr = (got[k].astype(np.complex128) for k in ("w", "vl", "vr"))
    scale = np.linalg.norm(a, 2)
    is_small(a @ vr - vr * w, scale, dtype, n)
    is_small(adjoint(vl) @ a - w[:, None] * adjoint(vl), scale, dtype, n)
    got = run("schur", dtype, [a], {"n": n})
    is_unitary(got["z"], dtype)
    is_small(wide(got["z"]) @ wide(got["t"]) @ adjoint(wide(got["z"])) - wide(a), scale, dtype, n)


@pytest.mark.parametrize("dtype", ["f64", "c128"])
@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_eigenvalues_come_in_the_order_of_lapack(dtype, n):
    for seed in range(5):
        a = matrix(dtype, n, n, seed=seed)
        w, v = np.linalg.eig(a)
        got = run("eig", dtype, [a], {"n": n})
        np.testing.assert_allclose(got["w"], w, rtol=1e-9, atol=1e-9)
        phase = np.sum(v.conj() * got["vr"], axis=0)  # up to a sign, which rounding may turn in real matrices
        np.testing.assert_allclose(np.abs(phase.real), 1, rtol=1e-9)
        assert not dtype.startswith("c") or np.all(phase.real > 0)


@pytest.mark.parametrize("dtype", ["f64", "c128"])  # in f32 LAPACK's own rounding decides more often
@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (1, 4), (2, 2), (6, 6), (6, 5), (5, 6), (9, 4), (4, 9)])
@pytest.mark.parametrize("flags", [(), ("full",)])
def test_singular_vectors_have_the_signs_of_lapack(dtype, shape, flags):
    """gesdd's: with more rows R is reduced, with more columns a lower bidiagonal matrix is turned to an upper one."""
    for seed in range(3):
        a = matrix(dtype, *shape, seed=seed)
        u, s, vh = np.linalg.svd(a, full_matrices=bool(flags))
        got = run("svd", dtype, [a], dict(zip("mn", shape)), flags)
        np.testing.assert_allclose(got["s"], s, rtol=1e-9)
        np.testing.assert_allclose(got["u"][:, :min(shape)], u[:, :min(shape)], atol=1e-9)
        np.testing.assert_allclose(got["vh"][:min(shape)], vh[:min(shape)], atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("f, g, h", [(1, 0, 2), (0, 1, 0), (1, 1e-30, 1), (1e-8, 1, 1e-8), (1e-30, 1, 1e-30), (0, 0, 0), (-3, 4, 5),
                                     (1, 1, 1)])
def test_singular_values_of_two_by_two(dtype, f, g, h):
    a = np.array([[f, g], [0, h]], dtypes.BY_NAME[dtype].numpy)
    check_svd(a, dtype, ())
    got = run("svd", dtype, [a], {"m": 2, "n": 2})
    np.testing.assert_allclose(got["s"][0], np.linalg.norm(wide(a), 2), rtol=1e-5)
