"""What a nest means, point by point, in NumPy: the oracle of the engine's tests."""

import numpy as np

from kjax.isa import dtypes

_BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum, "and": np.bitwise_and,
    "or": np.bitwise_or, "xor": np.bitwise_xor, "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal,
}
_UNARY = {"neg": np.negative, "not": np.invert, "copy": np.copy}


def places(operand, dims):
    """Element numbers of a view at each point: an int64 array of shape ``dims``."""
    where = np.full(dims, operand.offset, np.int64)
    for axis, stride in enumerate(operand.strides):
        where += (np.arange(dims[axis]) * stride).reshape([-1 if k == axis else 1 for k in range(len(dims))])
    return where


def run_body(uops, registers, operands, memory, dims):
    """Run micro-operations on arrays of shape ``dims``; ``memory``: tensor number -> flat array, stored into."""
    r = registers
    with np.errstate(all="ignore"):
        for u in uops:
            numpy = dtypes.BY_NAME[u.dtype].numpy
            if u.op == "load":
                r[u.dst] = memory[operands[u.imm].tensor][places(operands[u.imm], dims)]
            elif u.op == "store":
                memory[operands[u.imm].tensor][places(operands[u.imm], dims)] = r[u.a]
            elif u.op == "iota":
                r[u.dst] = places(operands[u.imm], dims).astype(numpy)
            elif u.op == "bitcast":
                r[u.dst] = r[u.a].view(dtypes.BY_NAME[u.imm].numpy)
            elif u.op == "select":
                r[u.dst] = np.where(r[u.a], r[u.b], r[u.c])
            elif u.op.startswith("to_"):
                r[u.dst] = r[u.a].astype(dtypes.BY_NAME[u.op[3:]].numpy)
            elif u.op in _UNARY:
                r[u.dst] = _UNARY[u.op](r[u.a])
            else:
                r[u.dst] = _BINARY[u.op](r[u.a], r[u.b])
    return r


def run_nest(nest, memory):
    """Run a nest on ``memory``."""
    dims = tuple(nest.dims)
    registers = run_body(nest.map, {}, nest.operands, memory, dims)
    if not nest.n_acc:
        return
    first, after = nest.red_first, nest.red_first + nest.red_count
    kept = dims[:first] + (1,) * nest.red_count + dims[after:]
    n_red = int(np.prod(dims[first:after]))

    def rows(a):
        return np.moveaxis(a.reshape(dims[:first] + (n_red,) + dims[after:]), first, 0)

    values = [rows(registers[nest.n_acc + i]) for i in range(nest.n_acc)]
    acc = [v[0].copy() for v in values]
    for k in range(1, n_red):
        start = {i: acc[i] for i in range(nest.n_acc)} | {nest.n_acc + i: values[i][k] for i in range(nest.n_acc)}
        end = run_body(nest.combine, start, nest.operands, memory, acc[0].shape)
        acc = [end[i] for i in range(nest.n_acc)]
    run_body(nest.post, {i: acc[i].reshape(kept) for i in range(nest.n_acc)}, nest.operands, memory, kept)
