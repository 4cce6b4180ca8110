"""Small builders: an image grows by tensors and instructions."""

import numpy as np

from kjax.bytecode import program as p
from kjax.isa import dtypes


def strides_of(shape):
    """Row-major strides in elements."""
    out, step = [], 1
    for d in reversed(shape):
        out.append(step)
        step *= d
    return tuple(reversed(out))


class Builder:
    """``image`` with methods that add to it; each returns the number of the tensor it made."""

    def __init__(self, lanes=1):
        self.image = p.Image(lanes=lanes)

    def _tensor(self, dtype, storage, n, offset=0, index=0):
        self.image.tensors.append(p.Tensor(dtype, storage, n * dtypes.BY_NAME[dtype].size, offset, index))
        return len(self.image.tensors) - 1

    def input(self, dtype, shape):
        t = self._tensor(dtype, "input", int(np.prod(shape)), 0, len(self.image.inputs))
        self.image.inputs.append(p.Argument(t, dtype, tuple(shape)))
        return t

    def output(self, dtype, shape, alias=None):
        t = self._tensor(dtype, "output", int(np.prod(shape)), 0, len(self.image.outputs))
        self.image.outputs.append(p.Argument(t, dtype, tuple(shape), alias))
        return t

    def constant(self, array):
        data = array.tobytes()
        offset = len(self.image.constants)
        self.image.constants += data + bytes(-len(data) % 64)
        return self._tensor(dtypes.of(array.dtype).name, "constant", array.size, offset)

    def arena(self, dtype, n):
        offset = self.image.arena
        t = self._tensor(dtype, "arena", n, offset)
        size = self.image.tensors[t].bytes
        self.image.arena = offset + size + -size % 64
        return t

    def emit(self, instruction):
        self.image.code.append(instruction)


def view(tensor, shape, offset=0):
    """The dense operand over ``shape``."""
    return p.Operand(tensor, offset, strides_of(shape))


def scalar(tensor, rank, offset=0):
    return p.Operand(tensor, offset, (0,) * rank)


def load(dst, operand, dtype):
    return p.Uop("load", dtype, dst=dst, imm=operand)


def store(operand, a, dtype):
    return p.Uop("store", dtype, a=a, imm=operand)
