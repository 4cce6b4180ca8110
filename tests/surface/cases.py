"""Arguments for the table's rows, and the comparison: both fixed, so that a failure can be repeated."""

import os
import zlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np


def argument(kind, rng, dtype):
    """An array of a kind such as "x:3,5" (see table.py)."""
    letter, _, dims = kind.partition(":")
    shape = tuple(int(d) for d in dims.split(",") if d)
    if letter == "k":
        return jax.random.PRNGKey(int(rng.integers(1000)))
    if letter in "ms":
        (n,) = shape
        a = rng.standard_normal((n, n)) + 2 * np.eye(n)
        return ((a @ a.T + n * np.eye(n)) if letter == "s" else a).astype(dtype)
    if letter == "c":
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.result_type(dtype, np.complex64))
    if letter == "i":
        return rng.integers(-20, 20, shape, np.int32)
    if letter == "n":
        return rng.integers(1, 9, shape, np.int32)
    if letter == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if letter == "p":
        return rng.uniform(0.2, 4, shape).astype(dtype)
    return (rng.uniform(-0.95, 0.95, shape) if letter == "u" else rng.standard_normal(shape) * 2).astype(dtype)


def variants(row):
    """(variant name, function, arguments, tolerance, x64) of a row: plain in both precisions, grad, vmap, vmap of grad."""
    def made(dtype, lead=()):
        rng = np.random.default_rng(zlib.crc32(row.name.encode()))
        args = [argument(k, rng, dtype) for k in row.kinds]
        return [np.stack([np.asarray(a)] * lead[0]) for a in args] if lead else args

    def total(*args):
        leaves = jax.tree_util.tree_leaves(row.fn(*args))
        return sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating))

    yield "f32", row.fn, made(np.float32), row.tolerance, False
    if row.f64:
        yield "f64", row.fn, made(np.float64), max(1e-11, row.tolerance * 1e-6), True
    if row.grad:
        yield "grad", jax.grad(total), made(np.float32), 10 * row.tolerance, False
    if row.vmap:
        yield "vmap", jax.vmap(row.fn), made(np.float32, (2,)), row.tolerance, False
    if row.grad and row.vmap:
        yield "vmap(grad)", jax.vmap(jax.grad(total)), made(np.float32, (2,)), 10 * row.tolerance, False


def difference(got, want):
    """Largest difference relative to the largest element; inf where shapes, dtypes or non-finite places differ."""
    worst = 0.0
    got, want = jax.tree_util.tree_leaves(got), jax.tree_util.tree_leaves(want)
    if len(got) != len(want):
        return np.inf
    for g, w in zip(got, want):
        g, w = np.asarray(g), np.asarray(w)
        if g.shape != w.shape or g.dtype != w.dtype:
            return np.inf
        if w.dtype.kind not in "fc":
            if not np.array_equal(g, w):
                return np.inf
            continue
        finite = np.isfinite(w)
        if not np.array_equal(np.where(finite, 0, w), np.where(finite, 0, g), equal_nan=True):
            return np.inf
        if finite.any():
            scale = max(1e-3, float(np.abs(w[finite]).max()))
            worst = max(worst, float(np.abs(g[finite] - w[finite]).max()) / scale)
    return worst
