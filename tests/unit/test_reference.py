"""The NumPy reference where it does something clever: conversions, merge sort, scatter rounds."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kjax.ir.graph import Graph, Region, Type
from kjax.runtime.reference import evaluate
from kjax.runtime.reference.elementwise import convert, elementwise, to_odd

SMALL = [ml_dtypes.bfloat16, np.float16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]


def nearest(value, dtype):
    """Correct rounding by search: the representable number nearest to a Python float, ties to even."""
    size = np.dtype(dtype).itemsize
    bits = np.arange(256 ** size, dtype=np.uint32).astype(f"u{size}")
    with np.errstate(invalid="ignore"):
        all_values = bits.view(dtype).astype(np.float64)
    finite = np.isfinite(all_values)
    bits, all_values = bits[finite], all_values[finite]
    distance = np.abs(all_values - value)
    best = np.flatnonzero(distance == distance.min())
    return all_values[min(best, key=lambda k: bits[k] & 1)]


@settings(max_examples=40, deadline=None)
@given(st.floats(-200, 200), st.sampled_from(SMALL))
def test_small_floats_are_rounded_once(value, dtype):
    assert float(convert(np.array(value), dtype)) == nearest(value, dtype)


def test_the_case_that_rounds_wrongly_twice():
    value = np.array(1 + 2.0 ** -8 + 2.0 ** -30)  # just above a tie of bf16; f32 would round it onto the tie
    assert float(convert(value, ml_dtypes.bfloat16)) == 1 + 2.0 ** -7
    assert to_odd(value).view(np.uint32) & 1


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_floats_saturate_into_integers(dtype):
    info = np.iinfo(dtype)
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 1.9, -0.9])
    assert [int(v) for v in convert(x, dtype)] == [0, info.max, info.min, info.max, info.min, 1, 0]


def test_division_edges():
    a = np.array([-(2**31), 7, -7, 0], np.int32)
    b = np.array([-1, 0, 2, 0], np.int32)
    assert elementwise("div", a, b).tolist() == [-(2**31), -1, -3, -1]
    assert elementwise("rem", a, b).tolist() == [0, 7, -1, 0]


def test_extremes_of_zero_and_nan():
    a, b = np.array([0.0, -0.0, np.nan], np.float32), np.array([-0.0, 0.0, 1.0], np.float32)
    high, low = elementwise("max", a, b), elementwise("min", a, b)
    assert np.signbit(high[:2]).tolist() == [False, False] and np.signbit(low[:2]).tolist() == [True, True]
    assert np.isnan(high[2]) and np.isnan(low[2])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=70))
def test_sort_is_stable(keys):
    graph, region = Graph(), Region()
    scalar, n = Type("i32"), len(keys)
    k, p = graph.argument(Type("i32", (n,))), graph.argument(Type("i32", (n,)))
    l0, r0, _, _ = (region.argument(scalar) for _ in range(4))
    region.results = [region.add("lt", [l0, r0], Type("i1"))]
    graph.results = graph.add("sort", [k, p], [k.type, p.type], regions=[region], dim=0, stable=True)
    values, places = evaluate(graph, [np.array(keys, np.int32), np.arange(n, dtype=np.int32)])
    order = np.argsort(keys, kind="stable")
    assert places.tolist() == order.tolist() and values.tolist() == np.array(keys)[order].tolist()


def test_scatter_combines_in_order():
    graph, region = Graph(), Region()
    x, i, u = (graph.argument(Type(*t)) for t in (("f32", (3,)), ("i32", (5, 1)), ("f32", (5,))))
    old, new = region.argument(Type("f32")), region.argument(Type("f32"))
    region.results = [region.add("sub", [new, old], Type("f32"))]  # not commutative: shows the order
    graph.results = graph.add("scatter", [x, i, u], [x.type], regions=[region], update_window_dims=(),
                              inserted_dims=(0,), operand_batch_dims=(), index_batch_dims=(), scatter_dims_map=(0,),
                              index_vector_dim=1)
    (out,) = evaluate(graph, [np.zeros(3, np.float32), np.array([[1], [9], [1], [0], [1]], np.int32),
                              np.array([1, 2, 3, 4, 5], np.float32)])
    assert out.tolist() == [4, 5 - (3 - 1), 0]


def test_wrong_arguments():
    graph = Graph()
    graph.results = [graph.argument(Type("f32", (3,)))]
    with pytest.raises(TypeError, match="argument 0 is float64"):
        evaluate(graph, [np.zeros(3)])
    with pytest.raises(TypeError, match="takes 1"):
        evaluate(graph, [])
