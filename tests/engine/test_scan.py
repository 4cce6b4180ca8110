"""Opcode scan against NumPy: every operation and type, rows and columns, both directions, in place, in slices, all tables."""

import numpy as np
import pytest
import tables
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Builder, strides_of

from engine import ALL, SANITIZE, Program
from kjax.bytecode import program as p
from kjax.isa import dtypes, ops

CPUS = ("scalar",) if SANITIZE else tables.usable()
ROWS = [(op, t) for op in ("add", "mul", "max", "min", "and", "or", "xor") for t in ops.BY_NAME[op].dtypes
        if t not in ("c64", "c128") and (t != "i1" or op not in ("add", "mul"))]
UFUNCS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum, "and": np.bitwise_and,
          "or": np.bitwise_or, "xor": np.bitwise_xor}


def draw(rng, dtype, shape):
    numpy = dtypes.BY_NAME[dtype].numpy
    if dtype == "i1":
        return rng.random(shape) < 0.9
    if numpy.kind == "f":
        return (1 + rng.standard_normal(shape) / 8).astype(numpy)
    return rng.integers(0, 256, (*shape, numpy.itemsize), np.uint8).view(numpy)[..., 0]


def image(op, dtype, shape, axis=-1, reverse=False, in_place=False):
    b = Builder()
    x = b.input(dtype, shape)
    out = b.output(dtype, shape, alias=0 if in_place else None)
    dims, strides = list(shape), list(strides_of(shape))
    dims.append(dims.pop(axis))
    strides.append(strides.pop(axis))
    offset = 0
    if reverse:
        offset = (dims[-1] - 1) * strides[-1]
        strides[-1] = -strides[-1]
    view = [p.Operand(t, offset, tuple(strides)) for t in (out if in_place else x, out)]
    b.emit(p.Scan(op, dtype, tuple(dims), *view))
    return b.image


def wanted(op, x, axis, reverse):
    """In f64 for floats."""
    x = np.flip(x, axis) if reverse else x
    wide = np.float64 if x.dtype.kind == "f" else x.dtype
    with np.errstate(all="ignore"):
        y = UFUNCS[op].accumulate(x.astype(wide), axis, dtype=wide)
    return np.flip(y, axis) if reverse else y


def close(op, got, want, n):
    if got.dtype.kind != "f" or op in ("max", "min"):
        np.testing.assert_array_equal(got, want.astype(got.dtype))
    else:
        rounding = {"f4": 3e-7, "f8": 5e-16}[got.dtype.str[1:]] * (n / 4 if op == "mul" and got.itemsize == 8 else 1)
        np.testing.assert_allclose(got, want, rtol=6 * rounding)


@pytest.mark.parametrize("op,dtype", ROWS)
def test_every_operation(op, dtype):
    rng = np.random.default_rng(1)
    for shape, axis in (((1,), 0), ((15,), 0), ((16,), 0), ((83,), 0), ((37, 300), 0), ((3, 40), 1)):
        x = draw(rng, dtype, shape)
        for reverse in (False, True):
            want = wanted(op, x, axis, reverse)
            first = None
            for cpu in CPUS:
                got, = Program(image(op, dtype, shape, axis, reverse), cpu).run(x)
                close(op, got, want, shape[axis])
                first = got if first is None else first
                np.testing.assert_array_equal(got, first)  # to the bit


@settings(max_examples=60, deadline=None)
@given(st.sampled_from((("add", "f32"), ("mul", "f64"), ("add", "i16"), ("max", "f32"))), st.lists(st.sampled_from(
    (1, 2, 7, 9, 64, 257)), min_size=1, max_size=3), st.integers(0, 2), st.booleans(), st.booleans(), st.integers(1, 9000),
    st.integers(0, 99))
def test_slices_and_places(row, shape, axis, reverse, in_place, budget, seed):
    axis %= len(shape)
    x = draw(np.random.default_rng(seed), row[1], tuple(shape))
    program = Program(image(*row, tuple(shape), axis, reverse, in_place), CPUS[-1])
    want = wanted(row[0], x, axis, reverse)
    used = set()
    for slices in (ALL, budget):
        lane = program.lane([x])
        lane.finish(slices)
        close(row[0], lane.outputs()[0], want, shape[axis])
        used.add((lane.vm.used, lane.outputs()[0].tobytes()))
    assert len(used) == 1 and used.pop()[0] <= program.facts.cost


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("shape,axis", [((300000,), 0), ((20000, 16), 0)])
def test_rounding_does_not_add_up(dtype, shape, axis):
    x = np.random.default_rng(3).standard_normal(shape).astype(dtypes.BY_NAME[dtype].numpy)
    exact = np.cumsum(x.astype(np.longdouble), axis)
    got, = Program(image("add", dtype, shape, axis), CPUS[-1]).run(x, budget=50000)
    plain = np.cumsum(x, axis)
    scale = np.finfo(x.dtype).eps * np.abs(exact).max()
    assert np.abs(got - exact).max() < 3 * scale
    assert np.abs(got - exact).max() < np.abs(plain - exact).max()


def test_infinities_and_nan():
    """They spread to the right and no further: what is before is as it was; -0 stays."""
    for dtype in ("f32", "f64"):
        x = np.ones(100, dtypes.BY_NAME[dtype].numpy)
        x[0:2] = -0.0
        x[40], x[70], x[90] = np.inf, -np.inf, np.nan
        for cpu in CPUS:
            got, = Program(image("add", dtype, (100,)), cpu).run(x)
            np.testing.assert_array_equal(got, np.cumsum(x))
            assert np.signbit(got[:2]).all()
