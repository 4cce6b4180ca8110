"""jnp.linalg, jax.scipy.linalg, jax.lax.linalg; signs that a factorization leaves open are multiplied out."""

import functools

import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jax import lax
from table import rows


def product(*factors):
    """Of matrices: what does not depend on the signs that a factorization leaves open."""
    return functools.reduce(jnp.matmul, factors)


def adjoint(a):
    return a.conj().swapaxes(-1, -2)


def rebuilt(w, v):
    return product(v * w, adjoint(v))


def usv(u, s, vh):
    k = s.shape[-1]
    return product(u[:, :k] * s, vh[:k]), jnp.abs(product(adjoint(u), u)), jnp.abs(product(vh, adjoint(vh)))


def congruent(t, q):
    return product(q, t, adjoint(q))


def in_order(w):
    return w[jnp.lexsort((w.imag, w.real))]


def eigen_pairs(a, w, v):
    """1 + what should be zero: differences are relative to the largest element."""
    return in_order(w), 1 + a @ v - v * w


def raw(a):
    h, taus = jnp.linalg.qr(a, "raw")
    return h.T, taus


def cholesky_update(a):
    return lax.linalg.cholesky_update(jnp.linalg.cholesky(a).T, a[0])


def eigh_tridiagonal(a):
    w, v = jsl.eigh_tridiagonal(jnp.diag(a), jnp.diag(a, 1))
    return w, rebuilt(w, v)


def tridiagonal_solve(dl, d, du, b):
    return lax.linalg.tridiagonal_solve(dl.at[0].set(0), d + 5, du.at[-1].set(0), b)


def pivoted_qr(a):
    q, r, p = jsl.qr(a, pivoting=True)
    return q @ r, p


ROWS = [
    *rows("linalg", "s:4", "cholesky inv det slogdet".split(), grad=False, tolerance=2e-4),
    *rows("linalg", "s:4", ["eigvalsh", ("eigh", lambda a: rebuilt(*jnp.linalg.eigh(a)))], tolerance=2e-4),
    *rows("linalg", "x:5,3", ["pinv", "svdvals",
                              ("svd", lambda a: usv(*jnp.linalg.svd(a, full_matrices=False))),
                              ("nuclear_norm", lambda a: jnp.linalg.norm(a, ord="nuc")),
                              ("norm_2", lambda a: jnp.linalg.norm(a, ord=2)),
                              ("qr_grad", lambda a: jnp.abs(jnp.linalg.qr(a)[0])),
                              ("qr_complete", lambda a: product(*jnp.linalg.qr(a, "complete")))], tolerance=2e-4),
    *rows("linalg", "x:5,3", [("qr_raw", lambda a: [jnp.abs(x) for x in jnp.linalg.qr(a, "raw")]),
                              ("qr_r", lambda a: jnp.abs(jnp.linalg.qr(a, "r")))], grad=False, tolerance=2e-4),
    *rows("linalg", "x:3,5", [("svd_wide", lambda a: usv(*jnp.linalg.svd(a)))], grad=False, tolerance=2e-4),
    *rows("linalg", "c:4,4", [("svd_complex", lambda a: usv(*jnp.linalg.svd(a))),
                              ("eigh_complex", lambda a: rebuilt(*jnp.linalg.eigh(a))),
                              ("eig_complex", lambda a: eigen_pairs(a, *jnp.linalg.eig(a)))],
          grad=False, tolerance=2e-4),
    *rows("linalg", "m:4", ["matrix_rank", "cond",
                            ("lstsq", lambda a: jnp.linalg.lstsq(a, a[:, 0])[0]),
                            ("multi_dot", lambda a: jnp.linalg.multi_dot([a, a, a[:, :2]])),
                            ("tensorinv", lambda a: jnp.linalg.tensorinv(a.reshape(2, 2, 4))),
                            ("solve", lambda a: jnp.linalg.solve(a, a[:, :2])),
                            ("inv_grad", jnp.linalg.inv), ("det_grad", jnp.linalg.det),
                            ("qr", lambda a: jnp.abs(jnp.linalg.qr(a)[1])),
                            ("matrix_power", lambda a: jnp.linalg.matrix_power(a, 3)),
                            ("expm", lambda a: jsl.expm(a * 0.1)),
                            ("lu", lambda a: jsl.lu_factor(a)[0])], grad=False, tolerance=5e-4),
    *rows("linalg", "m:4", [("eig", lambda a: eigen_pairs(a, *jnp.linalg.eig(a))),
                            ("eigvals", lambda a: in_order(jnp.linalg.eigvals(a)))], grad=False, tolerance=5e-4,
          untried={"c64": "rounding decides the order of a pair whose real parts are equal; eig_complex has no such pairs"}),
    *rows("jsl", "m:4", ["polar", "lu", "expm", ("pivoted_qr", pivoted_qr),
                         ("schur", lambda a: congruent(*jsl.schur(a))),
                         ("hessenberg", lambda a: congruent(*jsl.hessenberg(a, calc_q=True))),
                         ("rsf2csf", lambda a: congruent(*jsl.rsf2csf(*jsl.schur(a)))),
                         ("funm", lambda a: jsl.funm(a, jnp.cos)),
                         ("expm_frechet", lambda a: jsl.expm_frechet(a * 0.1, a)),
                         ("solve_sylvester", lambda a: jsl.solve_sylvester(a, a.T @ a, a)),
                         ("block_diag", lambda a: jsl.block_diag(a, a)),
                         ("toeplitz", lambda a: jsl.toeplitz(a[0]))], grad=False, tolerance=5e-4),
    *rows("jsl", "s:4", ["sqrtm", ("eigh_tridiagonal", eigh_tridiagonal),
                         ("tridiagonal", lambda a: lax.linalg.tridiagonal(a)[1]),
                         ("symmetric_product", lambda a: lax.linalg.symmetric_product(a, a)),
                         ("solve_triangular", lambda a: jsl.solve_triangular(jnp.tril(a), a[:, :2], lower=True)),
                         ("cho_solve", lambda a: jsl.cho_solve(jsl.cho_factor(a), a[:, 0]))],
          grad=False, tolerance=5e-4),
    *rows("jsl", "s:4", [("cholesky_update", cholesky_update)], grad=False, vmap=False, tolerance=5e-4),
    *rows("jsl", "x:4 p:4 x:4 x:4,2", [("tridiagonal_solve", tridiagonal_solve)], grad=False, tolerance=5e-4),
    *rows("jsl", "x:5,3", [("ormqr", lambda a: lax.linalg.ormqr(*raw(a), jnp.arange(2 * len(a), dtype=a.dtype).reshape(2, -1),
                                                                left=False, transpose=True))],
          grad=False, tolerance=5e-4),
]
