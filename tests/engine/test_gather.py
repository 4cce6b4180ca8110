"""Gather and scatter against NumPy: origins in and out of range, every index dtype, windows of all shapes, bodies."""

import random

import numpy as np
import pytest
import tables
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import run_body
from programs import Builder, strides_of

from engine import ALL, SANITIZE, Program
from kjax.bytecode import program as p
from kjax.isa import dtypes, ops

INDEX = ("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")
BODIES = {
    "replace": (),
    "add": (p.Uop("add", "{t}", 0, 0, 1),),
    "old - 2 * new": (p.Uop("add", "{t}", 1, 1, 1), p.Uop("sub", "{t}", 0, 0, 1)),
    "new": (p.Uop("copy", "{t}", 0, 1),),
    "min through i64": (p.Uop("to_i64", "{t}", 2, 0), p.Uop("to_i64", "{t}", 3, 1), p.Uop("min", "i64", 2, 2, 3),
                        p.Uop("to_{t}", "i64", 0, 2)),
    "old * splat + new - splat": (p.Uop("mul", "{t}", 0, 0, 2), p.Uop("add", "{t}", 0, 0, 1), p.Uop("sub", "{t}", 0, 0, 3)),
    "a splat": (p.Uop("copy", "{t}", 0, 3),),
}
SPLATS = {"old * splat + new - splat", "a splat"}


def body(name, dtype):
    return tuple(p.Uop(u.op.format(t=dtype), u.dtype.format(t=dtype), u.dst, u.a, u.b, u.c) for u in BODIES[name])


def reference(g, windowed, plain, indices, splats):
    """Run ``g`` on flat arrays in place, one batch point after the other."""
    batch, window = g.dims[:g.n_batch], g.dims[g.n_batch:]
    inside = np.zeros(window, np.int64), np.zeros(window, np.int64)
    for axis, d in enumerate(window):
        steps = np.arange(d).reshape([-1 if k == axis else 1 for k in range(len(window))])
        for offsets, view in zip(inside, (g.windowed, g.plain), strict=True):
            offsets += steps * view.strides[g.n_batch + axis]
    for point in np.ndindex(*batch):
        at = [v.offset + sum(i * s for i, s in zip(point, v.strides, strict=False)) for v in (g.windowed, g.plain)]
        skipped = False
        for row, values in zip(g.indices, indices, strict=True):
            x = int(values[row.offset + sum(i * s for i, s in zip(point, row.strides, strict=True))])
            x += row.wrap if x < 0 else 0
            skipped |= g.mode == "skip" and not 0 <= x <= row.limit
            at[0] += min(max(x, 0), row.limit) * row.step
        if skipped:
            continue
        w, q = at[0] + inside[0], at[1] + inside[1]
        if not g.scatter:
            plain[q] = windowed[w]
        elif not g.body:
            windowed[w] = plain[q]
        else:
            registers = {0: windowed[w], 1: plain[q], **{2 + k: np.full(w.shape, s) for k, s in enumerate(splats)}}
            windowed[w] = run_body(g.body, registers, (), {}, w.shape)[0]


