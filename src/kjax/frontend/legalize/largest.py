"""The largest elements of a row.

To sort a row of a million for ten of its elements is waste. Cut into blocks, the ten lie in those ten blocks whose maxima are the
largest (of equal maxima, in the first ones): whatever lies in another block has ten elements before it, the maxima of those. So two short
sorts do, of the maxima and of what the blocks hold.
"""

from math import isqrt, prod

import numpy as np

from kjax.frontend.legalize.elementwise import total_order
from kjax.frontend.legalize.reduction import sort_values
from kjax.ir.graph import Type

LEAST_BLOCK = 16
WIDTHS = (16, 32, 64)  # bits of elements that are sorted in blocks


def largest(b, x, k):
    """(values, i32 positions) of the ``k`` largest along the last dim, largest first; of equal ones the first; NaN above infinity."""
    n, info = x.shape[-1] if x.type.rank else 1, x.type.info
    block = max(LEAST_BLOCK, 1 << (isqrt(n // max(k, 1)).bit_length() - 1)) if n else 1
    blocks = -(-n // block)
    if k < 1 or info.bits not in WIDTHS or 2 * (blocks + k * block) > n or not x.type.size:
        return _sorted(b, x, k)
    return _by_blocks(b, x, k, block, blocks)


def _sorted(b, x, k):
    def before(left, right, _left_place, _right_place):
        if x.type.info.is_float:
            left, right = total_order(b, left), total_order(b, right)
        return b.map("gt", left, right)

    last = x.type.rank - 1
    values, places = sort_values(b, [x, b.iota(Type("i32", x.shape), last)], last, before)
    return b.slice_dim(values, last, 0, k), b.slice_dim(places, last, 0, k)


def _descending(b, keys, places):
    return sort_values(b, [keys, places], 1, lambda left, right, _l, _r: b.map("gt", left, right))


def _by_blocks(b, x, k, block, blocks):
    *lead, n = x.shape
    rows = prod(lead)
    flat = b.reshape(x, (rows, n))
    keys = total_order(b, flat) if x.type.info.is_float else flat
    lowest = int(np.iinfo(keys.type.info.numpy).min)
    whole = b.reshape(b.pad(keys, lowest, (0, 0), (0, blocks * block - n)), (rows, blocks, block))
    maxima = b.reduce(whole, lowest, (2,), "max")
    _, order = _descending(b, maxima, b.iota(Type("i32", (rows, blocks)), 1))
    chosen, = sort_values(b, [b.slice_dim(order, 1, 0, k)], 1, lambda left, right: b.map("lt", left, right))
    taken = b.add("gather", [whole, b.reshape(chosen, (rows, k, 1))], Type(keys.dtype, (rows, k, block)), offset_dims=(2,),
                  collapsed_dims=(1,), operand_batch_dims=(0,), index_batch_dims=(0,), start_index_map=(1,), index_vector_dim=2,
                  slice_sizes=(1, 1, block))
    places = b.expr(b.broadcast(chosen, (rows, k, block), (0, 1))) * block + b.iota(Type("i32", (rows, k, block)), 2)
    best, at = _descending(b, b.reshape(taken, (rows, k * block)), b.reshape(places.value, (rows, k * block)))
    best, at = b.slice_dim(best, 1, 0, k), b.slice_dim(at, 1, 0, k)
    if x.type.info.is_float:  # keys of keys are the bits again
        best = b.bitcast(total_order(b, b.bitcast(best, x.dtype)), x.dtype)
    return b.reshape(best, (*lead, k)), b.reshape(at, (*lead, k))
