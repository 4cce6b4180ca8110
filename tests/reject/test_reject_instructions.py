"""Refusals of tensor instructions: lengths, ranks, operands, bounds, overlap, read-only storage (statuses 48 to 56)."""

from dataclasses import replace

import pytest
from images import PROGRAMS, edited, in_place, loop, poke, reduce_nest, view, with_operand, with_tensor

from kjax.bytecode.assembler import assemble
from kjax.bytecode.program import ROWS_JOINED, ROWS_OWN, Index, Nest, Operand, Tensor, Uop
from kjax.isa.dtypes import BY_NAME

INSN = 8  # bytes of struct kjx_insn


def assembled_poke(name, layout, at, *values):
    return poke(assemble(PROGRAMS[name]()), layout, at, *values, within="CODE")


@pytest.mark.parametrize("name", [n for n, f in PROGRAMS.items() if f().code])
def test_opcode_flags_length(refuses, name):
    data = assemble(PROGRAMS[name]())
    for opcode in (0, 15, 21, 255, 0xFFFF):
        refuses(poke(data, "H", 0, opcode, within="CODE"), "bad_opcode", 0)
    refuses(poke(data, "H", 2, 1, within="CODE"), "bad_opcode", 0)
    for length in (0, 4, 7, 8, 16, 0xFFFFFFF8, 0xFFFFFFFF):
        refuses(poke(data, "I", 4, length, within="CODE"), "bad_length", 0)


@pytest.mark.parametrize("name, at", [
    ("dot", 13), ("dot", 14), ("dot", 16), ("sort_by_keys", 14),
    ("exchange", 24), ("linalg", 36), ("transform", 44)])
def test_reserved_field(refuses, name, at):
    refuses(assembled_poke(name, "B", at, 1), "reserved_set", 0)


def test_rows(refuses, verify):
    at = 26
    for rows in (2, 4, 7, 0xFFFF):
        refuses(assembled_poke("map_nest", "H", at, rows), "reserved_set", 0)
    refuses(assembled_poke("map_nest", "H", at, 3), "bad_nesting", 0)
    own, joined = ROWS_OWN, ROWS_OWN | ROWS_JOINED

    def both(*rows, change=lambda nest: nest):
        image = in_place()
        first, second = (replace(n, rows=r) for n, r in zip(image.code, rows, strict=True))
        return assemble(replace(image, code=[first, change(second)]))

    verify(both(own, joined))
    refuses(both(0, joined), "bad_nesting", 1)
    refuses(both(own, joined, change=lambda n: replace(n, dims=(7,))), "bad_rank", 1)
    refuses(both(own, own, change=lambda n: replace(n, dims=(1,))), "bad_rank", 1)
    image = reduce_nest()
    (nest,) = image.code
    flat = replace(nest, dims=(5,), red_first=0, operands=tuple(replace(o, strides=o.strides[1:]) for o in nest.operands))
    refuses(assemble(replace(image, code=[replace(flat, rows=own)])), "bad_rank", 0)
    looping = loop()
    body = (Uop("load", "i32", 0, imm=0), Uop("store", "i32", a=0, imm=0))
    looping.code.insert(1, Nest((2,), (view(0, 1),), body, n_regs=1, rows=own))
    refuses(assemble(looping), "bad_nesting", 1)


@pytest.mark.parametrize("name, at", [
    ("map_nest", 32 + 16 + 4), ("map_nest", 32 + 16 + 3 * 32 + 4), ("dot", 24 + 24 + 4), ("gather", 24 + 16 + 4),
    ("gather", 24 + 16 + 32 + 4), ("sort_by_keys", 32 + 16 + 4)])
def test_reserved_field_of_an_operand(refuses, name, at):
    refuses(assembled_poke(name, "I", at, 1), "reserved_set", 0)


@pytest.mark.parametrize("name, values", [
    ("map_nest", (0,)), ("map_nest", (13,)), ("gather", (0, 0)), ("gather", (7, 6)), ("gather", (255, 255)),
    ("sort_by_keys", (0,)), ("sort_by_keys", (13,))])
