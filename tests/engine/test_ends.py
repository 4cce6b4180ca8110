"""Rows whose folds end together, and go through the post body as lanes: the bits are those of each row alone."""

import numpy as np
import pytest
from programs import Builder, load, store
from test_tiles import CPUS, DTYPES, SPECIAL, both, folded, same_bits

from engine import Program
from kjax.bytecode import program as p

OPS = ("add", "mul", "max", "min")


def run(b, cpu, *arrays):
    """Outputs; the same in slices of one unit, at the same cost."""
    program = Program(b.image, cpu)
    lane = program.lane(list(arrays))
    lane.finish()
    sliced = program.lane(list(arrays))
    sliced.finish(1)
    for got, want in zip(sliced.outputs(), lane.outputs(), strict=True):
        same_bits(got, want)
    assert sliced.vm.used == lane.vm.used <= program.facts.cost
    return lane.outputs()


def fold_of(op, x, strip):
    """``x`` folded along its last dim in the engine's order."""
    width, lanes = 256 // x.itemsize, x.shape[-1]
    rows = [np.concatenate([row[k:k + strip] for k in range(0, lanes, strip)]) for row in x.reshape(-1, lanes)]
    return np.array([folded(op, row, width) for row in rows], x.dtype).reshape(x.shape[:-1])


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("mapped", [False, True])
def test_post_bodies(op, dtype, cpu, mapped):
    """(fold(x) * c - v) of each row, c a constant, v a vector; with and without a map body, rows of one and two dims."""
    rng = np.random.default_rng(7)
    for outer, rows, lanes in [(1, 2, 64), (1, 5, 100), (3, 16, 128), (2, 17, 129), (1, 33, 300), (4, 3, 1000)]:
        x = rng.normal(size=(outer, rows, lanes)).astype(DTYPES[dtype])
        v = rng.normal(size=(outer, rows)).astype(DTYPES[dtype])
        c = np.array([0.75], DTYPES[dtype])
        b = Builder()
        operands = (p.Operand(b.input(dtype, x.shape), 0, (rows * lanes, lanes, 1)),
                    p.Operand(b.input(dtype, v.shape), 0, (rows, 1, 0)), p.Operand(b.constant(c), 0, (0, 0, 0)),
                    p.Operand(b.output(dtype, v.shape), 0, (rows, 1, 0)), p.Operand(b.output(dtype, v.shape), 0, (rows, 1, 0)))
        body = (load(1, 0, dtype),) + ((p.Uop("mul", dtype, 1, 1, 1),) if mapped else ())
        post = (load(1, 2, dtype), p.Uop("mul", dtype, 1, 0, 1), load(2, 1, dtype), p.Uop("sub", dtype, 1, 1, 2),
                store(3, 0, dtype), store(4, 1, dtype))
        b.emit(p.Nest(x.shape, operands, body, (p.Uop(op, dtype, 0, 0, 1),), post, 1, 4, 2, 1, 128))
        fold, scaled = run(b, cpu, x, v)
        want = fold_of(op, x * x if mapped else x, 128)
        np.testing.assert_array_equal(fold, want)
        np.testing.assert_array_equal(scaled, want * c - v)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("strides", [(1, 2, 0), (40, 0, 0), (0, 1, 0)])
def test_views_that_are_no_lanes(cpu, strides):
    """What the post body reads lies apart, is the same for several rows, or is the same for all of an outer dim."""
    rng = np.random.default_rng(8)
    x, v = rng.normal(size=(2, 20, 100)).astype(np.float32), rng.normal(size=80).astype(np.float32)
    b = Builder()
    operands = (p.Operand(b.input("f32", x.shape), 0, (2000, 100, 1)), p.Operand(b.input("f32", v.shape), 0, strides),
                p.Operand(b.output("f32", (2, 20)), 0, (20, 1, 0)))
    post = (load(1, 1, "f32"), p.Uop("add", "f32", 0, 0, 1), store(2, 0, "f32"))
    b.emit(p.Nest(x.shape, operands, (load(1, 0, "f32"),), (p.Uop("add", "f32", 0, 0, 1),), post, 1, 2, 2, 1, 128))
    i, k = np.indices((2, 20))
    np.testing.assert_array_equal(run(b, cpu, x, v)[0], fold_of("add", x, 128) + v[i * strides[0] + k * strides[1]])


