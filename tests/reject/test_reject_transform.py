"""Refusals of the transform instruction: kinds, lengths and factors, how many roots there are, bounds and overlap."""

from dataclasses import replace

import pytest
from images import PROGRAMS, edited, poke, view, with_tensor

from kjax.bytecode.assembler import assemble
from kjax.bytecode.program import Operand

FACTORS, ROOTS, DIMS, VIEWS = 16, 40, 56, 80  # bytes into the instruction


def poked(layout, at, *values, name="transform"):
    return poke(assemble(PROGRAMS[name]()), layout, at, *values, within="CODE")


@pytest.mark.parametrize("name, at, value, status", [
    ("transform", 8, 0, "bad_opcode"), ("transform", 8, 4, "bad_opcode"), ("transform", 8, 255, "bad_opcode"),
    ("transform", 8, 2, "bad_opcode"), ("half_spectrum", 8, 3, "bad_dtype"),
    ("transform", 9, 0, "bad_dtype"), ("transform", 9, 255, "bad_dtype"), ("transform", 10, 4, "bad_opcode"),
    ("transform", 10, 3, "bad_rank"), ("half_spectrum", 10, 1, "bad_opcode"), ("half_spectrum", 10, 2, "bad_opcode"),
    ("transform", 11, 0, "bad_rank"), ("transform", 11, 17, "bad_rank"),
    ("transform", 11, 3, "bad_rank"), ("transform", 11, 1, "reserved_set"),
    ("transform", ROOTS + 4, 1, "reserved_set"), ("transform", VIEWS + 4, 1, "reserved_set")])
def test_fields(refuses, name, at, value, status):
    refuses(poked("B", at, value, name=name), status, 0)


@pytest.mark.parametrize("name, factors", [
    ("transform", (4, 4)), ("transform", (12,)), ("transform", (6, 2)), ("transform", (1, 4, 3)), ("transform", (4, 3, 0)),
    ("transform", (8, 3)), ("half_spectrum", (3, 4)), ("half_spectrum", (2, 3, 2)), ("half_spectrum", (4,))])
def test_factors(refuses, name, factors):
    refuses(edited(name, factors=factors), "bad_rank", 0)


def test_no_pass_of_radix_8_or_7(refuses, verify):
    dims = (1, 8, 1)
    refuses(edited("half_spectrum", factors=(8,), dims=dims), "bad_rank", 0)
    verify(edited("half_spectrum", factors=(4, 2), dims=dims))
    refuses(edited("half_spectrum", factors=(7,), dims=(1, 7, 1)), "bad_rank", 0)
    verify(edited("transform", factors=(3, 4)))
    verify(edited("transform", factors=(7,), dims=(2, 7, 3)))


def test_factors_that_wrap(refuses):
    refuses(edited("transform", factors=(8,) * 16), "bad_rank", 0)
    refuses(edited("transform", factors=(8,) * 16, dims=(1, 1 << 32, 1)), "too_large", 0)


@pytest.mark.parametrize("dims, status", [
    ((0, 12, 3), "bad_rank"), ((2, 12, 0), "bad_rank"), ((3, 12, 3), "out_of_bounds"), ((2, 12, 4), "out_of_bounds"),
    ((2, 13, 3), "bad_rank"), ((2, 0, 3), "bad_rank"), ((2, 4097, 3), "too_large"), ((1 << 62, 12, 3), "too_large"),
    ((2, 12, 1 << 62), "too_large"), ((2, 1 << 40, 3), "too_large")])
def test_dims(refuses, dims, status):
    refuses(edited("transform", dims=dims), status, 0)