def test_rank(refuses, name, values):
    refuses(assembled_poke(name, "B" * len(values), INSN, *values), "bad_rank", 0)


@pytest.mark.parametrize("groups", [(13, 0, 0, 0), (4, 4, 4, 4), (255, 255, 255, 255)])
def test_rank_of_a_dot(refuses, groups):
    refuses(assembled_poke("dot", "BBBB", INSN + 1, *groups), "bad_rank", 0)


@pytest.mark.parametrize("name, at", [
    ("map_nest", 32), ("dot", 24), ("gather", 24), ("scatter", 24), ("sort_by_keys", 32)])
def test_dims(refuses, name, at):
    refuses(assembled_poke(name, "Q", at, 0), "bad_rank", 0)
    refuses(assembled_poke(name, "Q", at, (1 << 40) + 1), "too_large", 0)
    refuses(assembled_poke(name, "Q", at, 2**64 - 1), "too_large", 0)
    refuses(assembled_poke(name, "QQ", at, 1 << 40, 1 << 40), "too_large", 0)


@pytest.mark.parametrize("first, count", [(0, 0), (2, 1), (1, 2), (255, 255), (255, 1)])
def test_reduced_dims(refuses, first, count):
    refuses(edited("reduce_nest", red_first=first, red_count=count), "bad_rank", 0)


@pytest.mark.parametrize("fields, status", [
    (dict(strip=0), "bad_opcode"), (dict(strip=1025), "bad_opcode"), (dict(n_regs=65), "bad_register"),
    (dict(n_acc=9), "too_large"), (dict(n_acc=3), "bad_register"), (dict(n_acc=0), "bad_body"),
    (dict(operands=(view(0, 5, 1),) * 65), "too_large")])
def test_fields_of_a_nest(refuses, fields, status):
    refuses(edited("reduce_nest", **fields), status, 0)


@pytest.mark.parametrize("at, value, status", [
    (9, 1, "bad_length"), (9, 6, "bad_length"), (8, 1, "bad_length"), (8, 3, "bad_length")])
def test_length_follows_the_counts(refuses, at, value, status):
    refuses(assembled_poke("map_nest", "B", at, value), status, 0)


@pytest.mark.parametrize("tensor", [4, 5, 2**31, 2**32 - 2])
def test_no_such_tensor(refuses, tensor):
    refuses(with_operand("map_nest", 0, tensor=tensor), "bad_operand", 0)


@pytest.mark.parametrize("k, fields", [
    (0, dict(offset=-1)), (0, dict(offset=1)), (0, dict(strides=(3, 2))), (0, dict(strides=(4, 1))),
    (0, dict(strides=(-1, 1))), (1, dict(offset=1)), (2, dict(offset=2**63 - 1)), (2, dict(offset=-2**63)),
    (0, dict(strides=(2**63 - 1, 1))), (0, dict(strides=(-2**63, 1))), (0, dict(strides=(2**63 - 1, -2**62))),
    (0, dict(offset=-2**62, strides=(2**62, 1))), (0, dict(offset=2**62, strides=(-2**62, 1)))])
def test_view_out_of_bounds(refuses, k, fields):
    refuses(with_operand("map_nest", k, **fields), "out_of_bounds", 0)


def test_view_reaches_exactly_the_ends(verify, refuses):
    body = (Uop("load", "f32", 0, imm=0), Uop("store", "f32", a=0, imm=1))
    image = PROGRAMS["dot"]()

    def nest(offset, *strides):
        image.code = [Nest((2, 4), (Operand(1, offset, strides), view(2, 4, 1)), body, n_regs=1)]
        return assemble(image)

    verify(nest(11, -4, -1))
    verify(nest(0, 0, 0))
    verify(nest(4, 4, 1))
    refuses(nest(5, 4, 1), "out_of_bounds", 0)
    refuses(nest(6, -4, -1), "out_of_bounds", 0)


@pytest.mark.parametrize("fields", [
    dict(offset=2**62 + 1), dict(strides=(0, 2**62)), dict(offset=2**62, strides=(0, 1)), dict(strides=(2**63 - 1, 1)),
    dict(offset=-2**63), dict(strides=(-2**63, 0))])
