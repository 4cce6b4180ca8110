"""argmax and argmin: a reduction of values and their places, whose body is JAX's.

Over a long dim they are two reductions of one value each, which the engine folds in vectors: the best value; then the first place of
one that is equal to it, or is NaN. (The best value is NaN when any is.)
"""

from math import prod

import numpy as np

from kjax.frontend.legalize.numbers import Numbers
from kjax.ir.graph import Type

LONG = 64  # elements from which on two folds in vectors are faster than one of pairs


def _order(region):
    """"gt" or "lt" when the body is JAX's for argmax or argmin, else None."""
    if len(region.arguments) != 4:
        return None
    numbers = Numbers()
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


def order_of(region, xs, dims):
    """"gt" for an argmax along a dim, "lt" for an argmin; None for any other reduction."""
    order = _order(region)
    return order if order and len(dims) == 1 and _ascends(xs[1], dims[0]) else None


def _fold(b, name, x, init, dims):
    scalar = Type(x.dtype)
    kept = tuple(n for k, n in enumerate(x.shape) if k not in dims)
    region = b.make_region([scalar, scalar], lambda p, q: [b.map(name, p, q)])
    (out,) = b.add("reduce", [x, init], [Type(x.dtype, kept)], regions=[region], dims=dims)
    return out


def _matches(b, x, best):
    """Which of ``x`` are ``best``, or NaN."""
    found = b.map("eq", x, best)
    return b.map("or", found, b.map("ne", x, x)) if x.type.info.is_float else found


def best_and_where(b, order, xs, inits, dims):
    """The results of an argmax ("gt") or argmin ("lt") over ``dims``: the best of the values and ``inits[0]``, its first place or
    ``inits[1]``."""
    x, places = xs
    shape = tuple(n for k, n in enumerate(x.shape) if k not in dims)
    kept = [k for k in range(x.type.rank) if k not in dims]
    best = _fold(b, "max" if order == "gt" else "min", x, inits[0], dims)
    nowhere = b.full(np.iinfo(places.type.info.numpy).max, Type(places.dtype))
    here = _matches(b, x, b.broadcast(best, x.shape, kept))
    first = _fold(b, "min", b.map("select", here, places, b.broadcast(nowhere, x.shape)), nowhere, dims)
    init, place = (b.broadcast(i, shape) for i in inits)
    return [best, b.map("select", _matches(b, init, best), b.map("min", first, place), first)]


def is_long(x, dims):
    """Whether ``dims`` of ``x`` have LONG elements or more."""
    return prod(x.shape[k] for k in dims) >= LONG
