"""Matrices: cholesky, triangular_solve, and the factorizations that XLA knows by names of their own.

All become the op ``linalg``, which has kinds for what they compute; here operands are brought to the triangle, side and
order that a kind takes. ``linalg_calls.py`` has the calls of LAPACK.
"""

import math

from kjax.frontend.builder import PART
from kjax.frontend.legalize.registry import rule
from kjax.ir.graph import Type
from kjax.isa.linalg import MAX_SIZE

BLOCK_ROWS = 2048  # of a matrix that is factored in blocks


def compute(b, value):
    """Small floats are factored in f32."""
    return b.convert(value, value.type.info.compute)


def conjugate(b, x):
    if x.dtype not in PART:
        return x
    return b.map("complex", b.map("real", x), b.map("neg", b.map("imag", x)))


def swap_last(b, x):
    rank = x.type.rank
    return b.transpose(x, (*range(rank - 2), rank - 1, rank - 2))


def adjoint(b, x):
    return conjugate(b, swap_last(b, x))


def nan_unless(b, ok, value):
    """``value`` where ``ok`` (an i1 of the batch's dims) holds, else NaN."""
    return b.select(b.broadcast(ok, value.shape, range(ok.type.rank)), value, b.like(math.nan, value))


def is_zero(b, info):
    return b.map("eq", info, b.like(0, info))


def cholesky_factor(b, a, lower):
    """(factor, info): lower L with L L^H = a, or upper L^H; by the triangle of ``a`` that is asked for."""
    factor, info = b.linalg("cholesky", a if lower else adjoint(b, a))
    return factor if lower else adjoint(b, factor), info


@rule("stablehlo.cholesky")
def cholesky(b, node):
    """A matrix that is not positive definite gives NaN in all of its triangle."""
    (x,), lower = node.operands, node.attr("lower", False)
    if not x.type.size:
        return x
    factor, info = cholesky_factor(b, compute(b, x), lower)
    index, rank = Type("i32", factor.shape), factor.type.rank
    inside = b.map("ge" if lower else "le", b.iota(index, rank - 2), b.iota(index, rank - 1))
    return b.convert(b.select(inside, nan_unless(b, is_zero(b, info), factor), b.like(0, factor)), x.dtype)


def solve_triangle(b, a, y, *, left, lower, transpose, unit):
    """x of ``op(a) x = y`` (left) or ``x op(a) = y``; ``transpose``: "N", "T" or "C" for op."""
    if not y.type.size:
        return y
    if transpose == "C":
        a = conjugate(b, a)
    if (transpose != "N") != (not left):  # x a = y is a^T x^T = y^T
        a, lower = swap_last(b, a), not lower
    flags = ("lower",) * lower + ("unit",) * unit
    (x,) = b.linalg("triangular_solve", a, y if left else swap_last(b, y), flags=flags)
    return x if left else swap_last(b, x)


@rule("stablehlo.triangular_solve")
def triangular_solve(b, node):
    a, y = (compute(b, v) for v in node.operands)
    x = solve_triangle(b, a, y, left=node.attr("left_side"), lower=node.attr("lower"), unit=node.attr("unit_diagonal"),
                       transpose={"TRANSPOSE": "T", "ADJOINT": "C"}.get(node.attr("transpose_a"), "N"))
    return b.convert(x, node.type.dtype)


@rule("custom_call.Qr")
def qr(b, node):
    """R above, the reflections' vectors below the diagonal, and their factors."""
    (x,) = node.operands
    r, taus = b.linalg("qr", compute(b, x))
    return [b.convert(r, x.dtype), b.convert(taus, x.dtype)]


def reflector_product(b, a, taus):
    """First columns of the product of reflectors."""
    if taus.type.size:
        return b.linalg("reflector_product", a, taus)[0]
    index, rank = Type("i32", a.shape), a.type.rank
    return b.convert(b.map("eq", b.iota(index, rank - 2), b.iota(index, rank - 1)), a.dtype) if a.type.size else a


