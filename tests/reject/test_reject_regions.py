"""Refusals of control flow, and the sums over it: nesting, depth, branches, cost (statuses 54, 55, 80, 81)."""

from dataclasses import replace

import pytest
from images import PROGRAMS, assembled, edited, loop, poke, with_tensor

from kjax.bytecode.assembler import assemble
from kjax.bytecode.program import Branch, Case, Do, End, While

W, D, C, B, E = While(10), Do(1), Case(2, 2), Branch(), End()


def program(*code):
    return assembled(loop(), code=list(code))


@pytest.mark.parametrize("code", [
    (), (W, D, E), (W, W, D, E, D, E), (W, D, W, D, E, E), (C, B, E), (C, W, D, E, B, E), (Case(2, 1), E),
    (W, C, B, E, D, C, B, E, E), (C, C, B, E, B, C, B, E, E)])
def test_nests(verify, code):
    verify(program(*code))


@pytest.mark.parametrize("at, code", [
    (0, (D,)), (0, (E,)), (0, (B,)), (1, (W, E)), (2, (W, D, D)), (1, (W, B)), (2, (W, D, B)), (3, (W, D, E, E)),
    (3, (W, D, E, D)),
    (1, (C, D)), (1, (C, E)), (2, (C, B, B)), (2, (C, B, D)), (1, (Case(2, 1), B)), (2, (C, W, B)), (2, (C, W, E)),
    (3, (W, D, C, E)), (3, (C, W, D, B)), (None, (W,)), (None, (W, D)), (None, (C,)), (None, (C, B)),
    (None, (W, D, E, W))])
def test_bad_nesting(refuses, at, code):
    refuses(program(*code), "bad_nesting", at)


def test_too_deep(verify, refuses):
    verify(program(*[W] * 32, *[D, E] * 32))
    refuses(program(*[W] * 33, *[D, E] * 33), "too_deep", 32)
    refuses(program(*[C] * 33, *[B, E] * 33), "too_deep", 32)


@pytest.mark.parametrize("at, insn, status", [
    (2, Do(3), "bad_operand"), (2, Do(2**32 - 1), "bad_operand"), (2, Do(0), "bad_dtype"),
    (2, Do(1, 1), "out_of_bounds"),
    (2, Do(1, 2**64 - 1), "out_of_bounds"), (9, Case(3, 3), "bad_operand"), (9, Case(1, 3), "bad_dtype"),
    (9, Case(0, 3, 4), "out_of_bounds"), (9, Case(2, 0), "bad_opcode"), (9, Case(2, 257), "bad_opcode"),
    (9, Case(2, 2**32 - 1), "bad_opcode")])
def test_control(refuses, at, insn, status):
    image = loop()
    image.code[at] = insn
    refuses(assemble(image), status, at)


def test_predicate_and_index_dtypes(refuses):
    refuses(with_tensor("loop", 1, dtype="u8"), "bad_dtype")
    image = loop()
    image.tensors[2] = replace(image.tensors[2], dtype="u32")
    image.inputs[0] = replace(image.inputs[0], dtype="u32")
    refuses(assemble(image), "bad_dtype", 9)


@pytest.mark.parametrize("at", [16, 24 + 12])
def test_reserved_field(refuses, at):
    data = program(W, D, E)
    refuses(poke(data, "B", at, 1, within="CODE"), "reserved_set")


@pytest.mark.parametrize("code, k", [((W, D, E), 0), ((W, D, E), 1), ((W, D, E), 2), ((C, B, E), 0), ((C, B, E), 1)])
def test_length(refuses, code, k):
    data = program(*code)
    sizes = {While: 24, Do: 24, Case: 24, Branch: 8, End: 8}
    at = sum(sizes[type(c)] for c in code[:k])
    own = sizes[type(code[k])]
    for length in (0, 8 if own != 8 else 0, own - 1, own + 4, own + 8, 4096, 2**32 - 8):
        refuses(poke(data, "I", at + 4, length, within="CODE"), "bad_length", k)


# -- sums ----------------------------------------------------------------------------------------------------------

def body():
    return PROGRAMS["loop"]().code[10]


def test_cost_and_operations_multiply_with_trips(verify):
    once = verify(program(body()))
    assert once["flops"] == 1 and once["cost"] >= 1 and not once["cost_is_open"]
    empty = verify(program(While(5), Do(1), End()))
    full = verify(program(While(5), body(), Do(1), body(), body(), End()))
    assert full["flops"] == 6 + 2 * 5
    assert full["cost"] - empty["cost"] == 16 * once["cost"]
    nested = verify(program(While(5), Do(1), While(7), Do(1), body(), End(), End()))
    assert nested["flops"] == 35


def test_the_dearest_branch_counts(verify):
    b = body()
    assert verify(program(Case(2, 3), b, B, b, b, b, B, E))["flops"] == 3
    assert verify(program(Case(2, 2), b, Case(2, 2), b, B, b, b, E, B, b, b, E, b))["flops"] == 4
    assert verify(program(While(10), Do(1), Case(2, 2), b, B, b, b, E, End()))["flops"] == 20


def test_open_loops_count_once(verify):
    facts = verify(program(While(0), body(), Do(1), body(), End()))
    assert facts["cost_is_open"] and facts["flops"] == 2


def test_sums_saturate(verify):
    loops = [While(2**64 - 1)] * 8
    facts = verify(program(*loops, body(), *[Do(1), End()] * 8))
    assert facts["cost"] == facts["flops"] == 2**64 - 1
    facts = verify(program(*[While(2**32)] * 2, *[Do(1)], Case(2, 2), body(), B, body(), E, End(), Do(1), End()))
    assert facts["cost"] == 2**64 - 1


def test_memory_of_lanes_and_arena(verify):
    base, more = verify(assembled(loop(), arena=64)), verify(assembled(loop(), arena=65))
    assert more["arena_bytes"] - base["arena_bytes"] == 64
    assert verify(assembled(loop(), lanes=64))["arena_bytes"] == base["arena_bytes"]


def test_limit_of_memory(verify):
    from kjax import errors

    data = assembled(loop(), lanes=3)
    facts = verify(data)
    need = facts["plan_bytes"] + 3 * facts["arena_bytes"]
    verify(data, memory_limit=need)
    with pytest.raises(errors.LimitError, match="too_large"):
        verify(data, memory_limit=need - 1)
    with pytest.raises(errors.LimitError, match="too_large"):  # the header alone is too much
        verify(assembled(loop(), arena=1 << 40), memory_limit=1 << 30)


def test_limit_of_cost(verify):
    from kjax import errors

    data = edited("loop", 0, trips=1000)
    cost = verify(data)["cost"]
    verify(data, cost_limit=cost)
    with pytest.raises(errors.LimitError, match="over_cost"):
        verify(data, cost_limit=cost - 1)
