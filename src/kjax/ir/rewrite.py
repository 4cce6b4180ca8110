"""Rebuilding a region operation by operation: the frame of every pass."""


class Rewriter:
    """Walks a region and its inner regions in place.

    ``rule(builder, op)`` gets a ``Region`` to append to and an op whose operands are already the new values; it returns None
    to keep the op, or the list of values that replace its results.
    """

    def __init__(self, rule):
        self.rule = rule
        self.new = {}

    def get(self, value):
        while value in self.new:
            value = self.new[value]
        return value

    def region(self, region):
        ops, region.ops = region.ops, []
        for op in ops:
            op.operands = [self.get(v) for v in op.operands]
            for inner in op.regions:
                self.region(inner)
            replaced = self.rule(region, op)
            if replaced is None:
                region.ops.append(op)
            else:
                for old, new in zip(op.results, replaced, strict=True):
                    if old is not new:
                        self.new[old] = new
        region.results = [self.get(v) for v in region.results]


def substitute(region, new):
    """Use the values of the dict ``new`` instead of its keys in ``region`` and the regions in it."""
    for op in region.ops:
        op.operands = [new.get(v, v) for v in op.operands]
        for inner in op.regions:
            substitute(inner, new)
    region.results = [new.get(v, v) for v in region.results]


def rewrite(graph, rule):
    """Apply ``rule`` (see Rewriter) everywhere in ``graph``, in place."""
    Rewriter(rule).region(graph)
    return graph