def test_iota_leaves_62_bits(refuses, fields):
    refuses(with_operand("map_nest", 3, **fields), "out_of_bounds", 0)


def test_load_of_an_iota_and_iota_of_a_tensor(refuses):
    refuses(with_operand("map_nest", 3, tensor=3), "bad_operand", 0)
    refuses(with_operand("map_nest", 0, tensor=None), "bad_operand", 0)
    refuses(with_operand("map_nest", 2, tensor=None), "bad_operand", 0)


# -- overlap -------------------------------------------------------------------------------------------------------

def shift(offset, stride, *, out=1, dims=(4,), read=1):
    """in_place's program with one nest that reads one view of tensor ``read`` and writes another of ``out``"""
    image = PROGRAMS["in_place"]()
    body = (Uop("load", "f32", 0, imm=0), Uop("store", "f32", a=0, imm=1))
    image.code = [Nest(dims, (Operand(read, 0, (1,) * len(dims)), Operand(out, offset, stride)), body, n_regs=1)]
    return assemble(image)


def test_strides_that_interleave_are_refused(refuses):
    """An over-estimate: elements 0 2 4 3 5 7 are all different, but no slice of a dense tensor looks so."""
    image = PROGRAMS["in_place"]()
    body = (Uop("load", "f32", 0, imm=0), Uop("store", "f32", a=0, imm=1))
    image.code = [Nest((2, 3), (view(2, 0, 0), view(1, 3, 2)), body, n_regs=1)]
    refuses(assemble(image), "bad_overlap", 0)


def test_overlap_of_what_is_read_and_written(verify, refuses):
    verify(shift(0, (1,)))
    verify(shift(4, (1,)))
    verify(shift(0, (1,), read=2))
    for offset, stride in ((1, 1), (3, 1), (0, 2), (3, -1)):
        refuses(shift(offset, (stride,)), "bad_overlap", 0)


def test_an_aliased_output_is_its_input(verify, refuses):
    verify(shift(0, (1,), read=0))
    verify(shift(0, (1,), read=1, out=0))
    refuses(shift(1, (1,), read=0), "bad_overlap", 0)
    refuses(shift(1, (1,), read=1, out=0), "bad_overlap", 0)


def test_overlap_of_tensors_in_the_arena(verify, refuses):
    def program(offset, dtype="f32", read="f32"):
        image = PROGRAMS["in_place"]()
        image.arena = 128
        image.tensors += [Tensor(read, "arena", 32, 0), Tensor(dtype, "arena", 32, offset)]
        body = (Uop("load", read, 0, imm=0), Uop("bitcast", read, 0, 0, imm=dtype), Uop("store", dtype, a=0, imm=1))
        image.code = [Nest((8,), (view(3, 1), view(4, 1)), body, n_regs=1)]
        return assemble(image)

    verify(program(64))
    verify(program(32))
    verify(program(0))
    verify(program(0, "i32"))  # the same bytes at every point, whatever they mean
    refuses(program(28), "bad_overlap", 0)
    refuses(program(4), "bad_overlap", 0)


def test_elements_of_another_size_overlap(refuses):
    image = PROGRAMS["in_place"]()
    image.arena = 64
    image.tensors += [Tensor("f32", "arena", 32), Tensor("f64", "arena", 64)]
    body = (Uop("load", "f32", 0, imm=0), Uop("to_f64", "f32", 1, 0), Uop("store", "f64", a=1, imm=1))
    image.code = [Nest((8,), (view(3, 1), view(4, 1)), body, n_regs=2)]
    refuses(assemble(image), "bad_overlap", 0)


@pytest.mark.parametrize("dims, stride, good", [
    ((8,), (0,), False), ((2, 4), (0, 1), False), ((2, 4), (4, 1), True), ((2, 2), (1, 1), False),
    ((2, 4), (1, 2), True), ((1, 8), (0, 1), True), ((1, 8), (1, 1), True)])
