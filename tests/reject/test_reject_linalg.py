"""Refusals of the linalg instruction: kinds, sizes, operands that are left out, bounds and overlap."""

import struct

import pytest
from images import PROGRAMS, edited, poke

from kjax.bytecode.assembler import assemble
from kjax.bytecode.program import Linalg, Operand, Tensor

HEAD = 40  # bytes before the operands
OPERAND = 16


def poked(layout, at, *values, name="linalg"):
    return poke(assemble(PROGRAMS[name]()), layout, at, *values, within="CODE")


def with_operands(change, tensors=None):
    """The program ``linalg`` with its operands changed: {number: Operand or None}."""
    image = PROGRAMS["linalg"]()
    (insn,) = image.code
    operands = tuple(change.get(k, o) for k, o in enumerate(insn.operands))
    image.code = [Linalg(insn.kind, insn.dtype, insn.batch, insn.sizes, operands, insn.flags)]
    image.tensors = tensors or image.tensors
    return assemble(image)


@pytest.mark.parametrize("at, value, status", [
    (8, 0, "bad_opcode"), (8, 99, "bad_opcode"), (8, 255, "bad_opcode"), (9, 0, "bad_dtype"), (9, 6, "bad_dtype"),
    (9, 14, "bad_dtype"), (9, 17, "bad_dtype"), (10, 2, "bad_opcode"), (10, 255, "bad_opcode"), (11, 4, "bad_operand"),
    (11, 6, "bad_operand")])
def test_fields(refuses, at, value, status):
    refuses(poked("B", at, value), status, 0)


@pytest.mark.parametrize("batch, status", [(0, "bad_rank"), (3, "out_of_bounds"), (1 << 40, "out_of_bounds"),
                                           ((1 << 40) + 1, "too_large"), (2**64 - 1, "too_large")])
def test_batch(refuses, batch, status):
    refuses(poked("Q", 16, batch), status, 0)


@pytest.mark.parametrize("which, value, status", [
    (0, 0, "bad_rank"), (1, 0, "bad_rank"), (0, 3, "out_of_bounds"), (1, 4, "out_of_bounds"), (0, 1 << 15, "out_of_bounds"),
    (1, (1 << 15) + 1, "too_large"), (0, 2**32 - 1, "too_large"), (2, 1, "reserved_set")])
def test_sizes(refuses, which, value, status):
    refuses(poked("I", 24 + 4 * which, value), status, 0)


def test_columns_have_a_limit_of_their_own(refuses):
    image = PROGRAMS["linalg"]()
    image.code = [Linalg("triangular_solve", "f32", 1, (0, 1, (1 << 30) + 1), (Operand(0, 0, ()), Operand(0, 0, ()), Operand(1, 0, ())))]
    refuses(assemble(image), "too_large", 0)
    image.code = [Linalg("triangular_solve", "f32", 1, (0, 1, 1 << 30), (Operand(0, 0, ()), Operand(0, 0, ()), Operand(1, 0, ())))]
    refuses(assemble(image), "out_of_bounds", 0)


@pytest.mark.parametrize("sizes, kind, status", [((2, 3, 2), "reflector_product", "bad_rank"), ((3, 2, 3), "reflector_product", "bad_rank"),
                                                 ((2, 1, 3), "reflector_apply", "bad_rank")])
def test_more_reflectors_than_they_have_room_for(refuses, sizes, kind, status):
    operands = (Operand(0, 0, ()),) * (2 if kind.endswith("product") else 3) + (Operand(1, 0, ()),)
    refuses(edited("linalg", kind=kind, sizes=sizes, operands=operands), status, 0)


@pytest.mark.parametrize("operand", range(5))
def test_operands(refuses, operand):
    at = HEAD + OPERAND * operand
    refuses(poked("I", at + 4, 1), "reserved_set", 0)
    refuses(poked("I", at, 4), "bad_operand", 0)
    refuses(poked("I", at, 2**32 - 2), "bad_operand", 0)
    if operand != 2:
        for offset in (1 << 62, -1, -(1 << 63), 3):
            refuses(poked("q", at + 8, offset), "out_of_bounds", 0)


def test_left_out(refuses):
    refuses(with_operands({0: None}), "bad_operand", 0)
    refuses(with_operands({1: None, 3: None, 4: None}), "bad_operand", 0)
    refuses(poked("q", HEAD + 2 * OPERAND + 8, 1), "reserved_set", 0)


def test_dtypes_follow_from_the_instruction(refuses):
    tensors = PROGRAMS["linalg"]().tensors
    refuses(with_operands({4: Operand(1, 0, ())}), "bad_dtype", 0)
    refuses(with_operands({}, [*tensors[:2], Tensor("i32", "arena", tensors[2].bytes), tensors[3]]), "bad_dtype", 0)
    refuses(poked("B", 9, 16, name="eigenvalues"), "bad_dtype", 0)


def test_what_is_written(refuses):
    tensors = PROGRAMS["linalg"]().tensors
    refuses(with_operands({3: Operand(0, 0, ())}), "read_only", 0)
    arena = Tensor("f32", "arena", 2 * 2 * 4, 32)
    refuses(with_operands({1: Operand(4, 0, ())}, [*tensors, arena]), "bad_overlap", 0)
    refuses(with_operands({0: Operand(2, 0, ())}), "bad_overlap", 0)


def test_no_elements_no_tensor(refuses):
    """The next-to-diagonal of one row is nothing."""
    operands = (Operand(0, 0, ()), Operand(1, 0, ()), None, None, Operand(2, 0, ()))
    refuses(edited("linalg", kind="tridiagonal", batch=1, sizes=(0, 1, 0), operands=operands), "bad_operand", 0)


def test_layout():
    data = assemble(PROGRAMS["linalg"]())
    from images import section

    at = section(data, "CODE")[1]
    assert struct.unpack_from("<HHIBBBBIQIIII", data, at) == (6, 0, HEAD + 5 * OPERAND, 2, 16, 0, 5, 0, 2, 2, 3, 0, 0)
