"""Small programs, as bytes, for the tests of the environment."""

from kjax.bytecode.assembler import assemble
from kjax.bytecode.program import Argument, Do, End, Exchange, Image, Nest, Operand, Tensor, Uop, While


def view(tensor, *strides):
    return Operand(tensor, 0, strides)


def add(n, dtype="f32", size=4):
    """a[n] + b[n]"""
    body = (Uop("load", dtype, 0, imm=0), Uop("load", dtype, 1, imm=1), Uop("add", dtype, 0, 0, 1),
            Uop("store", dtype, a=0, imm=2))
    tensors = [Tensor(dtype, "input", n * size), Tensor(dtype, "input", n * size, index=1),
               Tensor(dtype, "output", n * size)]
    shape = (n,)
    return assemble(Image(tensors, [Argument(0, dtype, shape), Argument(1, dtype, shape)], [Argument(2, dtype, shape)],
                          [Nest(shape, (view(0, 1), view(1, 1), view(2, 1)), body, n_regs=2)]))


def double_in_place(n):
    """x *= 2 for a donated x; a second output is -x of before"""
    negate = (Uop("load", "f32", 0, imm=0), Uop("neg", "f32", 0, 0), Uop("store", "f32", a=0, imm=1))
    double = (Uop("load", "f32", 0, imm=0), Uop("add", "f32", 0, 0, 0), Uop("store", "f32", a=0, imm=1))
    tensors = [Tensor("f32", "input", 4 * n), Tensor("f32", "output", 4 * n), Tensor("f32", "output", 4 * n, index=1)]
    return assemble(Image(
        tensors, [Argument(0, "f32", (n,))], [Argument(1, "f32", (n,), alias=0), Argument(2, "f32", (n,))],
        [Nest((n,), (view(0, 1), view(2, 1)), negate, n_regs=1),
         Nest((n,), (view(0, 1), view(1, 1)), double, n_regs=1)]))  # fmt: skip


def endless():
    """while x == x"""
    test = (Uop("load", "i32", 0, imm=0), Uop("eq", "i32", 1, 0, 0), Uop("store", "i1", a=1, imm=1))
    step = (Uop("load", "i32", 0, imm=0), Uop("add", "i32", 0, 0, 0), Uop("store", "i32", a=0, imm=1))
    tensors = [Tensor("i32", "input", 4), Tensor("i1", "arena", 1, 0), Tensor("i32", "arena", 4, 64)]
    code = [While(0), Nest((1,), (view(0, 0), view(1, 0)), test, n_regs=2), Do(1),
            Nest((1,), (view(0, 0), view(2, 0)), step, n_regs=1), End()]
    return assemble(Image(tensors, [Argument(0, "i32", ())], [], code, arena=128))


def gather_lanes(lanes):
    """Every lane gets what all lanes gave, and its own number."""
    tensors = [Tensor("f32", "input", 8), Tensor("f32", "output", 8 * lanes), Tensor("u32", "output", 4, index=1)]
    code = [Exchange("all_gather", 1, tuple((0, lane) for lane in range(lanes)), 0, lanes),
            Exchange("lane_id", 2, (0,) * lanes)]
    return assemble(Image(tensors, [Argument(0, "f32", (2,))], [Argument(1, "f32", (lanes, 2)), Argument(2, "u32", ())],
                          code, lanes=lanes))


def nothing():
    """An argument without elements comes and goes."""
    return assemble(Image([], [Argument(None, "f32", (0, 3))], [Argument(None, "f32", (0, 3))]))
