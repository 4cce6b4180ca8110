"""Arguments for the table's rows, and the comparison: both fixed, so that a failure can be repeated."""

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Variant:
    """One compilation: ``fn(*args)`` is a dict from the name of a part (plain, grad, vmap, vmap(grad)) to its results."""

    name: str
    fn: Callable
    args: list
    tolerances: dict
    x64: bool


def variants(row):
    """The row's variants: "quick" has it plainly and, where it applies, under vmap of grad; "f32" and "f64" have all parts."""
    parts = {"plain"} | ({"grad"} if row.grad else set()) | ({"vmap"} if row.vmap else set())
    parts |= {"vmap(grad)"} if {"grad", "vmap"} <= parts else set()
    deep = "vmap(grad)" if "vmap(grad)" in parts else "grad"
    yield _variant(row, "quick", parts & {"plain", deep}, np.float32)
    yield _variant(row, "f32", parts, np.float32)
    if row.f64:
        yield _variant(row, "f64", parts, np.float64)


def _variant(row, name, parts, dtype):
    rng = np.random.default_rng(zlib.crc32(row.name.encode()))
    args = [argument(k, rng, dtype) for k in row.kinds]

    def total(*args):
        leaves = jax.tree_util.tree_leaves(row.fn(*args))
        return sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating))

    def fn(*args):
        twice = [jnp.stack([a, a]) for a in args]
        made = {"plain": lambda: row.fn(*args), "grad": lambda: jax.grad(total)(*args),
                "vmap": lambda: jax.vmap(row.fn)(*twice), "vmap(grad)": lambda: jax.vmap(jax.grad(total))(*twice)}
        return {part: make() for part, make in made.items() if part in parts}

    tolerance = row.tolerance if dtype == np.float32 else max(1e-11, row.tolerance * 1e-6)
    if dtype == np.float64 and row.f64 is not True:
        tolerance = row.f64
    return Variant(name, fn, args, {p: (10 if "grad" in p else 1) * tolerance for p in parts}, dtype == np.float64)


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
