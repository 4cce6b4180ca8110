"""Large, cheap intermediate results are computed again where they are used, instead of being stored and loaded.

One cheap operation on values that are in memory anyway costs less than a pass over a tensor that no second-level cache holds:
the ``x - mean`` of a normalisation, the mask of a dropout. Each use gets an operation of its own, which joins the nest of
that use."""

from kjax.compiler.fuse import is_elementwise
from kjax.ir.graph import Region
from kjax.isa import ops

LARGE = 1 << 20  # bytes
_CHEAP = {"add", "sub", "mul", "neg", "and", "or", "xor", "eq", "ne", "lt", "le", "gt", "ge", "select", "max", "min", "abs"}
assert {o.name for o in ops.OPS} >= _CHEAP
_VIEWS = {"broadcast_in_dim", "reshape", "transpose", "slice", "reverse"}


def _is_in_memory(value):
    """Whether a nest can load ``value`` without anything more being stored than now."""
    while value.op is not None and value.op.name in _VIEWS:
        value, shown = value.op.operands[0], value
        if value.type.size < shown.type.size:
            return True  # what is repeated was stored
    return value.op is None or value.type.size == 1 or not is_elementwise(value.op)


def visible_uses(region):
    """{value: operations of ``region`` itself that use it, one for each use}, without values that others see, too."""
    uses = {}
    for op in region.ops:
        for value in op.operands:
            uses.setdefault(value, []).append(op)
    hidden = set(region.results)
    stack = [inner for op in region.ops for inner in op.regions]
    while stack:
        inner = stack.pop()
        hidden.update(inner.results)
        for op in inner.ops:
            hidden.update(op.operands)
            stack.extend(op.regions)
    return {value: users for value, users in uses.items() if value not in hidden}


def run(graph):
    """Once, after simplification: that would join the copies again. In place; linear in the number of operations."""
    uses = visible_uses(graph)
    cheap = {op.result: op for op in graph.ops
             if op.name in _CHEAP and op.result.type.bytes >= LARGE and len(uses.get(op.result, ())) > 1
             and all(map(_is_in_memory, op.operands))}
    if not cheap:
        return graph
    into = Region()
    for op in graph.ops:
        if op.results and op.results[0] in cheap:
            continue
        copies = {}
        for value in op.operands:
            if value in cheap and value not in copies:
                source = cheap[value]
                copies[value] = into.add(source.name, source.operands, value.type, source=source.source, **source.attributes)
        op.operands = [copies.get(v, v) for v in op.operands]
        into.ops.append(op)
    graph.ops = into.ops
    return graph
