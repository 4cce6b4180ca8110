"""Rows that do not begin where a cache line does, rows that many others read, short rows: read in other pieces, with the same bits."""

import numpy as np
import pytest
from programs import Builder, load, store
from test_ends import fold_of, run
from test_tiles import CPUS, DTYPES, SPECIAL, same_bits

from kjax.bytecode import program as p


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("less", [False, True])
def test_sums_of_squares(less, dtype, cpu):
    """x^2 or (x - m)^2 summed along rows that begin one element after the other in their lines, with odd numbers at both ends."""
    rng = np.random.default_rng(1)
    for lanes in (64, 127, 128, 256, 257, 300, 511, 512, 640, 1000, 1024, 1025, 2300):
        x = rng.normal(size=(19, lanes + 1)).astype(DTYPES[dtype])
        x[3:8, [1, lanes // 2, lanes]] = rng.choice(SPECIAL, (5, 3))
        m = rng.normal(size=19).astype(DTYPES[dtype])
        b = Builder()
        operands = (p.Operand(b.input(dtype, x.shape), 1, (lanes + 1, 1)), p.Operand(b.input(dtype, m.shape), 0, (1, 0)),
                    p.Operand(b.output(dtype, (19,)), 0, (1, 0)))
        body = (load(1, 0, dtype),) + ((load(2, 1, dtype), p.Uop("sub", dtype, 1, 1, 2)) if less else ())
        b.emit(p.Nest((19, lanes), operands, (*body, p.Uop("mul", dtype, 1, 1, 1)), (p.Uop("add", dtype, 0, 0, 1),),
                      (store(2, 0, dtype),), 1, 3, 1, 1, 1024))
        with np.errstate(all="ignore"):
            values = x[:, 1:] - m[:, None] if less else x[:, 1:]
            same_bits(run(b, cpu, x, m)[0], fold_of("add", values * values, 1024))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [15, 16, 40])
def test_what_all_rows_read(rows, dtype, cpu):
    """x * m * g + c and its sum along rows, for vectors g and c at several places in a line."""
    rng = np.random.default_rng(2)
    for lanes, at in ((256, 0), (256, 4), (300, 1), (1000, 7), (1024, 12)):
        x, m = rng.normal(size=(rows, lanes)).astype(DTYPES[dtype]), rng.normal(size=rows).astype(DTYPES[dtype])
        g, c = rng.normal(size=(2, lanes + at)).astype(DTYPES[dtype])
        want = x * m[:, None] * g[at:] + c[at:]
        for folded in (False, True):
            b = Builder()
            operands = (p.Operand(b.input(dtype, x.shape), 0, (lanes, 1)), p.Operand(b.input(dtype, m.shape), 0, (1, 0)),
                        p.Operand(b.input(dtype, g.shape), at, (0, 1)), p.Operand(b.input(dtype, c.shape), at, (0, 1)),
                        p.Operand(b.output(dtype, (rows,) if folded else x.shape), 0, (1, 0) if folded else (lanes, 1)))
            body = [load(k + 1, k, dtype) for k in range(4)] + [p.Uop("mul", dtype, 1, 1, 2), p.Uop("mul", dtype, 1, 1, 3),
                                                                p.Uop("add", dtype, 1, 1, 4)]
            if folded:
                b.emit(p.Nest(x.shape, operands, tuple(body), (p.Uop("add", dtype, 0, 0, 1),), (store(4, 0, dtype),), 1, 5, 1, 1, 1024))
            else:
                b.emit(p.Nest(x.shape, operands, (*body, store(4, 1, dtype)), n_regs=5, strip=1024))
            same_bits(run(b, cpu, x, m, g, c)[0], fold_of("add", want, 1024) if folded else want)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["div", "mul", "normalize"])
def test_short_rows(op, dtype, cpu):
    """Rows from half a tile on, each with values of its own, numbers that are rare for a division among them."""
    rng = np.random.default_rng(4)
    for lanes in (63, 64, 65, 72, 96, 100, 127, 128, 129, 200, 255, 256):
        x, g, c = (rng.normal(size=s).astype(DTYPES[dtype]) for s in ((37, lanes), (lanes,), (lanes,)))
        m, r = rng.normal(size=(2, 37)).astype(DTYPES[dtype])
        x[4:12, ::5] = rng.choice((*SPECIAL, 1e-25, 1e30), x[4:12, ::5].shape)
        x[12:14] = 0
        x[14:16, lanes // 3:] = -0.0
        m[20:32] = (1, 2, -0.5, np.inf, np.nan, 0.0, -0.0, 1e-40, 2.0**30, 2.0**-31, -3, 7)
        b = Builder()
        operands = (p.Operand(b.input(dtype, x.shape), 0, (lanes, 1)), p.Operand(b.input(dtype, m.shape), 0, (1, 0)),
                    p.Operand(b.input(dtype, m.shape), 0, (1, 0)), p.Operand(b.input(dtype, g.shape), 0, (0, 1)),
                    p.Operand(b.input(dtype, c.shape), 0, (0, 1)), p.Operand(b.output(dtype, x.shape), 0, (lanes, 1)))
        body = [load(k, k, dtype) for k in range(5)]
        with np.errstate(all="ignore"):
            if op == "normalize":
                want = (x - m[:, None]) * r[:, None] * g + c
                body += [p.Uop("sub", dtype, 0, 0, 1), p.Uop("mul", dtype, 0, 0, 2), p.Uop("mul", dtype, 0, 0, 3),
                         p.Uop("add", dtype, 0, 0, 4)]
            else:
                want = x / m[:, None] if op == "div" else x * m[:, None] * g
                body += [p.Uop(op, dtype, 0, 0, 1)] + ([p.Uop("mul", dtype, 0, 0, 3)] if op == "mul" else [])
        b.emit(p.Nest(x.shape, operands, (*body, store(5, 0, dtype)), n_regs=5, strip=1024))
        same_bits(run(b, cpu, x, m, r, g, c)[0], want)
