# ruff: noqa: E501  (lines of StableHLO text)
"""Operations that JAX seldom or never writes, from StableHLO text: against StableHLO's interpreter or by hand."""

import ml_dtypes
import numpy as np
import pytest
from frontend_oracle import close, run_text, same_as_interpreter

from kjax.frontend import import_module


def module(body, results, extra=""):
    return f"module {{\n func.func @main() -> ({results}) {{\n{body}\n }}\n{extra}}}"


INTERPRETED = {
    "select_scalar_predicate": ("""
  %p = stablehlo.constant dense<true> : tensor<i1>
  %a = stablehlo.constant dense<[1, 2]> : tensor<2xi32>
  %b = stablehlo.constant dense<[3, 4]> : tensor<2xi32>
  %r = stablehlo.select %p, %a, %b : tensor<i1>, tensor<2xi32>
  return %r : tensor<2xi32>""", "tensor<2xi32>"),
    "clamp_crossed": ("""
  %l = stablehlo.constant dense<5.0> : tensor<f32>
  %x = stablehlo.constant dense<[1.0, 6.0, 9.0]> : tensor<3xf32>
  %h = stablehlo.constant dense<[3.0, 7.0, 4.0]> : tensor<3xf32>
  %r = stablehlo.clamp %l, %x, %h : (tensor<f32>, tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  return %r : tensor<3xf32>""", "tensor<3xf32>"),
    "booleans_add_is_or": ("""
  %a = stablehlo.constant dense<[true, true, false]> : tensor<3xi1>
  %b = stablehlo.constant dense<[true, false, false]> : tensor<3xi1>
  %s = stablehlo.add %a, %b : tensor<3xi1>
  %m = stablehlo.multiply %a, %b : tensor<3xi1>
  %x = stablehlo.maximum %s, %m : tensor<3xi1>
  return %s, %m, %x : tensor<3xi1>, tensor<3xi1>, tensor<3xi1>""", "tensor<3xi1>, tensor<3xi1>, tensor<3xi1>"),
    "map": ("""
  %a = stablehlo.constant dense<[[0, 1], [2, 3]]> : tensor<2x2xi64>
  %b = stablehlo.constant dense<[[4, 5], [6, 7]]> : tensor<2x2xi64>
  %r = "stablehlo.map"(%a, %b) ({
  ^bb0(%x: tensor<i64>, %y: tensor<i64>):
    %c = stablehlo.constant dense<10> : tensor<i64>
    %0 = stablehlo.multiply %x, %y : tensor<i64>
    %1 = stablehlo.add %0, %c : tensor<i64>
    stablehlo.return %1 : tensor<i64>
  }) {dimensions = array<i64: 0, 1>} : (tensor<2x2xi64>, tensor<2x2xi64>) -> tensor<2x2xi64>
  return %r : tensor<2x2xi64>""", "tensor<2x2xi64>"),
    "select_and_scatter": ("""
  %x = stablehlo.constant dense<[[1, 5], [2, 5], [5, 6], [4, 4]]> : tensor<4x2xi64>
  %s = stablehlo.constant dense<[[5, 6], [7, 8]]> : tensor<2x2xi64>
  %i = stablehlo.constant dense<0> : tensor<i64>
  %r = "stablehlo.select_and_scatter"(%x, %s, %i) ({
  ^bb0(%a: tensor<i64>, %b: tensor<i64>):
    %0 = stablehlo.compare GE, %a, %b : (tensor<i64>, tensor<i64>) -> tensor<i1>
    stablehlo.return %0 : tensor<i1>
  }, {
  ^bb0(%a: tensor<i64>, %b: tensor<i64>):
    %0 = stablehlo.add %a, %b : tensor<i64>
    stablehlo.return %0 : tensor<i64>
  }) {window_dimensions = array<i64: 3, 1>, window_strides = array<i64: 2, 1>,
      padding = dense<[[0, 1], [0, 0]]> : tensor<2x2xi64>} : (tensor<4x2xi64>, tensor<2x2xi64>, tensor<i64>) -> tensor<4x2xi64>
  return %r : tensor<4x2xi64>""", "tensor<4x2xi64>"),
    "reduce_window_all_attributes": ("""
  %x = stablehlo.constant dense<[[1, 2], [3, 4], [5, 6]]> : tensor<3x2xi64>
  %i = stablehlo.constant dense<0> : tensor<i64>
  %r = "stablehlo.reduce_window"(%x, %i) ({
  ^bb0(%a: tensor<i64>, %b: tensor<i64>):
    %0 = stablehlo.add %a, %b : tensor<i64>
    stablehlo.return %0 : tensor<i64>
  }) {window_dimensions = array<i64: 2, 1>, window_strides = array<i64: 4, 1>, base_dilations = array<i64: 2, 1>,
      window_dilations = array<i64: 3, 1>, padding = dense<[[2, 1], [0, 0]]> : tensor<2x2xi64>}
      : (tensor<3x2xi64>, tensor<i64>) -> tensor<2x2xi64>
  return %r : tensor<2x2xi64>""", "tensor<2x2xi64>"),
    "tuples": ("""
  %a = stablehlo.constant dense<1.0> : tensor<f64>
  %b = stablehlo.constant dense<2> : tensor<i32>
  %t = stablehlo.tuple %a, %b : tuple<tensor<f64>, tensor<i32>>
  %u = stablehlo.tuple %t, %b : tuple<tuple<tensor<f64>, tensor<i32>>, tensor<i32>>
  %v = stablehlo.get_tuple_element %u[0] : (tuple<tuple<tensor<f64>, tensor<i32>>, tensor<i32>>) -> tuple<tensor<f64>, tensor<i32>>
  %r = stablehlo.get_tuple_element %v[1] : (tuple<tensor<f64>, tensor<i32>>) -> tensor<i32>
  return %r : tensor<i32>""", "tensor<i32>"),
    "if_and_case": ("""
  %p = stablehlo.constant dense<false> : tensor<i1>
  %i = stablehlo.constant dense<-1> : tensor<i32>
  %x = stablehlo.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %a = "stablehlo.if"(%p) ({
    %0 = stablehlo.sine %x : tensor<2xf32>
    stablehlo.return %0 : tensor<2xf32>
  }, {
    stablehlo.return %x : tensor<2xf32>
  }) : (tensor<i1>) -> tensor<2xf32>
  %b = "stablehlo.case"(%i) ({
    stablehlo.return %x : tensor<2xf32>
  }, {
    %0 = stablehlo.cosine %x : tensor<2xf32>
    stablehlo.return %0 : tensor<2xf32>
  }) : (tensor<i32>) -> tensor<2xf32>
  return %a, %b : tensor<2xf32>, tensor<2xf32>""", "tensor<2xf32>, tensor<2xf32>"),
    "bitcast_widths": ("""
  %a = stablehlo.constant dense<[0x0123456789ABCDEF, 1]> : tensor<2xi64>
  %b = stablehlo.bitcast_convert %a : (tensor<2xi64>) -> tensor<2x4xi16>
  %c = stablehlo.bitcast_convert %b : (tensor<2x4xi16>) -> tensor<2xf64>
  return %b, %c : tensor<2x4xi16>, tensor<2xf64>""", "tensor<2x4xi16>, tensor<2xf64>"),
    "integer_division_edges": ("""
  %a = stablehlo.constant dense<[-128, 7, -7, 5, 0]> : tensor<5xi8>
  %b = stablehlo.constant dense<[3, -2, 2, 127, 9]> : tensor<5xi8>
  %q = stablehlo.divide %a, %b : tensor<5xi8>
  %r = stablehlo.remainder %a, %b : tensor<5xi8>
  return %q, %r : tensor<5xi8>, tensor<5xi8>""", "tensor<5xi8>, tensor<5xi8>"),
    "shifts_past_the_width": ("""
  %a = stablehlo.constant dense<[-128, 7, -7, 5]> : tensor<4xi8>
  %b = stablehlo.constant dense<[8, 1, 100, 0]> : tensor<4xi8>
  %l = stablehlo.shift_left %a, %b : tensor<4xi8>
  %r = stablehlo.shift_right_logical %a, %b : tensor<4xi8>
  %s = stablehlo.shift_right_arithmetic %a, %b : tensor<4xi8>
  return %l, %r, %s : tensor<4xi8>, tensor<4xi8>, tensor<4xi8>""", "tensor<4xi8>, tensor<4xi8>, tensor<4xi8>"),
    "gather_batching_dims": ("""
  %x = stablehlo.iota dim = 0 : tensor<24xi32>
  %y = stablehlo.reshape %x : (tensor<24xi32>) -> tensor<2x4x3xi32>
  %i = stablehlo.constant dense<[[[0], [9]], [[2], [1]]]> : tensor<2x2x1xi64>
  %r = "stablehlo.gather"(%y, %i) {dimension_numbers = #stablehlo.gather<offset_dims = [2], collapsed_slice_dims = [1],
      operand_batching_dims = [0], start_indices_batching_dims = [0], start_index_map = [1], index_vector_dim = 2>,
      slice_sizes = array<i64: 1, 1, 2>, indices_are_sorted = false} : (tensor<2x4x3xi32>, tensor<2x2x1xi64>) -> tensor<2x2x2xi32>
  return %r : tensor<2x2x2xi32>""", "tensor<2x2x2xi32>"),
    "scatter_variadic": ("""
  %a = stablehlo.constant dense<[1, 2, 3, 4]> : tensor<4xi32>
  %b = stablehlo.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %i = stablehlo.constant dense<[[1], [1], [7], [0]]> : tensor<4x1xi64>
  %u = stablehlo.constant dense<[10, 20, 30, 40]> : tensor<4xi32>
  %v = stablehlo.constant dense<[0.5, 0.25, 8.0, 3.0]> : tensor<4xf32>
  %r:2 = "stablehlo.scatter"(%a, %b, %i, %u, %v) ({
  ^bb0(%p: tensor<i32>, %q: tensor<f32>, %s: tensor<i32>, %t: tensor<f32>):
    %0 = stablehlo.add %p, %s : tensor<i32>
    %1 = stablehlo.multiply %q, %t : tensor<f32>
    stablehlo.return %0, %1 : tensor<i32>, tensor<f32>
  }) {scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0], scatter_dims_to_operand_dims = [0],
      index_vector_dim = 1>} : (tensor<4xi32>, tensor<4xf32>, tensor<4x1xi64>, tensor<4xi32>, tensor<4xf32>)
      -> (tensor<4xi32>, tensor<4xf32>)
  return %r#0, %r#1 : tensor<4xi32>, tensor<4xf32>""", "tensor<4xi32>, tensor<4xf32>"),
    "convolution_reversed_and_grouped": ("""
  %x = stablehlo.constant dense<[[[1.0], [2.0], [3.0], [4.0], [5.0]], [[1.0], [0.0], [2.0], [0.0], [3.0]]]> : tensor<2x5x1xf32>
  %k = stablehlo.constant dense<[[[1.0, 2.0]], [[3.0, -1.0]]]> : tensor<2x1x2xf32>
  %r = stablehlo.convolution(%x, %k) dim_numbers = [b, 0, f]x[0, i, o]->[b, 0, f],
      window = {stride = [1], pad = [[1, 2]], lhs_dilate = [2], rhs_dilate = [2], reverse = [true]}
      {batch_group_count = 2 : i64, feature_group_count = 1 : i64} : (tensor<2x5x1xf32>, tensor<2x1x2xf32>) -> tensor<1x10x2xf32>
  return %r : tensor<1x10x2xf32>""", "tensor<1x10x2xf32>"),
}


