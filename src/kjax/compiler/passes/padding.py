"""Padded operands of windows, and convolutions over a dilated one.

A convolution over an operand with d - 1 zeros between its elements (the gradient of a strided one, or its transpose) multiplies mostly
zeros. The elements of the result that lie d apart all meet the same elements of the window, each d-th one: so it is d smaller
convolutions over the operand as it is, one for each phase, and their results in turn.
"""

import itertools
from math import prod

import numpy as np

from kjax.ir.graph import Type
from kjax.ir.scalar import splat

MOST_PHASES = 16


def padded(region, value, fill, low, high, interior, source):
    """``value`` padded, or itself when there is nothing to pad."""
    if not any((*low, *high, *interior)):
        return value
    shape = tuple(a + n + b + max(0, n - 1) * i for n, a, b, i in zip(value.shape, low, high, interior))
    return region.add("pad", [value, fill], Type(value.dtype, shape), source=source, low=tuple(low), high=tuple(high),
                      interior=tuple(interior))


def is_dilated(op):
    """Whether ``by_phases`` takes this convolution."""
    a = op.attributes
    return (1 < prod(a["lhs_dilation"]) <= MOST_PHASES and op.result.type.size > 0 and op.operands[0].type.size > 0
            and all(d == 1 or s == r == 1 for d, s, r in zip(a["lhs_dilation"], a["strides"], a["rhs_dilation"])))


def _phase(phase, dilation, before, window, places, n):
    """Of one dim: (first element of the window, number of its elements, padding before and after an operand of ``n``).

    Element o = phase + t * dilation of the result meets element r of the window over (o + r - before) / dilation of the operand, where
    that is whole: for r = first + s * dilation, over t + s + (phase + first - before) / dilation.
    """
    first = (before - phase) % dilation
    count = max(0, -(-(window - first) // dilation))
    low = (before - phase - first) // dilation
    return first, count, low, places + count - 1 - n - low


def by_phases(region, op, lhs, rhs, dtype):
    """The result, of ``dtype``, of the convolution ``op`` on these operands; nothing in it is dilated or reversed any more."""
    a, source = op.attributes, op.source
    lhs_dims, rhs_dims, out_dims = (a[spec][2:] for spec in ("lhs_spec", "rhs_spec", "out_spec"))
    n, dilations = len(lhs_dims), a["lhs_dilation"]
    zero = region.add("constant", [], Type(lhs.dtype), source=source, value=np.zeros((), lhs.type.info.numpy))
    flipped = tuple(d for d, flip in zip(rhs_dims, a["reversal"]) if flip)
    if flipped:
        rhs = region.add("reverse", [rhs], rhs.type, source=source, dims=flipped)
    shape = list(op.result.shape)
    for k, d in enumerate(out_dims):
        shape[d] = -(-shape[d] // dilations[k])
    plain = {**a, "padding": ((0, 0),) * n, "lhs_dilation": (1,) * n, "reversal": (False,) * n}
    results = []
    for phases in itertools.product(*map(range, dilations)):
        low, high = [0] * lhs.type.rank, [0] * lhs.type.rank
        start, limit, steps = [0] * rhs.type.rank, list(rhs.shape), [1] * rhs.type.rank
        counts = []
        for k, phase in enumerate(phases):
            if dilations[k] == 1:
                low[lhs_dims[k]], high[lhs_dims[k]] = a["padding"][k]
                counts.append(1)
                continue
            first, count, low[lhs_dims[k]], high[lhs_dims[k]] = _phase(
                phase, dilations[k], a["padding"][k][0], rhs.shape[rhs_dims[k]], shape[out_dims[k]], lhs.shape[lhs_dims[k]])
            start[rhs_dims[k]], steps[rhs_dims[k]] = first, dilations[k]
            counts.append(count)
        if not all(counts):  # no element of the window meets this phase
            fill = region.add("constant", [], Type(dtype), source=source, value=np.zeros((), Type(dtype).info.numpy))
            results.append(splat(region, fill, shape, source))
            continue
        part = tuple(-(-(b - s) // t) for s, b, t in zip(start, limit, steps))
        window = region.add("slice", [rhs], Type(rhs.dtype, part), source=source, start=tuple(start), limit=tuple(limit),
                            strides=tuple(steps))
        over = padded(region, lhs, zero, low, high, [0] * lhs.type.rank, source)
        results.append(region.add("convolution", [over, window], Type(dtype, tuple(shape)), source=source, **plain))
    return _in_turn(region, results, shape, out_dims, dilations, op.result.shape, source)


def _in_turn(region, results, shape, out_dims, dilations, whole, source):
    """The phases' results, each of ``shape``, interleaved along ``out_dims``; of that, the first ``whole`` elements of each dim."""
    dtype, rank, n = results[0].dtype, len(shape), len(dilations)
    results = [region.add("reshape", [r], Type(dtype, (1, *shape)), source=source) for r in results]
    joined = region.add("concatenate", results, Type(dtype, (len(results), *shape)), source=source, dim=0)
    joined = region.add("reshape", [joined], Type(dtype, (*dilations, *shape)), source=source)
    order = []
    for d in range(rank):
        order += [n + d] + [k for k in range(n) if out_dims[k] == d]
    turned = region.add("transpose", [joined], Type(dtype, tuple(joined.shape[d] for d in order)), source=source,
                        permutation=tuple(order))
    full = list(shape)
    for k, d in enumerate(out_dims):
        full[d] *= dilations[k]
    result = region.add("reshape", [turned], Type(dtype, tuple(full)), source=source)
    if tuple(full) == tuple(whole):
        return result
    return region.add("slice", [result], Type(dtype, tuple(whole)), source=source, start=(0,) * rank, limit=tuple(whole),
                      strides=(1,) * rank)
