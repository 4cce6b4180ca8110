"""Small programs that are right, one for each kind of instruction, and ways to change their bytes.

``PROGRAMS`` maps a name to a function that makes a fresh ``Image``. ``rehash`` makes the hashes match again after
bytes were changed, so that a change is met by the check that it is meant for.
"""

import struct
from dataclasses import replace

import xxhash

from kjax.bytecode.assembler import assemble
from kjax.bytecode.program import (
    Argument,
    Branch,
    Case,
    Do,
    Dot,
    End,
    Exchange,
    Gather,
    Image,
    Index,
    Linalg,
    Nest,
    Operand,
    Scan,
    Sort,
    Tensor,
    Trace,
    Transform,
    Uop,
    Value,
    While,
)
from kjax.isa import container


def view(tensor, *strides, offset=0):
    return Operand(tensor, offset, strides)


def arguments(*shapes, dtype="f32", first=0):
    """Arguments over tensors first, first + 1, ..."""
    return [Argument(first + k, dtype, shape) for k, shape in enumerate(shapes)]


def map_nest():
    """out[i, j] = (x[i, j] + c[j]) as i32, and the index j in an arena tensor"""
    body = (Uop("load", "f32", 0, imm=0), Uop("load", "f32", 1, imm=1), Uop("add", "f32", 2, 0, 1),
            Uop("to_i32", "f32", 3, 2), Uop("store", "i32", a=3, imm=2), Uop("iota", "i32", 1, imm=3),
            Uop("store", "i32", a=1, imm=4))
    nest = Nest((2, 3), (view(0, 3, 1), view(1, 0, 1), view(2, 3, 1), view(None, 0, 1), view(3, 3, 1)), body, n_regs=4)
    tensors = [Tensor("f32", "input", 24), Tensor("f32", "constant", 12), Tensor("i32", "output", 24),
               Tensor("i32", "arena", 24)]
    return Image(tensors, arguments((2, 3)), arguments((2, 3), dtype="i32", first=2), [nest], bytes(12), 24,
                 meta={"name": "map"})


def reduce_nest():
    """out[i] = max over j of x[i, j], and the f64 sum of the same row"""
    first = (Uop("load", "f32", 2, imm=0), Uop("to_f64", "f32", 3, 2))
    combine = (Uop("max", "f32", 0, 0, 2), Uop("add", "f64", 1, 1, 3))
    post = (Uop("store", "f32", a=0, imm=1), Uop("store", "f64", a=1, imm=2))
    nest = Nest((4, 5), (view(0, 5, 1), view(1, 1, 0), view(2, 1, 0)), first, combine, post, 2, 4, 1, 1)
    tensors = [Tensor("f32", "input", 80), Tensor("f32", "output", 16), Tensor("f64", "output", 32, index=1)]
    return Image(tensors, arguments((4, 5)), [Argument(1, "f32", (4,)), Argument(2, "f64", (4,))], [nest])


def in_place():
    """x += 1 for a donated x, stored through the input's own tensor; then y = x - 1"""
    add = (Uop("load", "f32", 0, imm=0), Uop("copy", "f32", 1, 0), Uop("add", "f32", 0, 0, 1),
           Uop("store", "f32", a=0, imm=0))
    sub = (Uop("load", "f32", 0, imm=0), Uop("neg", "f32", 0, 0), Uop("store", "f32", a=0, imm=1))
    tensors = [Tensor("f32", "input", 32), Tensor("f32", "output", 32), Tensor("f32", "output", 32, index=1)]
    return Image(tensors, arguments((8,)), [Argument(1, "f32", (8,), alias=0), Argument(2, "f32", (8,))],
                 [Nest((8,), (view(0, 1),), add, n_regs=2), Nest((8,), (view(1, 1), view(2, 1)), sub, n_regs=1)])