def random_case(seed):
    r = random.Random(seed)
    g = np.random.default_rng(seed)
    b = Builder()
    dtype = r.choice(("i32", "i64", "u8", "i16"))
    numpy = dtypes.BY_NAME[dtype].numpy
    batch = tuple(r.choice((1, 2, 3, 5, 300)) for _ in range(r.randint(0, 2)))
    window = tuple(r.choice((1, 2, 3, 7, 40)) for _ in range(r.randint(0 if batch else 1, 2)))
    dims = batch + window
    scatter = r.random() < 0.5
    # a row-major tensor with a dim for each index component and one for each window dim, some of them shared
    n_index = r.randint(0, min(2, len(window) + 1))
    sizes = [w + r.choice((0, 1, 5)) for w in window]
    extra = [r.choice((1, 4, 9)) for _ in range(max(0, n_index - len(window)))]
    shape = tuple(extra + sizes)
    strides = strides_of(shape)
    limits = [(shape[k] - (window[k - len(extra)] if k >= len(extra) else 1), strides[k]) for k in range(len(shape))]
    r.shuffle(limits)
    windowed_view = p.Operand(None, 0, (0,) * len(batch) + strides[len(extra):])
    order = list(range(len(dims)))
    if r.random() < 0.5:
        r.shuffle(order)
    plain_strides, step = [0] * len(dims), 1
    for axis in reversed(order):
        plain_strides[axis] = step
        step *= dims[axis]
    size, n_plain = int(np.prod(shape)), int(np.prod(dims))
    windowed_array = g.integers(0, 100, size).astype(numpy)
    plain_array = g.integers(0, 100, n_plain).astype(numpy)
    inputs, rows, index_arrays = [], [], []

    def put(dtype, array):
        inputs.append(array)
        return b.input(dtype, array.shape)

    windowed = put(dtype, windowed_array)
    if scatter:
        plain = put(dtype, plain_array)
        windowed = b.output(dtype, (size,), alias=0)
    else:
        plain = b.output(dtype, (n_plain,))
        plain_array = np.zeros(n_plain, numpy)
    for limit, step in limits[:n_index]:
        kind = r.choice(INDEX)
        info = np.iinfo(dtypes.BY_NAME[kind].numpy)
        values = g.integers(max(info.min, -3), limit + 4, int(np.prod(batch)) + 1).astype(dtypes.BY_NAME[kind].numpy)
        for extreme in (info.min, info.max):
            if r.random() < 0.5:
                values[r.randrange(len(values))] = extreme
        index_strides = tuple(s if r.random() < 0.9 else 0 for s in strides_of(batch))
        wrap = r.choice((0, 0, limit + 1, 2, 2**32 - 1)) if info.min else 0
        rows.append(p.Index(put(kind, values), r.randint(0, 1) if batch else 0, limit, step, index_strides, wrap))
        index_arrays.append(values)
    name = r.choice(list(BODIES)) if scatter else "replace"
    splats = g.integers(0, 100, 5).astype(numpy) if name in SPLATS else np.empty(0, numpy)
    places = [4, 1] if splats.size else []
    splat_tensor = put(dtype, splats) if splats.size else None
    gather = p.Gather(dims, len(batch), p.Operand(windowed, 0, windowed_view.strides),
                      p.Operand(plain, 0, tuple(plain_strides)), tuple(rows),
                      "skip" if scatter and r.random() < 0.5 else "clamp", scatter, body(name, dtype),
                      4 if BODIES[name] else 0, splats=tuple(p.Operand(splat_tensor, k, ()) for k in places))
    b.emit(gather)
    return b.image, gather, inputs, windowed_array.copy(), plain_array.copy(), index_arrays, splats[places]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**62))
def test_random(seed):
    image, gather, inputs, windowed, plain, indices, splats = random_case(seed)
    with np.errstate(all="ignore"):
        reference(gather, windowed, plain, indices, splats)
    program = Program(image)
    used = set()
    for budget in (ALL, 1):
        lane = program.lane(inputs)
        lane.finish(budget)
        np.testing.assert_array_equal(lane.outputs()[0], windowed if gather.scatter else plain)
        used.add(lane.vm.used)
    assert len(used) == 1 and 0 < used.pop() <= program.facts.cost


@pytest.mark.parametrize("budget", [1, ALL])
def test_a_large_dynamic_slice(budget):
    """No batch dims; the window is copied in pieces between looks at the budget."""
    b = Builder()
    x, i, out = b.input("f32", (100_000,)), b.input("i32", ()), b.output("f32", (60_000,))
    b.emit(p.Gather((60_000,), 0, p.Operand(x, 0, (1,)), p.Operand(out, 0, (1,)),
                    (p.Index(i, 0, 40_000, 1, ()),)))
    X = np.arange(100_000, dtype=np.float32)
    for start in (-5, 0, 123, 40_000, 99_999):
        begin = min(max(start, 0), 40_000)
        lane = Program(b.image).lane([X, np.int32(start)])
        lane.finish(budget)
        np.testing.assert_array_equal(lane.outputs()[0], X[begin:begin + 60_000])
        assert budget == ALL or lane.slices > 6


