"""StableHLO with operations that take shapes as operands: fine where the shapes are constants."""

import numpy as np
import pytest

import kjax

X = np.arange(12, dtype=np.float32).reshape(3, 4)


def module(signature, body):
    return f"module {{ func.func @main({signature} {{\n{body}\n}} }}"


def sizes(name, *numbers):
    return f"%{name} = stablehlo.constant dense<[{', '.join(map(str, numbers))}]> : tensor<{len(numbers)}xi32>\n"


CASES = {
    "dynamic_broadcast_in_dim": (
        "%x: tensor<4xf32>) -> tensor<?x4xf32>", sizes("s", 3, 4) +
        "%0 = stablehlo.dynamic_broadcast_in_dim %x, %s, dims = [1] : (tensor<4xf32>, tensor<2xi32>) -> tensor<?x4xf32>\n"
        "return %0 : tensor<?x4xf32>", (X[0],), np.broadcast_to(X[0], (3, 4))),
    "dynamic_iota": (
        ") -> tensor<?xi32>", sizes("s", 5) + "%0 = stablehlo.dynamic_iota %s, dim = 0 : (tensor<1xi32>) -> tensor<?xi32>\n"
        "return %0 : tensor<?xi32>", (), np.arange(5, dtype=np.int32)),
    "dynamic_reshape": (
        "%x: tensor<3x4xf32>) -> tensor<?x?xf32>", sizes("s", 6, 2) +
        "%0 = stablehlo.dynamic_reshape %x, %s : (tensor<3x4xf32>, tensor<2xi32>) -> tensor<?x?xf32>\n"
        "return %0 : tensor<?x?xf32>", (X,), X.reshape(6, 2)),
    "dynamic_pad": (
        "%x: tensor<4xf32>) -> tensor<7xf32>", sizes("a", 1) + sizes("b", 2) + sizes("c", 0) +
        "%z = stablehlo.constant dense<9.0> : tensor<f32>\n%0 = stablehlo.dynamic_pad %x, %z, %a, %b, %c : (tensor<4xf32>, "
        "tensor<f32>, tensor<1xi32>, tensor<1xi32>, tensor<1xi32>) -> tensor<7xf32>\nreturn %0 : tensor<7xf32>",
        (X[0],), np.float32([9, 0, 1, 2, 3, 9, 9])),
    "real_dynamic_slice": (
        "%x: tensor<4xf32>) -> tensor<2xf32>", sizes("a", 1) + sizes("b", 3) + sizes("c", 1) +
        "%0 = stablehlo.real_dynamic_slice %x, %a, %b, %c : (tensor<4xf32>, tensor<1xi32>, tensor<1xi32>, tensor<1xi32>) -> "
        "tensor<2xf32>\nreturn %0 : tensor<2xf32>", (X[0],), X[0, 1:3]),
    "dimension sizes": (
        "%x: tensor<3x4xf32>) -> tensor<?xf32>",
        "%a = stablehlo.get_dimension_size %x, dim = 0 : (tensor<3x4xf32>) -> tensor<i32>\n"
        "%b = stablehlo.get_dimension_size %x, dim = 1 : (tensor<3x4xf32>) -> tensor<i32>\n"
        "%c = stablehlo.multiply %a, %b : tensor<i32>\n%s = stablehlo.reshape %c : (tensor<i32>) -> tensor<1xi32>\n"
        "%0 = stablehlo.dynamic_reshape %x, %s : (tensor<3x4xf32>, tensor<1xi32>) -> tensor<?xf32>\nreturn %0 : tensor<?xf32>",
        (X,), X.reshape(-1)),
    "set_dimension_size": (
        "%x: tensor<3x4xf32>) -> tensor<3x4xf32>", "%n = stablehlo.constant dense<4> : tensor<i32>\n"
        "%0 = stablehlo.set_dimension_size %x, %n, dim = 1 : (tensor<3x4xf32>, tensor<i32>) -> tensor<3x4xf32>\n"
        "return %0 : tensor<3x4xf32>", (X,), X),
    "dynamic_gather": (
        "%x: tensor<3x4xf32>, %i: tensor<2x1xi32>) -> tensor<?x4xf32>", sizes("s", 1, 4) +
        '%0 = "stablehlo.dynamic_gather"(%x, %i, %s) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], '
        "collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, indices_are_sorted = false}> : "
        "(tensor<3x4xf32>, tensor<2x1xi32>, tensor<2xi32>) -> tensor<?x4xf32>\nreturn %0 : tensor<?x4xf32>",
        (X, np.int32([[2], [0]])), X[[2, 0]]),
    "dynamic_top_k": (
        "%x: tensor<3x4xf32>) -> tensor<3x?xf32>", "%k = stablehlo.constant dense<2> : tensor<i32>\n"
        "%0:2 = stablehlo.custom_call @stablehlo.dynamic_top_k(%x, %k) : (tensor<3x4xf32>, tensor<i32>) -> (tensor<3x?xf32>, "
        "tensor<3x?xi32>)\nreturn %0#0 : tensor<3x?xf32>", (X,), X[:, :1:-1]),
    "a check that holds": (
        "%x: tensor<4xf32>) -> tensor<4xf32>", "%c = stablehlo.constant dense<true> : tensor<i1>\n"
        'stablehlo.custom_call @shape_assertion(%c) {error_message = "no", has_side_effect = true} : (tensor<i1>) -> ()\n'
        "return %x : tensor<4xf32>", (X[0],), X[0]),
}