def dot():
    tensors = [Tensor("f32", "input", 24), Tensor("f32", "input", 48, index=1), Tensor("f32", "output", 32)]
    insn = Dot("f32", 0, 1, 1, 1, (2, 4, 3), view(0, 3, 0, 1), view(1, 0, 1, 4), view(2, 4, 1, 0))
    return Image(tensors, arguments((2, 3), (3, 4)), arguments((2, 4), first=2), [insn])


def gather():
    """out[b, w] = x[i[b], w]"""
    tensors = [Tensor("f32", "input", 120), Tensor("i32", "input", 16, index=1), Tensor("f32", "output", 48)]
    insn = Gather((4, 3), 1, view(0, 0, 1), view(2, 3, 1), (Index(1, 0, 9, 3, (1,)),))
    return Image(tensors, [Argument(0, "f32", (10, 3)), Argument(1, "i32", (4,))], arguments((4, 3), first=2), [insn])


def scatter():
    """x[i[b], w] += u[b, w], in place in the arena"""
    tensors = [Tensor("f32", "arena", 120), Tensor("i64", "input", 32), Tensor("f32", "input", 48, index=1)]
    insn = Gather((4, 3), 1, view(0, 0, 1), view(2, 3, 1), (Index(1, 0, 9, 3, (1,)),), "skip", True,
                  (Uop("add", "f32", 0, 0, 1),), 2)
    return Image(tensors, [Argument(1, "i64", (4,)), Argument(2, "f32", (4, 3))], [], [insn], arena=128)


def sort_by_keys():
    tensors = [Tensor("f32", "input", 48), Tensor("i32", "input", 48, index=1), Tensor("f32", "output", 48),
               Tensor("i32", "output", 48, index=1)]
    pairs = ((view(0, 4, 1), view(2, 4, 1)), (view(1, 4, 1), view(3, 4, 1)))
    insn = Sort((3, 4), pairs, ((True, True), (False, False)))
    shapes = [("f32", (3, 4)), ("i32", (3, 4))]
    inputs, outputs = ([Argument(k + first, *s) for k, s in enumerate(shapes)] for first in (0, 2))
    return Image(tensors, inputs, outputs, [insn])


def sort_by_body():
    """in place in the arena, by absolute value"""
    body = (Uop("abs", "f32", 2, 0), Uop("abs", "f32", 3, 1), Uop("lt", "f32", 0, 2, 3))
    insn = Sort((8,), ((view(0, 1), view(0, 1)),), (), body, 4)
    return Image([Tensor("f32", "arena", 32)], code=[insn], arena=64)


def linalg():
    """singular values of two matrices and their right vectors, of which the second is in the arena; left ones not wanted"""
    tensors = [Tensor("f32", "input", 2 * 6 * 4), Tensor("f32", "output", 2 * 2 * 4), Tensor("f32", "arena", 8 + 2 * 6 * 4),
               Tensor("i32", "output", 8, index=1)]
    operands = (Operand(0, 0, ()), Operand(1, 0, ()), None, Operand(2, 2, ()), Operand(3, 0, ()))
    return Image(tensors, arguments((2, 2, 3)), [Argument(1, "f32", (2, 2)), Argument(3, "i32", (2,))],
                 [Linalg("svd", "f32", 2, (2, 3, 0), operands)], arena=128)


def eigenvalues():
    """of a hermitian matrix, in place of nothing"""
    tensors = [Tensor("c64", "input", 72), Tensor("f32", "output", 12), Tensor("c64", "output", 72, index=1)]
    return Image(tensors, arguments((3, 3), dtype="c64"), [Argument(1, "f32", (3,)), Argument(2, "c64", (3, 3))],
                 [Linalg("eigh", "c64", 1, (0, 3, 0), (Operand(0, 0, ()), Operand(1, 0, ()), Operand(2, 0, ()), None))])


def scan():
    """along the rows of a matrix"""
    tensors = [Tensor("f32", "input", 48), Tensor("f32", "output", 48)]
    insn = Scan("add", "f32", (3, 4), view(0, 4, 1), view(1, 4, 1))
    return Image(tensors, [Argument(0, "f32", (3, 4))], [Argument(1, "f32", (3, 4))], [insn])