def test_a_view_written_to_visits_an_element_once(verify, refuses, dims, stride, good):
    image = PROGRAMS["in_place"]()
    body = (Uop("load", "f32", 0, imm=0), Uop("store", "f32", a=0, imm=1))
    image.code = [Nest(dims, (view(2, *(0,) * len(dims)), view(1, *stride)), body, n_regs=1)]
    verify(assemble(image)) if good else refuses(assemble(image), "bad_overlap", 0)


def test_results_of_a_reduction_stay_apart(verify, refuses):
    """Stores after the reduction stand still on reduced dims; on kept dims they must not."""
    refuses(with_operand("reduce_nest", 1, strides=(0, 0)), "bad_overlap", 0)
    refuses(with_operand("reduce_nest", 1, strides=(1, 1), offset=-3), "out_of_bounds", 0)


# -- storage -------------------------------------------------------------------------------------------------------

def test_read_only(refuses):
    refuses(with_tensor("scatter", 0, storage="constant"), "bad_tensor")
    image = PROGRAMS["map_nest"]()
    image.tensors.append(Tensor("i32", "constant", 12))
    image.code = [replace(image.code[0], dims=(1, 3), operands=image.code[0].operands[:4] + (view(4, 0, 1),))]
    refuses(assemble(image), "read_only", 0)
    refuses(edited("dot", out=view(0, 3, 0, 0), dims=(2, 1, 3), rhs=view(1, 0, 0, 1)), "read_only", 0)
    refuses(edited("gather", windowed=view(2, 0, 1), plain=view(0, 3, 1), indices=()), "read_only", 0)
    refuses(edited("exchange", 1, out=0, input=1), "read_only", 1)
    image = PROGRAMS["in_place"]()
    image.outputs[0] = replace(image.outputs[0], alias=None)
    refuses(assemble(image), "read_only", 0)


# -- dot -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("fields, status", [
    (dict(lhs=view(0, 0, 1, 1)), "bad_operand"), (dict(rhs=view(1, 4, 1, 0)), "bad_operand"),
    (dict(out=view(2, 4, 0, 1)), "bad_operand"), (dict(lhs=view(0, 3, 0, 2)), "out_of_bounds"),
    (dict(out=view(2, 0, 1, 0)), "bad_overlap"), (dict(dtype="f16"), "bad_dtype"), (dict(dtype="f64"), "bad_dtype"),
    (dict(dtype="i1"), "bad_dtype"), (dict(lhs=view(2, 0, 0, 1)), "bad_overlap"),
    (dict(rhs=view(2, 0, 1, 0)), "bad_overlap"),
    (dict(lhs=view(None, 0, 0, 0)), "bad_operand"), (dict(out=view(9, 0, 0, 0)), "bad_operand")])
def test_dot(refuses, fields, status):
    refuses(edited("dot", **fields), status, 0)


@pytest.mark.parametrize("sides, dtype, allowed", [
    (("i8", "u8"), "i32", True), (("u4", "i2"), "u32", True), (("u2", "i4"), "i32", True), (("i16", "i8"), "i32", True),
    (("i8", "i32"), "i32", False), (("i32", "i8"), "i32", False), (("u16", "i8"), "i32", False), (("i1", "i8"), "i32", False),
    (("i8", "f8e4m3fn"), "i32", False), (("i8", "i8"), "f32", False), (("i8", "i8"), "i8", False), (("i16", "i16"), "i64", False),
    (("f16", "f16"), "f32", False), (("i32", "u32"), "i32", False)])
