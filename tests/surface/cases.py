"""Arguments for the table's rows, and the comparison: both fixed, so that a failure can be repeated.

A row is tried at several sizes and dtypes. ``SIZES`` are made from the row's own extents, ``dtypes`` from the letters
of its kinds; which of them JAX takes is in accepted.txt, a line a row (``tools/surface_table.py`` asks JAX and writes it).
"""

import functools
import os
import pathlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

ACCEPTED = pathlib.Path(__file__).parent / "accepted.txt"
SIZES = ("own", "odd", "one", "empty")  # as the row says; across vectors and strips; a dimension of 1; one of 0
DTYPES = {"f32": np.float32, "f64": np.float64, "bf16": ml_dtypes.bfloat16, "f16": np.float16, "c64": np.complex64,
          "c128": np.complex128, "bool": np.bool_, "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64,
          "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64}
WIDE = {"f64", "c128", "i64", "u64"}  # need jax_enable_x64
FLOATS = {"f32", "f64", "bf16", "f16"}
_REAL, _COMPLEX, _FLAGS, _WHOLE = "xpums", "c", "b", "in"
_TRIED = {  # letters of kinds -> the dtypes for arguments of these kinds; the first is the row's own
    _REAL: ("f32", "f64", "bf16", "f16", "i32", "u8", "i64", "c64"),
    _COMPLEX: ("c64", "c128"),
    _WHOLE: ("i32", "i8", "u8", "i16", "u16", "u32", "i64", "u64"),
    _FLAGS: ("bool", "u8", "f32"),
}


def dtypes(row):
    """Names of the dtypes that are worth asking JAX about, the row's own first."""
    return _TRIED.get(_group(row.kinds), ("f32",))


def _group(kinds):
    """The letters of those kinds whose dtype is varied, all at once."""
    return next((group for group in _TRIED if any(kind[0] in group for kind in kinds)), "")


def extents(kinds, size):
    """Extent in the row -> extent at ``size``: equal ones stay equal and, in "odd", smaller ones smaller."""
    own = sorted({int(d) for kind in kinds for d in kind.partition(":")[2].split(",") if d})
    if size == "own" or not own:
        return {d: d for d in own}
    if size != "odd":
        return {d: d for d in own} | {own[-1]: 1 if size == "one" else 0}
    longer = [2, 3, 5, 19, 67][: 4 if any(kind[0] in "ms" for kind in kinds) else 5]
    return dict(zip(own, longer[-len(own):]))


def argument(kind, rng, dtype, sizes):
    """An array of a kind such as "x:3,5" (see table.py), its elements of ``dtype`` where the kind has no dtype of its own."""
    letter, _, dims = kind.partition(":")
    shape = tuple(sizes[int(d)] for d in dims.split(",") if d)
    kind = np.dtype(dtype).kind
    if letter == "k":
        return jax.random.PRNGKey(int(rng.integers(1000)))
    if letter in "ms":
        (n,) = shape
        if kind in "iu":
            a = rng.integers(0 if kind == "u" else -2, 3, (n, n)) + 4 * n * np.eye(n)
            return (a + a.T if letter == "s" else a).astype(dtype)
        a = rng.standard_normal((n, n)) + 2 * np.eye(n)
        return ((a @ a.T + n * np.eye(n)) if letter == "s" else a).astype(dtype)
    if letter in _WHOLE or (letter in "xpu" and kind in "iu"):
        low, high = {"i": (-20, 20), "x": (-20, 20), "n": (1, 9), "p": (1, 9), "u": (0, 2)}[letter]
        return rng.integers(max(low, 0) if kind == "u" else low, high, shape, np.int32).astype(dtype)
    if letter == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if letter == "p":
        return rng.uniform(0.2, 4, shape).astype(dtype)
    if letter == "c" or kind == "c":
        part = (lambda: rng.uniform(-0.6, 0.6, shape)) if letter == "u" else (lambda: rng.standard_normal(shape))
        return (part() + 1j * part()).astype(dtype)
    return (rng.uniform(-0.95, 0.95, shape) if letter == "u" else rng.standard_normal(shape) * 2).astype(dtype)


def arguments(row, size, dtype):
    """The row's arguments at a size, in a dtype (names)."""
    rng = np.random.default_rng(zlib.crc32(row.name.encode()))
    own, varied = {letter: tried[0] for letters, tried in _TRIED.items() for letter in letters}, _group(row.kinds)
    dtypes = [dtype if kind[0] in varied else own.get(kind[0]) for kind in row.kinds]
    return [argument(kind, rng, DTYPES.get(name), extents(row.kinds, size)) for kind, name in zip(row.kinds, dtypes)]


@functools.cache
def accepted():
    """Name of a row -> (the sizes, the dtypes) that JAX takes, of accepted.txt."""
    lines = (line.partition(":") for line in ACCEPTED.read_text().splitlines())
    return {name: tuple(tuple(part.split()) for part in tried.split(";")) for name, _, tried in lines}


def tried(row):
    """(sizes, dtypes) that the row is tried at: what JAX takes and the row does not except."""
    sizes, names = accepted().get(row.name, (("own",), ("f32",)))
    excepted = {name for names in row.untried for name in names.split()}
    return [s for s in sizes if s not in excepted], [d for d in names if d not in excepted]


@dataclass(frozen=True)
class Variant:
    """One compilation: ``fn(args)`` is a dict from the name of a part, "odd bf16 vmap", to ``one(name, args)``."""

    one: Callable
    args: dict  # "odd bf16" -> arguments
    parts: list
    x64: bool

    def fn(self, args):
        return {part: self.one(part, args) for part in self.parts}


def variant(row, name, turn=0):
    """The row's variant of that name.

    A dtype's name: all sizes plainly, and the transformations that apply (for dtypes but the row's own and f64: all sizes but
    the own, and the deepest transformation). "quick": the row plainly and under the deepest
    transformation, and plainly at one other size or dtype, each ``turn`` another.
    """
    deep = [t for t, has in (("grad", row.grad), ("vmap", row.vmap), ("vmap(grad)", row.grad and row.vmap)) if has]
    sizes, names = tried(row)
    if name == "quick":
        parts = [(sizes[0], names[0], t) for t in ["plain", *deep[-1:]]]
        others = [(s, d) for d in names if d not in WIDE for s in sizes][1:]
        parts += [(*others[turn % len(others)], "plain")] if others else []
    else:
        deep = [t for t in deep if "grad" not in t or name in FLOATS]
        sizes = sizes if name in (names[0], "f64") else sizes[1:] or sizes
        transformed = {"own": deep, "odd": deep[-1:]}
        parts = [(s, name, t) for s in sizes for t in ["plain", *transformed.get(s, [])]]

    def total(*args):
        leaves = jax.tree_util.tree_leaves(row.fn(*args))
        return sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating))

    def one(name, args):
        *place, transformation = name.split()
        args = args[" ".join(place)]
        twice = [jnp.stack([a, a]) for a in args]
        made = {"plain": lambda: row.fn(*args), "grad": lambda: jax.grad(total)(*args),
                "vmap": lambda: jax.vmap(row.fn)(*twice), "vmap(grad)": lambda: jax.vmap(jax.grad(total))(*twice)}
        return made[transformation]()

    args = {f"{s} {d}": arguments(row, s, d) for s, d, _ in parts}
    return Variant(one, args, [f"{s} {d} {t}" for s, d, t in parts], name in WIDE)