@pytest.mark.parametrize("name", INTERPRETED)
def test_against_the_interpreter(name):
    same_as_interpreter(module(*INTERPRETED[name]))


def test_total_order_comparison():
    text = """func.func @main(%a: tensor<6xf32>, %b: tensor<6xf32>) -> tensor<6xi1> {
  %0 = stablehlo.compare LT, %a, %b, TOTALORDER : (tensor<6xf32>, tensor<6xf32>) -> tensor<6xi1>
  return %0 : tensor<6xi1> }"""
    nan = np.float32(np.nan)
    a = np.array([-nan, -np.inf, -0.0, 0.0, nan, nan], np.float32)
    b = np.array([-np.inf, -1, 0.0, -0.0, np.inf, nan], np.float32)
    (out,) = run_text(text, a, b)
    assert out.tolist() == [True, True, True, False, False, False]


CONSTANTS = {
    "i1": ("true, false, true", [True, False, True]), "i2": ("1, -2, -1", [1, -2, -1]),
    "i4": ("1, -8, 7", [1, -8, 7]), "ui2": ("0, 3, 1", [0, 3, 1]), "ui4": ("1, 15, 0", [1, 15, 0]),
    "ui64": ("18446744073709551615, 0, 7", [2**64 - 1, 0, 7]), "bf16": ("1.0, 0x7F80, -2.5", [1, np.inf, -2.5]),
    "f16": ("1.0, 0x7C00, -2.5", [1, np.inf, -2.5]), "f8E4M3FN": ("1.0, -2.0, 0.5", [1, -2, 0.5]),
    "f8E5M2": ("1.0, 0x7C, 0.5", [1, np.inf, 0.5]), "f4E2M1FN": ("1.0, -2.0, 0.5", [1, -2, 0.5]),
    "complex<f32>": ("(1.0, -2.0), (0x7F800000, 0.5), (0.0, 3.0)", [1 - 2j, complex(np.inf, 0.5), 3j]),
    "complex<f64>": ("(1.0, -2.0), (0.1, 0.5), (0.0, 3.0)", [1 - 2j, 0.1 + 0.5j, 3j]),
}


