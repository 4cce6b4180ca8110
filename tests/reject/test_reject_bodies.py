"""Refusals of bodies: unknown micro-operations, registers, dtypes, what a body must leave (statuses 64 to 67)."""

from dataclasses import replace

import pytest
from images import PROGRAMS, assembled, edited, poke, section, view, with_operand, with_uop

from kjax.bytecode.assembler import assemble
from kjax.bytecode.program import Image, Nest, Tensor, Uop
from kjax.isa import dtypes, ops

UOP = 8


def uop_poke(name, k, layout, at, *values):
    return poke(assemble(PROGRAMS[name]()), layout, k * UOP + at, *values, within="BODY")


# -- every code ----------------------------------------------------------------------------------------------------

def one_uop(code, dtypes_of_registers, result):
    """A nest that loads registers 0, 1, 2 of the dtypes, does ``code`` on them into 3 and stores that as ``result``."""
    tensors, operands, body = [], [], []
    for k, dtype in enumerate(dtypes_of_registers):
        tensors.append(Tensor(dtype, "arena", 16, 64 * k))
        operands.append(view(k, 1))
        body.append(Uop("load", dtype, k, imm=k))
    tensors.append(Tensor(result, "arena", 16, 256))
    operands.append(view(len(tensors) - 1, 1))
    used = list(range(len(dtypes_of_registers))) + [0, 0, 0]
    body += [Uop("copy", "f32", 3, *used[:3]), Uop("store", result, a=3, imm=len(operands) - 1)]
    data = assemble(Image(tensors, code=[Nest((1,), tuple(operands), tuple(body), n_regs=4)], arena=512))
    return poke(data, "H", (len(body) - 2) * UOP, code, within="BODY")


def signature(op, dtype):
    """(dtypes of the operands, dtype of the result) of a row of the op table."""
    part = {"c64": "f32", "c128": "f64"}
    join = {v: k for k, v in part.items()}
    result = {"compare": "i1", "test": "i1", "part": part.get(dtype), "join": join.get(dtype)}.get(op.form, dtype)
    operands = ["i1" if op.form == "select" and k == 0 else dtype for k in range(op.arity)]
    return operands, op.converts_to or result


ROWS = [(op, dtype) for op in ops.OPS if op.form != "special" for dtype in op.dtypes]


@pytest.mark.parametrize("op", [op for op in ops.OPS if op.form != "special"], ids=lambda op: op.name)
def test_every_row_passes_with_its_dtypes_and_no_other(verify, refuses, op):
    for dtype in op.dtypes:
        operands, result = signature(op, dtype)
        code = op.number << ops.DTYPE_BITS | dtypes.BY_NAME[dtype].number
        verify(one_uop(code, operands, result))
        wrong = "u8" if result != "u8" else "i8"
        refuses(one_uop(code, operands, wrong), "bad_dtype", 0)
        for k in range(len(operands)):
            others = list(operands)
            others[k] = "i16" if operands[k] != "i16" else "u16"
            refuses(one_uop(code, others, result), "bad_dtype", 0)


def test_every_other_code_is_unknown(refuses):
    known = {op.number << ops.DTYPE_BITS | dtypes.BY_NAME[d].number for op in ops.OPS for d in op.dtypes}
    top = max(known)
    codes = [c for c in range(top + 64) if c not in known] + [0xFFFF, 0x8000, 6000]
    data = one_uop(0, ["f32", "f32", "f32"], "f32")
    at = 3 * UOP
    for code in codes[::7]:
        refuses(poke(data, "H", at, code, within="BODY"), "bad_uop", 0)


# -- fields --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("k, at", [
    (0, 3), (0, 4), (0, 5), (2, 5), (2, 6), (3, 4), (3, 5), (3, 6), (4, 2), (4, 4), (4, 5), (5, 3), (5, 4), (5, 5)])
def test_field_that_is_not_used(refuses, k, at):
    """load, binary, convert, store, iota; offsets 2 dst, 3 a, 4 b, 5 c, 6 imm"""
    refuses(uop_poke("map_nest", k, "B", at, 1), "bad_uop", 0)


@pytest.mark.parametrize("imm", [5, 64, 0xFFFF])
@pytest.mark.parametrize("k", [0, 4, 5])
def test_operand_that_is_not_there(refuses, k, imm):
    refuses(with_uop("map_nest", k, imm=imm), "bad_operand", 0)


