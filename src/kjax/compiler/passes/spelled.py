"""Functions that JAX spells out and the engine has as one operation. Unlike those of algebra.py, results may differ where they are tiny."""

from kjax.compiler.passes.algebra import constant_of, made_by


def one_operation(region, op):
    """1 / (1 + exp(-x)), a sigmoid, as ``logistic``: one routine instead of four. A value, or None.

    The bits are the same but for x below -87, where ``logistic`` does not overflow: a denormal number instead of zero.
    """
    if op.name != "div" or op.result.dtype != "f32" or constant_of(op.operands[0]) != 1:
        return None
    total = made_by(op.operands[1], "add")
    for one, power in (total, total[::-1]):
        negative, = made_by(power, "exp", 1)
        x, = made_by(negative, "neg", 1)
        if x is not None and constant_of(one) == 1:
            return region.add("logistic", [x], op.result.type, source=op.source)
    return None