def transform():
    """of two times three transforms of twelve elements, in the arena"""
    tensors = [Tensor("c64", "input", 576), Tensor("c64", "output", 576), Tensor("f32", "arena", 88)]
    insn = Transform("complex", "f32", (2, 12, 3), (4, 3), view(0, 36, 3, 1), view(1, 36, 1, 12), Operand(2, 4, ()), 0.5, ("inverse",))
    return Image(tensors, [Argument(0, "c64", (2, 12, 3))], [Argument(1, "c64", (2, 3, 12))], [insn], arena=128)


def half_spectrum():
    """of twelve real elements"""
    tensors = [Tensor("f64", "input", 96), Tensor("c128", "output", 112), Tensor("f64", "constant", 96)]
    insn = Transform("forward", "f64", (1, 12, 1), (4, 3), view(0, 12, 1, 12), view(1, 7, 1, 7), Operand(2, 0, ()))
    return Image(tensors, [Argument(0, "f64", (12,))], [Argument(1, "c128", (7,))], [insn], constants=bytes(96))


def _increment(tensor):
    """t[0] += t[1], i32"""
    body = (Uop("load", "i32", 0, imm=0), Uop("load", "i32", 1, imm=1), Uop("add", "i32", 0, 0, 1),
            Uop("store", "i32", a=0, imm=0))
    return Nest((1,), (view(tensor, 0), view(tensor, 0, offset=1)), body, n_regs=2)


def loop():
    """a while within a while, then a case of three branches"""
    small = (Uop("load", "i32", 0, imm=0), Uop("load", "i32", 1, imm=1), Uop("lt", "i32", 2, 0, 1),
             Uop("store", "i1", a=2, imm=2))
    test = Nest((1,), (view(0, 0), view(0, 0, offset=1), view(1, 0)), small, n_regs=3)
    tensors = [Tensor("i32", "arena", 16), Tensor("i1", "arena", 1, 16), Tensor("i32", "input", 4)]
    code = [While(10), test, Do(1), While(0), test, Do(1), _increment(0), End(), End(),
            Case(2, 3), _increment(0), Branch(), Branch(), _increment(0), _increment(0), End()]
    return Image(tensors, arguments((), dtype="i32", first=2), [], code, arena=64)


def exchange():
    tensors = [Tensor("f32", "input", 8), Tensor("f32", "arena", 8), Tensor("f32", "output", 8),
               Tensor("u32", "arena", 4, 64)]
    code = [Exchange("all_gather", 1, ((0, 0), (1, 0), (2, 0)), 0, 1), Exchange("permute", 2, (1, 2, None), 0),
            Exchange("lane_id", 3, (0, 0, 0))]
    return Image(tensors, arguments((2,)), arguments((2,), first=2), code, arena=128, lanes=3)


def all_gather():
    """four lanes in two groups of two"""
    tensors = [Tensor("f32", "input", 8), Tensor("f32", "output", 16)]
    insn = Exchange("all_gather", 1, ((0, 0), (1, 1), (0, 1), (1, 0)), 0, 2)
    return Image(tensors, arguments((2,)), arguments((2, 2), first=1), [insn], lanes=4)


def trace():
    """print an input, a constant and an array of nothing"""
    tensors = [Tensor("f32", "input", 24), Tensor("i32", "constant", 4)]
    insn = Trace("print", 3, (Value(0, "f32", (2, 3)), Value(1, "i32", ()), Value(None, "f64", (7, 0))))
    return Image(tensors, arguments((2, 3)), [], [insn], bytes(4))


def trace_call():
    """y = f(x), and z, by the host; x and z in the arena"""
    tensors = [Tensor("f32", "arena", 24), Tensor("f32", "output", 12), Tensor("i32", "arena", 4, 64)]
    insn = Trace("call", 0, (Value(0, "f32", (2, 3)),), (Value(1, "f32", (3,)), Value(2, "i32", ())))
    return Image(tensors, [], arguments((3,), first=1), [insn], arena=128)


