"""Tiles: runs of float operations done a few vectors at a time. The bits are those of one strip routine after the other."""

import random
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Builder, load, store

from engine import Program
from kjax.bytecode import program as p

FLAGS = set(re.search(r"^flags\s*:(.*)$", open("/proc/cpuinfo").read(), re.M)[1].split())
CPUS = ("scalar", "avx2") + (("avx512",) if {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= FLAGS else ())
DTYPES = {"f32": np.float32, "f64": np.float64}
BINARY = ("add", "sub", "mul", "div", "max", "min")
UNARY = ("neg", "abs", "sqrt", "rsqrt", "copy")
FUNCTIONS = ("exp", "log", "logistic", "tanh", "erf")
SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38, 88.0, -104.0)
LANES = (64, 65, 79, 80, 127, 128, 129, 191, 255, 256, 257, 300, 1000)
APART = 16  # a strip so short that nothing becomes tiles


def numbers(rng, dtype, n):
    x = (rng.normal(size=n) * 10.0 ** rng.integers(-3, 3, n)).astype(DTYPES[dtype])
    if rng.random() < 0.5:
        x[rng.integers(0, n, max(1, n // 50))] = rng.choice(SPECIAL)
    return x


def body_of(r, dtype, n, registers, held, places=None):
    """``n`` random operations; results go to registers that are not in ``places``."""
    body, free = [], [k for k in range(registers) if k not in (places or ())]
    for _ in range(n):
        near = sorted(held)[-3:] if r.random() < 0.5 else sorted(held)
        last = body[-1].dst if body and r.random() < 0.6 else r.choice(near)
        other, op = r.choice(sorted(held)), r.choice(BINARY + BINARY + UNARY + FUNCTIONS)
        a, b = (last, other) if r.random() < 0.5 else (other, last)
        dst = r.choice(free)
        body.append(p.Uop(op, dtype, dst, a, b if op in BINARY else 0))
        held.add(dst)
    return body


def same_bits(got, want):
    """NaNs may differ: which operand's comes out follows from the order of operands."""
    assert got.dtype == want.dtype
    bits = {4: np.uint32, 8: np.uint64}[got.itemsize]
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.where(np.isnan(got), 0, got.view(bits)), np.where(np.isnan(want), 0, want.view(bits)))


def both(build, cpu, strip):
    """The results of a program with strips of ``strip``, and with strips too short for tiles."""
    out = []
    for s in (strip, APART):
        image, arrays = build(s)
        out.append(Program(image, cpu).run(*arrays))
    return zip(*out, strict=True)


def emit_in_a_loop(b, nest):
    """``nest`` as the body of a while that runs once."""
    more, true = b.arena("i1", 1), b.constant(np.bool_([True]))

    def flip(uops, *tensors):
        b.emit(p.Nest((1,), tuple(p.Operand(t, 0, (0,)) for t in tensors), tuple(uops), n_regs=1, strip=1))

    flip([load(0, 0, "i1"), store(1, 0, "i1")], true, more)
    b.emit(p.While())
    b.emit(p.Do(more))
    b.emit(nest)
    flip([load(0, 0, "i1"), p.Uop("xor", "i1", 0, 0, 0), store(0, 0, "i1")], more)
    b.emit(p.End())


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**62))
def test_maps(seed):
    """Strips, single elements and row values as operands; results read once, often, never; some stored, some in place; in a loop,
    where a nest of one strip is threaded code, and outside."""
    r = random.Random(seed)
    dtype, cpu, lanes = r.choice(list(DTYPES)), r.choice(CPUS), r.choice(LANES)
    rows = r.choice([1, 1, 2, 5])
    dims = (rows, lanes) if rows > 1 else (lanes,)
    full = (lanes, 1)[-len(dims):]
    rng = np.random.default_rng(seed)

    def strides(kind):
        return {"full": full, "row": (1, 0)[-len(dims):], "column": (0, 1)[-len(dims):], "one": (0, 0)[-len(dims):]}[kind]

    kinds = ["full"] + [r.choice(["full", "row", "column", "one", "constant"]) for _ in range(r.randint(0, 4))]
    size = {"full": rows * lanes, "row": rows, "column": lanes, "one": 1, "constant": 1}
    arrays = [numbers(rng, dtype, size[k]) for k in kinds]
    registers = r.choice([8, 12, 32])
    held = set(range(len(kinds)))
    body = body_of(r, dtype, r.choice([2, 5, 20, 60]), registers, held)
    results = r.sample(sorted(held), r.randint(1, min(3, len(held))))
    in_place, in_a_loop, offset = r.random() < 0.3, r.random() < 0.4, r.choice([0, 0, 3])

    def build(strip):
        b = Builder()
        operands, inputs = [], []
        for kind, array in zip(kinds, arrays, strict=True):
            constant = kind == "constant"
            tensor = b.constant(array) if constant else b.input(dtype, array.shape)
            inputs += [] if constant else [array]
            operands.append(p.Operand(tensor, 0, strides("one" if constant else kind)))
        for k, _ in enumerate(results):
            alias = 0 if in_place and k == 0 else None
            first = 0 if alias == 0 else offset
            operands.append(p.Operand(b.output(dtype, (first + rows * lanes,), alias=alias), first, full))
        code = [load(k, k, dtype) for k in range(len(kinds))] + body
        code += [store(len(kinds) + k, x, dtype) for k, x in enumerate(results)]
        nest = p.Nest(dims, tuple(operands), tuple(code), n_regs=registers, strip=strip)
        emit_in_a_loop(b, nest) if in_a_loop else b.emit(nest)
        return b.image, inputs

    for got, want in both(build, cpu, r.choice([64, 100, 128, 256, 1024])):
        same_bits(got, want)