def test_updates_of_one_element_add_up():
    """Equal indices: every update counts, in order."""
    b = Builder()
    b.input("f64", (4,))
    u, i, out = b.input("f64", (1000,)), b.input("u8", (1000,)), b.output("f64", (4,), alias=0)
    b.emit(p.Gather((1000,), 1, p.Operand(out, 0, (0,)), p.Operand(u, 0, (1,)), (p.Index(i, 0, 3, 1, (1,)),),
                    "skip", True, (p.Uop("add", "f64", 0, 0, 1),), 2))
    rng = np.random.default_rng(1)
    values, places = rng.standard_normal(1000), rng.integers(0, 6, 1000).astype(np.uint8)  # 4 and 5 are out of range
    want = np.ones(4)
    for k, v in zip(places, values, strict=True):
        if k < 4:
            want[k] += v
    np.testing.assert_array_equal(Program(b.image).run(np.ones(4), values, places)[0], want)


def test_complex_elements():
    b = Builder()
    x, i, out = b.input("c128", (9,)), b.input("i64", (5,)), b.output("c128", (5,))
    b.emit(p.Gather((5,), 1, p.Operand(x, 8, (0,)), p.Operand(out, 0, (1,)), (p.Index(i, 4, 8, -1, (-1,)),)))
    values, places = np.arange(9) * (1 + 2j), np.int64([0, 3, 8, 20, -20])
    np.testing.assert_array_equal(Program(b.image).run(values, places)[0], values[8 - np.clip(places[::-1], 0, 8)])


UPDATES = [(op, dtype) for op in ("add", "mul", "max", "min", "and", "or", "xor") for dtype in ops.BY_NAME[op].dtypes
           if dtype not in ("c64", "c128")]


@pytest.mark.parametrize("op,dtype", UPDATES)
def test_updates_of_elements(op, dtype):
    """The routines for a body of one operation leave the bits that the body leaves on strips, on every cpu table."""
    numpy = dtypes.BY_NAME[dtype].numpy
    rng = np.random.default_rng(2)
    n, size = 700, 31
    if np.dtype(numpy).kind == "f":
        draw = lambda k: rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -2.25, 1e-3], k).astype(numpy)  # noqa: E731
    elif dtype == "i1":
        draw = lambda k: rng.random(k) < 0.5  # noqa: E731
    else:
        draw = lambda k: rng.integers(0, 256, (k, np.dtype(numpy).itemsize), np.uint8).view(numpy)[:, 0]  # noqa: E731
    old, new, places = draw(size), draw(2 * n), rng.integers(-3, size + 3, n).astype(np.int32)

    def run(cpu, body, registers):
        b = Builder()
        b.input(dtype, (size,))
        u, i = b.input(dtype, (2 * n,)), b.input("i32", (n,))
        out = b.output(dtype, (size,), alias=0)
        b.emit(p.Gather((n,), 1, p.Operand(out, 0, (0,)), p.Operand(u, 0, (2,)), (p.Index(i, 0, size - 1, 1, (1,)),),
                        "skip", True, body, registers))
        return Program(b.image, cpu).run(old, new, places)[0]

    code = p.Uop(op, dtype, 0, 1, 0)
    for cpu in ("scalar",) if SANITIZE else tables.usable():
        plain = run(cpu, (p.Uop(op, dtype, 2, 0, 1), p.Uop("bitcast", dtype, 0, 2, imm=dtype)), 3)
        want = run(cpu, (p.Uop("copy", dtype, 2, 1), p.Uop(op, dtype, 0, 2, 0)), 3)
        np.testing.assert_array_equal(np.isnan(want) if want.dtype.kind == "f" else want,
                                      np.isnan(plain) if want.dtype.kind == "f" else plain)
        got = run(cpu, (code,), 2)
        same = (got.view(f"u{got.itemsize}") == want.view(f"u{got.itemsize}")) | ((got != got) & (want != want))
        assert same.all(), (cpu, got[~same], want[~same])


