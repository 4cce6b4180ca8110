"""Refusals of traces: what a host reads and writes is a whole tensor, to the byte."""

import pytest
from images import PROGRAMS, arguments, assembled, edited, poke

from kjax import errors
from kjax.bytecode.assembler import assemble
from kjax.bytecode.program import Image, Tensor, Trace, Value

FIRST = 24  # bytes before the first value


def poked(name, layout, at, *values):
    return poke(assemble(PROGRAMS[name]()), layout, at, *values, within="CODE")


def test_facts(verify):
    facts = verify(assembled(PROGRAMS["trace"]()))
    assert (facts["n_traces"], facts["n_calls"]) == (1, 0)
    facts = verify(assembled(PROGRAMS["trace_call"]()))
    assert (facts["n_traces"], facts["n_calls"]) == (1, 1)


def test_a_host_that_takes_no_calls(verify):
    verify(assembled(PROGRAMS["trace"]()), no_calls=True)
    with pytest.raises(errors.VerifyError, match="site 0") as caught:
        verify(assembled(PROGRAMS["trace_call"]()), no_calls=True)
    assert caught.value.status.name == "no_host" and caught.value.instruction == 0


def test_kind(refuses):
    for kind in (0, 3, 0xFFFFFFFF):
        refuses(poked("trace", "I", 20, kind), "bad_opcode", 0)
    refuses(edited("trace_call", kind="print"), "bad_opcode", 0)


def test_length(refuses):
    for counts in ((2, 0), (4, 0), (0, 0)):
        refuses(poked("trace", "HH", 16, *counts), "bad_length", 0)
    for rank in (1, 3, 255):
        assert refuses(poked("trace", "B", FIRST + 5, rank), ("bad_length", "bad_rank")[0] if rank > 12 else
                       {1: "out_of_bounds", 3: "out_of_bounds"}[rank], 0)


def test_too_many_values(refuses):
    value = Value(0, "f32", (2, 3))
    refuses(edited("trace", inputs=(value,) * 257), "too_large", 0)
    refuses(edited("trace_call", outputs=(value,) * 257), "too_large", 0)


def test_rank(refuses):
    refuses(edited("trace", inputs=(Value(0, "f32", (1,) * 11 + (2, 3)),)), "bad_rank", 0)


def test_reserved(refuses):
    refuses(poked("trace", "H", FIRST + 6, 1), "reserved_set", 0)


def test_tensor_and_dims_agree(refuses):
    for shape in ((2, 2), (2, 4), (), (6, 1, 2), (2**32, 2**32), (2**63, 2), (0,)):
        refuses(edited("trace", inputs=(Value(0, "f32", shape),)), "out_of_bounds", 0)
    refuses(edited("trace", inputs=(Value(0, "i32", (2, 3)),)), "bad_dtype", 0)
    refuses(edited("trace", inputs=(Value(2, "f32", (2, 3)),)), "bad_operand", 0)
    refuses(edited("trace", inputs=(Value(None, "f32", (2, 3)),)), "bad_operand", 0)
    refuses(edited("trace", inputs=(Value(None, "f32", (2**32, 2**32)),)), "bad_operand", 0)
    refuses(edited("trace", inputs=(Value(None, "f32", ()),)), "bad_operand", 0)
    refuses(poked("trace", "B", FIRST + 8 + 16 + 8 + 4, 0), "bad_dtype", 0)  # of the value without a tensor
    refuses(poked("trace", "B", FIRST + 8 + 16 + 8 + 4, 31), "bad_dtype", 0)


def test_outputs_are_written_apart(refuses, verify):
    call = PROGRAMS["trace_call"]().code[0]
    refuses(edited("trace_call", outputs=call.outputs[:1] * 2), "bad_overlap", 0)
    refuses(edited("trace_call", outputs=(Value(0, "f32", (6,)),)), "bad_overlap", 0)
    tensors = [Tensor("f32", "arena", 24), Tensor("f32", "arena", 8, 20), Tensor("f32", "arena", 8, 24)]
    for out, fine in ((1, False), (2, True)):
        image = Image(tensors, code=[Trace("call", 0, (Value(0, "f32", (6,)),), (Value(out, "f32", (2,)),))], arena=64)
        if fine:
            verify(assemble(image))
        else:
            refuses(assemble(image), "bad_overlap", 0)


def test_outputs_are_writable(refuses):
    tensors = [Tensor("f32", "input", 24)]
    image = Image(tensors, arguments((6,)), [], [Trace("call", 0, (), (Value(0, "f32", (6,)),))])
    refuses(assemble(image), "read_only", 0)
