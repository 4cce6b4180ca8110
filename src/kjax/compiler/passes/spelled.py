"""Functions that JAX spells out and the engine has as one operation. Unlike those of algebra.py, results may differ where they are tiny."""

from kjax.compiler.passes.algebra import constant_of


def _made_by(value, name):
    return value.op.operands if value.op is not None and value.op.name == name else None


def one_operation(region, op):
    """1 / (1 + exp(-x)), a sigmoid, as ``logistic``: one routine instead of four. A value, or None.

    The bits are the same but for x below -87, where ``logistic`` does not overflow: a denormal number instead of zero.
    """
    if op.name != "div" or op.result.dtype != "f32" or constant_of(op.operands[0]) != 1:
        return None
    total = _made_by(op.operands[1], "add")
    for one, power in (total, total[::-1]) if total else ():
        negative = constant_of(one) == 1 and _made_by(power, "exp")
        x = negative and _made_by(negative[0], "neg")
        if x:
            return region.add("logistic", x, op.result.type, source=op.source)
    return None
