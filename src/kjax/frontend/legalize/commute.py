"""Whether a reduction's body may take its elements out of order, and what to do when it may not.

A reduction is some tree over the elements *in their order*: StableHLO lets it be any tree, so a body must be associative,
but it may depend on which of two neighbours comes first. The engine's folds do not keep the order (lane onto lane, half
onto half). So a body is looked at: one that gives the same with its two sides exchanged is left alone; the body of JAX's
argmax and argmin, which of two NaNs takes the one that is on the left, is told to take the one of the lower index; any
other is applied to neighbours, level by level, as elementwise operations.
"""

import math

from kjax.frontend.legalize import choice
from kjax.frontend.legalize.numbers import Numbers
from kjax.ir.scalar import apply_elementwise


def commutes(region):
    """Whether exchanging the accumulators and the elements visibly changes nothing."""
    numbers, n = Numbers(), len(region.arguments) // 2
    left, right = ([numbers.number(side, k) for k in range(n)] for side in "lr")
    return numbers.results(region, left + right) == numbers.results(region, right + left)


def without_order(b, region, xs, dims):
    """A body for this reduction that may be applied in any order, or None."""
    if commutes(region):
        return region
    if (order := choice.order_of(region, xs, dims)) is None:
        return None
    if not region.arguments[0].type.info.is_float:
        return region

    def body(a, i, c, j):
        nan, earlier = b.map("ne", a, a), b.map("lt", i, j)
        beats = b.map("or", b.map(order, a, c), b.map("and", nan, b.map("or", b.map("eq", c, c), earlier)))
        first = b.map("or", beats, b.map("and", b.map("eq", a, c), earlier))
        return [b.map("select", beats, a, c), b.map("select", first, i, j)]

    return b.make_region([v.type for v in region.arguments], body)


def _neighbours(b, region, parts):
    """One of all ``parts`` (lists of arrays of one shape), neighbours combined."""
    while len(parts) > 1:
        pairs = [apply_elementwise(b.region, region, left + right, b.source) for left, right in zip(parts[::2], parts[1::2])]
        parts = pairs + parts[2 * len(pairs):]
    return parts[0]


def reduce_in_order(b, region, xs, inits, dims):
    """Results of a reduction, neighbours combined: about log2 of the number of elements steps."""
    kept = [k for k in range(xs[0].type.rank) if k not in dims]
    shape, n = tuple(xs[0].shape[k] for k in kept), math.prod(xs[0].shape[k] for k in dims)
    inits = [b.broadcast(i, shape) for i in inits]
    if not n:
        return inits
    xs = [b.reshape(b.transpose(x, (*kept, *dims)), (*shape, n)) for x in xs]
    while n > 1:
        even, odd = ([b.slice_dim(x, -1, k, n - n % 2, 2) for x in xs] for k in (0, 1))
        merged = apply_elementwise(b.region, region, even + odd, b.source)
        xs = [b.concatenate([m, b.slice_dim(x, -1, n - 1, n)], -1) for m, x in zip(merged, xs)] if n % 2 else merged
        n -= n // 2
    return apply_elementwise(b.region, region, inits + [b.reshape(x, shape) for x in xs], b.source)


def windows_in_order(b, region, xs, inits, shape, window, strides, base, dilations, padding):
    """Results of a reduce_window of ``shape``: one dim after the other, the innermost first, the elements of its windows as so
    many slices."""
    inits_of = [b.broadcast(i, shape) for i in inits]
    if 0 in shape:
        return inits_of
    low, high = zip(*padding) if padding else ((), ())
    xs = [b.pad(x, i, low, high, [n - 1 for n in base]) for x, i in zip(xs, inits)]
    for k in reversed(range(len(shape))):
        last = (shape[k] - 1) * strides[k] + 1
        starts = [i * dilations[k] for i in range(window[k])]
        xs = _neighbours(b, region, [[b.slice_dim(x, k, at, at + last, strides[k]) for x in xs] for at in starts])
    return apply_elementwise(b.region, region, inits_of + xs, b.source)