def empty():
    """an argument without elements, and no code"""
    return Image([], [Argument(None, "f32", (0, 3))], [Argument(None, "f32", (0, 3))])


PROGRAMS = {f.__name__: f for f in (map_nest, reduce_nest, in_place, dot, gather, scatter, sort_by_keys, sort_by_body, scan, linalg,
                                    eigenvalues, transform, half_spectrum, loop, exchange, all_gather, trace, trace_call, empty)}


# -- bytes ---------------------------------------------------------------------------------------------------------

def section(data, name):
    """(offset of the table's row, offset of the section, bytes) of section ``name``."""
    n = struct.unpack_from("<I", data, 16)[0]
    for k in range(n):
        at = container.HEADER.size + k * container.SECTION.size
        found, _, offset, size, _ = container.SECTION.unpack_from(data, at)
        if found == name.encode():
            return at, offset, size
    raise KeyError(name)


def rehash(data):
    """The same bytes with hashes that match; rows that point outside keep theirs."""
    data = bytearray(data)
    n = min(struct.unpack_from("<I", data, 16)[0], 8)
    for k in range(n):
        at = container.HEADER.size + k * container.SECTION.size
        if at + container.SECTION.size > len(data):
            break
        _, _, offset, size, _ = container.SECTION.unpack_from(data, at)
        if offset + size <= len(data):
            struct.pack_into("<Q", data, at + 24, xxhash.xxh64_intdigest(bytes(data[offset:offset + size]), 0))
    head = data[:container.HEADER.size + container.SECTION.size * n]
    head[40:48] = bytes(8)
    struct.pack_into("<Q", data, 40, xxhash.xxh64_intdigest(bytes(head), 0))
    return bytes(data)


def poke(data, layout, at, *values, within=None):
    """``data`` with ``values`` packed at byte ``at`` (of section ``within``) and the hashes matching."""
    data = bytearray(data)
    struct.pack_into("<" + layout, data, at + (section(data, within)[1] if within else 0), *values)
    return rehash(data)


def assembled(image, **changes):
    """Bytes of an image with fields replaced."""
    for name, value in changes.items():
        setattr(image, name, value)
    return assemble(image)


def edited(name, at=0, **fields):
    """Bytes of program ``name`` with fields of instruction ``at`` replaced."""
    image = PROGRAMS[name]()
    image.code[at] = replace(image.code[at], **fields)
    return assemble(image)


def with_operand(name, k, at=0, **fields):
    """Bytes of program ``name`` with fields of operand ``k`` of a nest replaced."""
    image = PROGRAMS[name]()
    operands = list(image.code[at].operands)
    operands[k] = replace(operands[k], **fields)
    image.code[at] = replace(image.code[at], operands=tuple(operands))
    return assemble(image)


def with_uop(name, k, part="map", at=0, **fields):
    """Bytes of program ``name`` with fields of micro-operation ``k`` of one of instruction ``at``'s bodies replaced."""
    image = PROGRAMS[name]()
    uops = list(getattr(image.code[at], part))
    uops[k] = replace(uops[k], **fields)
    image.code[at] = replace(image.code[at], **{part: tuple(uops)})
    return assemble(image)


def with_tensor(name, k, **fields):
    """Bytes of program ``name`` with fields of tensor ``k`` replaced."""
    image = PROGRAMS[name]()
    image.tensors[k] = replace(image.tensors[k], **fields)
    return assemble(image)


def with_argument(name, kind, k, **fields):
    """Bytes of program ``name`` with fields of argument ``k`` of ``kind`` ("inputs" or "outputs") replaced."""
    image = PROGRAMS[name]()
    row = getattr(image, kind)
    row[k] = replace(row[k], **fields)
    return assemble(image)
