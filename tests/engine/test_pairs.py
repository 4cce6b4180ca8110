"""Pairs of operations that one routine does: the bits are those of one operation after the other."""

import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Builder, load, store, view

from engine import ENGINE, Program
from kjax.bytecode import program as p

CPUS = ("scalar", "avx2")


def largest(a, b):
    """IEEE's maximum: of zeros the positive one. NumPy's takes either."""
    return np.where((a == 0) & (b == 0), a + b, np.maximum(a, b))


NUMPY = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": largest,
         "min": lambda a, b: -largest(-a, -b), "neg": np.negative}
DTYPES = {"f32": np.float32, "f64": np.float64}
BIT_DTYPES = {"i32": np.int32, "u32": np.uint32}


def shift(function):
    """Counts are unsigned; past the width nothing is left, or the sign alone."""
    def shifted(a, n):
        n = n.astype(np.uint32)
        if function == "shr_arithmetic":
            return (a.view(np.int32) >> np.minimum(n, 31).astype(np.int32)).view(a.dtype)
        low = n & 31
        x = a.view(np.uint32)
        return np.where(n < 32, x << low if function == "shl" else x >> low, 0).astype(np.uint32).view(a.dtype)
    return shifted


BITS = {"add": np.add, "mul": np.multiply, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
        **{name: shift(name) for name in ("shl", "shr_logical", "shr_arithmetic")}}
BIT_ROWS = re.findall(r"^KJX_BIT_PAIR\((\w+), \w+, (\w+), \w+, (\d)\)", (ENGINE / "pairs.def").read_text(), re.M)
SHIFTS = re.findall(r"^KJX_SHIFTS\((\w+), \w+\)", (ENGINE / "pairs.def").read_text(), re.M)
ROWS = re.findall(r"^KJX_PAIR\((\w+), \w+, (\w+), \w+, (\d)\)", (ENGINE / "pairs.def").read_text(), re.M)
N = 100


def run(dtype, body, registers, results, inputs, cpu, strip=16, n=N):
    """``body``: (op, dst, a, b) on registers, of which the first hold the inputs; few elements: in a loop of one round."""
    b = Builder()
    operands = [view(b.input(dtype, (n,)), (n,)) for _ in inputs] + [view(b.output(dtype, (n,)), (n,)) for _ in results]
    code = [load(k, k, dtype) for k in range(len(inputs))]
    code += [p.Uop(op, dtype, dst, a, 0 if op == "neg" else c) for op, dst, a, c in body]
    code += [store(len(inputs) + k, r, dtype) for k, r in enumerate(results)]
    more = b.arena("i1", 1)
    flag = tuple(p.Operand(t, 0, (0,)) for t in (b.constant(np.int32([0, 1])), more))

    def turn(op):
        if n < N:
            b.emit(p.Nest((1,), flag, (load(0, 0, "i32"), p.Uop(op, "i32", 0, 0, 0), store(1, 0, "i1")), n_regs=1, strip=1))

    turn("eq")
    if n < N:
        b.emit(p.While())
        b.emit(p.Do(more))
    b.emit(p.Nest((n,), tuple(operands), tuple(code), n_regs=registers, strip=strip))
    turn("ne")
    if n < N:
        b.emit(p.End())
    return Program(b.image, cpu).run(*(x[:n] for x in inputs))


def expected(body, results, inputs):
    held = dict(enumerate(inputs))
    with np.errstate(all="ignore"):
        for op, dst, a, c in body:
            table = BITS if held[a].dtype.kind in "iu" else NUMPY
            held[dst] = table[op](held[a]) if op == "neg" else table[op](held[a], held[c])
    return [held[r] for r in results]


