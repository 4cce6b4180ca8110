"""Opcode dot against NumPy: every element type and cpu table, groups of several dims, gaps, reversed and overlapping views."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Builder, load, store

from engine import Program
from kjax.bytecode import program as p
from kjax.isa import dtypes

DTYPES = ("f32", "f64", "i32", "i64", "u32", "u64", "c64", "c128")
NARROW = ("i2", "i4", "i8", "i16", "u2", "u4", "u8")
CPUS = ("scalar", "avx2", "avx512", "avx512vnni")
LETTERS = "abcdefghijkl"
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 14, 15, 16, 17, 31, 32, 33, 64, 100, 130)


def _cpu(name):
    flags = set(open("/proc/cpuinfo").read().split())
    avx512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
    needed = {"scalar": set(), "avx2": {"avx2", "fma", "f16c"}, "avx512": avx512, "avx512vnni": avx512 | {"avx512_vnni"}}
    if not needed[name] <= flags:
        pytest.skip(f"this processor lacks {name}")
    return name


def _numbers(rng, dtype, n):
    """Values whose products and sums are exact in ``dtype``, so that any order of summation gives one result."""
    row = dtypes.BY_NAME[dtype]
    if row.is_integer and row.bits < 32:
        low = -(1 << row.bits - 1) if row.kind == "int" else 0
        ends = rng.choice([low, low + (1 << row.bits) - 1], n)
        x = np.where(rng.random(n) < 0.3, ends, rng.integers(low, low + (1 << row.bits), n))
        # below a byte the engine wants the sign all through, which ml_dtypes leaves out
        return x.astype(np.int8).view(row.numpy) if row.sign_is_stored else x.astype(row.numpy)
    if row.is_integer:
        return rng.integers(0, 2**32, n).astype(row.numpy)
    x = rng.integers(-8, 9, n).astype(row.numpy)
    return x + (1j * rng.integers(-8, 9, n)).astype(row.numpy) if row.is_complex else x


@st.composite
def _views(draw):
    """Groups, dims, and for lhs, rhs, out: strides of all dims, offset, elements of the buffer."""
    groups = [draw(st.integers(0, 2)) for _ in range(4)]
    rank = sum(groups)
    dims = [draw(st.sampled_from(SIZES)) for _ in range(rank)]
    while np.prod(dims, dtype=float) > 2e5:
        dims[int(np.argmax(dims))] //= 2
    ends = np.cumsum(groups)
    b, m, n, k = (list(range(end - count, end)) for end, count in zip(ends, groups, strict=True))

    def place(used, may_overlap):
        order = draw(st.permutations(used))
        strides, step = [0] * rank, 1
        for d in reversed(order):
            strides[d] = step * draw(st.sampled_from((1, 1, 1, -1)))
            step = step * dims[d] + draw(st.sampled_from((0, 0, 0, 0, 3)))
            if may_overlap and draw(st.integers(0, 7)) == 0:
                strides[d] = draw(st.integers(0, 2))
        reach = [strides[d] * (dims[d] - 1) for d in used]
        return strides, -sum(min(r, 0) for r in reach), sum(abs(r) for r in reach) + 1

    return groups, dims, (b, m, n, k), place(b + m + k, True), place(b + k + n, True), place(b + m + n, False)


def _at(buffer, place, dims, used):
    strides, offset, _ = place
    return np.lib.stride_tricks.as_strided(buffer[offset:], [dims[d] for d in used],
                                           [strides[d] * buffer.itemsize for d in used])


def _program(dtype, groups, dims, lhs, rhs, out, cpu, sides=None):
    """``sides``: element types of lhs and rhs where they are narrower than ``dtype``."""
    build = Builder()
    left, right = sides or (dtype, dtype)
    tensors = [build.input(left, (lhs[2],)), build.input(right, (rhs[2],)), build.output(dtype, (out[2],))]
    operands = [p.Operand(t, place[1], tuple(place[0])) for t, place in zip(tensors, (lhs, rhs, out), strict=True)]
    build.emit(p.Dot(dtype, *groups, tuple(dims), *operands))
    return Program(build.image, cpu)


@pytest.mark.parametrize("cpu", CPUS)
@given(_views(), st.sampled_from(DTYPES), st.integers(0, 2**32), st.integers(1, 5000))
@settings(max_examples=150, deadline=None)
def test_views(cpu, views, dtype, seed, budget):
    _check_views(cpu, views, dtype, (dtype, dtype), seed, budget)


@pytest.mark.parametrize("cpu", CPUS)
@given(_views(), st.sampled_from(("i32", "u32")), st.tuples(st.sampled_from(NARROW), st.sampled_from(NARROW)),
       st.integers(0, 2**32), st.integers(1, 5000))
@settings(max_examples=150, deadline=None)
def test_views_of_narrow_integers(cpu, views, dtype, sides, seed, budget):
    _check_views(cpu, views, dtype, sides, seed, budget)


def _check_views(cpu, views, dtype, sides, seed, budget):
    groups, dims, (b, m, n, k), lhs, rhs, out = views
    rng = np.random.default_rng(seed)
    left, right = _numbers(rng, sides[0], lhs[2]), _numbers(rng, sides[1], rhs[2])
    exact = dtypes.BY_NAME[dtype].numpy if sides == (dtype, dtype) else np.int32
    names = ["".join(LETTERS[d] for d in used) for used in (b + m + k, b + k + n, b + m + n)]
    want = np.einsum(f"{names[0]},{names[1]}->{names[2]}", _at(left.astype(exact), lhs, dims, b + m + k),
                     _at(right.astype(exact), rhs, dims, b + k + n))
    program = _program(dtype, groups, dims, lhs, rhs, out, _cpu(cpu), sides)
    whole, = program.run(left, right)
    sliced, = program.run(left, right, budget=budget)
    np.testing.assert_array_equal(_at(whole, out, dims, b + m + n), want.astype(whole.dtype))
    np.testing.assert_array_equal(whole.view(np.uint8), sliced.view(np.uint8))
    untouched = np.ones(out[2], bool)
    _at(untouched, out, dims, b + m + n)[...] = False
    assert (whole.view(np.uint8).reshape(len(whole), -1)[untouched] == 0x5A).all()


def _matmul(dtype, m, k, n, cpu, lhs_t=False, rhs_t=False, sides=None):
    lhs = ([1, 0, m] if lhs_t else [k, 0, 1]), 0, m * k
    rhs = ([0, k, 1] if rhs_t else [0, 1, n]), 0, k * n
    return _program(dtype, [0, 1, 1, 1], [m, n, k], lhs, rhs, ([n, 1, 0], 0, m * n), cpu, sides)


# vector widths, panel edges, several chunks of k, several column blocks, dots, narrow rows
SHAPES = [(1, 31, 256), (1, 256, 2), (1, 256, 10), (3, 1000, 4), (1, 2000, 1), (300, 1, 300), (29, 900, 70), (60, 33, 1500),
          (5, 4500, 6), (64, 800, 64), (1, 900, 300), (130, 20, 3), (14, 385, 32), (28, 384, 33)]
# few columns, several rows at once, chunks of k; few rows of columns that lie along k
SHAPES += [(32, 64, 2), (33, 300, 2), (40, 129, 3), (47, 512, 4), (36, 65, 5), (70, 1100, 8), (35, 700, 7), (71, 513, 12), (39, 100, 9),
           (3, 600, 40), (16, 90, 33), (9, 128, 37), (2, 1030, 32), (17, 80, 40)]


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["f32", "f64", "c64", "c128"])
@pytest.mark.parametrize("rhs_t", [False, True])
@pytest.mark.parametrize("m,k,n", SHAPES)
def test_rounding(cpu, dtype, rhs_t, m, k, n):
    """|error| <= k * eps * |lhs| |rhs|, whatever the order of summation; every slicing gives the same bits."""
    rng = np.random.default_rng(m * k + n)
    row = dtypes.BY_NAME[dtype]

    def normal(*shape):
        x = rng.standard_normal(shape)
        return (x + 1j * rng.standard_normal(shape) if row.is_complex else x).astype(row.numpy)

    left, right = normal(m, k), normal(k, n)
    program = _matmul(dtype, m, k, n, _cpu(cpu), rhs_t=rhs_t)
    given_right = right.T if rhs_t else right
    got, = program.run(left, given_right)
    wide = np.clongdouble if row.is_complex else np.longdouble
    error = np.abs(got.reshape(m, n) - left.astype(wide) @ right.astype(wide))
    bound = 2 * (k + 2) * np.finfo(row.numpy).eps * (np.abs(left) @ np.abs(right)).astype(np.longdouble)
    assert (error <= bound).all()
    for budget in (1, 7777, 300000):
        if m * k * n / budget < 1e5:
            sliced, = program.run(left, given_right, budget=budget)
            np.testing.assert_array_equal(got.view(np.uint8), sliced.view(np.uint8))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["f32", "f64", "i32", "u64"])
@pytest.mark.parametrize("columns", range(1, 14))
def test_few_columns(cpu, dtype, columns):
    """Exact, into rows with gaps, in any order of rhs's and out's dims, with rows left over, in slices; the gaps stay as they are."""
    rng = np.random.default_rng(columns)
    for m, k, batch in ((32, 64, 1), (45, 515, 1), (38, 130, 3)):
        for rhs_t in (False, True):
            for gap, out_t in ((0, False), (3, False), (2, True)):
                lhs = [m * (k + 1), k + 1, 0, 1], 0, batch * m * (k + 1)
                rhs = [k * columns, 0, *((k, 1) if rhs_t else (1, columns))], 0, batch * k * columns
                wide = (m if out_t else columns) + gap
                matrix = wide * (columns if out_t else m)
                out = [matrix, *((1, wide) if out_t else (wide, 1)), 0], 0, batch * matrix
                program = _program(dtype, [1, 1, 1, 1], [batch, m, columns, k], lhs, rhs, out, _cpu(cpu))
                left, right = (_numbers(rng, dtype, n) for n in (lhs[2], rhs[2]))
                a = left.reshape(batch, m, k + 1)[..., :k]
                b = right.reshape(batch, columns, k).transpose(0, 2, 1) if rhs_t else right.reshape(batch, k, columns)
                want = a @ b
                for budget in (None, 3000):
                    got = (program.run(left, right, budget=budget) if budget else program.run(left, right))[0].reshape(batch, -1, wide)
                    used = got[..., :wide - gap]
                    np.testing.assert_array_equal(used.transpose(0, 2, 1) if out_t else used, want)
                    assert (got[..., wide - gap:].copy().view(np.uint8) == 0x5A).all()


# edges of groups of two and four, of blocks, panels and chunks of k (1024 points), of column blocks
NARROW_SHAPES = [(1, 1, 1), (2, 3, 5), (1, 31, 256), (1, 1025, 130), (3, 1000, 4), (7, 1030, 1), (12, 64, 32), (13, 65, 33), (14, 66, 31),
                 (15, 67, 48), (28, 2049, 17), (29, 130, 700), (3, 4, 1000), (64, 1023, 64)]


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("sides", [("i8", "i8"), ("u8", "i8"), ("i8", "u8"), ("u8", "u8"), ("i16", "i16"), ("i16", "u8"), ("i8", "i16")])
@pytest.mark.parametrize("lhs_t, rhs_t", [(False, False), (True, True)])
def test_products_of_narrow_integers(cpu, sides, lhs_t, rhs_t):
    """Exact modulo 2^32, also where every factor is the largest there is, and the same in slices."""
    rng = np.random.default_rng(0)
    for m, k, n in NARROW_SHAPES:
        program = _matmul("i32", m, k, n, _cpu(cpu), lhs_t, rhs_t, sides)
        left, right = (_numbers(rng, side, size).reshape(shape) for side, size, shape in
                       zip(sides, (m * k, k * n), ((m, k), (k, n)), strict=True))
        extremes = [np.full_like(x, np.iinfo(x.dtype).min if np.iinfo(x.dtype).min else np.iinfo(x.dtype).max)
                    for x in (left, right)]
        for a, b in ((left, right), extremes):
            want = (a.astype(np.int64) @ b.astype(np.int64)).astype(np.int32)
            arrays = a.T if lhs_t else a, b.T if rhs_t else b
            np.testing.assert_array_equal(program.run(*arrays)[0].reshape(m, n), want)
            np.testing.assert_array_equal(program.run(*arrays, budget=20000)[0].reshape(m, n), want)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype, sides", [("f32", None), ("i32", ("i8", "i8")), ("i32", ("u8", "i16"))])
@pytest.mark.parametrize("stride,groups", [(1, 1), (2, 1), (1, 4)])
def test_convolution(cpu, dtype, sides, stride, groups):
    """A two-dimensional convolution (NHWC, HWIO) is a contraction over overlapping windows of the input."""
    rng = np.random.default_rng(0)
    batch, height, width, inside, outside, kh, kw = 2, 13, 11, 8, 24, 3, 3
    x = _numbers(rng, (sides or (dtype,))[0], (batch, height, width, inside))
    w = _numbers(rng, (sides or (dtype,))[-1], (kh, kw, inside // groups, outside))
    oh, ow = (height - kh) // stride + 1, (width - kw) // stride + 1
    per_in, per_out = inside // groups, outside // groups
    dims = [groups, batch, oh, ow, per_out, kh, kw, per_in]
    sx = [height * width * inside, width * inside, inside]
    lhs = [per_in, sx[0], sx[1] * stride, sx[2] * stride, 0, sx[1], sx[2], 1], 0, x.size
    rhs = [per_out, 0, 0, 0, 1, kw * per_in * outside, per_in * outside, outside], 0, w.size
    out = [per_out, oh * ow * outside, ow * outside, outside, 1, 0, 0, 0], 0, batch * oh * ow * outside
    got, = _program(dtype, [1, 3, 1, 3], dims, lhs, rhs, out, _cpu(cpu), sides).run(x, w, budget=1000)
    x, w = x.astype(got.dtype), w.astype(got.dtype)
    windows = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), (1, 2))[:, ::stride, ::stride]
    want = np.einsum("bhwgcij,ijcgo->bhwgo", windows.reshape(batch, oh, ow, groups, per_in, kh, kw),
                     w.reshape(kh, kw, per_in, groups, per_out))
    np.testing.assert_array_equal(got.reshape(want.shape), want)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["f32", "f64", "u32", "i64"])
@pytest.mark.parametrize("inside,outside", [(1, 6), (6, 16), (3, 20), (2, 7), (5, 33), (4, 2), (9, 41)])
@pytest.mark.parametrize("rhs_order", ["columns", "k"])
def test_few_channels(cpu, dtype, inside, outside, rhs_order):
    """Windows multiplied where they lie: every width of a tile, rhs with columns or with k side by side, and k in reversed
    runs; the result has a gap after each row that stays as it was. Every slicing gives the same bits."""
    rng = np.random.default_rng(inside * outside)
    batch, height, width, kh, kw = 2, 9, 8, 3, 2
    oh, ow = height - kh + 1, width - kw + 1
    x, w = _numbers(rng, dtype, (batch, height, width, inside)), _numbers(rng, dtype, (kh, kw, inside, outside))
    dims = [batch, oh, ow, outside, kh, kw, inside]
    sx = [height * width * inside, width * inside, inside]
    lhs = [*sx, 0, *sx[1:], 1], 0, x.size
    if rhs_order == "columns":
        stored, rhs = w[::-1], ([0, 0, 0, 1, -kw * inside * outside, inside * outside, outside], 2 * kw * inside * outside, w.size)
    else:
        stored, rhs = w.transpose(3, 0, 1, 2), ([0, 0, 0, kh * kw * inside, kw * inside, inside, 1], 0, w.size)
    step = outside + 3
    out = [oh * ow * step, ow * step, step, 1, 0, 0, 0], 0, batch * oh * ow * step
    program = _program(dtype, [0, 3, 1, 3], dims, lhs, rhs, out, _cpu(cpu))
    got, = program.run(x, np.ascontiguousarray(stored))
    windows = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), (1, 2))
    want = np.einsum("bhwcij,ijco->bhwo", windows, w)
    np.testing.assert_array_equal(got.reshape(*want.shape[:3], step)[..., :outside], want)
    assert (got.reshape(-1, step)[:, outside:].copy().view(np.uint8) == 0x5A).all()
    for budget in (1, 3000):
        sliced, = program.run(x, np.ascontiguousarray(stored), budget=budget)
        np.testing.assert_array_equal(got.view(np.uint8), sliced.view(np.uint8))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("batch,size,window,outside", [(3, 12, 5, 6), (70, 3, 2, 9), (2, 40, 3, 20), (1, 700, 2, 5), (5, 9, 2, 1)])
def test_gradient_of_a_kernel(cpu, dtype, batch, size, window, outside):
    """k is all places of all images: more runs than a chunk takes, runs longer than a chunk, rows left over from tiles."""
    rng = np.random.default_rng(batch * size)
    full = size + window - 1
    x, g = _numbers(rng, dtype, (batch, window, full)), _numbers(rng, dtype, (batch, size, outside))
    dims = [window, window, outside, batch, size]
    lhs = [full, 1, 0, window * full, 1], 0, x.size
    rhs = [0, 0, 1, size * outside, outside], 0, g.size
    out = [window * outside, outside, 1, 0, 0], 0, window * window * outside
    program = _program(dtype, [0, 2, 1, 2], dims, lhs, rhs, out, _cpu(cpu))
    got, = program.run(x, g)
    want = np.einsum("biwj,bwo->ijo", np.lib.stride_tricks.sliding_window_view(x, window, 2), g)
    np.testing.assert_array_equal(got.reshape(want.shape), want)
    sliced, = program.run(x, g, budget=500)
    np.testing.assert_array_equal(got.view(np.uint8), sliced.view(np.uint8))


@pytest.mark.parametrize("cpu", CPUS)
def test_special_values(cpu):
    """inf and NaN spread to the rows and columns that hold them, and to no other (padding lanes are not summed)."""
    left, right = np.ones((20, 40), np.float32), np.ones((40, 37), np.float32)
    left[3, 5], right[7, 36] = np.inf, np.nan
    got, = _matmul("f32", 20, 40, 37, _cpu(cpu)).run(left, right)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(got.reshape(20, 37), left @ right)


def test_cost_covers_what_runs():
    """A run never counts more units than the verifier announced, and looks at its budget at least every few tiles."""
    program = _matmul("f32", 100, 700, 100, "scalar")
    lane = program.lane((np.ones((100, 700)), np.ones((700, 100))))
    slices = 0
    while lane.step(20000) == "again":
        slices += 1
    assert slices > 50
    assert lane.vm.used <= program.facts.cost


# one row: rhs that a cache holds and rhs that it does not, next to KJX_PRODUCT_UNITS, columns that fill no vector; k of one half only
ROWS = [(31, 256), (2, 4096), (3, 1500), (64, 256), (33, 513), (1, 9000), (65, 504), (65, 505), (256, 128), (257, 130)]


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["f32", "f64", "i64", "c64"])
@pytest.mark.parametrize("gap", [0, 16])
@pytest.mark.parametrize("k,n", ROWS)
def test_a_row_from_either_end(cpu, dtype, gap, k, n):
    """Every other run reads rhs from its end: the bits are the same, where NaNs of different payloads meet, too."""
    rng = np.random.default_rng(k * n)
    left, right = _numbers(rng, dtype, k), _numbers(rng, dtype, k * (n + gap))
    lhs, rhs, out = ([0, 1], 0, k), ([1, n + gap], 0, k * (n + gap)), ([1, 0], 0, n)
    program = _program(dtype, [0, 0, 1, 1], [n, k], lhs, rhs, out, _cpu(cpu))
    got, = program.run(left, right)
    np.testing.assert_array_equal(got, left @ right.reshape(k, n + gap)[:, :n])
    if dtype == "f32":
        left = rng.standard_normal(k).astype(np.float32)
        right = rng.standard_normal(k * (n + gap)).astype(np.float32)
        nans = rng.random(right.size) < 0.02
        right.view(np.uint32)[nans] = 0x7fc00000 | rng.integers(1, 2**20, nans.sum()) | rng.integers(0, 2, nans.sum()) << 31
    lane = program.lane((left, right))
    runs = []
    for _ in range(4):
        lane.finish()
        runs.append(lane.outputs()[0].tobytes())
        lane.start()
    assert lane.vm.runs == 5 and len(set(runs)) == 1


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtype", ["f32", "f64", "i64", "c64"])
@pytest.mark.parametrize("m,lhs_t,gap", [(1, False, 0), (3, True, 5), (8, False, 0), (13, True, 0), (39, False, 3), (40, False, 0)])
def test_an_rhs_that_no_cache_holds(cpu, dtype, m, lhs_t, gap):
    """Few rows, and more than 6 MB of rhs: read a few of its rows at a time (engine/gemm_plan.c). Sums are exact, slices change nothing."""
    size = dtypes.BY_NAME[dtype].size
    k, n = 611, (7 << 20) // size // 611 + 3
    rng = np.random.default_rng(m)
    left, right = _numbers(rng, dtype, m * k), _numbers(rng, dtype, k * (n + gap))
    lhs = ([1 if lhs_t else k, 0, m if lhs_t else 1], 0, m * k)
    program = _program(dtype, (0, 1, 1, 1), (m, n, k), lhs, ([0, 1, n + gap], 0, k * (n + gap)), ([n, 1, 0], 0, m * n), _cpu(cpu))
    want = (left.reshape(k, m).T if lhs_t else left.reshape(m, k)) @ right.reshape(k, n + gap)[:, :n]
    for budget in (2**62, 100_000):
        out, = program.run(left, right, budget=budget)
        np.testing.assert_array_equal(out.reshape(m, n), want)


def _copy(build, source, to, n):
    build.emit(p.Nest((n,), (p.Operand(source, 0, (1,)), p.Operand(to, 0, (1,))), (load(0, 0, "f32"), store(1, 0, "f32")),
                      n_regs=1, strip=1024))


@pytest.mark.parametrize("cpu", CPUS)
def test_a_row_in_a_loop_is_the_row_outside(cpu):
    """h = h @ w again and again, both directions, against as many runs of one product."""
    rng = np.random.default_rng(3)
    for size, gap in ((96, 0), (96, 16), (70, 0)):
        w, h = (rng.standard_normal((size, size + gap)) / 10).astype(np.float32), rng.standard_normal(size).astype(np.float32)
        build = Builder()
        given_h, given_w, out = build.input("f32", (size,)), build.input("f32", w.shape), build.output("f32", (size,))
        a, b, counter = build.arena("f32", size), build.arena("f32", size), build.arena("i32", 1)
        one, limit, more = build.constant(np.int32([1])), build.constant(np.int32([5])), build.arena("i1", 1)

        _copy(build, given_h, a, size)
        build.emit(p.Nest((1,), (p.Operand(counter, 0, (0,)),),
                          (load(0, 0, "i32"), p.Uop("xor", "i32", 0, 0, 0), store(0, 0, "i32")), n_regs=1, strip=1))
        build.emit(p.While(trips=5))
        build.emit(p.Nest((1,), tuple(p.Operand(t, 0, (0,)) for t in (counter, limit, more)),
                          (load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("lt", "i32", 0, 0, 1), store(2, 0, "i1")), n_regs=2, strip=1))
        build.emit(p.Do(more))
        build.emit(p.Dot("f32", 0, 0, 1, 1, (size, size), p.Operand(a, 0, (0, 1)), p.Operand(given_w, 0, (1, size + gap)),
                         p.Operand(b, 0, (1, 0))))
        _copy(build, b, a, size)
        build.emit(p.Nest((1,), tuple(p.Operand(t, 0, (0,)) for t in (counter, one)),
                          (load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("add", "i32", 0, 0, 1), store(0, 0, "i32")), n_regs=2, strip=1))
        build.emit(p.End())
        _copy(build, a, out, size)
        got, = Program(build.image, _cpu(cpu)).run(h, w)
        once = _program("f32", [0, 0, 1, 1], [size, size], ([0, 1], 0, size), ([1, size + gap], 0, w.size), ([1, 0], 0, size), cpu)
        for _ in range(5):
            h, = once.run(h, w.reshape(-1))
        np.testing.assert_array_equal(got.view(np.uint32), h.view(np.uint32))


def test_in_a_program():
    """Two layers in one program, through the arena."""
    build = Builder()
    x, w, v = build.input("f32", (1, 31)), build.input("f32", (31, 256)), build.input("f32", (256, 2))
    y, hidden = build.output("f32", (1, 2)), build.arena("f32", 256)
    build.emit(p.Dot("f32", 0, 1, 1, 1, (1, 256, 31), p.Operand(x, 0, (31, 0, 1)), p.Operand(w, 0, (0, 1, 256)),
                     p.Operand(hidden, 0, (256, 1, 0))))
    build.emit(p.Dot("f32", 0, 1, 1, 1, (1, 2, 256), p.Operand(hidden, 0, (256, 0, 1)), p.Operand(v, 0, (0, 1, 2)),
                     p.Operand(y, 0, (2, 1, 0))))
    rng = np.random.default_rng(1)
    arrays = [_numbers(rng, "f32", shape) for shape in ((1, 31), (31, 256), (256, 2))]
    got, = Program(build.image).run(*arrays)
    np.testing.assert_array_equal(got, arrays[0] @ arrays[1] @ arrays[2])


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dims,lhs,rhs", [
    ((1, 4, 4, 4), (0, 4, 0, 1), (0, 0, 1, 4)), ((1, 4, 4, 4), (0, 1, 0, 4), (0, 0, 4, 1)), ((1, 3, 5, 6), (0, 6, 0, 1), (0, 0, 1, 5)),
    ((2, 2, 2, 4), (8, 4, 0, 1), (8, 0, 1, 2)), ((1, 2, 8, 2), (0, -2, 0, -1), (0, 0, 1, 8)), ((1, 1, 1, 16), (0, 0, 0, 1), (0, 0, 0, 2)),
    ((4, 1, 1, 2), (3, 0, 0, 1), (2, 0, 0, 1)), ((1, 16, 1, 2), (0, 1, 0, 16), (0, 0, 0, 0)),
])
def test_small_ones_add_in_order(cpu, dims, lhs, rhs):
    """A result of up to 16 elements: each step of a sum is rounded, in the order of k; nothing beside it is touched."""
    rng = np.random.default_rng(sum(dims))
    places = []
    for strides in (lhs, rhs):
        reach = [s * (n - 1) for s, n in zip(strides, dims, strict=True)]
        places.append((list(strides), -sum(min(r, 0) for r in reach), sum(map(abs, reach)) + 1))
    b, m, n, k = dims
    out = [m * n, n, 1, 0], 0, b * m * n
    left, right = (rng.standard_normal(place[2]).astype(np.float32) for place in places)
    a, c = (_at(x, place, dims, range(4)) for x, place in zip((left, right), places, strict=True))
    want = a[..., 0] * c[..., 0]
    for i in range(1, k):
        want = want + a[..., i] * c[..., i]
    got, = _program("f32", [1, 1, 1, 1], dims, *places, out, _cpu(cpu)).run(left, right)
    np.testing.assert_array_equal(got.view(np.uint32), want.reshape(-1).view(np.uint32))
