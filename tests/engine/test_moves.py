"""Nests that only move: every stride, each element repeated, counting; what is gathered goes right to where it is stored."""

import numpy as np
import pytest
from programs import Builder, load, store
from test_tiles import CPUS

from engine import Program
from kjax.bytecode import program as p
from kjax.isa import dtypes

DTYPES = ("i1", "i16", "f32", "i64", "c128")


def moved(dtype, dims, strides, offset, n, cpu, strip=1024, uops=(), regs=1):
    """out[i] = in[offset + sum(i * strides)]; (the elements of in, what came out)"""
    numpy = dtypes.BY_NAME[dtype].numpy
    values = (np.arange(n) * 7 % 251).astype(numpy) if dtype != "i1" else np.random.default_rng(1).integers(0, 2, n).astype(bool)
    b = Builder()
    source, target = b.input(dtype, (n,)), b.output(dtype, dims)
    dense = tuple(int(np.prod(dims[k + 1:])) for k in range(len(dims)))
    b.emit(p.Nest(dims, (p.Operand(source, offset, strides), p.Operand(target, 0, dense)), (load(0, 0, dtype), *uops, store(1, 0, dtype)),
                  n_regs=regs, strip=strip))
    return values, Program(b.image, cpu).run(values)[0]


def expected(values, dims, strides, offset):
    return values[offset + sum(np.arange(d).reshape([-1 if k == axis else 1 for k in range(len(dims))]) * s
                               for axis, (d, s) in enumerate(zip(dims, strides, strict=True)))]


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_strides(dtype, cpu):
    for step in (1, 2, 3, 4, 5, 17, -1, -3):
        for columns in (1, 2, 15, 16, 17, 33, 330, 1100):
            dims, reach = (7, columns), abs(step) * columns
            strides, offset = (reach + 2, step), 1 if step > 0 else reach
            values, got = moved(dtype, dims, strides, offset, 8 * (reach + 2), cpu)
            np.testing.assert_array_equal(got, expected(values, dims, strides, offset), f"{step} {columns}")


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_element_repeated(dtype, cpu):
    for times in (*range(2, 18), 33, 128):
        for n, step in ((1, 1), (3, 1), (16, 1), (41, 1), (700, 1), (41, 2)):
            values, got = moved(dtype, (n, times), (step, 0), 0, n * step, cpu, 1024 if n > 16 else 64)
            np.testing.assert_array_equal(got, np.repeat(values[::step], times).reshape(n, times), f"{times} {n}")


@pytest.mark.parametrize("cpu", CPUS)
def test_what_is_stored_may_be_read_on(cpu):
    """A load that gathers into the result is an operand, too; of another one stored elsewhere."""
    b = Builder()
    source, first, second = b.input("i32", (900,)), b.output("i32", (300,)), b.output("i32", (300,))
    b.emit(p.Nest((300,), (p.Operand(source, 1, (3,)), p.Operand(first, 0, (1,)), p.Operand(second, 0, (1,))),
                  (load(0, 0, "i32"), p.Uop("add", "i32", 1, 0, 0), store(1, 0, "i32"), store(2, 1, "i32")), n_regs=2, strip=128))
    values = np.arange(900, dtype=np.int32)
    one, two = Program(b.image, cpu).run(values)
    np.testing.assert_array_equal(one, values[1::3])
    np.testing.assert_array_equal(two, 2 * values[1::3])


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("n", [1, 5, 64, 1000, 5000])
def test_counting(n, cpu):
    b = Builder()
    target = b.output("i32", (n,))
    b.emit(p.Nest((n,), (p.Operand(None, 3, (2,)), p.Operand(target, 0, (1,))), (p.Uop("iota", "i32", 0, imm=0), store(1, 0, "i32")),
                  n_regs=1, strip=256))
    np.testing.assert_array_equal(Program(b.image, cpu).run()[0], 3 + 2 * np.arange(n))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("columns", [1, 2, 16, 24, 128, 300])
def test_counting_in_each_row(columns, cpu):
    """The same in every strip, where rows divide it."""
    b = Builder()
    given, target, marks = b.input("i32", (70,)), b.output("i32", (70, columns)), b.output("i1", (70, columns))
    b.emit(p.Nest((70, columns), (p.Operand(None, 5, (0, 3)), p.Operand(given, 0, (1, 0)), p.Operand(target, 0, (columns, 1)),
                                  p.Operand(marks, 0, (columns, 1))),
                  (p.Uop("iota", "i32", 0, imm=0), load(1, 1, "i32"), p.Uop("eq", "i32", 2, 0, 1), p.Uop("sub", "i32", 1, 0, 1),
                   store(2, 1, "i32"), store(3, 2, "i1")), n_regs=3, strip=256))
    values = np.random.default_rng(columns).integers(0, 3 * columns + 9, 70).astype(np.int32)
    count = 5 + 3 * np.arange(columns, dtype=np.int32)
    difference, same = Program(b.image, cpu).run(values)
    np.testing.assert_array_equal(difference, count[None] - values[:, None])
    np.testing.assert_array_equal(same, count[None] == values[:, None])
