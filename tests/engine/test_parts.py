"""Steps done in parts by a team: the same bits and the same count for any number of seats, in whatever order they work."""

import random

import numpy as np
import pytest
from programs import Builder, load, store

from engine import ALL, Failed, Program
from kjax.bytecode import program as p

CPUS = ("scalar", "avx2", "avx512")


def shared(program, inputs, threads, seed=0, fuel=ALL):
    """(outputs, units used, steps that were shared out): seats take turns at random, with random budgets."""
    r = random.Random(seed)
    lane = program.lane(inputs, fuel=fuel)
    lane.share(threads)
    steps = 0
    while True:
        got = lane.step(r.choice([1, 5000, 10**6, ALL]))
        if got == "parted":
            steps += 1
            while not lane.is_done():
                lane.work(r.randrange(threads), r.choice([1, 300, 30_000, ALL]))
        elif got == "ok":
            return lane.outputs(), lane.vm.used, steps
        elif got != "again":
            raise Failed(got)


def check(image, *inputs, cpu="scalar", parted=True):
    program = Program(image, cpu)
    lane = program.lane(inputs)
    lane.finish()
    want, used = lane.outputs(), lane.vm.used
    assert used <= program.facts.cost or program.facts.cost_is_open
    for threads in (2, 3, 7):
        got, count, steps = shared(program, inputs, threads, threads)
        for g, w in zip(got, want, strict=True):
            assert g.tobytes() == w.tobytes()
        assert count == used
        assert bool(steps) == parted
    return want


def operand(tensor, shape, strides=None, offset=0):
    if strides is None:
        strides = [int(np.prod(shape[d + 1:])) for d in range(len(shape))]
    return p.Operand(tensor, offset, tuple(strides))


def numbers(*shape, dtype=np.float32):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("shape,strip", [((100_003,), 1024), ((7, 33, 401), 1000), ((3, 90_000), 64)])
def test_map(cpu, shape, strip):
    b = Builder()
    x, y = b.input("f32", shape), b.input("f32", shape[-1:])
    out = b.output("f32", shape)
    b.emit(p.Nest(shape, (operand(x, shape), operand(y, shape, [0] * (len(shape) - 1) + [1]), operand(out, shape)),
                  (load(0, 0, "f32"), load(1, 1, "f32"), p.Uop("mul", "f32", 0, 0, 1), p.Uop("exp", "f32", 0, 0), store(2, 0, "f32")),
                  n_regs=2, strip=strip))
    check(b.image, numbers(*shape), numbers(shape[-1]), cpu=cpu)


@pytest.mark.parametrize("cpu", CPUS)
def test_map_that_transposes_and_counts(cpu):
    """Views that no pointer covers, an iota, and one that is updated in place."""
    n, m = 301, 223
    b = Builder()
    x, acc = b.input("i32", (m, n)), b.arena("i32", n * m)
    out = b.output("i32", (n, m))
    wide = operand(acc, (n, m))
    b.emit(p.Nest((n, m), (operand(x, (n, m), (1, n)), p.Operand(None, 5, (3, 1)), wide),
                  (load(0, 0, "i32"), p.Uop("iota", "i32", 1, imm=1), p.Uop("add", "i32", 0, 0, 1), store(2, 0, "i32")), n_regs=2,
                  strip=512))
    b.emit(p.Nest((n, m), (wide, wide, operand(out, (n, m))),
                  (load(0, 0, "i32"), p.Uop("add", "i32", 0, 0, 0), store(1, 0, "i32"), store(2, 0, "i32")), n_regs=1, strip=512))
    data = np.arange(m * n, dtype=np.int32).reshape(m, n)
    got, = check(b.image, data, cpu=cpu)
    np.testing.assert_array_equal(got, 2 * (data.T + 5 + 3 * np.arange(n)[:, None] + np.arange(m)))


def reduction(kept, red, inner, strip=1024):
    shape = (*kept, *red, *inner)
    b = Builder()
    x, out = b.input("f32", shape), b.output("f32", (*kept, *inner))
    full = operand(x, shape)
    outs = operand(out, (*kept, *inner)).strides
    small = p.Operand(out, 0, (*outs[:len(kept)], *[0] * len(red), *outs[len(kept):]))
    b.emit(p.Nest(shape, (full, small), (load(1, 0, "f32"),), (p.Uop("add", "f32", 0, 0, 1),), (store(1, 0, "f32"),), 1, 2,
                  len(kept), len(red), strip))
    return b.image, numbers(*shape)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("kept,red,inner,strip", [
    ((64,), (2000,), (), 1024), ((5, 13), (4, 501), (), 100), ((40,), (90,), (7,), 64), ((3,), (20,), (4001,), 512),
    ((), (30,), (9000,), 1024), ((30_000,), (4,), (), 1024), ((2,), (70_001,), (), 1024)])
def test_reduction_along_kept_dims(cpu, kept, red, inner, strip):
    image, x = reduction(kept, red, inner, strip)
    check(image, x, cpu=cpu)


def test_sum_of_everything_is_done_alone():
    image, x = reduction((), (300_000,), ())
    check(image, x, parted=False)


