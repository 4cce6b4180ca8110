"""Tiles of 16-bit elements: lanes of 32 bits in registers, halves in strips. The bits are those of one strip routine after the other."""

import random
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ml_dtypes import bfloat16
from programs import Builder, load, store
from test_tiles import CPUS, LANES, both, emit_in_a_loop

from engine import Program
from kjax.bytecode import program as p

NUMPY = {"f16": np.float16, "bf16": bfloat16, "i16": np.int16, "u16": np.uint16, "f32": np.float32, "i32": np.int32}
HALVES = ("f16", "bf16", "i16", "u16")
WORDS = {2: np.uint16, 4: np.uint32}
CONVERSIONS = [(h, "f32") for h in HALVES] + [("f32", "f16"), ("f32", "bf16"), ("i16", "i32"), ("u16", "i32"), ("i32", "i16"),
                                              ("i32", "u16")]


def numbers(rng, dtype, n):
    """Any bits for integers; floats of all sizes, and some that are no numbers, with payloads."""
    if dtype[0] in "iu" or rng.random() < 0.2:
        return rng.integers(0, 256, n * np.dtype(NUMPY[dtype]).itemsize, np.uint8).view(NUMPY[dtype])
    with np.errstate(over="ignore"):
        return (rng.normal(size=n) * 10.0 ** rng.integers(-8, 6, n)).astype(NUMPY[dtype])


def same_bits(got, want):
    """NaNs may differ: which operand's comes out follows from the order of operands."""
    assert got.dtype == want.dtype
    nan = [np.isnan(x.astype(np.float32)) for x in (got, want)]
    np.testing.assert_array_equal(*nan)
    word = WORDS[got.itemsize]
    np.testing.assert_array_equal(np.where(nan[0], 0, got.view(word)), np.where(nan[0], 0, want.view(word)))


@dataclass
class Code:
    """A random body: which register holds what."""

    r: random.Random
    registers: int
    held: dict
    places: frozenset = frozenset()

    def of(self, *dtypes):
        found = [k for k, d in self.held.items() if d in dtypes]
        return self.r.choice(found[-4:] if self.r.random() < 0.6 else found) if found else None

    def step(self):
        """One operation on what is held, or None."""
        r = self.r
        kind = r.choice(("convert", "convert", "convert", "float", "float", "float", "integer", "compare", "select"))
        if kind == "convert":
            source, target = r.choice(CONVERSIONS)
            return ("to_" + target, source, target, (self.of(source),))
        if kind == "float":
            op = r.choice(("add", "sub", "mul", "div", "max", "min", "neg", "exp", "sqrt"))
            return (op, "f32", "f32", (self.of("f32"),) * (1 if op in ("neg", "exp", "sqrt") else 2))
        if kind == "integer":
            return (r.choice(("add", "sub", "max")), "i32", "i32", (self.of("i32"), self.of("i32")))
        if kind == "compare":
            return (r.choice(("gt", "le", "eq")), "f32", "i1", (self.of("f32"), self.of("f32")))
        dtype = r.choice((*HALVES, "f32"))
        return ("select", dtype, dtype, (self.of("i1"), self.of(dtype), self.of(dtype)))

    def body(self, n):
        out = []
        while len(out) < n:
            op, dtype, result, sources = self.step()
            if None in sources:
                continue
            dst = self.r.choice([k for k in range(self.registers) if k not in self.places])
            if result == "i1" and all(d == "i1" for k, d in self.held.items() if k != dst):
                continue  # masks alone are the end
            out.append(p.Uop(op, dtype, dst, *sources, *(0,) * (3 - len(sources))))
            self.held.pop(dst, None)
            self.held[dst] = result
        return out


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**62))
@example(278902)  # a half that is stored and read on
@example(1018032)  # the last step, of a result that nobody reads, has an element
def test_maps(seed):
    """Conversions, sums, selections; strips, single elements and row values; results kept, spilled, stored; in a loop and outside."""
    r = random.Random(seed)
    cpu, lanes, rng = r.choice(CPUS), r.choice(LANES), np.random.default_rng(seed)
    rows = r.choice([1, 1, 2, 5])
    dims = (rows, lanes) if rows > 1 else (lanes,)
    full = (lanes, 1)[-len(dims):]
    strides = {"full": full, "row": (1, 0)[-len(dims):], "column": (0, 1)[-len(dims):], "one": (0, 0)[-len(dims):]}
    size = {"full": rows * lanes, "row": rows, "column": lanes, "one": 1, "constant": 1}
    kinds = ["full"] + [r.choice(["full", "full", "row", "column", "one", "constant"]) for _ in range(r.randint(0, 4))]
    types = [r.choice(HALVES if k == 0 or r.random() < 0.8 else ("f32", "i32")) for k in range(len(kinds))]
    arrays = [numbers(rng, d, size[k]) for k, d in zip(kinds, types, strict=True)]
    registers = r.choice([8, 12, 32])
    code = Code(r, registers, dict(enumerate(types)))
    body = code.body(r.choice([2, 3, 5, 8, 20, 60]))
    results = [r.choice([k for k, d in code.held.items() if d != "i1"]) for _ in range(2)]
    in_a_loop, offset = r.random() < 0.4, r.choice([0, 0, 3])

    def build(strip):
        b = Builder()
        operands, inputs = [], []
        for kind, array, dtype in zip(kinds, arrays, types, strict=True):
            constant = kind == "constant"
            tensor = b.constant(array) if constant else b.input(dtype, array.shape)
            inputs += [] if constant else [array]
            operands.append(p.Operand(tensor, 0, strides["one" if constant else kind]))
        for k in results:
            operands.append(p.Operand(b.output(code.held[k], (offset + rows * lanes,)), offset, full))
        uops = [load(k, k, d) for k, d in enumerate(types)] + body
        uops += [store(len(kinds) + k, x, code.held[x]) for k, x in enumerate(results)]
        nest = p.Nest(dims, tuple(operands), tuple(uops), n_regs=registers, strip=strip)
        emit_in_a_loop(b, nest) if in_a_loop else b.emit(nest)
        return b.image, inputs

    for got, want in both(build, cpu, r.choice([64, 100, 128, 256, 1024])):
        same_bits(got[offset:], want[offset:])


