"""The order of the operations of a small nest.

On few elements each operation is one of threaded code, and hands its result on in a register to the one right after it (engine/
ukernels/hand.inc). So what takes longest to be known comes last of an operation's operands.
"""

FEW = 4  # elements: KJX_LANES_APART
_CYCLES = {"div": 12, "sqrt": 14, "rsqrt": 20, "pow": 60, "exp": 30, "log": 30, "tanh": 30, "sin": 40, "cos": 40}
_OTHERS = 4


def scheduled(members):
    """The elementwise operations ``members`` (in an order in which they can be done) in another such order.

    Only if one of them uses all others: with several that are the last of theirs it may be that one is made where the operands of
    another one lie, which the order in the program knows about.
    """
    inner = {v for op in members for v in op.operands}
    last = [op for op in members if op.result not in inner]
    if members[0].result.type.size > FEW or len(last) != 1:
        return members
    maker, depth, order, done = {op.result: op for op in members}, {}, [], set()
    for op in members:
        depth[op] = _CYCLES.get(op.name, _OTHERS) + max((depth[maker[v]] for v in op.operands if v in maker), default=0)

    def visit(op):
        if op in done:
            return
        done.add(op)
        for before in sorted(dict.fromkeys(maker[v] for v in op.operands if v in maker), key=depth.__getitem__):
            visit(before)
        order.append(op)

    visit(last[0])
    return order