@pytest.mark.parametrize("k, fields", [
    (0, dict(dst=4)), (0, dict(dst=255)), (2, dict(a=4)), (2, dict(b=64)), (2, dict(b=3)), (2, dict(a=2)),
    (3, dict(a=3)),
    (4, dict(a=255)), (2, dict(dst=4))])
def test_register(refuses, k, fields):
    refuses(with_uop("map_nest", k, **fields), "bad_register", 0)


def test_fewer_registers_than_used(refuses):
    for n in range(4):
        refuses(edited("map_nest", n_regs=n), "bad_register", 0)


@pytest.mark.parametrize("k, fields", [
    (0, dict(dtype="i32")), (0, dict(dtype="f64")), (4, dict(dtype="f32")), (2, dict(dtype="f64")), (4, dict(a=2)),
    (6, dict(a=0))])
def test_dtype(refuses, k, fields):
    refuses(with_uop("map_nest", k, **fields), "bad_dtype", 0)


def test_iota_dtypes(verify, refuses):
    iota_of_floats = ops.BY_NAME["iota"].number << ops.DTYPE_BITS | dtypes.BY_NAME["f32"].number
    refuses(uop_poke("map_nest", 5, "H", 0, iota_of_floats), "bad_uop", 0)
    refuses(with_uop("map_nest", 5, dtype="i64"), "bad_dtype", 0)  # the store after it takes i32


@pytest.mark.parametrize("source, target, status", [
    ("f32", "i32", None), ("f32", "u32", None), ("c64", "f64", None), ("i1", "i1", None), ("f32", "f64", "bad_dtype"),
    ("f32", "f16", "bad_dtype"), ("u8", "i1", "bad_dtype"), ("i1", "u8", None), ("i4", "i8", None)])
def test_bitcast(verify, refuses, source, target, status):
    tensors = [Tensor(source, "arena", 16), Tensor(target, "arena", 16, 64)]
    body = (Uop("load", source, 0, imm=0), Uop("bitcast", source, 1, 0, imm=target), Uop("store", target, a=1, imm=1))
    data = assemble(Image(tensors, code=[Nest((1,), (view(0, 1), view(1, 1)), body, n_regs=2)], arena=128))
    refuses(data, status, 0) if status else verify(data)
    for number in (0, 31, 32, 0xFFFF):
        refuses(poke(data, "H", UOP + 6, number, within="BODY"), "bad_uop", 0)


def test_a_select_takes_a_mask(refuses):
    data = one_uop(ops.BY_NAME["select"].number << 5 | dtypes.BY_NAME["u8"].number, ["u8", "u8", "u8"], "u8")
    refuses(data, "bad_dtype", 0)


# -- place and length ----------------------------------------------------------------------------------------------

def test_body_outside_of_its_section(refuses):
    data = assemble(PROGRAMS["map_nest"]())
    n = section(data, "BODY")[2] // UOP
    for first in (1, n, n + 1, 2**31, 2**32 - 1, 2**32 - n):
        refuses(poke(data, "I", 16, first, within="CODE"), "bad_body", 0)
    for counts in ((n + 1, 0, 0), (0xFFFF, 0xFFFF, 0xFFFF), (n, 0, 1)):
        refuses(poke(data, "HHH", 20, *counts, within="CODE"), "bad_body", 0)
    refuses(poke(assemble(PROGRAMS["scatter"]()), "I", 16, 1, within="CODE"), "bad_body", 0)
    refuses(poke(assemble(PROGRAMS["sort_by_body"]()), "I", 16, 1, within="CODE"), "bad_body", 0)


def test_length_of_a_body(verify, refuses):
    first, store = PROGRAMS["in_place"]().code[0].map[0::3]

    def program(n):
        return edited("in_place", map=(first,) + (Uop("copy", "f32", 1, 0),) * (n - 2) + (store,))

    verify(program(4096))
    refuses(program(4097), "bad_body", 0)


def test_a_body_must_store(refuses):
    image = PROGRAMS["in_place"]()
    refuses(edited("in_place", map=image.code[0].map[:3]), "bad_body", 0)
    refuses(edited("in_place", map=()), "bad_body", 0)
    refuses(edited("reduce_nest", post=()), "bad_body", 0)


