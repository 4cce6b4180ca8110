"""Nests that run together by rows leave what they leave one after the other, however they are sliced."""

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Builder, load, store

from engine import Failed, Program
from kjax.bytecode import program as p

CPUS = ("scalar", "avx2")


def add(dst, a, b):
    return p.Uop("add", "i64", dst, a, b)


def chain(seed):
    """A few nests over rows of one matrix, each on what the ones before it left of the same row."""
    r = random.Random(seed)
    rows, n, m = r.choice([2, 3, 7]), r.choice([1, 2, 5, 70, 600]), r.choice([1, 1, 3, 40])
    b = Builder()
    wide, narrow = (n * m, m, 1), (m, 0, 1)  # strides over (rows, n, m): a value for each point; for each row and inner point
    x = b.input("i64", (rows, n, m))
    full, small = [x], []
    code = []
    for _ in range(r.randint(2, 5)):
        dims, kind = (rows, n, m), r.choice(["map", "reduce", "kept"])
        if kind == "kept" and small:  # a map over what reductions left
            t = b.arena("i64", rows * m)
            body = (load(0, 0, "i64"), load(1, 1, "i64"), add(0, 0, 1), store(2, 0, "i64"))
            code.append(p.Nest((rows, m), tuple(p.Operand(q, 0, (m, 1)) for q in (r.choice(small), r.choice(small), t)), body, n_regs=2,
                               strip=r.choice([1, 16, 256])))
            small.append(t)
            continue
        views = [p.Operand(r.choice(full), 0, wide)]
        if small:
            views.append(p.Operand(r.choice(small), 0, narrow))
        body = (load(1, 0, "i64"), *([load(2, 1, "i64"), add(1, 1, 2)] if small else []))
        t = b.arena("i64", rows * n * m)
        stores = kind == "map" or r.random() < 0.4
        if stores:
            views.append(p.Operand(t, 0, wide))
            body += (store(len(views) - 1, 1, "i64"),)
            full.append(t)
        strip = r.choice([1, 3, 16, 64, 256])
        if kind == "map":
            code.append(p.Nest(dims, tuple(views), body, n_regs=3, strip=strip))
            continue
        t = b.arena("i64", rows * m)
        views.append(p.Operand(t, 0, narrow))
        code.append(p.Nest(dims, tuple(views), body, (add(0, 0, 1),), (store(len(views) - 1, 0, "i64"),), 1, 3, 1, 1, strip))
        small.append(t)
    for t, shape in [(full[-1], (rows, n, m))] + [(s, (rows, m)) for s in small[-1:]]:
        out, size = b.output("i64", shape), int(np.prod(shape))
        row = size // rows
        code.append(p.Nest((rows, row), (p.Operand(t, 0, (row, 1)), p.Operand(out, 0, (row, 1))), (load(0, 0, "i64"), store(1, 0, "i64")),
                           n_regs=1, strip=64))
    return b.image, code, np.random.default_rng(seed % 2**32).integers(-9, 9, (rows, n, m)), r


def together(code):
    return [replace(n, rows=p.ROWS_OWN | (p.ROWS_JOINED if k else 0)) for k, n in enumerate(code)]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**62))
def test_the_same_as_one_after_the_other(seed):
    image, code, x, r = chain(seed)
    cpu = r.choice(CPUS)
    want = Program(replace(image, code=code), cpu).run(x)
    program = Program(replace(image, code=together(code)), cpu)
    lane = program.lane((x,))
    lane.finish()
    used = lane.vm.used
    assert used <= program.facts.cost
    budgets = (r.choice([1, 7, 100, 5000]) for _ in iter(int, 1))
    sliced = program.lane((x,), fuel=used)
    sliced.finish(budgets)
    for got in (lane.outputs(), sliced.outputs(), program.run(x, budget=1)):
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b)
    if used > 50:
        with pytest.raises(Failed, match="out_of_fuel"):
            program.lane((x,), fuel=used // 2).finish()


def test_two_groups_and_single_nests():
    image, code, x, _ = chain(12)
    alone = [replace(n, rows=p.ROWS_OWN) for n in code]
    mixed = [replace(n, rows=(p.ROWS_OWN, p.ROWS_OWN | p.ROWS_JOINED)[k % 2]) for k, n in enumerate(code)]
    want = Program(replace(image, code=code)).run(x)
    for some in (alone, mixed):
        for a, b in zip(Program(replace(image, code=some)).run(x), want, strict=True):
            np.testing.assert_array_equal(a, b)