def tall_qr(b, a):
    """(q, r) with q r = a, (*batch, m, n), of more rows than one factorization takes: first of blocks of rows, then of their r,
    one upon the other (Demmel, Grigori, Hoemmen, Langou 2012)."""
    *batch, m, n = a.shape
    last = a.type.rank - 1
    if m <= MAX_SIZE:
        r, taus = b.linalg("qr", a)
        index = Type("i32", (*batch, n, n))
        above = b.map("le", b.iota(index, last - 1), b.iota(index, last))
        r_only = b.slice_dim(r, last - 1, 0, n)
        return reflector_product(b, r, taus), b.select(above, r_only, b.like(0, r_only))
    rows = min(max(4 * n, BLOCK_ROWS), MAX_SIZE)
    count = -(-m // rows)
    low = [0] * a.type.rank
    whole = b.pad(a, 0, low, [*low[:-2], count * rows - m, 0])
    q, r = tall_qr(b, b.reshape(whole, (*batch, count, rows, n)))
    q_of_r, r = tall_qr(b, b.reshape(r, (*batch, count * n, n)))
    lead = tuple(range(last))
    q = b.dot(q, b.reshape(q_of_r, (*batch, count, n, n)), batch=(lead[:-1] + (last - 1,),) * 2, contract=((last + 1,), (last,)))
    return b.slice_dim(b.reshape(q, (*batch, count * rows, n)), last - 1, 0, m), r


def tall_svd(b, a):
    """(s, u, vh, info), the small ones, of a matrix that has too many rows or columns for one factorization."""
    if a.shape[-2] < a.shape[-1]:
        s, u, vh, info = tall_svd(b, adjoint(b, a))
        return s, adjoint(b, vh), adjoint(b, u), info
    q, r = tall_qr(b, a)
    s, u, vh, info = b.linalg("svd", r)
    lead, last = tuple(range(a.type.rank - 2)), a.type.rank - 1
    return s, b.dot(q, u, batch=(lead, lead), contract=((last,), (last - 1,))), vh, info


@rule("custom_call.ProductOfElementaryHouseholderReflectors")
def householder_product(b, node):
    x, taus = (compute(b, v) for v in node.operands)
    return b.convert(reflector_product(b, x, taus), node.type.dtype)


@rule("custom_call.Eigh")
def eigh(b, node):
    """Vectors and values of the lower triangle, or, by ``backend_config``, of the upper one; values ascend."""
    (x,) = node.operands
    lower = str(node.attr("backend_config", "1")).split(",")[0] != "0"
    a = compute(b, x)
    w, v, info = b.linalg("eigh", a if lower else adjoint(b, a))
    v, w = (nan_unless(b, is_zero(b, info), r) if r.type.size else r for r in (v, w))
    types = node.types
    return [b.convert(v, types[0].dtype), b.convert(w, types[1].dtype)]


@rule("custom_call.LuDecomposition")
def lu_decomposition(b, node):
    """Factors, pivots from 0 on, and the permutation of the rows that they make."""
    (x,) = node.operands
    lu, pivots, _ = b.linalg("lu", compute(b, x))
    pivots = b.map("sub", pivots, b.like(1, pivots))
    return [b.convert(lu, x.dtype), pivots, permutation_of(b, pivots, x.shape[-2])]


def permutation_of(b, pivots, rows):
    """What exchanging rows k and pivots[k], for k = 0, 1, ..., makes of 0 ... rows - 1."""
    batch, count = pivots.shape[:-1], pivots.shape[-1]
    axis = len(batch)
    start = b.iota(Type("i32", (*batch, rows)), axis)
    if not count or not start.type.size:
        return start

    def exchange(k, order):
        places = b.iota(order.type, axis)
        at = b.broadcast(k, order.shape)
        other = b.dynamic_slice(pivots, [b.full(0, k.type)] * axis + [k], (*batch, 1))
        other = b.broadcast(other, order.shape, range(axis + 1))
        first, second = b.map("eq", places, at), b.map("eq", places, other)

        def value(where):
            picked = b.reduce(b.select(where, order, b.like(0, order)), 0, (axis,), "add")
            return b.broadcast(picked, order.shape, range(axis))

        swapped = b.select(first, value(second), b.select(second, value(first), order))
        return [swapped]

    return b.loop(count, [start], exchange)[0]


@rule("custom_call.cu_lu_pivots_to_permutation", "custom_call.hip_lu_pivots_to_permutation",
      "custom_call.lu_pivots_to_permutation")
def lu_pivots_to_permutation(b, node):
    (pivots,) = node.operands
    return permutation_of(b, pivots, node.type.shape[-1])