@pytest.mark.parametrize("dtype", CONSTANTS)
@pytest.mark.parametrize("times", [1, 50])
def test_constants_of_every_kind(dtype, times):
    """50 times over they are printed as bytes."""
    words, values = CONSTANTS[dtype]
    words = ", ".join([words] * times)
    text = f"""func.func @main() -> tensor<{3 * times}x{dtype}> {{
  %0 = stablehlo.constant dense<[{words}]> : tensor<{3 * times}x{dtype}>
  return %0 : tensor<{3 * times}x{dtype}> }}"""
    (out,) = run_text(text)
    wide = out.astype(np.complex128) if "complex" in dtype else out if dtype == "ui64" else out.astype(np.float64)
    assert wide.tolist() == values * times


def test_splats_take_no_memory():
    graph = import_module("""func.func @main() -> tensor<1000x1000xcomplex<f32>> {
  %0 = stablehlo.constant dense<(1.0, 2.0)> : tensor<1000x1000xcomplex<f32>>
  return %0 : tensor<1000x1000xcomplex<f32>> }""")
    value = graph.ops[0].attributes["value"]
    assert value.shape == (1000, 1000) and value.strides == (0, 0) and value[5, 5] == 1 + 2j


def test_resource_blobs():
    text = """func.func @main() -> tensor<2xf32> {
  %0 = stablehlo.constant dense_resource<blob> : tensor<2xf32>
  return %0 : tensor<2xf32> }
{-# dialect_resources: { builtin: { blob: "0x040000000000803F00000040" } } #-}"""
    assert run_text(text)[0].tolist() == [1.0, 2.0]