def test_operands_of_a_dot(refuses, verify, sides, dtype, allowed):
    image = PROGRAMS["dot"]()
    sizes = [t.bytes // 4 for t in image.tensors]
    for k, name in enumerate((*sides, dtype)):
        image.tensors[k] = replace(image.tensors[k], dtype=name, bytes=sizes[k] * BY_NAME[name].size)
    image.inputs = [replace(a, dtype=name) for a, name in zip(image.inputs, sides, strict=True)]
    image.outputs = [replace(image.outputs[0], dtype=dtype)]
    image.code[0] = replace(image.code[0], dtype=dtype)
    if allowed:
        verify(assemble(image))
    else:
        refuses(assemble(image), "bad_dtype", 0)


def test_dot_of_scalars(verify):
    verify(edited("dot", nb=0, nm=0, nn=0, nk=0, dims=(), lhs=view(0), rhs=view(1), out=view(2)))


# -- gather and scatter --------------------------------------------------------------------------------------------

def index(**fields):
    return (replace(Index(1, 0, 9, 3, (1,)), **fields),)


@pytest.mark.parametrize("name", ["gather", "scatter"])
@pytest.mark.parametrize("fields, status", [
    (dict(limit=10), "out_of_bounds"), (dict(step=4), "out_of_bounds"), (dict(step=-1), "out_of_bounds"),
    (dict(limit=2**64 - 1), "out_of_bounds"), (dict(limit=1 << 40, step=1 << 40), "out_of_bounds"),
    (dict(step=-2**63), "out_of_bounds"), (dict(step=2**63 - 1, limit=0), "out_of_bounds"),
    (dict(offset=1), "out_of_bounds"),
    (dict(offset=-1), "out_of_bounds"), (dict(strides=(2,)), "out_of_bounds"),
    (dict(strides=(2**63 - 1,)), "out_of_bounds"),
    (dict(tensor=3), "bad_operand"), (dict(tensor=2**32 - 1), "bad_operand"), (dict(tensor=2), "bad_dtype")])
def test_index(refuses, name, fields, status):
    refuses(edited(name, indices=index(**fields)), status, 0)


@pytest.mark.parametrize("name", ["gather", "scatter"])
def test_index_from_the_end(refuses, verify, name):
    """Signed ones may be counted so, by any number; the others are never below zero."""
    image = PROGRAMS[name]()
    image.code[0] = replace(image.code[0], indices=index(wrap=2**32 - 1))
    verify(assemble(image))
    image.tensors[1] = replace(image.tensors[1], dtype={"i32": "u32", "i64": "u64"}[image.tensors[1].dtype])
    image.inputs[:] = [replace(a, dtype=image.tensors[1].dtype) if a.tensor == 1 else a for a in image.inputs]
    refuses(assemble(image), "reserved_set", 0)


@pytest.mark.parametrize("name, fields, status", [
    ("gather", dict(indices=index() * 13), "too_large"), ("gather", dict(mode="skip"), "bad_opcode"),
    ("gather", dict(n_regs=1), "reserved_set"), ("gather", dict(body=(Uop("add", "f32", 0, 0, 1),)), "reserved_set"),
    ("scatter", dict(body=()), "reserved_set"), ("scatter", dict(n_regs=65), "bad_register"),
    ("scatter", dict(n_regs=1), "bad_register"), ("gather", dict(plain=view(2, 0, 1)), "bad_overlap"),
    ("gather", dict(windowed=view(2, 0, 1), indices=index(limit=0)), "bad_overlap"),
    ("gather", dict(windowed=view(0, 1, 1)), "out_of_bounds"), ("gather", dict(windowed=view(1, 0, 1)), "bad_dtype"),
    ("scatter", dict(body=(Uop("lt", "f32", 0, 0, 1),)), "bad_dtype"),
    ("scatter", dict(body=(Uop("load", "f32", 0),)), "bad_uop")])
def test_gather_and_scatter(refuses, name, fields, status):
    refuses(edited(name, **fields), status, 0)


@pytest.mark.parametrize("fields, status", [
    (dict(splats=(Operand(2, 12, ()),)), "out_of_bounds"), (dict(splats=(Operand(2, -1, ()),)), "out_of_bounds"),
    (dict(splats=(Operand(2, -2**63, ()),)), "out_of_bounds"), (dict(splats=(Operand(2, 2**63 - 1, ()),)), "out_of_bounds"),
    (dict(splats=(Operand(3, 0, ()),)), "bad_operand"), (dict(splats=(Operand(2**32 - 1, 0, ()),)), "bad_operand"),
    (dict(splats=(Operand(0, 0, ()),)), "bad_overlap"), (dict(n_regs=2), "bad_register"),
    (dict(splats=(Operand(2, 0, ()),) * 63, n_regs=64), "bad_register"),
    (dict(body=()), "reserved_set"), (dict(splats=(Operand(1, 0, ()),)), "bad_dtype")])
def test_splats(refuses, verify, fields, status):
    good = dict(splats=(Operand(2, 11, ()),), n_regs=3, body=(Uop("add", "f32", 0, 0, 2),))
    verify(edited("scatter", **good))
    refuses(edited("scatter", **{**good, **fields}), status, 0)


def test_splats_are_for_scatters(refuses):
    refuses(edited("gather", splats=(Operand(0, 0, ()),)), "reserved_set", 0)


def test_reserved_field_of_a_splat(refuses):
    image = edited("scatter", splats=(Operand(2, 11, ()),), n_regs=3)
    at = 24 + 2 * 8 + 2 * 32 + 40  # dims, two views, an index
    refuses(poke(image, "I", at + 4, 1, within="CODE"), "reserved_set", 0)


def test_index_mode(refuses):
    refuses(assembled_poke("scatter", "B", INSN + 3, 2), "bad_opcode", 0)


def test_scatter_over_its_own_indices(refuses):
    image = PROGRAMS["scatter"]()
    image.tensors[1] = Tensor("i64", "arena", 32, 64)
    image.inputs = [replace(image.inputs[1], tensor=2)]
    image.tensors[2] = replace(image.tensors[2], index=0)
    refuses(assemble(image), "bad_overlap", 0)


def test_a_window_may_go_down(verify, refuses):
    def backwards(offset):
        return edited("gather", windowed=view(0, 0, 1, offset=offset), indices=index(step=-3))

    verify(backwards(27))
    refuses(backwards(26), "out_of_bounds", 0)
    refuses(backwards(28), "out_of_bounds", 0)


# -- sort ----------------------------------------------------------------------------------------------------------

A, B, C, D = (view(k, 4, 1) for k in range(4))


@pytest.mark.parametrize("fields, status", [
    (dict(pairs=()), "too_large"), (dict(pairs=((A, C), (B, C))), "bad_dtype"),
    (dict(pairs=((A, C), (A, C))), "bad_overlap"),
    (dict(pairs=((A, C), (B, view(3, 0, 1)))), "bad_overlap"),
    (dict(pairs=((A, C), (B, view(3, 4, 2)))), "out_of_bounds"),
    (dict(pairs=((A, C), (view(3, 4, -1, offset=3), D))), "bad_overlap"), (dict(pairs=((A, A), (B, D))), "read_only"),
    (dict(pairs=((A, C), (C, C))), "bad_overlap"), (dict(keys=((True, False),) * 3), "bad_opcode"),
    (dict(n_regs=1), "reserved_set"), (dict(body=(Uop("lt", "f32", 0, 0, 1),)), "reserved_set"),
    (dict(keys=()), "bad_register")])
def test_sort(refuses, fields, status):
    refuses(edited("sort_by_keys", **fields), status, 0)


def test_sort_orders_of_keys_that_are_not_there(refuses):
    for at in (24, 28):
        refuses(assembled_poke("sort_by_keys", "I", at, 1 << 2), "reserved_set", 0)
        refuses(assembled_poke("sort_by_keys", "I", at, 1 << 31), "reserved_set", 0)


def test_sort_of_complex_keys(refuses):
    image = PROGRAMS["sort_by_keys"]()
    image.tensors = [replace(t, dtype="c64", bytes=96) if t.dtype == "f32" else t for t in image.tensors]
    image.inputs[0], image.outputs[0] = (replace(a, dtype="c64") for a in (image.inputs[0], image.outputs[0]))
    refuses(assemble(image), "bad_dtype", 0)


@pytest.mark.parametrize("body, n_regs, status", [
    ((Uop("abs", "f32", 0, 0),), 4, "bad_dtype"), ((Uop("lt", "f32", 2, 0, 1),), 4, "bad_dtype"),
    ((Uop("lt", "f32", 0, 0, 2),), 4, "bad_register"), ((), 4, "bad_dtype"),
    ((Uop("lt", "f32", 0, 0, 1),), 1, "bad_register"), ((Uop("lt", "f32", 0, 0, 1),), 65, "bad_register")])
def test_comparator(refuses, body, n_regs, status):
    refuses(edited("sort_by_body", body=body, n_regs=n_regs), status, 0)


# -- exchange ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, at, fields, status", [
    ("exchange", 0, dict(table=((0, 0), (1, 0), (1, 0))), "bad_operand"),
    ("exchange", 0, dict(table=((0, 0), (1, 0), (3, 0))), "bad_operand"),
    ("exchange", 0, dict(table=((0, 0), (1, 0), (2, 1))), "bad_operand"),
    ("exchange", 0, dict(group_size=2), "bad_operand"),
    ("exchange", 0, dict(group_size=0), "bad_opcode"), ("exchange", 0, dict(group_size=4), "bad_opcode"),
    ("exchange", 0, dict(table=((0, 0), (1, 0))), "bad_length"),
    ("exchange", 0, dict(table=((0, 0),) * 5), "bad_length"),
    ("exchange", 1, dict(table=(0, 1, 3)), "bad_operand"), ("exchange", 0, dict(out=4), "bad_operand"),
    ("exchange", 0, dict(input=4), "bad_operand"), ("exchange", 0, dict(input=None), "bad_operand"),
    ("exchange", 0, dict(out=3), "bad_dtype"), ("exchange", 1, dict(out=1, input=1), "bad_overlap"),
    ("exchange", 2, dict(input=0), "bad_operand"), ("exchange", 2, dict(out=1), "bad_dtype"),
    ("exchange", 2, dict(table=(0, 1, 2)), "reserved_set"), ("all_gather", 0, dict(out=0, input=1), "read_only"),
    ("all_gather", 0, dict(table=((0, 0), (0, 0), (1, 1), (1, 0))), "bad_operand"),
    ("all_gather", 0, dict(group_size=4, table=((0, 0), (0, 1), (0, 2), (0, 3))), "out_of_bounds")])
