"""Whether a reduction's body may take its elements out of order, and what to do when it may not.

A reduction is some tree over the elements *in their order*: StableHLO lets it be any tree, so a body must be associative,
but it may depend on which of two neighbours comes first. The engine's folds do not keep the order (lane onto lane, half
onto half). So a body is looked at: one that gives the same with its two sides exchanged is left alone; the body of JAX's
argmax and argmin, which of two NaNs takes the one that is on the left, is told to take the one of the lower index; any
other is applied to neighbours, level by level, as elementwise operations.
"""

import math

from kjax.ir.scalar import apply_elementwise

_SYMMETRIC = {"add", "mul", "max", "min", "and", "or", "xor", "eq", "ne"}
_TURNED = {"gt": "lt", "ge": "le"}


class _Numbers:
    """Numbers for expressions: equal ones have equal numbers."""

    def __init__(self):
        self.table = {}

    def number(self, *key):
        return self.table.setdefault(key, len(self.table))

    def op(self, name, *operands, attributes=()):
        if name in _TURNED:
            name, operands = _TURNED[name], operands[::-1]
        return self.number(name, attributes, *(sorted(operands) if name in _SYMMETRIC else operands))

    def results(self, region, arguments):
        """Numbers of the region's results, when its arguments have those numbers."""
        known = dict(zip(region.arguments, arguments, strict=True))
        for op in region.ops:
            if op.name == "constant":
                value = op.attributes["value"]
                known[op.results[0]] = self.number("constant", str(op.results[0].type), value.tobytes())
                continue
            operands = [known[v] if v in known else self.number("outer", id(v)) for v in op.operands]
            attributes = (str(op.results[0].type), *sorted((k, str(v)) for k, v in op.attributes.items()))
            known[op.results[0]] = self.op(op.name, *operands, attributes=attributes)
        return [known[v] if v in known else self.number("outer", id(v)) for v in region.results]


def commutes(region):
    """Whether exchanging the accumulators and the elements visibly changes nothing."""
    numbers, n = _Numbers(), len(region.arguments) // 2
    left, right = ([numbers.number(side, k) for k in range(n)] for side in "lr")
    return numbers.results(region, left + right) == numbers.results(region, right + left)


def _choice(region):
    """"gt" or "lt" when the body is JAX's for argmax or argmin, else None."""
    if len(region.arguments) != 4:
        return None
    numbers = _Numbers()
    a, i, b, j = left_right = [numbers.number("argument", k) for k in range(4)]
    found = numbers.results(region, left_right)
    value, index = (str(region.arguments[k].type) for k in (0, 1))

    def op(name, *operands, type="i1"):
        return numbers.op(name, *operands, attributes=(type,))

    for order in ("gt", "lt"):
        beats = op("or", op(order, a, b), op("ne", a, a))
        first = op("or", beats, op("and", op("eq", a, b), op("lt", i, j)))
        if found == [op("select", beats, a, b, type=value), op("select", first, i, j, type=index)]:
            return order
    return None


def _ascends(value, dim):
    """Whether ``value`` counts up along ``dim``."""
    op = value.op
    if op is None or op.name not in ("iota", "broadcast_in_dim"):
        return False
    if op.name == "iota":
        return op.attributes["dim"] == dim
    dims = op.attributes["dims"]
    return dim in dims and op.operands[0].shape[dims.index(dim)] == value.shape[dim] and _ascends(op.operands[0], dims.index(dim))


def without_order(b, region, xs, dims):
    """A body for this reduction that may be applied in any order, or None."""
    if commutes(region):
        return region
    order = _choice(region)
    if order is None or len(dims) != 1 or not _ascends(xs[1], dims[0]):
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