def converted(x, code, result, registers=3):
    """A builder of the program that loads ``x`` (its type is the first load's) into register 0, does ``code`` and stores register 0."""

    def build(strip):
        b = Builder()
        dtype = next(d for d, t in NUMPY.items() if x.dtype == t)
        operands = (p.Operand(b.input(dtype, x.shape), 0, (1,)), p.Operand(b.output(result, x.shape), 0, (1,)))
        b.emit(p.Nest(x.shape, operands, (load(0, 0, dtype), *code, store(1, 0, result)), n_regs=registers, strip=strip))
        return b.image, (x,)

    return build


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("cpu", CPUS)
def test_every_half(cpu, dtype):
    """All 65,536 of them as f32, and back where there is a way back, to the bit: no-numbers, too."""
    x = np.arange(1 << 16, dtype=np.uint16).view(NUMPY[dtype])
    wide = [p.Uop("to_f32", dtype, 0, 0), p.Uop("copy", "f32", 0, 0)]
    ((got, want),) = both(converted(x, wide, "f32"), cpu, 1024)
    np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32))
    if dtype in ("f16", "bf16"):
        back = [p.Uop("to_f32", dtype, 0, 0), p.Uop("to_" + dtype, "f32", 0, 0)]
        ((got, want),) = both(converted(x, back, dtype), cpu, 1024)
        np.testing.assert_array_equal(got.view(np.uint16), want.view(np.uint16))


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize("cpu", CPUS)
def test_roundings(cpu, dtype):
    """Of halves, of what lies in the middle of two and next to it, of any bits: stored, and f32 again."""
    halves = np.arange(1 << 16, dtype=np.uint16).view(NUMPY[dtype]).astype(np.float32).view(np.uint32)
    middle = halves + np.uint32(1 << (12 if dtype == "f16" else 15))
    rng = np.random.default_rng(0)
    x = np.concatenate([halves, middle, middle - 1, middle + 1, rng.integers(0, 1 << 32, 1 << 16, np.uint32)]).view(np.float32)
    once = [p.Uop("to_" + dtype, "f32", 0, 0), p.Uop("copy", dtype, 0, 0)]
    again = [p.Uop("to_" + dtype, "f32", 0, 0), p.Uop("to_f32", dtype, 0, 0)]
    for code, result, word in ((once[:1], dtype, np.uint16), (once, dtype, np.uint16), (again, "f32", np.uint32)):
        ((got, want),) = both(converted(x, code, result), cpu, 1024)
        np.testing.assert_array_equal(got.view(word), want.view(word))


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize("cpu", CPUS)
def test_what_is_stored_is_read_on(cpu, dtype):
    """A rounded result that is stored, and f32 again right after it."""
    x = numbers(np.random.default_rng(3), "f32", 1000)

    def build(strip):
        b = Builder()
        operands = [p.Operand(b.input("f32", x.shape), 0, (1,))] + [p.Operand(b.output(d, x.shape), 0, (1,)) for d in (dtype, "f32")]
        code = (load(0, 0, "f32"), p.Uop("neg", "f32", 0, 0), p.Uop("to_" + dtype, "f32", 1, 0), store(1, 1, dtype),
                p.Uop("to_f32", dtype, 2, 1), p.Uop("add", "f32", 2, 2, 2), store(2, 2, "f32"))
        b.emit(p.Nest(x.shape, tuple(operands), code, n_regs=3, strip=strip))
        return b.image, (x,)

    for got, want in both(build, cpu, 512):
        same_bits(got, want)


