"""Opcode transform against NumPy in f64: every kind, lengths with every radix, lanes and transforms side by side or apart, vectors that
are full and not; the same bits from every table, in slices of any size and in parts."""

from math import prod

import numpy as np
import pytest
import tables
from programs import Builder

from engine import ALL, SANITIZE, Program
from kjax.bytecode import program as p
from kjax.frontend.legalize.fft_lanes import RADICES, _roots
from kjax.frontend.legalize.fft_parts import radices
from kjax.ir.check import transform_length

CPUS = ("scalar",) if SANITIZE else tables.usable()
KINDS = ("complex", "inverse", "forward", "backward")
LENGTHS = (2, 3, 4, 5, 8, 9, 12, 16, 25, 30, 60, 64, 72, 100, 128, 256, 400)
COMPLEX = {"f32": np.complex64, "f64": np.complex128}
REAL = {"f32": np.float32, "f64": np.float64}
BOUND = {"f32": 3e-7, "f64": 6e-16}


def strides(shape, order):
    """Of dims that lie in memory in ``order``, outermost first."""
    out, step = [0] * 3, 1
    for d in reversed(order):
        out[d] = step
        step *= shape[d]
    return tuple(out)


def image(kind, dtype, dims, x, read=(0, 1, 2), written=(0, 1, 2), scale=1.0, turned=False):
    """A transform of ``x``, the elements in ``read`` order."""
    flags = (("inverse",) if kind == "inverse" else ()) + (("turned",) if turned else ())
    kind = "complex" if kind == "inverse" else kind
    given, made = transform_length(kind, dims[1])
    factors = tuple(radices(dims[1], RADICES[kind]))
    b = Builder()
    name = {"c": {"f32": "c64", "f64": "c128"}[dtype], "f": dtype}
    source = b.input(name[x.dtype.kind], (x.size,))
    out = b.output(dtype if kind == "backward" else name["c"], (dims[0] * made * dims[2],))
    roots = b.constant(_roots(kind, factors, dims[2] if turned else 0).astype(REAL[dtype]))
    b.emit(p.Transform(kind, dtype, tuple(dims), factors, p.Operand(source, 0, strides((dims[0], given, dims[2]), read)),
                       p.Operand(out, 0, strides((dims[0], made, dims[2]), written)), p.Operand(roots, 0, ()), scale, flags))
    return b.image


def draw(kind, dtype, dims, real=False):
    rng = np.random.default_rng(prod(dims))
    shape = (dims[0], transform_length(kind, dims[1])[0] if kind != "inverse" else dims[1], dims[2])
    x = rng.standard_normal(shape)
    if real or kind == "forward":
        return x.astype(REAL[dtype])
    return (x + 1j * rng.standard_normal(shape)).astype(COMPLEX[dtype])


def wanted(kind, x, n):
    wide = x.astype(complex)
    if kind == "forward":
        return np.fft.rfft(wide.real, n, 1)
    if kind == "backward":
        return np.fft.irfft(wide, n, 1) * n
    return np.fft.ifft(wide, n, 1) * n if kind == "inverse" else np.fft.fft(wide, n, 1)


def run(made, x, read=(0, 1, 2), cpu=None, budget=ALL):
    program = Program(made, cpu)
    lane = program.lane([x.transpose(read).ravel()])
    lane.finish(budget)
    assert lane.vm.used <= program.facts.cost
    return lane.outputs()[0]


def check(kind, dtype, dims, read=(0, 1, 2), written=(0, 1, 2), scale=1.0, turned=False, real=False):
    x = draw(kind, dtype, dims, real)
    made = image(kind, dtype, dims, x, read, written, scale, turned)
    first, *others = [run(made, x, read, cpu) for cpu in CPUS]
    others.append(run(made, x, read, CPUS[-1], 1))
    for other in others:
        np.testing.assert_array_equal(first.view(np.uint8), other.view(np.uint8))
    want = wanted(kind, x, dims[1]) * scale
    if turned:
        angle = np.outer(np.arange(dims[1]), np.arange(dims[2])) * (2 * np.pi / (dims[1] * dims[2]))
        want = want * np.exp((1j if kind == "inverse" else -1j) * angle)
    want = want.transpose(written)
    error = np.abs(first.reshape(want.shape) - want).max()
    assert error <= BOUND[dtype] * (1 + np.log2(dims[1])) * np.abs(want).max()