def numbers(seed, dtype, n):
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=N) * 10.0 ** rng.integers(-3, 4, N)).astype(DTYPES[dtype]) for _ in range(n)]


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("inner,outer,side", ROWS)
@pytest.mark.parametrize("n", [N, 1, 3])
def test_row(inner, outer, side, dtype, cpu, n):
    x = numbers(1, dtype, 3)
    body = [(inner, 3, 0, 1), (outer, 4, 2, 3) if side == "1" else (outer, 4, 3, 2)]
    (got,) = run(dtype, body, 5, [4], x, cpu, n=n)
    np.testing.assert_array_equal(got, expected(body, [4], x)[0][:n])


def bits(seed, dtype, n):
    """Words, and counts to shift by: some past the width."""
    rng = np.random.default_rng(seed)
    x = [rng.integers(0, 2**32, N, np.uint64).astype(np.uint32).view(BIT_DTYPES[dtype]) for _ in range(n)]
    return [np.where(rng.integers(0, 2, N) == k % 2, rng.integers(-1, 40, N), w).astype(w.dtype) for k, w in enumerate(x)]


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", BIT_DTYPES)
@pytest.mark.parametrize("inner,outer,side", BIT_ROWS)
@pytest.mark.parametrize("n,strip", [(N, 16), (N, 128), (1, 16), (3, 16)])  # strips of 128: in tiles, but for integers
def test_row_of_bits(inner, outer, side, dtype, cpu, n, strip):
    x = bits(2, dtype, 3)
    for swapped in (False, True):  # those that commute are found either way
        body = [(inner, 3, 0, 1), (outer, 4, 2, 3) if swapped else (outer, 4, 3, 2)]
        (got,) = run(dtype, body, 5, [4], x, cpu, strip, n)
        np.testing.assert_array_equal(got, expected(body, [4], x)[0][:n])


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", BIT_DTYPES)
@pytest.mark.parametrize("outer", SHIFTS)
@pytest.mark.parametrize("n,strip", [(N, 16), (N, 128), (1, 16), (3, 16)])
def test_two_shifts_of_a_value(outer, dtype, cpu, n, strip):
    """A rotation, whichever shift comes first; and what is none: shifts of two values, two to one side, one used again."""
    x = bits(3, dtype, 3)
    left, right = ("shl", 3, 0, 1), ("shr_logical", 4, 0, 2)
    bodies = [[left, right, (outer, 5, 3, 4)], [right, left, (outer, 5, 3, 4)], [left, right, (outer, 5, 4, 3)],
              [left, ("shr_logical", 4, 1, 2), (outer, 5, 3, 4)], [left, ("shl", 4, 0, 2), (outer, 5, 3, 4)],
              [left, ("shr_arithmetic", 4, 0, 2), (outer, 5, 3, 4)], [left, right, (outer, 5, 3, 4), ("add", 5, 5, 3)],
              [left, (outer, 5, 3, 3)]]
    for body in bodies:
        (got,) = run(dtype, body, 6, [5], x, cpu, strip, n)
        np.testing.assert_array_equal(got, expected(body, [5], x)[0][:n])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**62))
def test_random_bodies(seed):
    """As many registers as bodies may have, so that a slot too few would show; operands that die at once, late, never."""
    r = random.Random(seed)
    registers, n = r.choice([3, 6, 12, 32]), r.randint(1, 3)
    dtype = r.choice([*DTYPES, *BIT_DTYPES])
    table = BITS if dtype in BIT_DTYPES else NUMPY
    x = (bits if dtype in BIT_DTYPES else numbers)(seed % 1000, dtype, n)
    known, body = set(range(n)), []
    for _ in range(r.choice([3, 10, 60])):
        near = sorted(known)[-4:] if r.random() < 0.5 else sorted(known)
        a, c, dst = r.choice(near), r.choice(sorted(known)), r.randrange(registers)
        body.append((r.choice(list(table)), dst, a, c))
        known.add(dst)
    results = r.sample(sorted(known), min(len(known), 3))
    lanes = r.choice([N, N, 1, 4])
    for got, want in zip(run(dtype, body, registers, results, x, r.choice(CPUS), r.choice([3, 16, 128]), lanes),
                         expected(body, results, x), strict=True):
        np.testing.assert_array_equal(got, want[:lanes])
