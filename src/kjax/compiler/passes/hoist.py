"""Work that does not change from iteration to iteration is done before the loop, and products of scanned rows at once.

Rewrites of a ``while``, inner loops first:

* State that the body passes on unchanged is no state: the regions use the initial value. Of counters that always agree (a
  ``fori_loop`` has its own besides the one that JAX counts with) one is left.
* Operations of the regions on values from outside move before the loop. They have no effects and cannot fail, so doing them
  for a loop that runs zero times is only a waste.
* ``dot_general(row of xs, w)`` in a loop that counts over all rows of ``xs`` becomes one product of all of ``xs``, of which the
  loop takes rows: a matrix product reads ``w`` once where a vector product in each iteration reads it again and again.
"""

from math import prod

import numpy as np

from kjax.compiler.fuse import VIEWS, free_values, is_elementwise
from kjax.compiler.passes import taken
from kjax.compiler.passes.algebra import constant_of
from kjax.ir.graph import Region, Type
from kjax.ir.rewrite import rewrite, substitute

PURE = VIEWS | {"dot_general", "convolution", "reduce", "reduce_window", "gather", "dynamic_slice", "pad", "concatenate", "sort"}
FEW_ROWS = 16  # rows of an iteration's product: more make a matrix product of their own
ROWS_WORTH = 2048  # multiplications of an iteration that pay for taking a row of the result
MOST_BYTES = 1 << 24  # of all products together


def _without_constant_state(outer, op):
    """The loop without state that never changes or that other state equals, and what replaces its results; None when there is none."""
    condition, body = op.regions
    twins = _twins(op)
    kept = [k for k, (r, a) in enumerate(zip(body.results, body.arguments)) if r is not a and k not in twins]
    if len(kept) == len(op.operands) or not kept:
        return None
    for region in (condition, body):
        now = {a: v for a, v in zip(region.arguments, op.operands)}
        now.update({region.arguments[k]: region.arguments[j] for k, j in twins.items()})
        substitute(region, {a: now[a] for k, a in enumerate(region.arguments) if k not in kept})
        region.arguments = [region.arguments[k] for k in kept]
    body.results = [body.results[k] for k in kept]
    results = outer.add("while", [op.operands[k] for k in kept], [op.results[k].type for k in kept], source=op.source,
                        regions=[condition, body], **op.attributes)
    found = dict(zip(kept, results))
    return [found.get(twins.get(k, k), v) for k, v in enumerate(op.operands)]


def counts(op, k):
    """(dtype, first value, step) of state ``k`` that counts, or None."""
    argument, step = op.regions[1].arguments[k], op.regions[1].results[k].op
    if argument.shape or argument.type.info.kind not in ("int", "uint") or step is None:
        return None
    if step.name != "add" or step.operands[0] is not argument:
        return None
    first, by = constant_of(op.operands[k]), constant_of(step.operands[1])
    return None if first is None or by is None else (argument.dtype, int(first), int(by))


def _twins(op):
    """State that always equals earlier state: which, by its number."""
    found, twins = {}, {}
    for k in range(len(op.operands)):
        count = counts(op, k)
        if count is not None and found.setdefault(count, k) != k:
            twins[k] = found[count]
    return twins


def _move_out(outer, regions):
    """Move what depends on outer values alone from ``regions`` to the end of ``outer``."""
    inside = {v for r in regions for v in r.arguments} | {v for r in regions for op in r.ops for v in op.results}
    for region in regions:
        stay = []
        for op in region.ops:
            movable = op.name in PURE or is_elementwise(op)
            if movable and not inside & set(op.operands) and not (op.regions and inside & free_values(op)):
                outer.ops.append(op)
                inside -= set(op.results)
            else:
                stay.append(op)
        region.ops = stay


def _is_constant(value, number):
    return value.op is not None and value.op.name == "constant" and np.all(value.op.attributes["value"] == number)


def _counter(op):
    """(The body's argument that counts 0, 1, 2 ... , how far) of a loop that ends there, or None."""
    condition, body = op.regions
    test = condition.results[0].op
    if test is None or test.name != "lt" or test.operands[0] not in condition.arguments:
        return None
    k = condition.arguments.index(test.operands[0])
    step, trips = body.results[k].op, op.attributes.get("trips")
    counts = (trips and _is_constant(op.operands[k], 0) and _is_constant(test.operands[1], trips) and step is not None
              and step.name == "add" and step.operands[0] is body.arguments[k] and _is_constant(step.operands[1], 1))
    return (body.arguments[k], trips) if counts else None


