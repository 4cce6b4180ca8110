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
    prefix = _dims_of_sizes(ragged, batch[0], contracted[0])[:sizes.type.rank - 1]

    def emit(x, y, _):
        if ragged in batch[0]:
            return b.dot(masked(b, x, ragged, sizes, prefix, together=True), y, batch=batch, contract=contracted)
        rows = masked(b, x, ragged, sizes, prefix)  # (group, *lhs)
        shifted = tuple(k + 1 for k in batch[0]), tuple(k + 1 for k in contracted[0])
        if ragged in contracted[0]:  # the groups are a free dim; it goes before the batch
            out = b.dot(rows, y, batch=(shifted[0], batch[1]), contract=(shifted[1], contracted[1]))
            n = len(batch[0])
            return b.transpose(out, (n, *range(n), *range(n + 1, out.type.rank)))
        return b.dot(rows, y, batch=(shifted[0], batch[1]), contract=((0, *shifted[1]), (*group, *contracted[1])))

    return contract(b, lhs, rhs, node.type, emit)


def _dims_of_sizes(ragged, batch, contracted):
    """The dims of lhs between whose rows the group sizes may differ: those before the ragged one, in its kind of dims."""
    for kind, outer in ((batch, ()), (contracted, batch)):
        if ragged in kind:
            return (*outer, *kind[:kind.index(ragged)])
    return (*batch, *(k for k in range(ragged) if k not in batch and k not in contracted))


def masked(b, x, dim, sizes, prefix, *, together=False):
    """(groups, *x.shape): ``x`` where its index along ``dim`` is in the group, else 0; ``together``: in any group, (*x.shape).

    ``sizes``: (*prefix, groups), where ``prefix`` are dims of ``x``.
    """
    n, last = sizes.shape[-1], sizes.type.rank - 1
    sizes = b.convert(sizes, "i64")
    # ends[..., g] = sum of sizes[..., :g + 1], by a triangle of ones and zeros
    grid = Type("i64", (*sizes.shape, n))
    upto = b.map("ge", b.iota(grid, last), b.iota(grid, last + 1))
    kept = b.select(upto, b.broadcast(sizes, grid.shape, (*range(last), last + 1)), b.full(0, grid))
    ends = b.reduce(kept, 0, (last + 1,), "add")
    if together:
        total = b.reshape(b.slice_dim(ends, last, n - 1, n), sizes.shape[:-1])
        inside = b.map("lt", b.iota(Type("i64", x.shape), dim), b.broadcast(total, x.shape, prefix))
        return b.select(inside, x, b.full(0, x.type))
    starts = b.map("sub", ends, sizes)
    shape = (n, *x.shape)
    place, at = b.iota(Type("i64", shape), dim + 1), (*(k + 1 for k in prefix), 0)
    inside = b.map("and", b.map("ge", place, b.broadcast(starts, shape, at)), b.map("lt", place, b.broadcast(ends, shape, at)))
    wide = b.broadcast(x, shape, tuple(range(1, len(shape))))
    return b.select(inside, wide, b.full(0, wide.type))
