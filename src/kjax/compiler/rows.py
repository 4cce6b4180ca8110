"""Neighbouring nests over large tensors run together, a block of rows at a time: what one leaves, the next finds in a cache.

A softmax over a large matrix is a maximum, a sum of exponentials and a division, row by row: three nests. One after the other
each streams the whole matrix from memory; by rows only the first one does.
"""

from dataclasses import replace
from math import prod

from kjax.bytecode import program as p
from kjax.isa import dtypes, limits

LARGE = 512 << 10  # bytes of a tensor that two nests share, from which on this pays
BLOCK = 128 << 10  # bytes of the large tensors in a block of rows: well inside a second-level cache


def _split(nest, rows, block):
    """``nest`` with ``rows`` // ``block`` points in dim 0, or None where its first dim is not made of ``rows`` rows."""
    first = nest.dims[0]
    if first % rows or (nest.n_acc and (not nest.red_first or first != rows)):
        return None
    outer, inner = rows // block, first // rows * block
    if inner == 1:
        return replace(nest, rows=p.ROWS_OWN)
    if len(nest.dims) == limits.MAX_RANK:
        return None
    operands = tuple(replace(o, strides=(o.strides[0] * inner, *o.strides)) for o in nest.operands)
    return replace(nest, dims=(outer, inner, *nest.dims[1:]), operands=operands, red_first=nest.red_first + bool(nest.n_acc),
                   rows=p.ROWS_OWN)


def _stored(nest):
    return {u.imm for u in nest.map + nest.post if u.op == "store"}


def _span(operand, dims):
    """Bytes from the tensor's start that the operand reaches in row 0: (first, after the last), and between rows."""
    size = dtypes.BY_NAME[operand.tensor.dtype].size
    reach = [(d - 1) * s for d, s in zip(dims[1:], operand.strides[1:], strict=True)]
    low = operand.offset + sum(r for r in reach if r < 0)
    high = operand.offset + sum(r for r in reach if r > 0)
    return low * size, (high + 1) * size, operand.strides[0] * size


def _rows_are_apart(a, dims_a, b, dims_b):
    """Whether rows of ``a`` and other rows of ``b`` have no byte in common."""
    (low, high, step), (low_b, high_b, step_b) = _span(a, dims_a), _span(b, dims_b)
    return step == step_b and max(high, high_b) - min(low, low_b) <= abs(step)


def _may_join(nest, members):
    """Whether running ``nest`` by rows with ``members`` changes nothing: what it shares with them, it shares row by row."""
    mine = _stored(nest)
    for other in members:
        theirs = _stored(other)
        for i, a in enumerate(nest.operands):
            for k, b in enumerate(other.operands):
                if a.tensor is None or b.tensor is None or a.tensor.owner is not b.tensor.owner:
                    continue
                if (i in mine or k in theirs) and not _rows_are_apart(a, nest.dims, b, other.dims):
                    return False
    return True


def _large(nests):
    """The tensors of at least LARGE bytes that at least two of the nests touch."""
    count = {}
    for nest in nests:
        for buffer in {o.tensor.owner for o in nest.operands if o.tensor is not None}:
            count[buffer] = count.get(buffer, 0) + 1
    return [b for b, n in count.items() if n > 1 and b.bytes >= LARGE]


def _block(nests, rows):
    """Rows at a time: a divisor of ``rows`` less than itself."""
    row_bytes = max(1, sum(b.bytes for b in _large(nests)) // rows)
    most = max(1, min(BLOCK // row_bytes, rows // 2))
    return next(n for n in range(most, 0, -1) if rows % n == 0)


def _group(nests):
    """The longest beginning of ``nests`` that can run together, by rows; [] where none can or it does not pay."""
    rows = next((n.dims[0] for n in nests if n.n_acc and n.red_first), 0)
    if rows < 2 or not _large(nests):
        return []
    block = _block(nests, rows)
    members = []
    for nest in nests:
        split = _split(nest, rows, block)
        if split is None or not _may_join(split, members):
            break
        members.append(replace(split, rows=p.ROWS_OWN | (p.ROWS_JOINED if members else 0)))
    return members if len(members) > 1 and _large(members) and prod(members[0].dims) > rows else []


def run(code):
    """``code`` with nests outside of loops joined where that pays. Cost: linear, and quadratic in the nests of a group."""
    out, at, depth = [], 0, []
    while at < len(code):
        instruction = code[at]
        if isinstance(instruction, (p.While, p.Case)):
            depth.append(isinstance(instruction, p.While))
        elif isinstance(instruction, p.End):
            depth.pop()
        members = []
        if isinstance(instruction, p.Nest) and not any(depth):
            end = at
            while end < len(code) and end - at < 16 and isinstance(code[end], p.Nest):
                end += 1
            members = _group(code[at:end])
        out += members or [instruction]
        at += max(1, len(members))
    return out
