"""Small programs written by hand, so that the host side is tested without the compiler."""

import numpy as np

from kjax.bytecode import assembler
from kjax.bytecode import program as p


def _strides(shape):
    return tuple(int(np.prod(shape[d + 1:])) for d in range(len(shape)))


def elementwise(op, shape=(), dtype="f32", *, alias=None, size=4):
    """out = op(a, b), all of one shape; ``alias`` 0: out updates a in place."""
    n = size * int(np.prod(shape, dtype=int))
    dims = shape or (1,)
    strides = _strides(dims)
    return assembler.assemble(p.Image(
        tensors=[p.Tensor(dtype, "input", n), p.Tensor(dtype, "input", n, index=1), p.Tensor(dtype, "output", n)],
        inputs=[p.Argument(0, dtype, shape), p.Argument(1, dtype, shape)],
        outputs=[p.Argument(2, dtype, shape, alias)],
        code=[p.Nest(dims, tuple(p.Operand(t, 0, strides) for t in range(3)),
                     (p.Uop("load", dtype, 0, imm=0), p.Uop("load", dtype, 1, imm=1), p.Uop(op, dtype, 0, 0, 1),
                      p.Uop("store", dtype, 0, 0, imm=2)), n_regs=2)]))


def endless():
    """A loop whose predicate, a constant, is always true; takes and returns an f32 scalar."""
    return assembler.assemble(p.Image(
        tensors=[p.Tensor("f32", "input", 4), p.Tensor("f32", "output", 4), p.Tensor("i1", "constant", 1)],
        inputs=[p.Argument(0, "f32", ())], outputs=[p.Argument(1, "f32", ())], constants=b"\1",
        code=[p.While(), p.Do(2),
              p.Nest((1,), (p.Operand(0, 0, (1,)), p.Operand(1, 0, (1,))),
                     (p.Uop("load", "f32", 0, imm=0), p.Uop("store", "f32", 0, 0, imm=1)), n_regs=1),
              p.End()]))


def gather_lanes(lanes, n=3):
    """Every lane gets all lanes' f32[n]: out f32[lanes, n]."""
    return assembler.assemble(p.Image(
        tensors=[p.Tensor("f32", "input", 4 * n), p.Tensor("f32", "output", 4 * n * lanes)],
        inputs=[p.Argument(0, "f32", (n,))], outputs=[p.Argument(1, "f32", (lanes, n))], lanes=lanes,
        code=[p.Exchange("all_gather", 1, tuple((0, lane) for lane in range(lanes)), input=0, group_size=lanes)]))


def endless_lanes(lanes):
    """Lane after lane spins for ever, then they would meet: none may be left behind when the run is stopped."""
    return assembler.assemble(p.Image(
        tensors=[p.Tensor("f32", "input", 4), p.Tensor("f32", "output", 4 * lanes), p.Tensor("i1", "constant", 1),
                 p.Tensor("f32", "arena", 4)],
        inputs=[p.Argument(0, "f32", ())], outputs=[p.Argument(1, "f32", (lanes,))], constants=b"\1", arena=64,
        lanes=lanes,
        code=[p.While(), p.Do(2),
              p.Nest((1,), (p.Operand(0, 0, (1,)), p.Operand(3, 0, (1,))),
                     (p.Uop("load", "f32", 0, imm=0), p.Uop("store", "f32", 0, 0, imm=1)), n_regs=1),
              p.End(),
              p.Exchange("all_gather", 1, tuple((0, lane) for lane in range(lanes)), input=3, group_size=lanes)]))