def tolerance(row, dtype):
    """Of results that were computed in a dtype, relative to the largest element."""
    if dtype in ("f64", "c128"):
        return max(1e-11, row.tolerance * 1e-6) if isinstance(row.f64, bool) else row.f64
    return max(row.tolerance, 8 * float(ml_dtypes.finfo(DTYPES[dtype]).eps)) if dtype in ("bf16", "f16") else row.tolerance


def wrong(row, variant, part, got, want):
    """How many times the tolerance a part's results are off, when more than once; otherwise 0."""
    _, dtype, transformation = part.split()
    results = {name for leaf in jax.tree_util.tree_leaves(want) for name, t in DTYPES.items() if leaf.dtype == t}
    allowed = max(tolerance(row, name) for name in {dtype, *results}) * (10 if "grad" in transformation else 1)
    away = difference(got, want) / allowed
    if away > 1 and any(dtype in names.split() for names in row.by_f64):
        exact = in_float64(variant, part, want)
        theirs = difference(want, exact)
        away = difference(got, exact) / max(allowed, theirs if np.isfinite(theirs) else 0)
    return 0 if away <= 1 else away


def in_float64(variant, part, like):
    """JAX's results of a part when its arguments are taken as float64, rounded to the dtypes of ``like``."""
    def wide(x):
        return x.astype(np.result_type(x.dtype, np.float64)) if jnp.issubdtype(x.dtype, jnp.inexact) else x

    with jax.enable_x64(True):
        place = part.rpartition(" ")[0]
        exact = jax.jit(lambda args: variant.one(part, args))({place: [wide(np.asarray(a)) for a in variant.args[place]]})
        return jax.tree_util.tree_map(lambda x, y: np.asarray(x).astype(y.dtype), exact, like)


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
        if not jnp.issubdtype(w.dtype, jnp.inexact):
            if not np.array_equal(g, w):
                return np.inf
            continue
        if w.dtype.itemsize == 2:
            g, w = g.astype(np.float32), w.astype(np.float32)
        finite = np.isfinite(w)
        if not np.array_equal(np.where(finite, 0, w), np.where(finite, 0, g), equal_nan=True):
            return np.inf
        if finite.any():
            scale = max(1e-3, float(np.abs(w[finite]).max()))
            worst = max(worst, float(np.abs(g[finite] - w[finite]).max()) / scale)
    return worst
