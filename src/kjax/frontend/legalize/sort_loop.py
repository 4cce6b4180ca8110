"""A sort as loops over its elements: for comparators that hold loops themselves.

A merge sort from below: runs of 1, 2, 4, ... elements are merged with their neighbours, one element of the result after
the other, n in each of ceil(log2 n) rounds; the comparator runs at most once for each of them. What is sorted are the
elements' numbers, so that the values move once, at the end, whatever their number and size. Stable: of two equal
elements the one of the left run goes first. An element is never compared with itself: no comparator need have an answer.
"""

from math import prod

from kjax.ir.graph import Type


def sort_one_by_one(b, operands, dim, before):
    """Sorted ``operands`` along ``dim``; ``before(l0, r0, l1, r1, ...)`` writes what makes the i1 value that l goes
    before r."""
    shape, n = operands[0].shape, operands[0].shape[dim]
    if n < 2 or not prod(shape):
        return list(operands)
    kept = [k for k in range(len(shape)) if k != dim]
    outer = prod(shape[k] for k in kept)
    rows = [b.reshape(b.transpose(x, (*kept, dim)), (outer, n)) for x in operands]
    number = Type("i32" if n < 1 << 29 else "i64")

    def row(r, orders):
        def element(x, order, place):
            return b.reshape(b.dynamic_slice(x, [b.convert(r, number.dtype), _at(b, order, place)], (1, 1)), ())

        def compare(left, right):
            return [before(*(v for pair in zip(left, right, strict=True) for v in pair))]

        def merged(_, width, order):
            def step(k, left, right, middle, end, out):
                k = b.convert(k, number.dtype)
                new = b.map("eq", k, end)  # the next two runs
                spans = width, b.map("add", width, width)
                ends = [b.map("min", b.map("add", k, w), b.full(n, number)) for w in spans]
                middle, end = b.map("select", new, ends[0], middle), b.map("select", new, ends[1], end)
                left, right = b.map("select", new, k, left), b.map("select", new, middle, right)
                has_left, has_right = b.map("lt", left, middle), b.map("lt", right, end)
                asked = b.make_region([], lambda: compare(
                    [element(x, order, right) for x in rows], [element(x, order, left) for x in rows]))
                given = b.make_region([], lambda: [has_right])
                both = b.convert(b.map("and", has_left, has_right), "i32")
                (turn,) = b.add("case", [both], [Type("i1")], regions=[given, asked])
                chosen = _at(b, order, b.map("select", turn, right, left))
                step_right = b.convert(turn, number.dtype)
                left = b.map("add", left, b.map("sub", b.full(1, number), step_right))
                out = b.dynamic_update_slice(out, b.reshape(chosen, (1,)), [k])
                return [left, b.map("add", right, step_right), middle, end, out]

            zero = b.full(0, number)
            return [b.map("add", width, width), b.loop(n, [zero, zero, zero, zero, order], step)[-1]]

        order = b.iota(Type(number.dtype, (n,)), 0)
        order = b.loop((n - 1).bit_length(), [b.full(1, number), order], merged)[1]
        return [b.dynamic_update_slice(orders, b.reshape(order, (1, n)), [r, b.full(0, Type("i32"))])]

    (orders,) = b.loop(outer, [b.full(0, Type(number.dtype, (outer, n)))], row)
    back = [*kept, dim]
    results = []
    for x, wide in zip(rows, operands, strict=True):
        x = b.add("gather", [x, orders], x.type, offset_dims=(), collapsed_dims=(1,), operand_batch_dims=(0,),
                  index_batch_dims=(0,), start_index_map=(1,), index_vector_dim=2, slice_sizes=(1, 1))
        x = b.reshape(x, tuple(wide.shape[k] for k in back))
        results.append(b.transpose(x, [back.index(k) for k in range(len(back))]))
    return results


def _at(b, numbers, place):
    return b.reshape(b.dynamic_slice(numbers, [place], (1,)), ())
