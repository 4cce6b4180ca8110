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


# -- Householder reflections: what JAX's qr is made of -----------------------------------------------------------------
def _outer(b, column, row):
    """(..., m) and (..., n) -> (..., m, n)."""
    k = column.type.rank - 1
    shape = (*column.shape, row.shape[-1])
    return b.map("mul", b.broadcast(column, shape, range(k + 1)), b.broadcast(row, shape, (*range(k), k + 1)))


def _reflected(b, a, v, tau):
    """a - tau v (v^H a), with ``tau`` of shape batch + (1,)."""
    k = a.type.rank - 2
    row = b.dot(_conjugate(b, v), a, batch=(range(k), range(k)), contract=((k,), (k,)))
    scaled = b.map("mul", row, b.broadcast(tau, row.shape, range(k + 1)))
    return b.map("sub", a, _outer(b, v, scaled))


def _column(b, a, j):
    rank = a.type.rank
    return b.reshape(_at(b, a, rank - 1, j), a.shape[:-1])


@rule("custom_call.Qr")
def qr(b, node):
    """Column by column, as LAPACK's geqrf: R above, the reflections' vectors below the diagonal, and their factors."""
    (x,) = node.operands
    taus_type = node.types[1]
    if not x.type.size:
        return [x, b.full(0, taus_type)]
    a = _compute(b, x)
    rank, batch = a.type.rank, a.shape[:-2]
    rows = b.iota(Type("i32", a.shape[:-1]), rank - 2)
    columns = b.iota(Type("i32", a.shape), rank - 1)
    taus = b.full(0, Type(a.dtype, taus_type.shape))

    def step(j, a, taus):
        at = b.broadcast(j, rows.shape)
        column = _column(b, a, j)
        alpha = b.expr(_at(b, column, rank - 2, j))
        below = b.select(b.map("gt", rows, at), column, b.like(0, column))
        squares = b.map("cabs" if a.dtype in PART else "abs", below)
        sigma = b.expr(b.reshape(b.reduce(b.map("mul", squares, squares), 0, (rank - 2,), "add"), (*batch, 1)))
        re = alpha.real() if a.dtype in PART else alpha
        im = alpha.imag() if a.dtype in PART else alpha * 0
        length = (re * re + im * im + sigma).sqrt()
        nothing = sigma.equals(0) & im.equals(0)
        beta = (re < 0).where(length, -length)
        safe = nothing.where(1, beta)
        tau = nothing.where(0, (safe - re) / safe)
        beta = nothing.where(re, beta)
        if a.dtype in PART:
            tau, beta = tau.join(nothing.where(0, -im / safe)), beta.join(beta * 0)
        divisor = b.map("sub", alpha.value, beta.value)
        divisor = b.select(nothing.value, b.like(1, divisor), divisor)
        v = b.map("div", below, b.broadcast(divisor, below.shape, range(rank - 1)))
        whole = b.select(b.map("eq", rows, at), b.like(1, v), v)
        updated = _reflected(b, a, whole, _conjugate(b, tau.value))
        right = b.map("gt", columns, b.broadcast(j, a.shape))
        a = b.select(right, updated, a)
        kept = b.select(b.map("lt", rows, at), column, v)
        new = b.select(b.map("eq", rows, at), b.broadcast(beta.value, kept.shape, range(rank - 1)), kept)
        return [_put(b, a, b.reshape(new, (*a.shape[:-1], 1)), rank - 1, j), _put(b, taus, tau.value, rank - 2, j)]

    a, taus = b.loop(taus_type.shape[-1], [a, taus], step)
    return [b.convert(a, x.dtype), b.convert(taus, taus_type.dtype)]


@rule("custom_call.ProductOfElementaryHouseholderReflectors")
def householder_product(b, node):
    """The reflections applied to the first columns of the identity, the last one first."""
    x, taus = (_compute(b, v) for v in node.operands)
    if not x.type.size:
        return node.operands[0]
    rank, count = x.type.rank, taus.shape[-1]
    index = Type("i32", x.shape)
    start = b.convert(b.map("eq", b.iota(index, rank - 2), b.iota(index, rank - 1)), x.dtype)
    rows = b.iota(Type("i32", x.shape[:-1]), rank - 2)

    def step(k, q):
        j = b.map("sub", b.full(count - 1, k.type), k)
        at = b.broadcast(j, rows.shape)
        column = _column(b, x, j)
        v = b.select(b.map("gt", rows, at), column, b.convert(b.map("eq", rows, at), column.dtype))
        return [_reflected(b, q, v, _at(b, taus, rank - 2, j))]

    (q,) = b.loop(count, [start], step)
    return b.convert(q, node.type.dtype)
