"""Small algebra: operations that do nothing, equal operations computed once, operations nobody uses."""

import numpy as np

from kjax.compiler.passes.algebra import INTEGERS, simpler
from kjax.compiler.passes.spelled import one_operation
from kjax.ir.graph import Type, has_effect
from kjax.ir.rewrite import Rewriter
from kjax.ir.scalar import apply_elementwise, splat


def _identity(op):
    """The operand that ``op`` merely repeats, or None."""
    if not op.operands or len(op.results) != 1:
        return None
    x, a = op.operands[0], op.attributes
    if op.name in ("convert", "bitcast_convert", "reshape", "copy") and x.type == op.result.type:
        return x
    if op.name == "transpose" and tuple(a["permutation"]) == tuple(range(x.type.rank)):
        return x
    if op.name == "broadcast_in_dim" and x.type == op.result.type and tuple(a["dims"]) == tuple(range(x.type.rank)):
        return x
    if op.name == "slice" and x.type == op.result.type:
        return x
    if op.name == "pad" and x.type == op.result.type and not any((*a["low"], *a["high"], *a["interior"])):
        return x
    if op.name == "concatenate" and len(op.operands) == 1:
        return x
    return None


def _unit_reduce(region, op):
    """A reduction over dims of size 1 is its body applied once: (init, x)."""
    n = len(op.operands) // 2
    xs, inits = op.operands[:n], op.operands[n:]
    if op.name != "reduce" or not xs[0].type.size or any(xs[0].shape[d] != 1 for d in op.attributes["dims"]):
        return None
    shape = op.results[0].shape
    arguments = [splat(region, init, shape, op.source) for init in inits]
    arguments += [region.add("reshape", [x], Type(x.dtype, shape), source=op.source) for x in xs]
    return apply_elementwise(region, op.regions[0], arguments, op.source)


def _empty(region, op):
    """Operations on nothing: results without elements are constants, a reduction of nothing is its initial value."""
    if op.name in ("while", "case", "constant", "trace") or not op.results:
        return None
    if all(r.type.size == 0 for r in op.results):
        return [region.add("constant", [], r.type, source=op.source, value=np.empty(r.shape, r.type.info.numpy))
                for r in op.results]
    if op.name == "reduce" and op.operands[0].type.size == 0:
        return [splat(region, init, r.shape, op.source) for init, r in zip(op.operands[len(op.results):], op.results)]
    return None


def _key(op):
    """What two operations that compute the same have in common, or None where that is not said."""
    if op.regions or op.name in ("all_gather", "permute", "lane_id", "trace"):
        return None
    parts = []
    for name, value in sorted(op.attributes.items()):
        if isinstance(value, np.ndarray):
            if value.size > 4096 and not all(s == 0 for s in value.strides):
                return None
            value = (value.shape, value.dtype.str, value.dtype.name, value.tobytes() if value.size <= 4096 else
                     value.reshape(-1)[:1].tobytes())
        parts.append((name, value))
    try:
        key = (op.name, tuple(map(id, op.operands)), tuple(parts), tuple(r.type for r in op.results))
        hash(key)
    except TypeError:
        return None
    return key


class _Unique(Rewriter):
    """Common subexpressions: a region sees what the regions around it have computed."""

    def __init__(self):
        super().__init__(self.merge)
        self.known = [{}]

    def region(self, region):
        self.known.append({})
        super().region(region)
        self.known.pop()

    def merge(self, region, op):
        same = _identity(op)
        if same is not None:
            return [same]
        replaced = _empty(region, op) or _unit_reduce(region, op)
        if replaced is not None:
            return replaced
        cheaper = simpler(region, op) or one_operation(region, op)
        if cheaper is not None:
            return [cheaper]
        key = _key(op)
        if key is None:
            return None
        for known in self.known:
            if key in known:
                return known[key]
        rest = self.rest(region, op, key)
        if rest is not None:
            return [rest]
        self.known[-1][key] = op.results
        return None

    def rest(self, region, op, key):
        """The remainder of integers whose quotient is known: what the quotient's multiple leaves, in wrapped arithmetic always."""
        if op.name != "rem" or op.operands[0].dtype not in INTEGERS:
            return None
        for known in self.known:
            quotient = known.get(("div", *key[1:]))
            if quotient is not None:
                x, y = op.operands
                multiple = region.add("mul", [quotient[0], y], op.result.type, source=op.source)
                return region.add("sub", [x, multiple], op.result.type, source=op.source)
        return None


def _drop_unused(region):
    """Remove what no result needs; operations here have no effects but exchanges and traces."""
    def used(ops, results):
        live, keep = set(results), []
        for op in reversed(ops):
            if any(r in live for r in op.results) or has_effect(op):
                keep.append(op)
                live.update(op.operands)
                for inner in op.regions:
                    live.update(_outer(inner))
        return keep[::-1]

    for op in region.ops:
        for inner in op.regions:
            _drop_unused(inner)
    region.ops = used(region.ops, region.results)


def _outer(region):
    """All values that a region and its inner ones mention."""
    found = set(region.results)
    for op in region.ops:
        found.update(op.operands)
        for inner in op.regions:
            found |= _outer(inner)
    return found


def run(graph):
    _Unique().region(graph)
    _drop_unused(graph)
    return graph
