"""The verifier's arithmetic against Python's, which cannot wrap: one verdict, for the largest numbers too."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images import PROGRAMS, view

from kjax import errors
from kjax.bytecode.assembler import assemble
from kjax.bytecode.program import Argument, Gather, Image, Index, Nest, Operand, Tensor, Uop

LIMIT = 1 << 40
LARGE = [0, 1, 2, 3, 7, 8, 9, 1 << 20, 1 << 31, 1 << 32, LIMIT - 1, LIMIT, LIMIT + 1, 1 << 61, 1 << 62, (1 << 63) - 1]

dims_ = st.one_of(st.integers(1, 9), st.integers(1, 9), st.sampled_from(LARGE + [1 << 63, (1 << 64) - 1]))
strides_ = st.one_of(st.integers(-9, 9), st.integers(-9, 9),
                     st.sampled_from(LARGE + [-x for x in LARGE] + [-(1 << 63)]))
offsets_ = st.one_of(st.integers(-4, 80), st.integers(-4, 80), strides_)
few = settings(max_examples=300, deadline=None)


@pytest.fixture(scope="module")
def verdict():
    """Name of the status that an image gets."""
    from kjax import _engine

    def ask(image):
        try:
            _engine.verify(assemble(image))
        except errors.KjaxError as e:
            return e.status.name
        return "ok"

    return ask


def reach(offset, strides, dims):
    """(lowest, highest) element of a view."""
    steps = [(d - 1) * s for d, s in zip(dims, strides, strict=True)]
    return offset + sum(x for x in steps if x < 0), offset + sum(x for x in steps if x > 0)


def points(dims):
    n = 1
    for d in dims:
        n *= d
    return n


def space(dims):
    """What an iteration space of such dims is refused for, or None."""
    for d in dims:
        if d == 0:
            return "bad_rank"
        if d > LIMIT:
            return "too_large"
    return "too_large" if points(dims) > 1 << 62 else None


def reduction(dims, operand, elements, dtype="f32", op="load"):
    """A nest that reads one view in every point of ``dims`` and writes a single element."""
    tensors = [Tensor(dtype, "input", elements * 4), Tensor(dtype, "output", 4)]
    bodies = (Uop(op, dtype, 1, imm=0),), (Uop("add", dtype, 0, 0, 1),), (Uop("store", dtype, a=0, imm=1),)
    nest = Nest(dims, (operand, Operand(1, 0, (0,) * len(dims))), *bodies, 1, 2, 0, len(dims))
    return Image(tensors, [Argument(0, dtype, (elements,))], [Argument(1, dtype, ())], [nest])


@few
@given(data=st.data(), rank=st.integers(1, 6), elements=st.sampled_from([1, 8, 64, 1 << 20, 1 << 38]), offset=offsets_)
def test_bounds_of_a_view(verdict, data, rank, elements, offset):
    dims = tuple(data.draw(st.tuples(*[dims_] * rank)))
    strides = tuple(data.draw(st.tuples(*[strides_] * rank)))
    low, high = reach(offset, strides, dims)
    want = space(dims)
    if not want and (low < 0 or high >= elements or any(abs(s) > LIMIT for s in strides)):
        want = "out_of_bounds"
    assert verdict(reduction(dims, Operand(0, offset, strides), elements)) == (want or "ok")


@few
@given(data=st.data(), rank=st.integers(1, 4), offset=strides_)
def test_range_of_an_iota(verdict, data, rank, offset):
    dims = tuple(data.draw(st.tuples(*[dims_] * rank)))
    strides = tuple(data.draw(st.tuples(*[strides_] * rank)))
    room = 1 << 62
    low, high = reach(offset, strides, dims)
    far = any(abs(d * s) > room for d, s in zip(dims, strides, strict=True))
    outside = far or abs(offset) > room or low < -room or high > room
    want = space(dims) or ("out_of_bounds" if outside else "ok")
    assert verdict(reduction(dims, Operand(None, offset, strides), 8, "i32", "iota")) == want


@few
@given(offset=offsets_, stride=strides_, limit=dims_.map(lambda d: max(d - 1, 0)), step=strides_, window=dims_)
def test_reach_of_windows(verdict, offset, stride, limit, step, window):
    elements = 64
    tensors = [Tensor("f32", "input", 4 * elements), Tensor("i32", "input", 8, index=1),
               Tensor("f32", "arena", 4 << 20)]
    insn = Gather((2, window), 1, Operand(0, offset, (0, stride)), view(2, 0, 0), (Index(1, 0, limit, step, (1,)),))
    plain = Operand(2, 0, (window if window < LIMIT else 0, 1))
    insn = Gather(insn.dims, 1, insn.windowed, plain, insn.indices)
    image = Image(tensors, [Argument(0, "f32", (64,)), Argument(1, "i32", (2,))], [], [insn], arena=4 << 20)
    low, high = reach(offset, (0, stride), insn.dims)
    moved = (min(limit * step, 0), max(limit * step, 0))
    want = space(insn.dims)
    if not want:
        wrong = low < 0 or high >= elements or abs(stride) > LIMIT or 2 * window > 1 << 20
        wrong |= limit > LIMIT or abs(step) > LIMIT or low + moved[0] < 0 or high + moved[1] >= elements
        want = "out_of_bounds" if wrong else "ok"
    assert verdict(image) == want


@few
@given(offset=st.one_of(st.integers(0, 300), st.sampled_from(LARGE + [(1 << 64) - k for k in (1, 2, 4, 8, 64)])),
       size=st.one_of(st.integers(0, 300), st.sampled_from(LARGE + [(1 << 64) - k for k in (1, 2, 4, 8, 64)])),
       arena=st.sampled_from([0, 1, 64, 256, LIMIT]), dtype=st.sampled_from(["u8", "f16", "f32", "c128"]))
def test_bounds_of_a_tensor(verdict, offset, size, arena, dtype):
    width = {"u8": 1, "f16": 2, "f32": 4, "c128": 16}[dtype]
    right = size and size % width == 0 and offset % width == 0 and offset + size <= arena
    assert verdict(Image([Tensor(dtype, "arena", size, offset)], arena=arena)) == ("ok" if right else "bad_tensor")


@few
@given(shape=st.lists(dims_, max_size=6).map(tuple))
def test_bytes_of_an_argument(verdict, shape):
    size = 4 * points(shape)
    tensors = [Tensor("f32", "input", size % (1 << 64))] if size else []
    image = Image(tensors, [Argument(0 if size else None, "f32", shape)])
    right = all(d <= LIMIT for d in shape) and size <= LIMIT
    assert verdict(image) == ("ok" if right else "too_large")


@few
@given(dims=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple), data=st.data())
def test_a_view_that_passes_visits_each_element_once(verdict, dims, data):
    """The check may refuse good views, but never passes one that writes an element twice."""
    strides = tuple(data.draw(st.tuples(*[st.integers(-30, 30)] * len(dims))))
    low, high = reach(0, strides, dims)
    image = PROGRAMS["in_place"]()
    image.arena = 4 * (high - low + 1)
    image.tensors.append(Tensor("f32", "arena", image.arena))
    body = (Uop("load", "f32", 0, imm=0), Uop("store", "f32", a=0, imm=1))
    image.code = [Nest(dims, (view(2, *(0,) * len(dims)), Operand(3, -low, strides)), body, n_regs=1)]
    visited = {0}
    for d, s in zip(dims, strides, strict=True):
        visited = {v + k * s for v in visited for k in range(d)}
    once = len(visited) == points(dims)
    said = verdict(image)
    assert said in ("ok", "bad_overlap")
    assert once or said == "bad_overlap"
    if once and list(map(abs, strides)) == [points(dims[k + 1:]) for k in range(len(dims))]:
        assert said == "ok"  # dense, in any direction
