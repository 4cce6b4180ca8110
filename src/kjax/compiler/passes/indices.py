"""Indices counted from the end, as in NumPy: ``select(i < 0, i + n, i)`` before a gather, a scatter or a dynamic slice.

Their instruction does that itself while it brings an origin into range (attribute ``from_end``: what each component adds to
an index below zero; 0: nothing). So no tensor of indices is computed and stored before.
"""

import numpy as np

from kjax.ir.rewrite import rewrite

_VIEWS = {"broadcast_in_dim", "reshape", "transpose", "slice", "reverse"}
LARGEST = 2**32 - 1  # of the field in the instruction


def _constant(value):
    """The number that all elements of ``value`` are, or None."""
    while value.op is not None and value.op.name in _VIEWS and value.type.size:
        value = value.op.operands[0]
    if value.op is None or value.op.name != "constant" or not value.type.size:
        return None
    numbers = np.asarray(value.op.attributes["value"]).reshape(-1)
    return int(numbers[0]) if (numbers == numbers[0]).all() else None


def _peeled(value):
    """(i, n) where ``value`` is select(i < 0, i + n, i), else None."""
    op, info = value.op, value.type.info
    if op is None or op.name != "select" or not info.is_integer or not info.is_native or info.kind != "int":
        return None
    below, wrapped, index = op.operands
    test, total = below.op, wrapped.op
    if test is None or test.name != "lt" or test.operands[0] is not index or _constant(test.operands[1]) != 0:
        return None
    if total is None or total.name != "add" or index not in total.operands:
        return None
    n = _constant(total.operands[1] if total.operands[0] is index else total.operands[0])
    return (index, n) if n is not None and 0 < n <= LARGEST else None


def _through_views(region, value):
    """As ``_peeled``, also where ``value`` is a view of such a select: then i is that view of its own."""
    chain = []
    while value.op is not None and value.op.name in _VIEWS:
        chain.append(value)
        value = value.op.operands[0]
    found = _peeled(value)
    if found is None:
        return None
    index, n = found
    for view in reversed(chain):
        index = region.add(view.op.name, [index], view.type, source=view.op.source, **view.op.attributes)
    return index, n


def _components(region, value, dim):
    """(indices, n of each component) of an indices operand whose components lie along ``dim``, or None."""
    count = value.shape[dim] if dim < value.type.rank else 1
    found = _through_views(region, value)
    if found is not None:
        return found[0], (found[1],) * count
    op = value.op
    if op is None or op.name != "concatenate" or op.attributes["dim"] != dim or any(v.shape[dim] != 1 for v in op.operands):
        return None
    parts = [_through_views(region, v) or (v, 0) for v in op.operands]
    if not any(n for _, n in parts):
        return None
    joined = region.add("concatenate", [v for v, _ in parts], value.type, source=op.source, **op.attributes)
    return joined, tuple(n for _, n in parts)


def _rule(region, op):
    if "from_end" in op.attributes:
        return None
    if op.name in ("gather", "scatter"):
        at = len(op.operands) // 2
        found = _components(region, op.operands[at], op.attributes["index_vector_dim"])
        if found is not None:
            op.operands[at], op.attributes["from_end"] = found
    elif op.name in ("dynamic_slice", "dynamic_update_slice"):
        first = 1 if op.name == "dynamic_slice" else 2
        parts = [_through_views(region, v) or (v, 0) for v in op.operands[first:]]
        if any(n for _, n in parts):
            op.operands[first:] = [v for v, _ in parts]
            op.attributes["from_end"] = tuple(n for _, n in parts)
    return None


def run(graph):
    """In place; what becomes unused is left for simplification. Linear in the number of operations."""
    return rewrite(graph, _rule)
