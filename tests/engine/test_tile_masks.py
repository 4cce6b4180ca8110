"""Tiles: comparisons, selections, masks and integers. The bits are those of one strip routine after the other."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Builder, load, store
from test_tiles import CPUS, LANES, SPECIAL, both, emit_in_a_loop

from engine import Program
from kjax.bytecode import program as p

COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
NUMPY = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "u32": np.uint32, "i64": np.int64, "i1": np.bool_, "i8": np.int8,
         "u8": np.uint8}
TYPES = (("f32", "i32", "u32"), ("f32", "i32"), ("f64", "i64"), ("f32", "i32", "i8", "u8"), ("f32", "i8"))
INTEGERS = (0, 1, -1, 2, 7, 31, 32, 33, -31, 2**31 - 1, -(2**31), -(2**31) + 1, 255, 65536)
FLOAT_BINARY = ("add", "sub", "mul", "div", "max", "min", "rem")
FLOAT_UNARY = ("neg", "abs", "sqrt", "sign", "floor", "ceil", "round_even", "exp")
INTEGER_BINARY = ("add", "sub", "mul", "max", "min", "and", "or", "xor", "shl", "shr_logical", "shr_arithmetic", "div", "rem")
INTEGER_UNARY, SIGNED_UNARY = ("not", "neg", "popcnt", "clz"), ("abs", "sign")


def values(rng, dtype, n):
    """Few different ones, so that comparisons find equals; limits, zeros and no numbers among them."""
    if dtype == "i1":
        return rng.random(n) < rng.choice([0.1, 0.5, 0.9])
    if dtype in ("f32", "f64"):
        x = rng.choice([-1.5, -0.5, 0.25, 1.0, 3.0, 7.5], n).astype(NUMPY[dtype])
        rare = rng.random(n) < rng.choice([0, 0.02, 0.3])
        return np.where(rare, rng.choice(SPECIAL, n).astype(NUMPY[dtype]), x)
    x = rng.integers(-9, 9, n)
    rare = rng.random(n) < rng.choice([0, 0.1, 0.5])
    return np.where(rare, rng.choice(INTEGERS, n), x).astype(np.int64).astype(NUMPY[dtype])


def same(got, want):
    assert got.dtype == want.dtype
    if got.dtype.kind == "f":
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        bits = {4: np.uint32, 8: np.uint64}[got.itemsize]
        got, want = (np.where(np.isnan(x), 0, x.view(bits)) for x in (got, want))
    np.testing.assert_array_equal(got, want)


def operation(r, held, dst, types):
    """A random operation on what registers hold (``held``: register to dtype) and the dtype of its result, or None."""
    def one_of(*dtypes):
        have = [k for k in sorted(held) if held[k] in dtypes]
        return r.choice(have[-4:] if r.random() < 0.6 else have) if have else None

    kind, a_float = r.random(), types[0]
    mask = one_of("i1")
    if kind < 0.25:
        dtype = r.choice(types)
        a, b = one_of(dtype), one_of(dtype)
        return None if a is None else (p.Uop(r.choice(COMPARISONS), dtype, dst, a, b), "i1")
    if mask is not None and kind < 0.45:
        dtype = r.choice((*types, "i1") if r.random() < 0.2 else types)
        a, b = one_of(dtype), one_of(dtype)
        return None if a is None else (p.Uop("select", dtype, dst, mask, a, b), dtype)
    if mask is not None and kind < 0.55:
        if r.random() < 0.3:
            return p.Uop("not", "i1", dst, mask), "i1"
        return p.Uop(r.choice(("and", "or", "xor", "max", "min", *COMPARISONS)), "i1", dst, mask, one_of("i1")), "i1"
    if mask is not None and kind < 0.58:
        to = r.choice(types)
        return p.Uop(f"to_{to}", "i1", dst, mask), to
    if kind < 0.62:
        dtype = r.choice(types)
        a = one_of(dtype)
        if a is None:
            return None
        if dtype == a_float and r.random() < 0.4:
            return p.Uop("is_finite", dtype, dst, a), "i1"
        to = r.choice([t for t in (*types, "i1") if t != dtype])
        return p.Uop(f"to_{to}", dtype, dst, a), to
    dtype = r.choice((a_float, *types))
    a, b = one_of(dtype), one_of(dtype)
    if a is None:
        return None
    if dtype == a_float:
        op = r.choice(FLOAT_BINARY + FLOAT_UNARY)
        return p.Uop(op, dtype, dst, a, b if op in FLOAT_BINARY else 0), dtype
    unary = INTEGER_UNARY + (SIGNED_UNARY if dtype[0] == "i" else ())
    op = r.choice(INTEGER_BINARY * 2 + unary)
    return p.Uop(op, dtype, dst, a, b if op in INTEGER_BINARY else 0), dtype


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 2**62))
def test_maps(seed):
    """Numbers and masks from strips, single elements, rows, columns; what is stored; in place; in a loop and outside."""
    r, rng = random.Random(seed), np.random.default_rng(seed)
    cpu, lanes, types = r.choice(CPUS), r.choice(LANES), r.choice(TYPES)
    rows = r.choice([1, 1, 2, 5])
    dims = (rows, lanes) if rows > 1 else (lanes,)
    full = (lanes, 1)[-len(dims):]
    strides = {"full": full, "row": (1, 0)[-len(dims):], "column": (0, 1)[-len(dims):], "one": (0, 0)[-len(dims):]}
    strides["constant"] = strides["one"]
    size = {"full": rows * lanes, "row": rows, "column": lanes, "one": 1, "constant": 1}
    loads = [("full", types[0])]
    loads += [(r.choice(["full", "full", "row", "column", "one", "constant"]), r.choice([*types, "i1"])) for _ in range(r.randint(0, 5))]
    arrays = [values(rng, dtype, size[kind]) for kind, dtype in loads]
    registers, n = r.choice([8, 12, 32]), r.choice([2, 5, 20, 60])
    held, body = {k: dtype for k, (_, dtype) in enumerate(loads)}, []
    while len(body) < n:
        dst = r.randrange(registers)
        made = operation(r, held, dst, types)
        if made:
            body.append(made[0])
            held.pop(dst, None)
            held[dst] = made[1]
    results = r.sample(sorted(held), r.randint(1, min(3, len(held))))
    in_place, in_a_loop, offset = r.random() < 0.3, r.random() < 0.4, r.choice([0, 0, 3])

    def build(strip):
        b, operands, inputs = Builder(), [], []
        for (kind, dtype), array in zip(loads, arrays, strict=True):
            tensor = b.constant(array) if kind == "constant" else b.input(dtype, array.shape)
            inputs += [] if kind == "constant" else [array]
            operands.append(p.Operand(tensor, 0, strides[kind]))
        for k, x in enumerate(results):
            alias = 0 if in_place and k == 0 and held[x] == types[0] else None
            first = 0 if alias == 0 else offset
            operands.append(p.Operand(b.output(held[x], (first + rows * lanes,), alias=alias), first, full))
        code = [load(k, k, dtype) for k, (_, dtype) in enumerate(loads)] + body
        code += [store(len(loads) + k, x, held[x]) for k, x in enumerate(results)]
        nest = p.Nest(dims, tuple(operands), tuple(code), n_regs=registers, strip=strip)
        emit_in_a_loop(b, nest) if in_a_loop else b.emit(nest)
        return b.image, inputs

    for got, want in both(build, cpu, r.choice([64, 100, 128, 256, 1024])):
        same(got, want)


@pytest.mark.parametrize("op", COMPARISONS)
@pytest.mark.parametrize("dtype", ["f32", "f64", "i32", "u32"])
@pytest.mark.parametrize("cpu", CPUS)
def test_comparisons(op, dtype, cpu):
    """Of two strips, a strip and an element, an element and a strip, a strip with itself, in all lanes; stored, and chosen by."""
    f = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}[op]
    some = np.array([*SPECIAL, 2.0, -1.5], NUMPY[dtype]) if dtype[0] == "f" else np.array(INTEGERS, np.int64).astype(NUMPY[dtype])
    for lanes in (64, 200, 1000):
        x, y = np.resize(some, lanes), np.resize(np.repeat(some, len(some) + 1), lanes)
        for element in some[:6]:
            b = Builder()
            one = np.array([element], NUMPY[dtype])
            operands = [p.Operand(b.input(dtype, (lanes,)), 0, (1,)) for _ in range(2)] + [p.Operand(b.input(dtype, (1,)), 0, (0,))]
            code = [load(0, 0, dtype), load(1, 1, dtype), load(2, 2, dtype)]
            for a, c in ((0, 1), (0, 2), (2, 1), (1, 1)):
                k = len(operands)
                operands += [p.Operand(b.output("i1", (lanes,)), 0, (1,)), p.Operand(b.output(dtype, (lanes,)), 0, (1,))]
                code += [p.Uop(op, dtype, 3, a, c), store(k, 3, "i1"), p.Uop("select", dtype, 4, 3, c, a), store(k + 1, 4, dtype)]
            b.emit(p.Nest((lanes,), tuple(operands), tuple(code), n_regs=5, strip=256))
            got = Program(b.image, cpu).run(x, y, one)
            pairs = ((x, y), (x, one), (one, y), (y, y))
            for k, (left, right) in enumerate(pairs):
                holds = np.broadcast_to(f(left, right), lanes)
                np.testing.assert_array_equal(got[2 * k], holds)
                same(got[2 * k + 1], np.where(holds, right, left).astype(NUMPY[dtype]))


@pytest.mark.parametrize("kind", ["full", "row", "column", "one"])
@pytest.mark.parametrize("dtype", ["f32", "f64", "i32"])
@pytest.mark.parametrize("cpu", CPUS)
def test_predicates(kind, dtype, cpu):
    """A mask that is an argument chooses between a matrix and an element; folded along rows as well."""
    rng = np.random.default_rng(3)
    for lanes in LANES:
        x = values(rng, dtype, 5 * lanes).reshape(5, lanes)
        x[np.isnan(x)] = 0
        mask = rng.random({"full": (5, lanes), "row": (5, 1), "column": (1, lanes), "one": (1, 1)}[kind]) < 0.5
        strides = {"full": (lanes, 1), "row": (1, 0), "column": (0, 1), "one": (0, 0)}[kind]
        b = Builder()
        element = np.array([-3], NUMPY[dtype])
        operands = (p.Operand(b.input("i1", mask.shape), 0, strides), p.Operand(b.input(dtype, x.shape), 0, (lanes, 1)),
                    p.Operand(b.constant(element), 0, (0, 0)), p.Operand(b.output(dtype, x.shape), 0, (lanes, 1)),
                    p.Operand(b.output(dtype, (5,)), 0, (1, 0)))
        body = (load(2, 0, "i1"), load(3, 1, dtype), load(4, 2, dtype), p.Uop("select", dtype, 1, 2, 3, 4), store(3, 1, dtype))
        b.emit(p.Nest((5, lanes), operands, body, (p.Uop("max", dtype, 0, 0, 1),), (store(4, 0, dtype),), 1, 5, 1, 1, 1024))
        got = Program(b.image, cpu).run(mask, x)
        want = np.where(mask, x, element)
        same(got[0], want)
        np.testing.assert_array_equal(got[1], want.max(1))


def by_one(op, dtype, x, element, cpu):
    """``x`` op an element that is an argument, alone, and with other operations after it."""
    b = Builder()
    full, one, out = b.input(dtype, x.shape), b.input(dtype, (1,)), b.output(dtype, x.shape)
    operands = (p.Operand(full, 0, (1,)), p.Operand(one, 0, (0,)), p.Operand(out, 0, (1,)))
    others = [p.Uop("neg", dtype, 2, 2)] * (2 * (element % 2 == 0))
    code = (load(0, 0, dtype), load(1, 1, dtype), p.Uop(op, dtype, 2, 0, 1), *others, store(2, 2, dtype))
    b.emit(p.Nest(x.shape, operands, code, n_regs=3, strip=1024))
    return Program(b.image, cpu).run(x, np.array([element], x.dtype))[0]


@pytest.mark.parametrize("dtype", ["i32", "u32"])
@pytest.mark.parametrize("cpu", CPUS)
def test_division_by_one_integer(dtype, cpu):
    """Every kind of divisor, dividends near its multiples and at the limits; by zero it is all ones, and leaves the dividend."""
    rng = np.random.default_rng(5)
    low, high = (-(2**31), 2**31 - 1) if dtype == "i32" else (0, 2**32 - 1)
    powers = [1 << k for k in range(33)]
    divisors = {s * (q + e) for q in powers for e in (-1, 0, 1) for s in (1, -1)} | {3, 5, 6, 7, 10, 100, 641, 1000003, low, high}
    divisors |= set(rng.integers(low, high, 60).tolist())
    for d in sorted(k for k in divisors if low <= k <= high):
        multiples = np.array([q * (d or 1) + e for q in (0, 1, 2, 3, high // (abs(d) or 1), low // (abs(d) or 1)) for e in (-1, 0, 1)])
        x = np.concatenate([multiples, rng.integers(low, high, 180), [low, low + 1, high, high - 1]])
        x = np.clip(x, low, high).astype(np.int64)
        quotient = np.sign(x) * np.sign(d) * (abs(x) // abs(d)) if d else np.full_like(x, -1)
        want = quotient.astype(NUMPY[dtype]), (x - quotient * d).astype(NUMPY[dtype])
        values = x.astype(NUMPY[dtype])
        np.testing.assert_array_equal(by_one("div", dtype, values, d, cpu), want[0], err_msg=str(d))
        np.testing.assert_array_equal(by_one("rem", dtype, values, d, cpu), want[1], err_msg=str(d))


@pytest.mark.parametrize("cpu", CPUS)
def test_remainder_by_one_float(cpu):
    """Of numbers next to multiples of the divisor, small and large quotients, zeros, infinities, no numbers."""
    rng = np.random.default_rng(6)
    divisors = [1.0, -1.0, 0.1, 3.0, 7.3, -2.5, 2.0**-29, 1e9, 2.0**40, 1e-40, 0.0, np.inf, np.nan]
    divisors += [*rng.normal(size=20) * 10.0 ** rng.integers(-4, 5, 20)]
    for d in np.array(divisors, np.float32):
        for most in (3, 1000, 2**19, 2**23):
            with np.errstate(all="ignore"):
                x = (rng.integers(-most, most, 300).astype(np.float32) * d).astype(np.float32)
                x = np.nextafter(x, rng.choice([-np.inf, np.inf, 0], 300).astype(np.float32)) if most != 1000 else x
                x[::7] = rng.normal(size=len(x[::7])).astype(np.float32) * d
                x[:2] = 0.0, -0.0
                if most == 2**23:
                    x[5:8] = np.inf, np.nan, -np.inf
                same(by_one("rem", "f32", x, d, cpu), np.fmod(x, d))


@pytest.mark.parametrize("op", ["or", "xor", "add"])
@pytest.mark.parametrize("dtype", ["i32", "u32"])
@pytest.mark.parametrize("cpu", CPUS)
def test_shifts_both_ways(op, dtype, cpu):
    """Rotations and what looks like them: counts whose sum is 32, or not, or past the width."""
    rng = np.random.default_rng(7)
    x = rng.integers(0, 2**32, 300, dtype=np.uint64).astype(np.uint32)
    for left, right in ((13, 19), (0, 32), (32, 0), (31, 1), (5, 5), (40, 3), (3, 40), (-1, 33), (16, 16)):
        b = Builder()
        counts = [p.Operand(b.constant(np.array([k], np.int64).astype(NUMPY[dtype])), 0, (0,)) for k in (left, right)]
        operands = (p.Operand(b.input(dtype, x.shape), 0, (1,)), *counts, p.Operand(b.output(dtype, x.shape), 0, (1,)))
        code = (load(0, 0, dtype), load(1, 1, dtype), load(2, 2, dtype), p.Uop("shl", dtype, 3, 0, 1), p.Uop("shr_logical", dtype, 4, 0, 2),
                p.Uop(op, dtype, 5, 3, 4), store(3, 5, dtype))
        b.emit(p.Nest(x.shape, operands, code, n_regs=6, strip=1024))
        shl = x << np.uint32(left) if 0 <= left < 32 else np.zeros_like(x)
        shr = x >> np.uint32(right) if 0 <= right < 32 else np.zeros_like(x)
        want = {"or": shl | shr, "xor": shl ^ shr, "add": shl + shr}[op]
        np.testing.assert_array_equal(Program(b.image, cpu).run(x.view(NUMPY[dtype]))[0].view(np.uint32), want)