@pytest.mark.parametrize("kind", INDEX)
@pytest.mark.parametrize("mode", ["clamp", "skip"])
def test_origins_on_every_table(kind, mode):
    """Two components in blocks and in what is left of them, out of range on both sides; elements, rows, single windows."""
    info = np.iinfo(dtypes.BY_NAME[kind].numpy)
    rng = np.random.default_rng(4)
    for n, width in ((1, 3), (21, 1), (1100, 1), (70, 3)):
        b = Builder()
        x, plain = b.input("i32", (40, 40)), b.input("i32", (n, width))
        rows = [b.input(kind, (n,)) for _ in range(2)]
        out = b.output("i32", (40, 40), alias=0) if mode == "skip" else b.output("i32", (n, width))
        indices = tuple(p.Index(t, 0, limit, step, (1,)) for t, limit, step in zip(rows, (39, 40 - width), (40, 1)))
        g = p.Gather((n, width), 1, p.Operand(out if mode == "skip" else x, 0, (0, 1)),
                     p.Operand(plain if mode == "skip" else out, 0, (width, 1)), indices, mode, mode == "skip")
        b.emit(g)
        choice = np.array([info.min, info.max, *range(-2 if info.min else 0, 43)], dtypes.BY_NAME[kind].numpy)
        values = [rng.choice(choice, n) for _ in range(2)]
        X, P = rng.integers(0, 99, 1600).astype(np.int32), rng.integers(0, 99, n * width).astype(np.int32)
        X2, P2 = X.copy(), P.copy()
        reference(g, X2, P2, values, ())
        for cpu in ("scalar",) if SANITIZE else tables.usable():
            got = Program(b.image, cpu).run(X, P, *values)[0].reshape(-1)
            np.testing.assert_array_equal(got, X2 if mode == "skip" else P2, cpu)


@pytest.mark.parametrize("dtype", ["u8", "i16", "f32", "i64", "c128"])
@pytest.mark.parametrize("how", ["clamp", "replace", "add"])
def test_elements_of_one_index(dtype, how):
    """Whole blocks, one less, one more; index, plain and windowed strides of all kinds; out of range on both sides."""
    rng = np.random.default_rng(5)
    numpy = dtypes.BY_NAME[dtype].numpy
    scatter = how != "clamp"
    for n, i_step, p_step, w_step in ((1, 1, 1, 0), (127, 1, 1, 0), (128, 1, 2, 0), (129, -1, 1, 0), (1023, 1, 1, 0), (1024, 2, 1, 1),
                                      (1025, 1, -1, 0), (2050, 0, 1, 1)):
        limit, steps = 50, n - 1
        b = Builder()
        windowed, plain = b.input(dtype, (limit + 1 + n,)), b.input(dtype, (2 * n,))
        at = b.input("i32", (2 * n,))
        out = b.output(dtype, (limit + 1 + n,), alias=0) if scatter else b.output(dtype, (2 * n,))
        g = p.Gather((n,), 1, p.Operand(out if scatter else windowed, 0, (w_step,)),
                     p.Operand(plain if scatter else out, steps if p_step < 0 else 0, (p_step,)),
                     (p.Index(at, steps if i_step < 0 else 0, limit, 1, (i_step,), 3),), "skip" if scatter else "clamp", scatter,
                     (p.Uop("add", dtype, 0, 0, 1),) if how == "add" else (), 2 if how == "add" else 0)
        b.emit(g)
        X, P = rng.integers(0, 9, limit + 1 + n).astype(numpy), rng.integers(0, 9, 2 * n).astype(numpy)
        values = rng.integers(-6, limit + 4, 2 * n).astype(np.int32)
        X2, P2 = X.copy(), P.copy() if scatter else np.zeros(2 * n, numpy)
        reference(g, X2, P2, [values], ())
        for cpu in ("scalar",) if SANITIZE else tables.usable():
            program, used = Program(b.image, cpu), set()
            for budget in (ALL, 1):
                lane = program.lane([X, P, values])
                lane.finish(budget)
                got = lane.outputs()[0].reshape(-1)
                touched = slice(None) if scatter else (steps if p_step < 0 else 0) + p_step * np.arange(n)
                np.testing.assert_array_equal(got[touched], (X2 if scatter else P2)[touched], (cpu, n))
                used.add(lane.vm.used)
            assert len(used) == 1 and used.pop() <= program.facts.cost
