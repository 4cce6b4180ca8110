"""Views across rows, of short repeated runs, backwards: strips that are turned over, spread and reversed (engine/view.c)."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Builder, load, store
from test_tiles import CPUS

from engine import Program
from kjax.bytecode import program as p

TYPES = {"u8": np.uint8, "u16": np.uint16, "f32": np.float32, "f64": np.float64, "c128": np.complex128}
SIZES = (1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 40, 64)


def _copy(dtype, dims, operands, strip, cpu, array, count, budget):
    b = Builder()
    tensors = b.input(dtype, array.shape), b.output(dtype, (count,))
    views = [p.Operand(t, offset, strides) for t, (offset, strides) in zip(tensors, operands, strict=True)]
    b.emit(p.Nest(dims, tuple(views), (load(0, 0, dtype), store(1, 0, dtype)), n_regs=1, strip=strip))
    return Program(b.image, cpu).run(array, budget=budget)[0]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**62))
def test_views(seed):
    r = random.Random(seed)
    rng = np.random.default_rng(seed)
    dtype, cpu, strip = r.choice(list(TYPES)), r.choice(CPUS), r.choice([16, 60, 128, 500, 1024])
    rank = r.choice([2, 2, 3, 4])
    dims = tuple(r.choice(SIZES) for _ in range(rank))
    while np.prod(dims) > 40000:
        dims = tuple(max(1, d // 2) for d in dims)
    whole = np.arange(np.prod(dims) + 7) * 3 % 251
    array = whole.astype(TYPES[dtype])
    order = rng.permutation(rank)
    steps, step = [0] * rank, 1
    for d in reversed(order):
        kind = r.random()
        steps[d] = 0 if kind < 0.15 else -step if kind < 0.3 else step
        step *= dims[d] if steps[d] else 1
    offset = sum((n - 1) * -s for n, s in zip(dims, steps, strict=True) if s < 0)
    dense = tuple(int(np.prod(dims[d + 1:])) for d in range(rank))
    want = np.lib.stride_tricks.as_strided(array[offset:], dims, [s * array.itemsize for s in steps]).ravel()
    budget = r.choice([2**62, 1000])
    got = _copy(dtype, dims, ((offset, tuple(steps)), (0, dense)), strip, cpu, array, want.size, budget)
    np.testing.assert_array_equal(got, want)
    if 0 not in steps:  # and the other way: dense elements to places across rows
        back = _copy(dtype, dims, ((0, dense), (offset, tuple(steps))), strip, cpu, want, want.size, budget)
        there = np.zeros_like(want)
        np.lib.stride_tricks.as_strided(there[offset:], dims, [s * there.itemsize for s in steps])[...] = want.reshape(dims)
        np.testing.assert_array_equal(back, there)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["u8", "u16", "f32", "f64"])
@pytest.mark.parametrize("rows,columns", [(4, 4), (16, 16), (17, 15), (5, 33), (64, 16), (31, 32), (8, 120)])
def test_a_strip_of_whole_rows_across(cpu, dtype, rows, columns):
    array = (np.arange(rows * columns * 3) * 7 % 251).astype(TYPES[dtype])
    size = rows * columns
    operands = (0, (size, 1, rows)), (0, (size, columns, 1))
    got = _copy(dtype, (3, rows, columns), operands, 1024, cpu, array, array.size, 2**62)
    np.testing.assert_array_equal(got, array.reshape(3, columns, rows).transpose(0, 2, 1).ravel())