@pytest.mark.parametrize("cpu", CPUS)
def test_the_slot_of_a_row_value_is_taken_over(cpu):
    """A row value that a routine reads, too, is a strip; what takes its slot later in a run does not show in the run's next tiles."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(3, 300)), rng.normal(size=3)
    code = [load(0, 0, "f64"), load(1, 1, "f64"), p.Uop("exp", "f64", 2, 1), p.Uop("add", "f64", 3, 0, 2), p.Uop("mul", "f64", 3, 3, 1)]
    code += [p.Uop("add", "f64", 4, 3 + (k > 0), 0) for k in range(12)] + [p.Uop("mul", "f64", 3, 3, 4)]

    def build(strip):
        b = Builder()
        operands = (p.Operand(b.input("f64", x.shape), 0, (300, 1)), p.Operand(b.input("f64", y.shape), 0, (1, 0)),
                    p.Operand(b.output("f64", x.shape), 0, (300, 1)))
        b.emit(p.Nest((3, 300), operands, (*code, store(2, 3, "f64")), n_regs=8, strip=strip))
        return b.image, (x, y)

    for got, want in both(build, cpu, 256):
        same_bits(got, want)


@pytest.mark.parametrize("op", ["max", "min"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cpu", CPUS)
def test_bounds(op, dtype, cpu):
    """The larger or smaller one of a strip and an element, either first, from memory and from a register: zeros, infinities, no numbers."""
    x = np.resize(np.array([*SPECIAL, 2.0, -1.5, 0.25], DTYPES[dtype]), 300)
    for element in (*SPECIAL, 2.0, -1.5):
        def build(strip, element=element):
            b = Builder()
            full, one = (b.input(dtype, (300,)), (1,)), (b.input(dtype, (1,)), (0,))
            code = [load(0, 0, dtype), load(1, 1, dtype)]
            for k, (first, second, negated) in enumerate(((0, 1, False), (1, 0, False), (2, 1, True), (1, 2, True))):
                code += [p.Uop("neg", dtype, 2, 0)] * negated
                code += [p.Uop(op, dtype, 3, first, second), store(2 + k, 3, dtype)]
            results = [(b.output(dtype, (300,)), (1,)) for _ in range(4)]
            operands = tuple(p.Operand(tensor, 0, strides) for tensor, strides in (full, one, *results))
            b.emit(p.Nest((300,), operands, tuple(code), n_regs=4, strip=strip))
            return b.image, (x, np.array([element], DTYPES[dtype]))

        for got, want in both(build, cpu, 256):
            same_bits(got, want)


def folded(op, values, width):
    """What reduce.c says: value i onto accumulator i modulo ``width``, then halves."""
    f = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[op]
    acc = values[:width].copy()
    for at in range(width, len(values), width):
        part = values[at:at + width]
        acc[:len(part)] = f(acc[:len(part)], part)
    while len(acc) > 1:
        half = len(acc) // 2
        acc = f(acc[:half], acc[half:])
    return acc[0]


@pytest.mark.parametrize("op", ["add", "mul", "max", "min"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("stored", [False, True])
def test_folds(op, dtype, cpu, stored):
    """(x - m)^2 folded along rows, with a value m a row; the squares stored as well, or not."""
    rng = np.random.default_rng(5)
    for lanes in LANES:
        x = rng.normal(size=(3, lanes)).astype(DTYPES[dtype])
        m = rng.normal(size=3).astype(DTYPES[dtype])
        b = Builder()
        operands = [p.Operand(b.input(dtype, x.shape), 0, (lanes, 1)), p.Operand(b.input(dtype, m.shape), 0, (1, 0)),
                    p.Operand(b.output(dtype, (3,)), 0, (1, 0)), p.Operand(b.output(dtype, x.shape), 0, (lanes, 1))]
        body = (load(2, 0, dtype), load(3, 1, dtype), p.Uop("sub", dtype, 2, 2, 3), p.Uop("mul", dtype, 1, 2, 2))
        body += (store(3, 1 if stored else 2, dtype),)
        b.emit(p.Nest((3, lanes), tuple(operands), body, (p.Uop(op, dtype, 0, 0, 1),), (store(2, 0, dtype),), 1, 4, 1, 1, 256))
        program = Program(b.image, cpu)
        lane = program.lane([x, m])
        lane.finish()
        fold, values = lane.outputs()
        squares = (x - m[:, None]) ** 2
        np.testing.assert_array_equal(values, squares if stored else x - m[:, None])
        width = 256 // np.dtype(DTYPES[dtype]).itemsize
        want = [folded(op, np.concatenate([row[k:k + 256] for k in range(0, lanes, 256)]), width) for row in squares]
        np.testing.assert_array_equal(fold, np.array(want))
        sliced = program.lane([x, m])
        sliced.finish(1)
        np.testing.assert_array_equal(sliced.outputs()[0], fold)
        assert sliced.vm.used == lane.vm.used <= program.facts.cost


@pytest.mark.parametrize("op", ["add", "max"])
def test_a_fold_of_nothing_but_negative_zeros_and_nans(op):
    b = Builder()
    x = np.full((3, 100), -0.0, np.float32)
    x[1, 70] = np.nan
    x[2] = -np.inf
    operands = [p.Operand(b.input("f32", x.shape), 0, (100, 1)), p.Operand(b.output("f32", (3,)), 0, (1, 0))]
    body = (load(1, 0, "f32"), p.Uop("neg", "f32", 1, 1), p.Uop("neg", "f32", 1, 1))
    b.emit(p.Nest((3, 100), tuple(operands), body, (p.Uop(op, "f32", 0, 0, 1),), (store(1, 0, "f32"),), 1, 2, 1, 1, 128))
    (got,) = Program(b.image, "scalar").run(x)
    assert got[0] == 0 and np.signbit(got[0]) and np.isnan(got[1]) and got[2] == -np.inf


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("rows,lanes", [(1, 256), (3, 255), (3, 256), (4, 1000)])
def test_row_values_in_a_loop_and_outside(rows, lanes, cpu):
    """A map whose rows are loops, run in slices, and as the body of a while."""
    rng = np.random.default_rng(1)
    x, m = rng.normal(size=(rows, lanes)).astype(np.float32), rng.normal(size=rows).astype(np.float32)
    b = Builder()
    operands = (p.Operand(b.input("f32", x.shape), 0, (lanes, 1)), p.Operand(b.input("f32", m.shape), 0, (1, 0)),
                p.Operand(b.output("f32", x.shape), 0, (lanes, 1)))
    body = (load(0, 0, "f32"), load(1, 1, "f32"), p.Uop("sub", "f32", 0, 0, 1), p.Uop("mul", "f32", 0, 0, 1), store(2, 0, "f32"))
    nest = p.Nest((rows, lanes), operands, body, n_regs=2, strip=256)
    want = (x - m[:, None]) * m[:, None]
    b.emit(nest)
    program = Program(b.image, cpu)
    used = set()
    for budget in (1, 1 << 30):
        lane = program.lane([x, m])
        lane.finish(budget)
        np.testing.assert_array_equal(lane.outputs()[0], want)
        used.add(lane.vm.used)
    assert len(used) == 1 and used.pop() <= program.facts.cost
    b.image.code.clear()
    emit_in_a_loop(b, nest)
    for budget in (1, 1 << 30):
        np.testing.assert_array_equal(Program(b.image, cpu).run(x, m, budget=budget)[0], want)


def uop(op, dst, a, b=0):
    return lambda dtype: p.Uop(op, dtype, dst, a, b)


#: what register 0 (a matrix), 1 and 2 (row values), 3 and 4 (column values) become: the result is in 5, and folded where it says so
FREQUENT = {
    "softmax": ([uop("sub", 5, 0, 1), uop("exp", 5, 5)], True),
    "softmax, not folded": ([uop("sub", 5, 0, 1), uop("exp", 5, 5)], False),
    "difference read twice": ([uop("sub", 6, 0, 1), uop("exp", 5, 6), uop("mul", 5, 5, 6)], True),
    "quotient": ([uop("div", 5, 0, 1)], False),
    "normalized": ([uop("sub", 5, 0, 1), uop("mul", 5, 5, 2), uop("mul", 5, 5, 3), uop("add", 5, 5, 4)], False),
    "normalized and summed": ([uop("sub", 5, 0, 1), uop("mul", 5, 5, 2), uop("mul", 5, 5, 3), uop("add", 5, 5, 4)], True),
    "normalized, shifted alone": ([uop("sub", 5, 0, 1), uop("mul", 5, 5, 2), uop("add", 5, 5, 4)], False),
    "normalized, not shifted": ([uop("sub", 5, 0, 1), uop("mul", 5, 5, 2), uop("mul", 5, 5, 3)], False),
    "scaled and summed": ([uop("mul", 5, 0, 1), uop("mul", 5, 5, 3)], True),
    "scaled": ([uop("mul", 5, 0, 1), uop("mul", 5, 5, 3)], False),
    "shifted": ([uop("abs", 5, 0), uop("add", 5, 5, 3)], False),
    "square": ([uop("sub", 5, 0, 1), uop("mul", 5, 5, 5)], True),
    "square of the number itself": ([uop("mul", 5, 0, 0)], True),
    "square of a sum": ([uop("add", 5, 0, 3), uop("mul", 5, 5, 5)], True),
}


@pytest.mark.parametrize("name", FREQUENT)
@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cpu", CPUS)
def test_steps_that_often_follow_each_other(name, stored, dtype, cpu):
    """Pairs of steps with a function of their own: ordinary numbers and others, whole tiles and what is left."""
    rng = np.random.default_rng(3)
    body, folds = FREQUENT[name]
    if not (stored or folds):
        return
    for lanes in LANES:
        arrays = [rng.normal(size=s).astype(DTYPES[dtype]) for s in ((5, lanes), (5,), (5,), (lanes,), (lanes,))]
        arrays[0][1:3, ::7] = rng.choice(SPECIAL, arrays[0][1:3, ::7].shape)
        arrays[0][3, lanes // 2:] = 0
        arrays[1][4] = -3

        def build(strip, arrays=arrays, lanes=lanes):
            b = Builder()
            strides = ((lanes, 1), (1, 0), (1, 0), (0, 1), (0, 1))
            operands = [p.Operand(b.input(dtype, a.shape), 0, s) for a, s in zip(arrays, strides, strict=True)]
            code = [load(k, k, dtype) for k in range(5)] + [u(dtype) for u in body]
            if stored:
                operands.append(p.Operand(b.output(dtype, (5, lanes)), 0, (lanes, 1)))
                code.append(store(5, 5, dtype))
            if not folds:
                b.emit(p.Nest((5, lanes), tuple(operands), tuple(code), n_regs=8, strip=strip))
                return b.image, arrays
            operands.append(p.Operand(b.output(dtype, (5,)), 0, (1, 0)))
            code = [p.Uop(u.op, dtype, u.dst + (u.op != "store"), u.a + (u.op != "load"), u.b + (u.op in BINARY), 0, u.imm) for u in code]
            code = [replace(u, dst=1) if u.dst == 6 and u is code[-1 - stored] else u for u in code]
            code = [replace(u, a=1) if u.op == "store" else u for u in code]
            b.emit(p.Nest((5, lanes), tuple(operands), tuple(code), (p.Uop("add", dtype, 0, 0, 1),),
                          (store(len(operands) - 1, 0, dtype),), 1, 9, 1, 1, strip))
            return b.image, arrays

        with np.errstate(all="ignore"):
            got, want = zip(*both(build, cpu, 1024), strict=True)
        if stored:
            same_bits(got[0], want[0])
        if folds:
            values = got[0] if stored else None
            if stored:
                width = 256 // np.dtype(DTYPES[dtype]).itemsize
                with np.errstate(all="ignore"):
                    same_bits(got[1], np.array([folded("add", row, width) for row in values]))
            else:
                np.testing.assert_allclose(got[0], want[0], rtol=1e-5 if dtype == "f32" else 1e-13)
