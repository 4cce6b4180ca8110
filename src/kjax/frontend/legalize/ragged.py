"""``chlo.ragged_dot``: products of rows in groups of sizes that are known at run time only.

Rows that belong to no group, because the sizes add up to less, give zeros. Each group multiplies all rows, with those of others set to
zero: as many times the work as there are groups, in one contraction.
"""

from jaxlib.mlir.dialects import chlo

from kjax.frontend.legalize.contraction import contract
from kjax.frontend.legalize.registry import rule
from kjax.ir.graph import Type


@rule("chlo.ragged_dot")
def ragged_dot(b, node):
    """The ragged dim of lhs is free, contracted or batch; StableHLO calls these modes 1, 2 and 3."""
    numbers = chlo.RaggedDotDimensionNumbers(node.raw("ragged_dot_dimension_numbers"))
    batch = tuple(numbers.lhs_batching_dimensions), tuple(numbers.rhs_batching_dimensions)
    contracted = tuple(numbers.lhs_contracting_dimensions), tuple(numbers.rhs_contracting_dimensions)
    (ragged,), group = tuple(numbers.lhs_ragged_dimensions), tuple(numbers.rhs_group_dimensions)
    lhs, rhs, sizes = node.operands
    if sizes.type.rank != 1:
        b.refuse(node.name, f"its group sizes are {sizes.type}: they differ between the rows of a batch",
                 "Use group sizes of one dim, or jax.vmap over lax.ragged_dot")

    def emit(x, y, _):
        if ragged in batch[0]:
            return b.dot(masked(b, x, ragged, sizes, together=True), y, batch=batch, contract=contracted)
        rows = masked(b, x, ragged, sizes)  # (group, *lhs)
        shifted = tuple(k + 1 for k in batch[0]), tuple(k + 1 for k in contracted[0])
        if ragged in contracted[0]:  # the groups are a free dim; it goes before the batch
            out = b.dot(rows, y, batch=(shifted[0], batch[1]), contract=(shifted[1], contracted[1]))
            n = len(batch[0])
            return b.transpose(out, (n, *range(n), *range(n + 1, out.type.rank)))
        return b.dot(rows, y, batch=(shifted[0], batch[1]), contract=((0, *shifted[1]), (*group, *contracted[1])))

    return contract(b, lhs, rhs, node.type, emit)


def masked(b, x, dim, sizes, *, together=False):
    """(groups, *x.shape): ``x`` where its index along ``dim`` is in the group, else 0; ``together``: in any group, (*x.shape)."""
    n = sizes.shape[0]
    sizes = b.convert(sizes, "i64")
    # ends[g] = sum of sizes[:g + 1], as a small product with a triangle
    grid = (n, n)
    upto = b.map("ge", b.iota(Type("i64", grid), 0), b.iota(Type("i64", grid), 1))
    kept = b.select(upto, b.broadcast(sizes, grid, (1,)), b.full(0, Type("i64", grid)))
    ends = b.reduce(kept, 0, (1,), "add")
    if together:
        total = b.reshape(b.slice_dim(ends, 0, n - 1, n), ())
        inside = b.map("lt", b.iota(Type("i64", x.shape), dim), b.broadcast(total, x.shape))
        return b.select(inside, x, b.full(0, x.type))
    starts = b.map("sub", ends, sizes)
    shape = (n, *x.shape)
    place = b.iota(Type("i64", shape), dim + 1)
    inside = b.map("and", b.map("ge", place, b.broadcast(starts, shape, (0,))), b.map("lt", place, b.broadcast(ends, shape, (0,))))
    wide = b.broadcast(x, shape, tuple(range(1, len(shape))))
    return b.select(inside, wide, b.full(0, wide.type))
