"""cholesky and triangular_solve: loops over columns or rows, each a matrix-vector product."""

import math

from kjax.frontend.builder import PART
from kjax.frontend.legalize.registry import rule
from kjax.ir.graph import Type


def _compute(b, value):
    """Small floats are factored in f32."""
    return b.convert(value, value.type.info.compute)


def _conjugate(b, x):
    if x.dtype not in PART:
        return x
    return b.map("complex", b.map("real", x), b.map("neg", b.map("imag", x)))


def _swap_last(b, x):
    rank = x.type.rank
    return b.transpose(x, (*range(rank - 2), rank - 1, rank - 2))


def _vector_product(b, matrix, vector):
    """(..., n, m) times (..., m) -> (..., n)."""
    k = matrix.type.rank - 2
    return b.dot(matrix, vector, batch=(range(k), range(k)), contract=((k + 1,), (k,)))


def _at(b, x, dim, index):
    """The slice of size 1 at a dynamic index of one dim."""
    zero = b.full(0, index.type)
    sizes = list(x.shape)
    sizes[dim] = 1
    return b.dynamic_slice(x, [index if k == dim else zero for k in range(x.type.rank)], sizes)


def _put(b, x, update, dim, index):
    zero = b.full(0, index.type)
    return b.dynamic_update_slice(x, update, [index if k == dim else zero for k in range(x.type.rank)])


@rule("stablehlo.cholesky")
def cholesky(b, node):
    """Column by column; a matrix that is not positive definite gives NaN in all of its triangle."""
    (x,), lower = node.operands, node.attr("lower", False)
    a = _compute(b, x)
    if not lower:
        a = _conjugate(b, _swap_last(b, a))
    n, rank = a.shape[-1], a.type.rank
    batch = a.shape[:-2]
    rows = b.iota(Type("i32", (*batch, n)), rank - 2) if n else None

    def column(j, factor):
        row = b.reshape(_at(b, factor, rank - 2, j), (*batch, n))
        rest = b.map("sub", b.reshape(_at(b, a, rank - 1, j), (*batch, n)),
                     _vector_product(b, factor, _conjugate(b, row)))
        pivot = _at(b, rest, rank - 2, j)
        if x.dtype in PART:
            pivot = b.convert(b.map("real", pivot), rest.dtype)
        root = b.broadcast(b.map("sqrt", pivot), rest.shape, range(rank - 1))
        at = b.broadcast(j, rows.shape)
        new = b.select(b.map("gt", rows, at), b.map("div", rest, root), b.like(0, rest))
        new = b.select(b.map("eq", rows, at), root, new)
        return [_put(b, factor, b.reshape(new, (*batch, n, 1)), rank - 1, j)]

    if not a.type.size:
        return x
    (factor,) = b.loop(n, [b.like(0, a)], column)
    factor = _nan_if_failed(b, factor)
    out = factor if lower else _conjugate(b, _swap_last(b, factor))
    return b.convert(out, x.dtype)


def _nan_if_failed(b, factor):
    rank, shape = factor.type.rank, factor.shape
    part = b.map("real", factor) if factor.dtype in PART else factor
    failed = b.reduce(b.map("ne", part, part), False, (rank - 2, rank - 1), "or")
    index = Type("i32", shape)
    inside = b.map("ge", b.iota(index, rank - 2), b.iota(index, rank - 1))
    hit = b.map("and", inside, b.broadcast(failed, shape, range(rank - 2)))
    return b.select(hit, b.like(math.nan, factor), factor)


@rule("stablehlo.triangular_solve")
def triangular_solve(b, node):
    """Brought to ``op(a) x = b`` from the left, then row by row from the one that has no unknowns but its own."""
    a, y = (_compute(b, v) for v in node.operands)
    left, lower = node.attr("left_side"), node.attr("lower")
    transpose, unit = node.attr("transpose_a"), node.attr("unit_diagonal")
    if not y.type.size:
        return node.operands[1]
    if transpose == "ADJOINT":
        a = _conjugate(b, a)
    flipped = (transpose in ("TRANSPOSE", "ADJOINT")) != (not left)  # x a = y is a^T x^T = y^T
    if flipped:
        a, lower = _swap_last(b, a), not lower
    y = y if left else _swap_last(b, y)
    solution = _substitute(b, a, y, lower, unit)
    return b.convert(solution if left else _swap_last(b, solution), node.type.dtype)


def _substitute(b, a, y, lower, unit):
    n, rank = a.shape[-1], a.type.rank
    k = rank - 2
    batch, width = a.shape[:-2], y.shape[-1]
    index = Type("i32", a.shape)
    row, column = b.iota(index, k), b.iota(index, k + 1)
    strict = b.select(b.map("gt" if lower else "lt", row, column), a, b.like(0, a))
    diagonal = b.reduce(b.select(b.map("eq", row, column), a, b.like(0, a)), 0, (k + 1,), "add")

    def step(j, x):
        i = j if lower else b.map("sub", b.full(n - 1, j.type), j)
        known = b.reshape(_at(b, strict, k, i), (*batch, n))
        done = b.dot(known, x, batch=(range(k), range(k)), contract=((k,), (k,)))
        rest = b.map("sub", b.reshape(_at(b, y, k, i), (*batch, width)), done)
        if not unit:
            pivot = _at(b, diagonal, k, i)
            rest = b.map("div", rest, b.broadcast(pivot, rest.shape, range(k + 1)))
        return [_put(b, x, b.reshape(rest, (*batch, 1, width)), k, i)]

    return b.loop(n, [b.like(0, y)], step)[0]