@pytest.mark.parametrize("dtype", ("f32", "f64"))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", LENGTHS)
def test_lengths(kind, dtype, n):
    check(kind, dtype, (2, n, 19))


@pytest.mark.parametrize("dtype", ("f32", "f64"))
@pytest.mark.parametrize("n", (7, 14, 49, 105, 280))
def test_factors_of_seven(dtype, n):
    check("complex", dtype, (1, n, 35))
    check("inverse", dtype, (3, n, 5), (0, 2, 1), (0, 2, 1), scale=1 / n)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("read", [(0, 1, 2), (0, 2, 1), (1, 2, 0)])
@pytest.mark.parametrize("written", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
@pytest.mark.parametrize("lanes", (1, 8, 16, 35))
def test_orders(kind, read, written, lanes):
    check(kind, "f32", (3, 20, lanes), read, written, scale=0.05)


@pytest.mark.parametrize("dtype", ("f32", "f64"))
@pytest.mark.parametrize("kind", ("complex", "inverse"))
def test_roots_for_each_element(kind, dtype):
    check(kind, dtype, (2, 12, 32), turned=True, scale=0.5)
    check(kind, dtype, (2, 12, 32), written=(1, 2, 0), turned=True)
    check(kind, dtype, (1, 48, 16), (0, 2, 1), (0, 2, 1), turned=True)


@pytest.mark.parametrize("read", [(0, 1, 2), (0, 2, 1), (1, 2, 0)])
@pytest.mark.parametrize("kind", ("complex", "inverse"))
def test_real_elements(kind, read):
    check(kind, "f32", (2, 40, 21), read, real=True)
    check(kind, "f64", (2, 40, 16), read, real=True)


def test_the_longest():
    check("complex", "f32", (1, 4096, 3), (0, 2, 1), (0, 2, 1))
    check("forward", "f64", (1, 4096, 2))
    check("backward", "f32", (1, 4096, 17))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_finite_stays_in_its_lane(kind):
    dims = (1, 24, 40)
    x = draw(kind, "f32", dims)
    made = image(kind, "f32", dims, x)
    clean = run(made, x).reshape(-1, 40)
    x[0, 3, 17] = np.nan
    x[0, 2, 39] = np.inf
    got = run(made, x).reshape(-1, 40)
    others = [k for k in range(40) if k not in (17, 39)]
    np.testing.assert_array_equal(got[:, others], clean[:, others])
    assert not np.isfinite(got[:, 17]).all() and not np.isfinite(got[:, 39]).all()


def test_fuel_runs_out_at_the_same_unit():
    dims = (2, 64, 24)
    x = draw("complex", "f32", dims)
    program = Program(image("complex", "f32", dims, x))
    lane = program.lane([x.ravel()])
    lane.finish()
    assert lane.vm.used == prod(dims) * (2 + len(radices(64, (8, 4)))) + 1


def test_parts():
    """Two threads' worth of pieces give the bits of one."""
    dims = (6, 256, 64)
    x = draw("complex", "f32", dims)
    program = Program(image("complex", "f32", dims, x))
    alone = program.lane([x.ravel()])
    alone.finish()
    lane = program.lane([x.ravel()])
    lane.share(2)
    assert lane.step(ALL) == "parted"
    while not lane.is_done():
        for seat in (1, 0):
            lane.work(seat, 5000)
    assert lane.step(ALL) == "ok"
    np.testing.assert_array_equal(alone.outputs()[0], lane.outputs()[0])
