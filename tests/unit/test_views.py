"""Views against NumPy's own: every view operation, and reshape wherever strides can say it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kjax.compiler.views import Buffer, dense


def read(view, memory):
    """The array that a view describes."""
    item = memory.itemsize
    return np.lib.stride_tricks.as_strided(memory[view.offset:] if view.size else memory, view.shape,
                                           [s * item for s in view.strides])


@st.composite
def views(draw):
    """A view with strides of its own, and the array it should read."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    memory = np.arange(int(np.prod(shape)), dtype=np.int32)
    view, array = dense(Buffer("i32", memory.size), shape), memory.reshape(shape)
    for step in draw(st.lists(st.sampled_from(["transpose", "slice", "reverse", "broadcast"]), max_size=3)):
        if step == "transpose":
            order = draw(st.permutations(range(len(view.shape))))
            view, array = view.transpose(order), array.transpose(order)
        elif step == "reverse":
            dims = draw(st.sets(st.integers(0, len(view.shape) - 1)))
            view, array = view.reverse(dims), np.flip(array, tuple(dims))
        elif step == "slice":
            start = [draw(st.integers(0, n - 1)) for n in view.shape]
            limit = [draw(st.integers(a + 1, n)) for a, n in zip(start, view.shape)]
            by = [draw(st.integers(1, 3)) for _ in start]
            view = view.slice(start, limit, by)
            array = array[tuple(map(slice, start, limit, by))]
        else:
            n = draw(st.integers(1, 3))
            view = view.broadcast((n, *view.shape), tuple(range(1, len(view.shape) + 1)))
            array = np.broadcast_to(array, (n, *array.shape))
    return memory, view, array


@given(views())
def test_view_operations_read_what_numpy_reads(case):
    memory, view, array = case
    np.testing.assert_array_equal(read(view, memory), array)


@given(views(), st.data())
@settings(max_examples=200)
def test_reshape_reads_the_same_elements_or_says_no(case, data):
    memory, view, array = case
    factors, left = [], view.size
    while left > 1:
        d = data.draw(st.sampled_from([k for k in range(1, left + 1) if left % k == 0]))
        factors.append(d)
        left //= d
        if d == 1 and len(factors) > 5:
            factors.append(left)
            left = 1
    reshaped = view.reshape(tuple(factors))
    if reshaped is not None:
        np.testing.assert_array_equal(read(reshaped, memory), array.reshape(factors))
    elif view.is_dense:
        raise AssertionError("a dense view can always be reshaped")


@given(st.integers(1, 9), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))
def test_windows(n, size, stride, dilation):
    span = (size - 1) * dilation + 1
    if span > n:
        return
    memory = np.arange(n, dtype=np.int32)
    view = dense(Buffer("i32", n), (n,)).window((size,), (stride,), (dilation,))
    want = [[memory[p * stride + k * dilation] for k in range(size)] for p in range((n - span) // stride + 1)]
    np.testing.assert_array_equal(read(view, memory), want)
