"""Elementwise operations whose result is only cut into pieces are done on the pieces.

The gates of a recurrent cell are pieces of one vector: ``split(x @ w + h @ u + b)``. Its sums would be a nest of their own, whose
result is stored to be loaded again by the nest of the gates. Done on the pieces they join that nest; slices of what was
added cost nothing. Each element is still computed once, and bits stay as they are.

Only pieces that lie side by side in memory: pieces of rows would be gathered row by row, operand by operand.
"""

from math import prod

from kjax.compiler.fuse import is_elementwise
from kjax.compiler.passes.rematerialize import visible_uses
from kjax.ir.graph import Type
from kjax.ir.rewrite import Rewriter

MAX_PIECES = 8
MAX_DEPTH = 8  # operations one on the other
LEAST = 16  # elements of a piece: a vector


def _is_piece(op):
    """Whether ``op`` takes neighbours in memory: of the only dim that counts up to there, without steps."""
    if op.name != "slice" or any(s != 1 for s in op.attributes["strides"]) or op.result.type.size < LEAST:
        return False
    shape, cut = op.operands[0].shape, op.result.shape
    changed = [d for d in range(len(shape)) if shape[d] != cut[d]]
    return len(changed) == 1 and prod(shape[:changed[0]]) == 1


def _depths(region):
    """The operations to be done on pieces: {value: how many of them are one on the other up to the pieces}."""
    users, depth = visible_uses(region), {}
    for op in reversed(region.ops):
        if not is_elementwise(op) or any(v.shape != op.result.shape for v in op.operands):
            continue
        ways = users.get(op.result)
        if not ways or len(ways) > MAX_PIECES:
            continue
        pieces = [u for u in ways if u.name == "slice"]
        above = [depth.get(u.result, MAX_DEPTH) if len(u.results) == 1 else MAX_DEPTH for u in ways if u.name != "slice"]
        fine = all(_is_piece(u) and users.get(u.result) and all(is_elementwise(w) for w in users[u.result]) for u in pieces)
        if fine and max(above, default=0) < MAX_DEPTH and sum(u.result.type.size for u in pieces) <= op.result.type.size:
            depth[op.result] = 1 + max(above, default=0)
    return depth


class _Pieces(Rewriter):
    """A piece is made where it is used first: what is made early waits in memory."""

    def __init__(self):
        super().__init__(self.rule)
        self.depth = {}
        self.made = {}  # in the region at hand: (value, where it is cut) -> piece

    def region(self, region):
        self.depth.update(_depths(region))
        outer, self.made = self.made, {}
        super().region(region)
        self.made = outer

    def rule(self, region, op):
        op.operands = [self.use(region, v) for v in op.operands]

    def use(self, region, value):
        cut = value.op
        if cut is None or cut.name != "slice" or cut.operands[0] not in self.depth:
            return value
        return self.piece(region, cut.operands[0], cut)

    def piece(self, region, value, cut):
        key = value, tuple(cut.attributes["start"]), tuple(cut.attributes["limit"])
        if key not in self.made:
            self.made[key] = self.make(region, value, cut)
        return self.made[key]

    def make(self, region, value, cut):
        op, type = value.op, Type(value.dtype, cut.result.shape)
        if value in self.depth:
            return region.add(op.name, [self.piece(region, v, cut) for v in op.operands], type, source=op.source, **op.attributes)
        if op is not None and op.name == "broadcast_in_dim" and op.operands[0].type.size == 1:
            return region.add(op.name, op.operands, type, source=op.source, **op.attributes)
        return region.add("slice", [value], type, source=cut.source, **cut.attributes)


def run(graph):
    """In place, before a simplification, which joins equal pieces and drops what is left unused. Linear in the operations."""
    _Pieces().region(graph)
    return graph
