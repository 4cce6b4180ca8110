"""Programs for the tests of the module: endless, long, in place, of many lanes."""

from kjax.bytecode.assembler import assemble
from kjax.bytecode.program import Argument, Do, End, Exchange, Image, Nest, Operand, Tensor, Uop, While


def _view(tensor, *strides, offset=0):
    return Operand(tensor, offset, strides)


def add(n=8):
    """(x, y) -> x + y, f32[n]."""
    body = (Uop("load", "f32", 0, imm=0), Uop("load", "f32", 1, imm=1), Uop("add", "f32", 0, 0, 1),
            Uop("store", "f32", a=0, imm=2))
    tensors = [Tensor("f32", "input", 4 * n), Tensor("f32", "input", 4 * n, index=1), Tensor("f32", "output", 4 * n)]
    arguments = [Argument(k, "f32", (n,)) for k in range(3)]
    nest = Nest((n,), (_view(0, 1), _view(1, 1), _view(2, 1)), body, n_regs=2)
    return assemble(Image(tensors, arguments[:2], arguments[2:], [nest]))


def bump(n=8):
    """x -> x + x, updating the input in place (output 0 aliases input 0)."""
    body = (Uop("load", "f32", 0, imm=0), Uop("add", "f32", 0, 0, 0), Uop("store", "f32", a=0, imm=0))
    tensors = [Tensor("f32", "input", 4 * n), Tensor("f32", "output", 4 * n)]
    return assemble(Image(tensors, [Argument(0, "f32", (n,))], [Argument(1, "f32", (n,), alias=0)],
                          [Nest((n,), (_view(0, 1),), body, n_regs=1)]))


def _count(tensor, amount):
    """t[0] += the constant in tensor ``amount``."""
    body = (Uop("load", "i32", 0, imm=0), Uop("load", "i32", 1, imm=1), Uop("add", "i32", 0, 0, 1),
            Uop("store", "i32", a=0, imm=0))
    return Nest((1,), (_view(tensor, 0), _view(amount, 0)), body, n_regs=2)


def endless(lanes=1, trips=0):
    """Counts for ever: () -> i32[1]; with ``trips``, until the loop's bound ends it."""
    tensors = [Tensor("i1", "constant", 1), Tensor("i32", "constant", 4, 64), Tensor("i32", "output", 4)]
    code = [While(trips), Do(0), _count(2, 1), End()]
    constants = b"\1" + bytes(63) + b"\1\0\0\0"
    return assemble(Image(tensors, [], [Argument(2, "i32", (1,))], code, constants, lanes=lanes))


def long(n=1 << 20, rounds=64):
    """A bounded run of many sections: x -> x with ``rounds`` additions of 1, f32[n]."""
    body = (Uop("load", "f32", 0, imm=0), Uop("load", "f32", 1, imm=1), Uop("add", "f32", 0, 0, 1),
            Uop("store", "f32", a=0, imm=0))
    tensors = [Tensor("f32", "input", 4 * n), Tensor("f32", "output", 4 * n), Tensor("f32", "constant", 4)]
    nest = Nest((n,), (_view(0, 1), _view(2, 0)), body, n_regs=2)
    return assemble(Image(tensors, [Argument(0, "f32", (n,))], [Argument(1, "f32", (n,), alias=0)], [nest] * rounds,
                          b"\0\0\x80\x3f"))


def ring(lanes, rounds, n=16):
    """Each round every lane takes the array of the lane before it and adds its own: rounds meetings of all lanes."""
    tensors = [Tensor("f32", "input", 4 * n), Tensor("f32", "output", 4 * n), Tensor("f32", "arena", 4 * n)]
    move = (Uop("load", "f32", 0, imm=0), Uop("store", "f32", a=0, imm=1))
    body = (Uop("load", "f32", 0, imm=0), Uop("load", "f32", 1, imm=1), Uop("add", "f32", 0, 0, 1),
            Uop("store", "f32", a=0, imm=2))
    table = tuple((lane - 1) % lanes for lane in range(lanes))
    code = [Nest((n,), (_view(0, 1), _view(1, 1)), move, n_regs=1)]
    for _ in range(rounds):
        code.append(Exchange("permute", 2, table, 1))
        code.append(Nest((n,), (_view(2, 1), _view(0, 1), _view(1, 1)), body, n_regs=2))
    return assemble(Image(tensors, [Argument(0, "f32", (n,))], [Argument(1, "f32", (n,))], code,
                          arena=64 * ((4 * n + 63) // 64), lanes=lanes))


def wide(n, work=1):
    """x -> x of f32[1], with an arena of n bytes; ``work``: that many elements are written there first."""
    body = (Uop("load", "f32", 0, imm=0), Uop("store", "f32", a=0, imm=1))
    tensors = [Tensor("f32", "input", 4), Tensor("f32", "output", 4), Tensor("f32", "arena", 4 * work)]
    busy = Nest((work,), (_view(0, 0), _view(2, 1)), body, n_regs=1)
    copy = Nest((1,), (_view(0, 0), _view(1, 0)), body, n_regs=1)
    return assemble(Image(tensors, [Argument(0, "f32", (1,))], [Argument(1, "f32", (1,))], [busy, copy],
                          arena=max(n, 4 * work + -4 * work % 64)))