def test_roots(refuses, verify):
    """(4, 3) of 12 reads two times three roots of two numbers each, then none: twelve, of 22 numbers."""
    verify(edited("transform", roots=Operand(2, 10, ())))
    refuses(edited("transform", roots=Operand(2, 11, ())), "out_of_bounds", 0)
    refuses(edited("transform", roots=Operand(2, 23, ())), "out_of_bounds", 0)
    refuses(edited("transform", roots=Operand(2, -1, ())), "out_of_bounds", 0)
    refuses(edited("transform", roots=Operand(2, -(1 << 63), ())), "out_of_bounds", 0)
    refuses(edited("transform", roots=Operand(3, 0, ())), "bad_operand", 0)
    refuses(edited("transform", roots=Operand(2**32 - 1, 0, ())), "bad_operand", 0)
    refuses(edited("transform", roots=Operand(0, 0, ())), "bad_dtype", 0)
    refuses(with_tensor("transform", 2, dtype="i32"), "bad_dtype", 0)
    refuses(with_tensor("half_spectrum", 2, bytes=40), "out_of_bounds", 0)


def test_roots_for_each_element(refuses, verify):
    """A multiple of 16 lanes, and two numbers for each element after those of the passes."""
    def program(lanes, roots):
        image = PROGRAMS["transform"]()
        image.tensors = [replace(t, bytes=n) for t, n in zip(image.tensors, (12 * lanes * 8, 12 * lanes * 8, roots * 4), strict=True)]
        image.inputs = [replace(image.inputs[0], shape=(12 * lanes,))]
        image.outputs = [replace(image.outputs[0], shape=(12 * lanes,))]
        image.arena = roots * 4 + -roots * 4 % 64
        image.code = [replace(image.code[0], dims=(1, 12, lanes), flags=("turned",), input=view(0, 0, lanes, 1), out=view(1, 0, lanes, 1),
                              roots=Operand(2, 0, ()))]
        return assemble(image)

    verify(program(16, 12 + 2 * 12 * 16))
    refuses(program(16, 11 + 2 * 12 * 16), "out_of_bounds", 0)
    refuses(program(24, 4096), "bad_rank", 0)


@pytest.mark.parametrize("which", ("input", "out"))
def test_views(refuses, which):
    tensor = 0 if which == "input" else 1
    refuses(edited("transform", **{which: view(tensor, 37, 3, 1)}), "out_of_bounds", 0)
    refuses(edited("transform", **{which: view(tensor, 36, 3, 1, offset=1)}), "out_of_bounds", 0)
    refuses(edited("transform", **{which: view(tensor, 36, 3, -1)}), "out_of_bounds", 0)
    refuses(edited("transform", **{which: view(tensor, 36, 3, (1 << 63) - 1)}), "out_of_bounds", 0)
    refuses(edited("transform", **{which: view(9, 36, 3, 1)}), "bad_operand", 0)
    refuses(edited("transform", **{which: view(2**32 - 1, 36, 3, 1)}), "bad_operand", 0)
    refuses(with_tensor("half_spectrum", tensor, dtype="f32"), "bad_argument")


def test_half_spectra_have_one_element_more(refuses):
    refuses(edited("half_spectrum", out=view(1, 7, 1, 7, offset=1)), "out_of_bounds", 0)
    refuses(edited("half_spectrum", kind="backward"), "bad_dtype", 0)


def test_what_is_written(refuses):
    refuses(edited("transform", out=view(1, 36, 1, 0)), "bad_overlap", 0)
    refuses(edited("transform", out=view(1, 36, 1, 1)), "bad_overlap", 0)
    refuses(edited("transform", out=view(0, 36, 3, 1)), "read_only", 0)
    refuses(edited("transform", input=view(1, 36, 1, 12)), "bad_overlap", 0)
    image = PROGRAMS["half_spectrum"]()
    image.tensors[2] = replace(image.tensors[2], storage="arena", offset=64)
    image.tensors.append(replace(image.tensors[1], storage="arena", offset=0, index=0))
    image.code = [replace(image.code[0], out=view(3, 7, 1, 7))]
    image.arena, image.constants = 192, b""
    refuses(assemble(image), "bad_overlap", 0)
