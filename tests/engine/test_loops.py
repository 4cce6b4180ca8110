"""Loops as threaded code against Python: windows of one element by every kind of index, floats handed on, budgets."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Builder, load, store
from test_regions import Counter, copy, scalar_nest
from test_tiles import CPUS

from engine import ALL, Failed, Program
from kjax.bytecode import program as p
from kjax.isa import dtypes

ELEMENTS = ("i1", "u8", "i16", "i32", "u32", "i64", "u64", "f32", "f64", "f16")
INDICES = ("i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64")
BODIES = {"replace": (), "add": ("add",), "take from": ("sub",), "add twice": ("add", "add")}


def window(tensor, plain, index, limit, mode="clamp", scatter=False, wrap=0, step=1, body=(), offset=0):
    where = (p.Index(index, 0, limit, step, (), wrap),)
    return p.Gather((1,), 0, p.Operand(tensor, offset, (step,)), p.Operand(plain, 0, (1,)), where, mode, scatter, body, 3 if body else 0)


def numpy_of(dtype):
    return dtypes.BY_NAME[dtype].numpy


def values_of(rng, dtype, n):
    if dtype == "i1":
        return rng.integers(0, 2, n).astype(bool)
    return rng.integers(0, 90, n).astype(numpy_of(dtype))


def case(seed):
    """``y[at[i]] op= x[at[i]]`` for i below ``trips``; (image, inputs, what y becomes)."""
    r, rng = random.Random(seed), np.random.default_rng(seed)
    dtype, kind = r.choice(ELEMENTS), r.choice(INDICES)
    n, step, trips = r.randint(1, 9), r.choice((1, 1, 2)), r.choice((0, 1, 2, 7, 40))
    info = np.iinfo(numpy_of(kind))
    at = np.array([r.choice((info.min, info.max)) if r.random() < 0.1 else r.randint(max(info.min, -n - 2), n + 2) for _ in range(40)],
                  numpy_of(kind))
    wrap, mode = r.choice((0, n)) if info.min else 0, r.choice(("clamp", "skip"))
    name = "replace" if dtype in ("i1", "f16") else r.choice(list(BODIES))
    x, y = values_of(rng, dtype, n * step), values_of(rng, dtype, n * step)
    b = Builder()
    limit, indices, source = b.input("i32", ()), b.input(kind, at.shape), b.input(dtype, x.shape)
    b.input(dtype, y.shape)
    target = b.output(dtype, y.shape, alias=3)
    index, value = b.arena(kind, 1), b.arena(dtype, 1)
    with Counter(b, limit, r.choice((0, 40))) as counter:
        b.emit(window(indices, index, counter, 39))
        b.emit(window(source, value, index, n - 1, wrap=wrap, step=step))
        b.emit(window(target, value, index, n - 1, mode, True, wrap, step, tuple(p.Uop(op, dtype, 0, 0, 1) for op in BODIES[name])))
    want = y.copy()
    with np.errstate(all="ignore"):
        for k in at[:trips].tolist():
            k += wrap if k < 0 else 0
            place = min(max(k, 0), n - 1) * step
            new = x[place]
            if mode == "skip" and not 0 <= k < n:
                continue
            for op in BODIES[name] or ("set",):
                want[place] = new if op == "set" else want[place] + new if op == "add" else want[place] - new
    return b.image, [np.int32(trips), at, x, y], want


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**62))
def test_an_element_at_an_index(seed):
    image, inputs, want = case(seed)
    used = set()
    program = Program(image, random.Random(seed).choice(CPUS))
    for budget in (ALL, 1, 37):
        lane = program.lane([x.copy() for x in inputs])
        lane.finish(budget)
        np.testing.assert_array_equal(lane.outputs()[0], want)
        used.add(lane.vm.used)
    assert len(used) == 1 and (program.facts.cost_is_open or used.pop() <= program.facts.cost)


def recurrence(b, dtype, state, x, y, counter):
    """s = s * 0.75 + x[i]; y[i] = s"""
    value, factor = b.arena(dtype, 1), b.constant(np.array([0.75], numpy_of(dtype)))
    b.emit(window(x, value, counter, 99))
    scalar_nest(b, [load(0, 0, dtype), load(1, 1, dtype), p.Uop("mul", dtype, 0, 0, 1), load(1, 2, dtype), p.Uop("add", dtype, 0, 0, 1),
                    store(3, 0, dtype)], [(state, 0), (factor, 0), (value, 0), (state, 0)])
    b.emit(window(y, state, counter, 99, "skip", True))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_float_that_is_handed_on(dtype, cpu):
    """From the window to the pair, from there to the other window, around the loop; and again after each slice."""
    b = Builder()
    limit, x, first = b.input("i32", ()), b.input(dtype, (100,)), b.input(dtype, ())
    y, state = b.output(dtype, (100,)), b.arena(dtype, 1)
    copy(b, state, first, dtype)
    b.emit(p.Nest((100,), (p.Operand(x, 0, (1,)), p.Operand(y, 0, (1,))), (load(0, 0, dtype), store(1, 0, dtype)), n_regs=1, strip=64))
    with Counter(b, limit, 200) as counter:
        recurrence(b, dtype, state, x, y, counter)
    rng = np.random.default_rng(3)
    values = rng.standard_normal(100).astype(numpy_of(dtype))
    program = Program(b.image, cpu)
    for trips in (0, 1, 2, 100, 130):  # beyond 100: indices out of range are clamped, and left out
        s, want = numpy_of(dtype).type(-3), values.copy()
        for k in range(trips):
            s = s * numpy_of(dtype).type(0.75) + values[min(k, 99)]
            if k < 100:
                want[k] = s
        for budget in (ALL, 1, 50):
            np.testing.assert_array_equal(program.run(np.int32(trips), values, numpy_of(dtype).type(-3), budget=budget)[0], want)
    with pytest.raises(Failed, match="too_many_trips"):
        program.run(np.int32(201), values, numpy_of(dtype).type(0))


def counted(dtype, ops, trips=0):
    """x = ops(x, c) as often as a counter of ``dtype`` says; the body begins with what the iteration before it left."""
    b = Builder()
    first, last, step, x, c = (b.input(dtype, ()), b.input(dtype, ()), b.input(dtype, ()), b.input("f32", ()), b.input("f32", ()))
    out, counter, predicate = b.output("f32", ()), b.arena(dtype, 1), b.arena("i1", 1)
    copy(b, counter, first, dtype)
    copy(b, out, x, "f32")
    b.emit(p.While(trips=trips))
    scalar_nest(b, [load(0, 0, dtype), load(1, 1, dtype), p.Uop("lt", dtype, 0, 0, 1), store(2, 0, "i1")],
                [(counter, 0), (last, 0), (predicate, 0)])
    b.emit(p.Do(predicate))
    scalar_nest(b, [load(0, 0, "f32"), load(1, 1, "f32"), *(p.Uop(op, "f32", 0, 0, 1) for op in ops), store(2, 0, "f32")],
                [(out, 0), (c, 0), (out, 0)])
    scalar_nest(b, [load(0, 0, dtype), load(1, 1, dtype), p.Uop("add", dtype, 0, 0, 1), store(2, 0, dtype)],
                [(counter, 0), (step, 0), (counter, 0)])
    b.emit(p.End())
    return b.image


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["i32", "i64", "u32"])
@pytest.mark.parametrize("ops", [("mul",), ("mul", "add"), ("add", "mul", "sub", "div"), ()], ids="-".join)
def test_counts(dtype, ops, cpu):
    program, bounded = Program(counted(dtype, ops), cpu), Program(counted(dtype, ops, 7), cpu)
    do = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}
    cases = [(0, 0, 1), (0, 1, 1), (3, 10, 2), (5, 4, 1), (0, 50, 1)]
    if dtype != "u32":
        cases += [(-5, 3, 2), (-1, 0, 1)]
    else:
        cases += [(2**31 - 3, 2**31 + 4, 3)]
    for first, last, step in cases:
        x, c, trips = np.float32(1.25), np.float32(1.0625), max(0, -(-(last - first) // step))
        for _ in range(trips):
            for op in ops:
                x = do[op](x, c)
        arguments = [numpy_of(dtype).type(v) for v in (first, last, step)] + [np.float32(1.25), c]
        for budget in (ALL, 1, 33):
            assert program.run(*arguments, budget=budget)[0] == x
            if trips <= 7:
                assert bounded.run(*arguments, budget=budget)[0] == x
            else:
                with pytest.raises(Failed, match="too_many_trips"):
                    bounded.run(*arguments, budget=budget)


def test_a_counter_that_wraps():
    """The addition wraps as the instruction does; the comparison sees what it left."""
    image = counted("i32", ("add",))
    got = Program(image).run(np.int32(2**31 - 2), np.int32(2**31 - 1), np.int32(1), np.float32(0), np.float32(1))[0]
    assert got == 1
    lane = Program(image).lane([np.int32(0), np.int32(2**31 - 1), np.int32(2**30 + 1), np.float32(0), np.float32(1)], fuel=10_000)
    with pytest.raises(Failed, match="out_of_fuel"):  # 0, 2^30 + 1, 2^31 + 2 - 2^32, ... never reaches the limit
        lane.finish()


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 5])
def test_few_lanes_of_several_sizes(lanes, cpu):
    """y = y > z ? y * 0.5 + z : z, with z = f64 of k, k = k + the counter: lane after lane, slots of several sizes."""
    b = Builder()
    limit, y0, k0 = b.input("i32", ()), b.input("f64", (lanes,)), b.input("i32", (lanes,))
    y, k = b.output("f64", (lanes,)), b.output("i32", (lanes,))
    for to, source, dtype in ((y, y0, "f64"), (k, k0, "i32")):
        b.emit(p.Nest((lanes,), (p.Operand(source, 0, (1,)), p.Operand(to, 0, (1,))), (load(0, 0, dtype), store(1, 0, dtype)), n_regs=1,
                      strip=64))
    half = b.constant(np.array([0.5]))
    with Counter(b, limit) as counter:
        views = [(y, 1), (k, 1), (counter, 0), (half, 0)]
        uops = (load(0, 0, "f64"), load(1, 1, "i32"), load(2, 2, "i32"), p.Uop("add", "i32", 1, 1, 2), p.Uop("to_f64", "i32", 3, 1),
                p.Uop("gt", "f64", 4, 0, 3), load(5, 3, "f64"), p.Uop("mul", "f64", 0, 0, 5), p.Uop("add", "f64", 0, 0, 3),
                p.Uop("select", "f64", 0, 4, 0, 3), store(0, 0, "f64"), store(1, 1, "i32"))
        b.emit(p.Nest((lanes,), tuple(p.Operand(t, 0, (s,)) for t, s in views), uops, n_regs=6, strip=64))
    rng = np.random.default_rng(lanes)
    ys, ks = rng.standard_normal(lanes) * 50, rng.integers(-20, 5, lanes).astype(np.int32)
    want, kk = ys.copy(), ks.copy()
    for i in range(9):
        kk = kk + np.int32(i)
        want = np.where(want > kk, want * 0.5 + kk, kk)
    got = Program(b.image, cpu).run(np.int32(9), ys, ks)
    np.testing.assert_array_equal(got[0], want)
    np.testing.assert_array_equal(got[1], kk)