class _Rows:
    """Values of the body that are, in iteration i, row i of a value that can be known before the loop."""

    def __init__(self, outer, body, counter, trips):
        self.outer, self.counter, self.trips = outer, counter, trips
        self.inside = set(body.arguments) | {v for op in body.ops for v in op.results}
        self.all = {}

    def find(self, value):
        """The value of shape (trips, *shape), emitted before the loop; or None."""
        if value not in self.all:
            self.all[value] = self._make(value, value.op)
        return self.all[value]

    def _make(self, value, op):
        shape = (self.trips, *value.shape)
        if op is None or value not in self.inside:
            return None
        if op.name == "dynamic_slice":
            x, first = op.operands[0], op.operands[1]
            if first is self.counter and x not in self.inside and x.shape == (self.trips, *value.shape[1:]) and value.shape[0] == 1:
                return self.outer.add("reshape", [x], Type(x.dtype, shape), source=op.source)
        elif op.name in ("reshape", "convert"):
            x = self.find(op.operands[0])
            if x is not None:
                dtype = value.dtype if op.name == "convert" else x.dtype
                return self.outer.add(op.name, [x], Type(dtype, shape), source=op.source)
        return None

    def product(self, op):
        """All rows of a dot_general, or None."""
        a = op.attributes
        if a["lhs_batch"] or not op.result.type.size:
            return None
        sides = [(op.operands[0], a["lhs_contract"]), (op.operands[1], a["rhs_contract"])]
        which = next((k for k in (0, 1) if sides[1 - k][0] not in self.inside and self.find(sides[k][0]) is not None), None)
        if which is None:
            return None
        (row, mine), (fixed, other) = sides[which], sides[1 - which]
        terms = prod(row.shape[d] for d in mine)
        if (row.type.size > FEW_ROWS * terms or op.result.type.size * terms < ROWS_WORTH
                or self.trips * op.result.type.bytes > MOST_BYTES):
            return None
        rows = self.find(row)
        free = [n for d, n in enumerate(row.shape) if d not in mine], [n for d, n in enumerate(fixed.shape) if d not in other]
        found = self.outer.add("dot_general", [rows, fixed], Type(op.result.dtype, (self.trips, *free[0], *free[1])),
                               source=op.source, lhs_batch=(), rhs_batch=(), lhs_contract=tuple(d + 1 for d in mine),
                               rhs_contract=tuple(other))
        if which == 1:
            n = len(free[0])
            order = (0, *range(n + 1, found.type.rank), *range(1, n + 1))
            found = self.outer.add("transpose", [found], Type(found.dtype, (self.trips, *op.result.shape)), source=op.source,
                                   permutation=order)
        return found


def _products_at_once(outer, op):
    counted = _counter(op)
    if counted is None:
        return
    counter, trips = counted
    body, new = op.regions[1], Region()
    rows, replaced = _Rows(outer, body, counter, trips), {}
    for inner in body.ops:
        found = rows.product(inner) if inner.name == "dot_general" else None
        if found is None:
            new.ops.append(inner)
            continue
        shape, zero = inner.result.shape, new.add("constant", [], counter.type, value=np.zeros((), counter.type.info.numpy))
        row = new.add("dynamic_slice", [found, counter, *[zero] * len(shape)], Type(found.dtype, (1, *shape)), source=inner.source,
                      sizes=(1, *shape))
        replaced[inner.result] = new.add("reshape", [row], inner.result.type, source=inner.source)
    body.ops = new.ops
    substitute(body, replaced)


def _rule(outer, op):
    if op.name != "while":
        return None
    results = _without_constant_state(outer, op)
    loop = op if results is None else outer.ops.pop()
    _move_out(outer, loop.regions)
    _products_at_once(outer, loop)
    taken.lift(outer, loop)
    if results is not None:
        outer.ops.append(loop)
    return results


def run(graph):
    return rewrite(graph, _rule)