def test_a_map_has_no_other_bodies(refuses):
    for part in ("combine", "post"):
        refuses(edited("map_nest", **{part: (Uop("copy", "f32", 0, 0),)}), "bad_body", 0)


# -- reductions ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("part, uops, status", [
    ("map", (Uop("load", "f32", 2, imm=0),), "bad_body"),  # no second value
    ("map", (Uop("load", "f32", 0, imm=0),), "bad_register"),  # an accumulator's register
    ("map", (Uop("load", "f32", 2, imm=0), Uop("to_f64", "f32", 1, 2)), "bad_register"),
    ("map", (Uop("load", "f32", 2, imm=0), Uop("add", "f32", 3, 2, 1)), "bad_register"),
    ("map", (Uop("load", "f32", 2, imm=0), Uop("copy", "f32", 3, 2)), "bad_dtype"),  # combine adds f64
    # the accumulator changes its type
    ("combine", (Uop("max", "f32", 0, 0, 2), Uop("to_f32", "f64", 1, 3)), "bad_dtype"),
    ("combine", (Uop("load", "f32", 0, imm=0),), "bad_uop"),
    ("combine", (Uop("store", "f32", a=0, imm=1),), "bad_uop"),
    ("combine", (Uop("iota", "i32", 0, imm=0),), "bad_uop"),
    ("combine", (Uop("add", "f64", 1, 1, 2),), "bad_dtype"),
    ("post", (Uop("store", "f32", a=2, imm=1),), "bad_register"),  # values are gone after the reduction
    ("post", (Uop("store", "f32", a=1, imm=1),), "bad_dtype"),
    # moves along the reduced dim
    ("post", (Uop("load", "f32", 0, imm=0), Uop("store", "f32", a=0, imm=1)), "bad_operand")])
def test_bodies_of_a_reduction(refuses, part, uops, status):
    refuses(edited("reduce_nest", **{part: uops}), status, 0)


def test_combine_may_leave_the_accumulators(verify):
    verify(edited("reduce_nest", combine=()))  # keeps any one value: nobody promised which


def test_a_map_may_store_every_point(verify, refuses):
    image = PROGRAMS["reduce_nest"]()
    image.arena = 128
    image.tensors.append(Tensor("f32", "arena", 80))
    nest = image.code[0]
    store = nest.map + (Uop("store", "f32", a=2, imm=3),)
    good = replace(nest, map=store, operands=nest.operands + (view(3, 5, 1),))
    verify(assembled(image, code=[good]))
    refuses(assembled(image, code=[replace(nest, map=store, operands=nest.operands + (view(3, 1, 0),))]),
            "bad_overlap", 0)


def test_a_post_load_stands_still(verify, refuses):
    image = PROGRAMS["reduce_nest"]()
    nest = image.code[0]
    post = (Uop("load", "f32", 2, imm=3), Uop("add", "f32", 0, 0, 2), *nest.post)
    for strides, good in (((5, 0), True), ((0, 0), True), ((5, 1), False), ((0, 1), False)):
        data = assembled(image, code=[replace(nest, post=post, operands=nest.operands + (view(0, *strides),))])
        verify(data) if good else refuses(data, "bad_operand", 0)


def test_a_post_store_over_what_the_map_reads(refuses):
    image = PROGRAMS["reduce_nest"]()
    image.outputs[0] = replace(image.outputs[0], tensor=1)
    image.arena = 128
    image.tensors += [Tensor("f32", "arena", 80)]
    nest = image.code[0]
    operands = (view(3, 5, 1), view(3, 5, 0), nest.operands[2])
    refuses(assembled(image, code=[replace(nest, operands=operands)]), "bad_overlap", 0)


def test_unused_operands_are_checked_too(refuses):
    image = PROGRAMS["in_place"]()
    nest = image.code[0]
    for extra in (view(9, 1), view(0, 2), view(0, 1, offset=1)):
        refuses(assembled(image, code=[replace(nest, operands=nest.operands + (extra,))]),
                "bad_operand" if extra.tensor == 9 else "out_of_bounds", 0)
    refuses(with_operand("in_place", 0, strides=(2,)), "out_of_bounds", 0)
