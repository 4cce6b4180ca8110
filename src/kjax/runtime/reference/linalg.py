"""The kinds of ``isa/linalg.py`` by SciPy and NumPy: an oracle up to what a factorization leaves open (signs, phases)."""

import numpy as np

from kjax.isa import dtypes, linalg
from kjax.runtime.reference.rules import rule


@rule
def _linalg(ev, op, *operands):
    return evaluate(op.attributes["kind"], op.attributes["flags"], op.operands[0].dtype, operands)


def evaluate(kind, flags, dtype, operands):
    """Results of a batch of matrices; ``operands``: arrays with equal leading dims."""
    row = linalg.BY_NAME[kind]
    batch = operands[0].shape[:operands[0].ndim - linalg.matrix_rank(row.operands[0])]
    sizes = {}
    for array, operand in zip(operands, row.operands, strict=True):
        sizes.update(zip(operand[2:], array.shape[len(batch):]))
    results = [np.zeros(batch + linalg.shape(r, sizes, "full" in flags),
                        dtypes.BY_NAME[linalg.element(r[1], dtype)].numpy) for r in row.results]
    if not all(sizes.values()):
        return results
    wide = np.complex128 if dtype in ("c64", "c128") else np.float64
    for at in np.ndindex(*batch):
        arrays = [o[at].astype(wide) if o.dtype.kind in "fc" else o[at] for o in operands]
        for result, value in zip(results, _one(kind, flags, arrays, results, at), strict=True):
            result[at] = value
    return results


def _one(kind, flags, arrays, results, at):
    if kind in _CHECKED and not np.isfinite(arrays[0]).all():
        return [*(np.nan for _ in results[:-1]), 1]
    try:
        return _KINDS[kind](flags, *arrays)
    except np.linalg.LinAlgError:
        return [*(np.nan for _ in results[:-1]), 1]


_CHECKED = ("eigh", "svd", "schur", "eig")


def _lapack(name, *arrays):
    import scipy.linalg

    return scipy.linalg.get_lapack_funcs((name,), arrays)[0]


def _eigh(flags, a):
    return [*np.linalg.eigh(a, "L"), 0]


def _svd(flags, a):
    u, s, vh = np.linalg.svd(a, full_matrices="full" in flags)
    return [s, u, vh, 0]


def _schur(flags, a):
    import scipy.linalg

    t, z = scipy.linalg.schur(a, "real" if a.dtype.kind == "f" else "complex")
    return [t, z, np.linalg.eigvals(a) if a.dtype.kind == "f" else np.diag(t), 0]


def _eig(flags, a):
    import scipy.linalg

    w, vl, vr = scipy.linalg.eig(a, left=True)
    return [w, _largest_real(vl), _largest_real(vr), 0]


def _largest_real(v):
    top = v[np.abs(v).argmax(0), np.arange(v.shape[1])]
    return v * np.where(v.imag.any(0), top.conj() / np.abs(top), 1)


def _hessenberg(flags, a):
    return _lapack("gehrd", a)(a)[:2] if len(a) > 1 else (a, np.zeros(0))


def _tridiagonal(flags, a):
    if len(a) == 1:
        return a, a[0].real, np.zeros(0), np.zeros(0)
    h, d, e, taus, _ = _lapack("hetrd" if a.dtype.kind == "c" else "sytrd", a)(a, lower=1)
    return h, d, e, taus


def _qr(flags, a):
    r, taus, *_ = _lapack("geqrf", a)(a)
    return r, taus


def _qr_pivoted(flags, a, jpvt):
    r, order, taus, *_ = _lapack("geqp3", a)(a[:, np.argsort(jpvt == 0, kind="stable")])
    return r, np.argsort(jpvt == 0, kind="stable")[order - 1] + 1, taus


def _reflectors(a, taus, c, adjoint=False):
    c = c.astype(np.result_type(a, c))
    order = range(len(taus)) if adjoint else reversed(range(len(taus)))
    for k in order:
        v = np.concatenate([np.zeros(k), [1], a[k + 1:, k]])
        tau = np.conj(taus[k]) if adjoint else taus[k]
        c = c - tau * np.outer(v, v.conj() @ c)
    return c


def _lu(flags, a):
    lu, pivots, info = _lapack("getrf", a)(a)
    return lu, pivots + 1, info


def _cholesky(flags, a):
    low = np.tril(a)
    return np.linalg.cholesky(low + np.tril(a, -1).conj().T), 0


def _triangular_solve(flags, a, b):
    t = np.tril(a) if "lower" in flags else np.triu(a)
    if "unit" in flags:
        t = t - np.diag(np.diag(t)) + np.eye(len(a))
    return [np.linalg.solve(t, b)]


def _tridiagonal_solve(flags, dl, d, du, b):
    t = np.diag(d) + np.diag(dl[1:], -1) + np.diag(du[:-1], 1)
    return np.linalg.solve(t, b), 0


_KINDS = {
    "eigh": _eigh, "svd": _svd, "schur": _schur, "eig": _eig, "hessenberg": _hessenberg, "tridiagonal": _tridiagonal, "qr": _qr,
    "qr_pivoted": _qr_pivoted, "lu": _lu, "cholesky": _cholesky, "triangular_solve": _triangular_solve,
    "tridiagonal_solve": _tridiagonal_solve,
    "reflector_product": lambda flags, a, taus: [_reflectors(a, taus, np.eye(*a.shape))],
    "reflector_apply": lambda flags, a, taus, c: [_reflectors(a, taus, c, "adjoint" in flags)],
}