def test_composites_are_inlined_or_recognised():
    text = """module {
 func.func @main(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %0 = stablehlo.composite "mine.twice" %x {decomposition = @twice} : (tensor<2xf32>) -> tensor<2xf32>
  %1 = stablehlo.composite "chlo.erf" %x {decomposition = @twice} : (tensor<2xf32>) -> tensor<2xf32>
  return %0, %1 : tensor<2xf32>, tensor<2xf32> }
 func.func private @twice(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = stablehlo.add %x, %x : tensor<2xf32>
  return %0 : tensor<2xf32> } }"""
    assert [op.name for op in import_module(text).ops] == ["add", "erf"]


def test_batch_norm_training_and_gradient():
    text = """func.func @main(%x: tensor<4x3xf64>, %s: tensor<3xf64>, %o: tensor<3xf64>)
      -> (tensor<4x3xf64>, tensor<3xf64>, tensor<3xf64>) {
  %y, %m, %v = "stablehlo.batch_norm_training"(%x, %s, %o) {epsilon = 0.001 : f32, feature_index = 1 : i64}
      : (tensor<4x3xf64>, tensor<3xf64>, tensor<3xf64>) -> (tensor<4x3xf64>, tensor<3xf64>, tensor<3xf64>)
  return %y, %m, %v : tensor<4x3xf64>, tensor<3xf64>, tensor<3xf64> }"""
    rng = np.random.default_rng(1)
    x, s, o = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=3)
    y, mean, variance = run_text(text, x, s, o)
    epsilon = float(np.float32(0.001))
    np.testing.assert_allclose(mean, x.mean(0))
    np.testing.assert_allclose(variance, x.var(0))
    np.testing.assert_allclose(y, (x - x.mean(0)) / np.sqrt(x.var(0) + epsilon) * s + o)