@pytest.mark.parametrize("cpu", CPUS)
def test_selections_keep_bits(cpu):
    """A selection of halves passes on what is no number as it is."""
    x = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    code = (p.Uop("to_f32", "f16", 1, 0), p.Uop("neg", "f32", 2, 1), p.Uop("to_f16", "f32", 2, 2), p.Uop("lt", "f32", 1, 1, 1),
            p.Uop("select", "f16", 0, 1, 2, 0))
    ((got, want),) = both(converted(x, code, "f16"), cpu, 1024)
    np.testing.assert_array_equal(got.view(np.uint16), want.view(np.uint16))
    np.testing.assert_array_equal(got.view(np.uint16), x.view(np.uint16))


DIVISORS = (255.0, -255.0, 3.0, 0.5, -1e-5, 1e12, 1e-40, 0.0, -0.0, np.inf, np.nan)


@pytest.mark.parametrize("dtype", ["i8", "u8", "i16", "u16", "i32", "u32"])
@pytest.mark.parametrize("cpu", CPUS)
def test_integers_by_an_element(cpu, dtype):
    """Zeros among them; divisors of all kinds; a part of a tile is left."""
    types = {"i8": np.int8, "u8": np.uint8, "i32": np.int32, "u32": np.uint32} | NUMPY
    info = np.iinfo(types[dtype])
    rng = np.random.default_rng(1)
    x = rng.integers(info.min, info.max, 3000, types[dtype], endpoint=True)
    x[::7], x[1::97], x[2::89] = 0, info.min, info.max
    b = Builder()
    operands = (p.Operand(b.input(dtype, x.shape), 0, (1,)), p.Operand(b.input("f32", ()), 0, (0,)),
                p.Operand(b.output("f32", x.shape), 0, (1,)))
    code = (load(0, 0, dtype), p.Uop("to_f32", dtype, 0, 0), load(1, 1, "f32"), p.Uop("div", "f32", 0, 0, 1), store(2, 0, "f32"))
    b.emit(p.Nest(x.shape, operands, code, n_regs=2, strip=1024))
    program = Program(b.image, cpu)
    for d in map(np.float32, DIVISORS):
        (got,) = program.run(x, d)
        with np.errstate(all="ignore"):
            want = x.astype(np.float32) / d
        same_bits(got, want)


@pytest.mark.parametrize("op", ["max", "min"])
@pytest.mark.parametrize("dtype", ["i8", "u8", "i16", "u16"])
@pytest.mark.parametrize("cpu", CPUS)
def test_extremes_of_narrow_integers(cpu, dtype, op):
    """Along rows of all lengths up to several strips; the extreme one anywhere."""
    types = {"i8": np.int8, "u8": np.uint8} | NUMPY
    info, rng = np.iinfo(types[dtype]), np.random.default_rng(2)
    for n in (17, 31, 63, 64, 65, 127, 128, 129, 200, 255, 256, 257, 1000, 1024, 2500):
        x = rng.integers(info.min // 2, info.max // 2, (5, n), types[dtype])
        x[np.arange(4), rng.integers(0, n, 4)] = info.max if op == "max" else info.min
        x[4, -1] = info.max if op == "max" else info.min
        b = Builder()
        operands = (p.Operand(b.input(dtype, x.shape), 0, (n, 1)), p.Operand(b.output(dtype, (5,)), 0, (1, 0)))
        b.emit(p.Nest((5, n), operands, (load(1, 0, dtype),), (p.Uop(op, dtype, 0, 0, 1),), (store(1, 0, dtype),), n_regs=2, n_acc=1,
                      red_first=1, red_count=1, strip=1024))
        (got,) = Program(b.image, cpu).run(x)
        np.testing.assert_array_equal(got, getattr(x, op)(1))


@pytest.mark.parametrize("lanes", [64, 1000, 1024, 3000])
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("cpu", CPUS)
def test_halves_alone_that_wait(cpu, dtype, lanes):
    """More results than there are kept tiles, in a body without any wider element: those that are spilled take a lane each."""
    n, rng = 20, np.random.default_rng(lanes)
    arrays = [numbers(rng, dtype, lanes) for _ in range(n + 1)] + [rng.random(lanes) < 0.5 for _ in range(2)]

    def build(strip):
        b = Builder()
        operands = [p.Operand(b.input(d, (lanes,)), 0, (1,)) for d in (dtype,) * (n + 1) + ("i1",) * 2]
        operands.append(p.Operand(b.output(dtype, (lanes,)), 0, (1,)))
        mask, other, first, last = n + 1, n + 2, n + 3, 2 * n + 3
        uops = [load(k, k, dtype) for k in range(n + 1)] + [load(k, k, "i1") for k in (mask, other)]
        uops += [p.Uop("select", dtype, first + k, mask, k, k + 1) for k in range(n)]
        uops += [p.Uop("copy", dtype, last, first)]
        uops += [p.Uop("select", dtype, last, (other, mask)[k % 2], last, first + k) for k in range(1, n)]
        b.emit(p.Nest((lanes,), tuple(operands), (*uops, store(other + 1, last, dtype)), n_regs=last + 1, strip=strip))
        return b.image, arrays

    ((got, want),) = both(build, cpu, 1024)
    np.testing.assert_array_equal(got.view(np.uint16), want.view(np.uint16))
