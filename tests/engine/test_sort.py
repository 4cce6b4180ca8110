"""Opcode sort against NumPy: by keys of every element type, by a comparator, several operands, in place, in slices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Builder, strides_of

from engine import Program
from kjax.bytecode import program as p
from kjax.isa import dtypes

KEYS = [t.name for t in dtypes.DTYPES if not t.is_complex]
PAYLOADS = ("i1", "i16", "f32", "i64", "c128")
FNUZ = ("f8e4m3b11fnuz", "f8e4m3fnuz", "f8e5m2fnuz")


def _row(dtype):
    return dtypes.BY_NAME[dtype]


def _valid_bits(dtype):
    """Every stored byte pattern of a type of one or two bytes."""
    row = _row(dtype)
    if row.kind == "bool":
        return np.array([0, 1], np.uint8).view(row.numpy)
    if row.is_integer and row.bits < 8:
        low = -(1 << row.bits - 1) if row.kind == "int" else 0
        return np.arange(low, low + (1 << row.bits), dtype=np.int8).view(row.numpy)
    return np.arange(1 << row.bits, dtype=f"u{row.size}").view(row.numpy)


def _numbers(rng, dtype, n):
    """Elements with many ties, both zeros, infinities and NaNs of both signs where there are such."""
    row = _row(dtype)
    if row.is_complex:
        return (rng.integers(0, 99, n) + 1j * rng.integers(0, 99, n)).astype(row.numpy)
    if row.size <= 2:
        return rng.choice(_valid_bits(dtype), n)
    if row.is_integer:
        info = np.iinfo(row.numpy)
        x = rng.integers(info.min, info.max, n, row.numpy, endpoint=True)
        return np.where(rng.random(n) < 0.4, rng.integers(0, 9, n), x).astype(row.numpy)
    x = rng.standard_normal(n) * 10.0 ** rng.integers(-30, 30, n)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1.0, 1e-310])
    return np.where(rng.random(n) < 0.4, rng.choice(special, n), x).astype(row.numpy)


def _columns(x, dtype, descending, total):
    """Columns of numbers whose lexicographic order is the wanted one, the most significant first."""
    row = _row(dtype)
    if not row.is_float:
        columns = [x.astype(np.uint64 if row.kind == "uint" else np.int64)]
        return [~c for c in columns] if descending else columns
    with np.errstate(invalid="ignore"):
        value = x.astype(np.float64)
    nan, bits = np.isnan(value), x.view(f"u{row.size}")
    negative = bits >> np.array(row.bits - 1, bits.dtype) != 0
    if dtype == "f8e8m0fnu" or dtype in FNUZ:
        negative = value < 0
    magnitude = (bits & np.array((1 << row.bits - 1) - 1, bits.dtype)).astype(np.int64)
    number = np.where(nan, 0, value)
    kind, payload, zero = nan.astype(np.int64), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64)
    if total and dtype not in FNUZ:
        kind = np.where(nan & negative, -1, kind)
        payload = np.where(nan, np.where(negative, -magnitude, magnitude), 0)
        zero = np.where((value == 0) & negative, -1, 0)
    return [-c if descending else c for c in (kind, payload, number, zero)]


def _program(operands, shape, keys, body=(), n_regs=0, in_place=False, axis=-1):
    build = Builder()
    pairs = []
    strides = list(strides_of(shape))
    strides.append(strides.pop(axis))
    dims = list(shape)
    dims.append(dims.pop(axis))
    tensors = [build.input(dtype, shape) for dtype in operands]
    for i, (dtype, t) in enumerate(zip(operands, tensors, strict=True)):
        out = build.output(dtype, shape, alias=i if in_place else None)
        pairs.append((p.Operand(t, 0, tuple(strides)), p.Operand(out, 0, tuple(strides))))
    build.emit(p.Sort(tuple(dims), tuple(pairs), tuple(keys), tuple(body), n_regs))
    return Program(build.image)


def _check(operands, shape, keys, arrays, program, budgets, axis=-1):
    rows = [np.moveaxis(a.reshape(shape), axis, -1).reshape(-1, shape[axis]) for a in arrays]
    keyed = [list(zip(row, operands, keys, strict=False)) for row in zip(*rows, strict=True)]
    columns = [[c for x, t, key in row for c in _columns(np.ascontiguousarray(x), t, *key)] for row in keyed]
    order = np.stack([np.lexsort(c[::-1]) for c in columns])
    for budget in budgets:
        got = program.run(*arrays, budget=budget)
        for row, g in zip(rows, got, strict=True):
            want = np.take_along_axis(row, order, -1)
            g = np.moveaxis(g.reshape(shape), axis, -1).reshape(want.shape)
            np.testing.assert_array_equal(np.ascontiguousarray(g).view(np.uint8), want.view(np.uint8))


ALL = 2**64 - 1


@pytest.mark.parametrize("dtype", KEYS)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("total", [False, True])
def test_one_key(dtype, descending, total):
    """Alone and with the number of each element."""
    rng = np.random.default_rng(3)
    keys = [(descending, total)]
    for n in (1, 9, 129, 600):
        x = _numbers(rng, dtype, n)
        _check([dtype], (n,), keys, [x], _program([dtype], (n,), keys), (ALL, 50))
        numbers = np.arange(n, dtype=np.int32)
        _check([dtype, "i32"], (n,), keys, [x, numbers], _program([dtype, "i32"], (n,), keys), (ALL,))


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.booleans(), st.booleans()), min_size=1, max_size=3),
       st.lists(st.sampled_from(PAYLOADS), max_size=2), st.integers(1, 3), st.sampled_from((1, 2, 3, 9, 33, 128, 129, 700)),
       st.booleans(), st.integers(0, 2**32), st.integers(1, 5000), st.booleans())
@settings(max_examples=150, deadline=None)
def test_keys_and_payloads(keyed, payloads, rows, n, in_place, seed, budget, columns):
    rng = np.random.default_rng(seed)
    operands = [k[0] for k in keyed] + payloads
    keys = [k[1:] for k in keyed]
    shape, axis = ((n, rows), 0) if columns else ((rows, n), -1)
    arrays = [_numbers(rng, dtype, n * rows) for dtype in operands]
    program = _program(operands, shape, keys, in_place=in_place, axis=axis)
    _check(operands, shape, keys, arrays, program, (ALL, budget), axis)


@pytest.mark.parametrize("dtype,n", [("f32", 100000), ("i64", 30000), ("u8", 50000)])
@pytest.mark.parametrize("budget", [ALL, 10000])
def test_long_rows(dtype, n, budget):
    rng = np.random.default_rng(5)
    x = np.sort(_numbers(rng, dtype, n)) if dtype == "u8" else _numbers(rng, dtype, n)
    program = _program([dtype], (n,), [(False, False)])
    got, = program.run(x, budget=budget)
    want = np.sort(x, kind="stable")
    same = (got == want) | ((got != got) & (want != want))
    assert same.all()


def _patterns(rng, dtype, n):
    """Rows that are hard on a sort that parts about pivots."""
    x = _numbers(rng, dtype, n)
    order = np.lexsort(_columns(x, dtype, False, False)[::-1])
    rising = x[order]
    yield "equal", np.repeat(x[:1], n)
    yield "rising", rising
    yield "falling", rising[::-1].copy()
    yield "pipe", np.concatenate([rising[::2], rising[1::2][::-1]])
    yield "two", rng.choice(x[[0, n // 2]], n)
    yield "teeth", np.resize(rising[: max(n // 37, 1)], n)
    yield "mostly", np.where(rng.random(n) < 0.97, x[0], x)


@pytest.mark.parametrize("dtype", ["i8", "u16", "bf16", "i32", "f32", "u64", "f64"])
@pytest.mark.parametrize("n", [1, 2, 3, 15, 16, 17, 31, 33, 64, 127, 128, 129, 255, 256, 257, 1025, 9000])
def test_patterns(dtype, n):
    """Alone, from which zeros and NaNs must come out in their order, and with numbers; falling with budgets."""
    rng = np.random.default_rng(n)
    numbers = np.arange(n, dtype=np.int32)
    for key in ((False, False), (True, False), (False, True)):
        alone, both = _program([dtype], (n,), [key]), _program([dtype, "i32"], (n,), [key], in_place=True)
        for _, x in _patterns(rng, dtype, n):
            _check([dtype], (n,), [key], [x], alone, (ALL,))
            _check([dtype, "i32"], (n,), [key], [x, numbers], both, (ALL,))
            lane = alone.lane([x])
            lane.finish(700)
            np.testing.assert_array_equal(lane.outputs()[0].view(np.uint8), alone.run(x)[0].view(np.uint8))
            assert lane.vm.used <= alone.facts.cost


# the comparator a[0] < b[0] || (a[0] == b[0] && a[1] > b[1]) on (f32, i32): registers 0, 1 hold a[0], b[0]; 2, 3 a[1], b[1]
BODY = (p.Uop("lt", "f32", 4, 0, 1), p.Uop("eq", "f32", 5, 0, 1), p.Uop("gt", "i32", 6, 2, 3),
        p.Uop("and", "i1", 5, 5, 6), p.Uop("or", "i1", 0, 4, 5))


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 31, 64, 255, 256, 257, 1000, 3001])
def test_comparator(n, in_place):
    rng = np.random.default_rng(n)
    shape = (3, n)
    a = rng.integers(0, max(n // 8, 2), shape).astype(np.float32)
    b = rng.integers(0, 4, shape).astype(np.int32)
    c = np.arange(3 * n).reshape(shape) * (1 + 1j)
    program = _program(["f32", "i32", "c128"], shape, (), BODY, 7, in_place)
    order = np.stack([np.lexsort((-b[i], a[i])) for i in range(3)])
    for budget in (ALL, 1, 3333):
        lane = program.lane((a, b, c))
        lane.finish(budget)
        for got, x in zip(lane.outputs(), (a, b, c), strict=True):
            np.testing.assert_array_equal(got, np.take_along_axis(x, order, -1))
        assert lane.vm.used <= program.facts.cost


@pytest.mark.parametrize("answer", [0, 1])
def test_comparator_without_sense(answer):
    """One that always says the same: every output element is some input element; "no" keeps the order."""
    build = Builder()
    one = build.input("i32", (500,))
    out = build.output("i32", (500,))
    body = (p.Uop("eq" if answer else "ne", "i32", 0, 0, 0),)
    build.emit(p.Sort((500,), ((p.Operand(one, 0, (1,)), p.Operand(out, 0, (1,))),), (), body, 2))
    x = np.arange(500, dtype=np.int32)
    got, = Program(build.image).run(x)
    assert np.isin(got, x).all()
    if not answer:
        np.testing.assert_array_equal(got, x)


@pytest.mark.parametrize("n,operands", [(100, ["f32"]), (5000, ["f32", "i32"]), (3000, ["f64"]), (40, ["i8", "f16"])])
def test_cost_covers_what_runs(n, operands):
    rng = np.random.default_rng(0)
    program = _program(operands, (4, n), [(False, False)] * len(operands), in_place=True)
    lane = program.lane([_numbers(rng, t, 4 * n) for t in operands])
    lane.finish(1000)
    assert 0 < lane.vm.used <= program.facts.cost
    assert lane.slices >= 4 * n // 4096