def test_einsum_and_torch_index_select():
    text = """func.func @main(%a: tensor<2x3x4xf32>, %b: tensor<2x4x5xf32>, %i: tensor<2x2xi32>)
      -> (tensor<5x2x3xf32>, tensor<4x2xf32>, tensor<2x2x4xf32>) {
  %0 = "stablehlo.einsum"(%a, %b) {einsum_config = "bij,bjk->kbi"} : (tensor<2x3x4xf32>, tensor<2x4x5xf32>) -> tensor<5x2x3xf32>
  %1 = "stablehlo.unary_einsum"(%a) {einsum_config = "bij->jb"} : (tensor<2x3x4xf32>) -> tensor<4x2xf32>
  %2 = "stablehlo.torch_index_select"(%a, %i) {dim = 1 : i64, batch_dims = 1 : i64} : (tensor<2x3x4xf32>, tensor<2x2xi32>) -> tensor<2x2x4xf32>
  return %0, %1, %2 : tensor<5x2x3xf32>, tensor<4x2xf32>, tensor<2x2x4xf32> }"""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 3, 4)).astype(np.float32), rng.normal(size=(2, 4, 5)).astype(np.float32)
    i = np.array([[0, 2], [1, 1]], np.int32)
    e, u, t = run_text(text, a, b, i)
    np.testing.assert_allclose(e, np.einsum("bij,bjk->kbi", a, b), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(u, a.sum(1).T, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(t, np.stack([a[0][i[0]], a[1][i[1]]]))


def test_narrow_integers():
    text = """func.func @main(%a: tensor<4xi4>, %b: tensor<4xui4>) -> (tensor<4xi4>, tensor<4xi4>, tensor<4xi4>, tensor<4xui4>, tensor<2xi8>) {
  %one = stablehlo.constant dense<1> : tensor<4xi4>
  %u = stablehlo.constant dense<1> : tensor<4xui4>
  %0 = stablehlo.shift_right_logical %a, %one : tensor<4xi4>
  %1 = stablehlo.popcnt %a : tensor<4xi4>
  %2 = stablehlo.count_leading_zeros %a : tensor<4xi4>
  %3 = stablehlo.shift_right_arithmetic %b, %u : tensor<4xui4>
  %4 = stablehlo.reshape %a : (tensor<4xi4>) -> tensor<2x2xi4>
  %5 = stablehlo.bitcast_convert %4 : (tensor<2x2xi4>) -> tensor<2xi8>
  return %0, %1, %2, %3, %5 : tensor<4xi4>, tensor<4xi4>, tensor<4xi4>, tensor<4xui4>, tensor<2xi8> }"""
    a = np.array([-1, -8, 3, 0], ml_dtypes.int4)
    b = np.array([15, 8, 3, 0], ml_dtypes.uint4)
    logical, ones, zeros, arithmetic, packed = (x.astype(int).tolist() for x in run_text(text, a, b))
    assert logical == [7, 4, 1, 0]
    assert ones == [4, 1, 2, 0]
    assert zeros == [0, 0, 2, 4]
    assert arithmetic == [15, 12, 1, 0]
    assert packed == [-113, 3]  # 0x8F, 0x03: the first element is the low half


@pytest.mark.parametrize("bits", [(5, 10), (8, 7), (4, 3), (3, 1), (2, 0)])
def test_reduce_precision_against_jax(bits):
    import jax

    x = np.array([0, -0.0, 1.1, -3.7, 1e-40, 6e4, 65520, 1e38, np.inf, -np.inf, np.nan, 1.5, 2.5], np.float32)
    from kjax.frontend import import_module as load
    from kjax.runtime.reference import evaluate

    f = jax.jit(lambda v: jax.lax.reduce_precision(v, *bits))
    (out,) = evaluate(load(f.lower(x)), [x])
    close(out, np.asarray(f(x)))
    np.testing.assert_array_equal(np.signbit(out), np.signbit(np.asarray(f(x))))