@pytest.mark.parametrize("name", CASES)
def test_constant_sizes(name):
    signature, body, args, want = CASES[name]
    got = kjax.compile(module(signature, body))(*args)
    np.testing.assert_array_equal(got, want)
    assert got.dtype == want.dtype


def test_dynamic_conv():
    x, k = np.ones((1, 4, 4, 1), np.float32), np.ones((3, 3, 1, 1), np.float32)
    body = ("%p = stablehlo.constant dense<[[1,1],[0,0]]> : tensor<2x2xi32>\n"
            '%0 = "stablehlo.dynamic_conv"(%x, %k, %p) <{batch_group_count = 1 : i64, feature_group_count = 1 : i64, '
            "dimension_numbers = #stablehlo.conv<[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]>, window_strides = array<i64: 1, 1>}> : "
            "(tensor<1x4x4x1xf32>, tensor<3x3x1x1xf32>, tensor<2x2xi32>) -> tensor<?x?x?x1xf32>\nreturn %0 : tensor<?x?x?x1xf32>")
    got = kjax.compile(module("%x: tensor<1x4x4x1xf32>, %k: tensor<3x3x1x1xf32>) -> tensor<?x?x?x1xf32>", body))(x, k)
    np.testing.assert_array_equal(got[0, :, :, 0], [[6, 6], [9, 9], [9, 9], [6, 6]])


def test_random_bits_of_a_size():
    body = sizes("s", 5) + (
        "%0:2 = {} : (tensor<2xui64>{}) -> (tensor<2xui64>, tensor<{}xui32>)\nreturn %0#1 : tensor<{}xui32>")
    algorithm = "#stablehlo<rng_algorithm THREE_FRY>"
    dynamic = body.format("stablehlo.custom_call @stablehlo.dynamic_rng_bit_generator(%x, %s) {rng_algorithm = " + algorithm + "}",
                          ", tensor<1xi32>", "?", "?")
    plain = body.format('"stablehlo.rng_bit_generator"(%x) <{rng_algorithm = ' + algorithm + "}>", "", 5, 5)
    key = np.array([7, 9], np.uint64)
    found = [kjax.compile(module(f"%x: tensor<2xui64>) -> tensor<{n}xui32>", text))(key) for n, text in (("?", dynamic), (5, plain))]
    np.testing.assert_array_equal(*found)


def test_a_check_that_fails_and_shapes_that_depend_on_values():
    signature, body, *_ = CASES["a check that holds"]
    with pytest.raises(kjax.CompileError, match="check of its shapes fails: no"):
        kjax.compile(module(signature, body.replace("dense<true>", "dense<false>")))
    with pytest.raises(kjax.CompileError, match="depend on values"):
        kjax.compile(module("%x: tensor<4xf32>, %s: tensor<1xi32>) -> tensor<?xf32>",
                            "%0 = stablehlo.dynamic_reshape %x, %s : (tensor<4xf32>, tensor<1xi32>) -> tensor<?xf32>\n"
                            "return %0 : tensor<?xf32>"))
    with pytest.raises(kjax.CompileError, match=r"dynamic dims: argument 0 is tensor<\?xf32>.*Exported"):
        kjax.compile(module("%x: tensor<?xf32>) -> tensor<?xf32>", "return %x : tensor<?xf32>"))
