"""Initial values of reductions that change nothing."""

import numpy as np


def neutral(op):
    """Whether a reduction's initial value changes nothing (then it need not be combined)."""
    if len(op.operands) != 2 or len(op.regions[0].ops) != 1:
        return False
    init = op.operands[1].op
    if init is None or init.name != "constant":
        return False
    info = op.operands[1].type.info
    if op.operands[1].type.rank or not info.is_native or info.is_complex:
        return False
    kind, value = op.regions[0].ops[0].name, np.asarray(init.attributes["value"]).item()
    if info.kind == "bool":
        return {"or": False, "and": True, "max": False, "min": True}.get(kind) is value
    if info.is_float:  # not add: 0 + -0 is 0
        return {"max": -np.inf, "min": np.inf, "mul": 1.0}.get(kind) == value
    bounds = np.iinfo(info.numpy)
    ones = bounds.max if info.kind == "uint" else -1
    return {"add": 0, "mul": 1, "or": 0, "xor": 0, "and": ones, "max": bounds.min, "min": bounds.max}.get(kind) == value