@pytest.mark.parametrize("cpu", CPUS)
def test_results_apart_and_counted(cpu):
    """Results in every other place; and a post body that counts rows."""
    x = np.random.default_rng(9).normal(size=(20, 100)).astype(np.float32)
    b = Builder()
    operands = (p.Operand(b.input("f32", x.shape), 0, (100, 1)), p.Operand(b.output("f32", (40,)), 0, (2, 0)),
                p.Operand(None, 5, (3, 0)), p.Operand(b.output("i32", (20,)), 0, (1, 0)))
    post = (store(1, 0, "f32"), p.Uop("iota", "i32", 1, imm=2), store(3, 1, "i32"))
    b.emit(p.Nest(x.shape, operands, (load(1, 0, "f32"),), (p.Uop("max", "f32", 0, 0, 1),), post, 1, 2, 1, 1, 128))
    largest, count = run(b, cpu, x)
    np.testing.assert_array_equal(largest[::2], x.max(1))
    np.testing.assert_array_equal(count, 5 + 3 * np.arange(20))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("reader", ["map", "post", "both"])
def test_row_values_updated_in_place(cpu, reader):
    """v += fold(x), the map body or the post body reading v."""
    rng = np.random.default_rng(10)
    x, v = rng.normal(size=(21, 130)).astype(np.float32), rng.normal(size=21).astype(np.float32)
    b = Builder()
    given = b.input("f32", v.shape)
    inputs = p.Operand(b.input("f32", x.shape), 0, (130, 1))
    operands = (inputs, p.Operand(given, 0, (1, 0)), p.Operand(b.output("f32", v.shape, alias=0), 0, (1, 0)))
    body = (load(1, 0, "f32"),) + ((load(2, 1, "f32"), p.Uop("mul", "f32", 1, 1, 2)) if reader != "post" else ())
    post = ((load(1, 1, "f32"), p.Uop("add", "f32", 0, 0, 1)) if reader != "map" else ()) + (store(2, 0, "f32"),)
    b.emit(p.Nest(x.shape, operands, body, (p.Uop("add", "f32", 0, 0, 1),), post, 1, 3, 1, 1, 256))
    want = fold_of("add", x * v[:, None] if reader != "post" else x, 256)
    np.testing.assert_array_equal(run(b, cpu, v, x)[0], want + v if reader != "map" else want)


