"""Traces on the engine: the run stops, the host sees the values and writes results, the run goes on; whatever the slices."""

import ctypes

import numpy as np
import pytest
from programs import Builder, load, store

from engine import ALL, Lane, Program
from kjax.bytecode import program as p
from kjax.isa import dtypes


def ask(lane):
    """(trace's site, input arrays, output arrays that write through) of a lane that asks."""
    lib = lane.program.lib
    lib.kjx_asked.restype = lib.kjx_asked_at.restype = ctypes.c_void_p
    at = lib.kjx_asked(ctypes.byref(lane.vm))
    site, _, n_in, n_out, _ = np.frombuffer((ctypes.c_uint8 * 16).from_address(at + 8), "<u4,<u4,<u2,<u2,<u4")[0]
    trace = next(i for i in lane.program.image.code if isinstance(i, p.Trace) and i.site == site)
    arrays = []
    for k, v in enumerate(trace.inputs + trace.outputs):
        kind = dtypes.BY_NAME[v.dtype].numpy
        where = lib.kjx_asked_at(ctypes.byref(lane.vm), k)
        size = int(np.prod(v.shape)) * kind.itemsize
        assert (where is None) == (v.tensor is None)
        raw = (ctypes.c_uint8 * size).from_address(where) if where else bytearray()
        arrays.append(np.frombuffer(raw, kind).reshape(v.shape))
    assert (len(trace.inputs), len(trace.outputs)) == (n_in, n_out)
    return site, arrays[:n_in], arrays[n_in:]


def finish(lane, budget, host):
    while (got := lane.step(budget)) in ("again", "asking"):
        if got == "asking":
            host(*ask(lane))
    return got


def counted(trips):
    """y = x; ``trips`` times: print (step, y), y = host(y)"""
    b = Builder()
    x, y = b.input("f32", (5,)), b.output("f32", (5,))
    n, more, state, got = b.arena("i32", 1), b.arena("i1", 1), b.arena("f32", 5), b.arena("f32", 5)
    zero, one, top = (b.constant(np.int32([k])) for k in (0, 1, trips))
    copy = (load(0, 0, "f32"), store(1, 0, "f32"))

    def v(t, *strides):
        return p.Operand(t, 0, strides)

    b.emit(p.Nest((1,), (v(zero, 0), v(n, 0)), (load(0, 0, "i32"), store(1, 0, "i32")), n_regs=1))
    b.emit(p.Nest((5,), (v(x, 1), v(state, 1)), copy, n_regs=1))
    b.emit(p.While(trips))
    b.emit(p.Nest((1,), (v(n, 0), v(top, 0), v(more, 0)), (load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("lt", "i32", 2, 0, 1),
                                                           store(2, 2, "i1")), n_regs=3))
    b.emit(p.Do(more))
    b.emit(p.Trace("print", 7, (p.Value(n, "i32", ()), p.Value(state, "f32", (5, 1)), p.Value(None, "f64", (0, 3)))))
    b.emit(p.Trace("call", 8, (p.Value(state, "f32", (5,)),), (p.Value(got, "f32", (5,)),)))
    b.emit(p.Nest((5,), (v(got, 1), v(state, 1)), copy, n_regs=1))
    b.emit(p.Nest((1,), (v(n, 0), v(one, 0)), (load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("add", "i32", 0, 0, 1),
                                               store(0, 0, "i32")), n_regs=2))
    b.emit(p.End())
    b.emit(p.Nest((5,), (v(state, 1), v(y, 1)), copy, n_regs=1))
    return b.image


@pytest.mark.parametrize("budget", [1, 70, ALL])
def test_values_and_answers(budget):
    program = Program(counted(4))
    x = np.arange(5, dtype=np.float32)
    seen = []

    def host(site, inputs, outputs):
        seen.append((int(site), [a.copy() for a in inputs]))
        if outputs:
            outputs[0][:] = inputs[0] * 2 + 1

    lane = Lane(program, [x], 0, None, ALL)
    assert finish(lane, budget, host) == "ok"
    want = x
    for k in range(4):
        (a, (step, state, nothing)), (b, (argument,)) = seen[2 * k:2 * k + 2]
        assert (a, b, int(step), nothing.shape) == (7, 8, k, (0, 3))
        np.testing.assert_array_equal(state[:, 0], want)
        np.testing.assert_array_equal(argument, want)
        want = want * 2 + 1
    np.testing.assert_array_equal(lane.outputs()[0], want)
    assert lane.vm.used <= program.facts.cost and not program.facts.cost_is_open


def test_fuel_ends_at_the_same_place_however_sliced():
    program = Program(counted(50))
    ends = set()
    for budget in (1, 100, ALL):
        count = []
        lane = Lane(program, [np.zeros(5)], 0, None, 1000)
        assert finish(lane, budget, lambda *_, count=count: count.append(1)) == "out_of_fuel"
        ends.add((len(count), lane.vm.used))
    assert len({n for n, _ in ends}) == 1