def test_exchange(refuses, name, at, fields, status):
    refuses(edited(name, at, **fields), status, at)


def test_exchange_kind_and_padding(refuses):
    refuses(assembled_poke("exchange", "I", INSN, 0), "bad_opcode", 0)
    refuses(assembled_poke("exchange", "I", INSN, 4), "bad_opcode", 0)
    refuses(assembled_poke("exchange", "I", 32 + 3 * 4, 1), "reserved_set", 0)


def test_lane_id_into_a_larger_tensor(refuses):
    refuses(with_tensor("exchange", 3, bytes=8), "out_of_bounds", 2)


# -- scan ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("fields, status", [
    (dict(op="sub"), "bad_uop"), (dict(op="neg"), "bad_uop"), (dict(op="load"), "bad_uop"), (dict(op="add", dtype="c64"), "bad_uop"),
    (dict(op="add", dtype="bf16"), "bad_uop"), (dict(dtype="i32"), "bad_dtype"), (dict(input=view(7, 4, 1)), "bad_operand"),
    (dict(input=view(0, 4, 2)), "out_of_bounds"), (dict(input=view(0, 4, -1)), "out_of_bounds"),
    (dict(out=view(1, 4, 0)), "bad_overlap"), (dict(out=view(0, 4, 1)), "read_only"), (dict(dims=(3, 5)), "out_of_bounds"),
    (dict(input=view(1, 1, 4, offset=0), dims=(3, 3)), "bad_overlap")])
def test_scan(refuses, fields, status):
    refuses(edited("scan", **fields), status, 0)


@pytest.mark.parametrize("at, value, status", [(11, 1, "reserved_set"), (10, 0, "bad_rank"), (10, 13, "bad_rank"), (10, 3, "bad_length"),
                                               (9, 255, "bad_uop")])
def test_fields_of_a_scan(refuses, at, value, status):
    refuses(assembled_poke("scan", "B", at, value), status, 0)


def test_a_scan_in_place(verify):
    verify(edited("scan", input=view(1, 4, 1)))