@pytest.mark.parametrize("op", ["max", "min"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cpu", CPUS)
def test_largest_of_zeros_and_nans(op, dtype, cpu):
    """NaN wins; +0 is above -0, wherever they are."""
    rng = np.random.default_rng(11)
    for lanes in (64, 200, 512, 513, 2000):
        x = rng.choice([0.0, -0.0, -1.0, 1.0], (40, lanes), p=[0.02, 0.96, 0.02, 0]).astype(DTYPES[dtype])
        x = x if op == "max" else -x
        x[::7, rng.integers(lanes)] = np.nan
        x[3] = -np.inf
        b = Builder()
        operands = (p.Operand(b.input(dtype, x.shape), 0, (lanes, 1)), p.Operand(b.output(dtype, (40,)), 0, (1, 0)))
        b.emit(p.Nest(x.shape, operands, (load(1, 0, dtype),), (p.Uop(op, dtype, 0, 0, 1),), (store(1, 0, dtype),), 1, 2, 1, 1, 1024))
        (got,) = run(b, cpu, x)
        key = np.where(x == 0, np.where(np.signbit(x), -0.25, 0.25), x)
        best = key.max(1) if op == "max" else key.min(1)
        same_bits(got, np.where(np.abs(best) == 0.25, np.copysign(0, best), best).astype(x.dtype))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("op", ["div", "mul", "sub"])
def test_operations_with_a_row_value(cpu, op):
    """x / m for all kinds of numbers: a division is rounded correctly, however it is done."""
    rng = np.random.default_rng(12)
    values = [1, 3, -7, 2.0**-30, 2.0**30, 2.0**-31, 2.0**31, 1 + 2.0**-23, 2 - 2.0**-23, 1e-40, 3e38, *SPECIAL]
    m = np.array(values + list(rng.normal(size=20)), np.float32)
    x = rng.integers(0, 2**32, (len(m), 700), dtype=np.uint64).astype(np.uint32).view(np.float32)
    x[:, 128:] = rng.normal(size=(len(m), 572)) * 2.0 ** rng.integers(-120, 120, (len(m), 572))
    x[:, 256:] = rng.normal(size=(len(m), 444))
    x[5:, 300] = 0
    x[8:, 400] = -0.0

    def build(strip):
        b = Builder()
        operands = (p.Operand(b.input("f32", x.shape), 0, (700, 1)), p.Operand(b.input("f32", m.shape), 0, (1, 0)),
                    p.Operand(b.output("f32", x.shape), 0, (700, 1)))
        body = (load(0, 0, "f32"), load(1, 1, "f32"), p.Uop(op, "f32", 0, 0, 1), store(2, 0, "f32"))
        b.emit(p.Nest(x.shape, operands, body, n_regs=2, strip=strip))
        return b.image, [x, m]

    with np.errstate(all="ignore"):
        want = {"div": np.divide, "mul": np.multiply, "sub": np.subtract}[op](x, m[:, None])
    for got, short in both(build, cpu, 1024):
        same_bits(got, short)
        same_bits(got, want)


@pytest.mark.parametrize("cpu", CPUS)
def test_quotients_next_to_the_middle_between_two_floats(cpu):
    """Each row: one odd mantissa as divisor, and the dividend whose quotient is as near as can be to a middle, in all sizes."""
    rng = np.random.default_rng(14)
    rows, lanes = 3000, 128
    d = rng.integers(1 << 23, 1 << 24, rows) | 1
    d[:4] = ((1 << 23) + 1, (1 << 24) - 1, (1 << 23) + 3, 10369665)
    twice = np.array([pow(int(k), -1, 1 << 25) for k in d])  # a << 25 = middle * d + sign, the middle an odd number of 25 bits
    sign = np.where(twice >= 1 << 24, -1, 1)
    middle = np.where(twice >= 1 << 24, twice, (1 << 25) - twice)
    a = (middle * d + sign) >> 25
    assert ((a << 25) == middle * d + sign).all()
    size = 2.0 ** rng.integers(-29, 30, rows)
    m = (d * 2.0**-23 * size * rng.choice([-1, 1], rows)).astype(np.float32)
    x = (a[:, None] * 2.0**-23 * 2.0 ** rng.integers(-60, 80, (rows, lanes))).astype(np.float32)
    x[::2, lanes // 2:] = rng.normal(size=x[::2, lanes // 2:].shape)
    b = Builder()
    operands = (p.Operand(b.input("f32", x.shape), 0, (lanes, 1)), p.Operand(b.input("f32", m.shape), 0, (1, 0)),
                p.Operand(b.output("f32", x.shape), 0, (lanes, 1)))
    body = (load(0, 0, "f32"), load(1, 1, "f32"), p.Uop("div", "f32", 0, 0, 1), store(2, 0, "f32"))
    b.emit(p.Nest(x.shape, operands, body, n_regs=2, strip=1024))
    same_bits(run(b, cpu, x, m)[0], x / m[:, None])


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cpu", CPUS)
def test_rows_of_any_length_as_they_lie(op, dtype, cpu):
    """Rows that one routine folds, several at a time: shorter and longer than a strip, than 64 KB; some with NaN, infinity, zeros;
    rows apart from each other, of a matrix that is read backwards."""
    rng = np.random.default_rng(13)
    size = np.dtype(DTYPES[dtype]).itemsize
    for rows, lanes in [(1, 64), (2, 65), (3, 1023), (7, 1025), (9, 4096), (5, 16384 // (size // 4)), (3, 50000), (4, 16385)]:
        x = rng.normal(1, 0.01, size=(rows, lanes + 3)).astype(DTYPES[dtype])
        x[1::3, lanes // 2] = rng.choice([np.nan, np.inf, -np.inf, 0.0], len(x[1::3]))
        b = Builder()
        last = (rows - 1) * (lanes + 3)
        operands = (p.Operand(b.input(dtype, x.shape), last, (-lanes - 3, 1)), p.Operand(b.output(dtype, (rows,)), 0, (1, 0)))
        b.emit(p.Nest((rows, lanes), operands, (load(1, 0, dtype),), (p.Uop(op, dtype, 0, 0, 1),), (store(1, 0, dtype),), 1, 2, 1, 1, 1024))
        (got,) = run(b, cpu, x)
        with np.errstate(all="ignore"):
            same_bits(got, fold_of(op, x[::-1, :lanes], lanes))


@pytest.mark.parametrize("cpu", CPUS)
def test_many_short_rows(cpu):
    """More rows than one call does, in a map and in a fold of what a map makes."""
    rng = np.random.default_rng(14)
    x, m = rng.normal(size=(1100, 70)).astype(np.float32), rng.normal(size=1100).astype(np.float32)
    b = Builder()
    given, values = p.Operand(b.input("f32", x.shape), 0, (70, 1)), p.Operand(b.input("f32", m.shape), 0, (1, 0))
    code = (load(1, 0, "f32"), load(2, 1, "f32"), p.Uop("sub", "f32", 1, 1, 2))
    matrix = p.Operand(b.output("f32", x.shape), 0, (70, 1))
    b.emit(p.Nest(x.shape, (given, values, matrix), (*code, store(2, 1, "f32")), n_regs=3, strip=128))
    operands = (given, values, p.Operand(b.output("f32", m.shape), 0, (1, 0)))
    b.emit(p.Nest(x.shape, operands, code, (p.Uop("add", "f32", 0, 0, 1),), (store(2, 0, "f32"),), 1, 3, 1, 1, 128))
    less, sums = run(b, cpu, x, m)
    np.testing.assert_array_equal(less, x - m[:, None])
    np.testing.assert_array_equal(sums, fold_of("add", x - m[:, None], 128))
