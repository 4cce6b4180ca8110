"""jnp.linalg and jax.scipy.linalg."""

import jax
import jax.numpy as jnp
from table import rows

ROWS = [
    *rows("linalg", "s:4", "cholesky inv det slogdet".split(), grad=False, tolerance=2e-4),
    *rows("linalg", "s:4", "eigvalsh pinv matrix_rank".split(), grad=False, lacks="eigh"),
    *rows("linalg", "m:4", [("svd_values", lambda a: jnp.linalg.svd(a, compute_uv=False)),
                            ("lstsq", lambda a: jnp.linalg.lstsq(a, a[:, 0])[0])], grad=False, lacks="eigh"),
    *rows("jsl", "s:4", [("eigh", lambda a: jnp.abs(jnp.linalg.eigh(a)[1]))], grad=False, lacks="eigh"),
    *rows("linalg", "m:4", [("solve", lambda a: jnp.linalg.solve(a, a[:, :2])), ("inv_grad", jnp.linalg.inv), ("det_grad", jnp.linalg.det),
                            ("qr", lambda a: jnp.abs(jnp.linalg.qr(a)[1])),
                            ("matrix_power", lambda a: jnp.linalg.matrix_power(a, 3)),
                            ("expm", lambda a: jax.scipy.linalg.expm(a * 0.1)),
                            ("lu", lambda a: jax.scipy.linalg.lu_factor(a)[0])], grad=False, tolerance=5e-4),
    *rows("jsl", "s:4", [("solve_triangular", lambda a: jax.scipy.linalg.solve_triangular(jnp.tril(a), a[:, :2], lower=True)),
                         ("cho_solve", lambda a: jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(a), a[:, 0]))], grad=False, tolerance=5e-4),
]