def rows_program(rows, n, apart=True):
    """Sum of each row, then the row less its sum; by rows. Not ``apart``: the second nest reads the next row's sum."""
    b = Builder()
    x = b.input("f32", (rows, n))
    sums, out = b.arena("f32", rows + 1), b.output("f32", (rows, n))
    one = p.Operand(sums, 0, (1, 0))
    other = one if apart else p.Operand(sums, 1, (1, 0))
    b.emit(p.Nest((rows, n), (operand(x, (rows, n)), one), (load(1, 0, "f32"),), (p.Uop("add", "f32", 0, 0, 1),),
                  (store(1, 0, "f32"),), 1, 2, 1, 1, 512, rows=1))
    b.emit(p.Nest((rows, n), (operand(x, (rows, n)), other, operand(out, (rows, n))),
                  (load(0, 0, "f32"), load(1, 1, "f32"), p.Uop("sub", "f32", 0, 0, 1), store(2, 0, "f32")), n_regs=2, strip=512, rows=3))
    return b.image


@pytest.mark.parametrize("cpu", CPUS)
def test_rows(cpu):
    check(rows_program(23, 5000), numbers(23, 5000), cpu=cpu)


def test_rows_that_touch_each_other_are_done_alone():
    check(rows_program(23, 5000, apart=False), numbers(23, 5000), parted=False)


def dot(dtype, b_, m, n, k, lhs_t=False, rhs_t=False, out_t=False):
    b = Builder()
    x, y, out = b.input(dtype, (b_, m, k)), b.input(dtype, (b_, k, n)), b.output(dtype, (b_, m, n))
    lhs = (m * k, 1, 0, m) if lhs_t else (m * k, k, 0, 1)
    rhs = (k * n, 0, k, 1) if rhs_t else (k * n, 0, 1, n)
    outs = (m * n, 1, m, 0) if out_t else (m * n, n, 1, 0)
    b.emit(p.Dot(dtype, 1, 1, 1, 1, (b_, m, n, k), p.Operand(x, 0, lhs), p.Operand(y, 0, rhs), p.Operand(out, 0, outs)))
    return b.image


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["f32", "f64", "c64", "i32"])
@pytest.mark.parametrize("sizes", [(1, 130, 190, 70), (1, 300, 40, 200), (1, 9, 700, 500), (1, 2, 1500, 900), (1, 1, 3000, 300),
                                   (1, 4000, 1, 300), (1, 6000, 4, 60), (1, 700, 3, 500), (5, 40, 50, 60), (300, 5, 20, 20)])
def test_dot(cpu, dtype, sizes):
    r = np.random.default_rng(1)
    b_, m, n, k = sizes
    x, y = (r.integers(-50, 50, s) if dtype == "i32" else r.standard_normal(s) for s in ((b_, m, k), (b_, k, n)))
    check(dot(dtype, *sizes), x, y, cpu=cpu)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("how", [(True, False, False), (False, True, False), (True, True, True), (False, False, True)])
@pytest.mark.parametrize("sizes", [(1, 257, 129, 65), (2, 70, 600, 33)])
def test_dot_transposed(cpu, how, sizes):
    b_, m, n, k = sizes
    check(dot("f32", *sizes, *how), numbers(b_, m, k), numbers(b_, k, n), cpu=cpu)


@pytest.mark.parametrize("loop", [False, True])
def test_in_a_loop(loop):
    """A nest of many strips inside of a while has a link of its own; each seat has its own copy."""
    n, trips = 60_000, 3
    b = Builder()
    x, out = b.input("f32", (n,)), b.output("f32", (n,))
    v, count, limit, more = b.arena("f32", n), b.arena("i32", 1), b.constant(np.int32([trips])), b.arena("i1", 1)
    copy = (load(0, 0, "f32"), store(1, 0, "f32"))
    b.emit(p.Nest((n,), (p.Operand(x, 0, (1,)), p.Operand(v, 0, (1,))), copy, n_regs=1, strip=1024))
    b.emit(p.Nest((1,), (p.Operand(count, 0, (0,)),), (load(0, 0, "i32"), p.Uop("xor", "i32", 0, 0, 0), store(0, 0, "i32")), n_regs=1,
                  strip=1))
    b.emit(p.While(0))
    b.emit(p.Nest((1,), tuple(p.Operand(t, 0, (0,)) for t in (count, limit, more)),
                  (load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("lt", "i32", 0, 0, 1), store(2, 0, "i1")), n_regs=2, strip=1))
    b.emit(p.Do(more))
    b.emit(p.Nest((n,), (p.Operand(v, 0, (1,)), p.Operand(v, 0, (1,))),
                  (load(0, 0, "f32"), p.Uop("tanh", "f32", 0, 0), store(1, 0, "f32")), n_regs=1, strip=1024))
    b.emit(p.Nest((1,), (p.Operand(count, 0, (0,)), p.Operand(b.constant(np.int32([1])), 0, (0,))),
                  (load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("add", "i32", 0, 0, 1), store(0, 0, "i32")), n_regs=2, strip=1))
    b.emit(p.End())
    b.emit(p.Nest((n,), (p.Operand(v, 0, (1,)), p.Operand(out, 0, (1,))), copy, n_regs=1, strip=1024))
    check(b.image, numbers(n))


def test_fuel_runs_out_as_for_one_thread():
    image, x = reduction((64,), (2000,), ())
    program = Program(image)
    lane = program.lane([x])
    lane.finish()
    used = lane.vm.used
    assert shared(program, [x], 2, fuel=used + 1)[1] == used
    for fuel in (1, used // 2, used - 3000, used - 1, used, program.facts.cost, program.facts.cost + 1):
        try:
            alone = program.lane([x], fuel=fuel)
            alone.finish(3000)
        except Failed:
            with pytest.raises(Failed, match="out_of_fuel"):
                shared(program, [x], 3, fuel=fuel)
        else:
            assert shared(program, [x], 3, fuel=fuel)[1] == used
