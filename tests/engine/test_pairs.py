"""Pairs of float operations that one routine does: the bits are those of one operation after the other."""

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
            held[dst] = NUMPY[op](held[a]) if op == "neg" else NUMPY[op](held[a], held[c])
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


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**62))
def test_random_bodies(seed):
    """As many registers as bodies may have, so that a slot too few would show; operands that die at once, late, never."""
    r = random.Random(seed)
    registers, n = r.choice([3, 6, 12, 32]), r.randint(1, 3)
    dtype = r.choice(list(DTYPES))
    x = numbers(seed % 1000, dtype, n)
    known, body = set(range(n)), []
    for _ in range(r.choice([3, 10, 60])):
        near = sorted(known)[-4:] if r.random() < 0.5 else sorted(known)
        a, c, dst = r.choice(near), r.choice(sorted(known)), r.randrange(registers)
        body.append((r.choice(list(NUMPY)), dst, a, c))
        known.add(dst)
    results = r.sample(sorted(known), min(len(known), 3))
    lanes = r.choice([N, N, 1, 4])
    for got, want in zip(run(dtype, body, registers, results, x, r.choice(CPUS), r.choice([3, 16, 128]), lanes),
                         expected(body, results, x), strict=True):
        np.testing.assert_array_equal(got, want[:lanes])
