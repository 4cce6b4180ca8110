"""Bodies of reductions, windows and maps that hold loops: they run for one element after the other."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import kjax

RNG = np.random.default_rng(3)


def f32(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def body(a, b):
    """A loop whose length depends on the values: halves the sum until it is below one."""
    return lax.while_loop(lambda x: jnp.abs(x) > 1, lambda x: x / 2, a + b)


def fold(values, start):
    """What ``body`` makes of a sequence (XLA:CPU does not take such bodies, so it cannot say)."""
    for v in values:
        start = np.float32(start + v)
        while abs(start) > 1:
            start /= np.float32(2)
    return start


@pytest.mark.parametrize("shape, dims", [((7,), (0,)), ((3, 5), (1,)), ((3, 5), (0,)), ((2, 3, 4), (0, 2)), ((2, 3), (0, 1)),
                                         ((3, 0), (1,)), ((0, 3), (1,)), ((1,), (0,))])
def test_reduce(shape, dims):
    x = 3 * f32(*shape)
    kept = [k for k in range(len(shape)) if k not in dims]
    rows = x.transpose(*kept, *dims).reshape(*(shape[k] for k in kept), int(np.prod([shape[k] for k in dims])))
    want = np.apply_along_axis(fold, -1, rows, 0.5) if x.size else np.full(rows.shape[:-1], 0.5, np.float32)
    got = kjax.jit(lambda x: lax.reduce(x, np.float32(0.5), body, dims))(x)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert got.shape == want.shape and got.dtype == np.float32


def test_reduce_of_two_operands():
    def pair(left, right):
        a, n = left[0] + right[0], left[1] + right[1]
        return lax.fori_loop(0, 3, lambda i, x: x * 0.5 + i, a), lax.fori_loop(0, n & 3, lambda i, n: n + i, n)

    x, n = f32(3, 4), np.arange(12, dtype=np.int32).reshape(3, 4)
    got = kjax.jit(lambda x, n: lax.reduce((x, n), (np.float32(0), np.int32(1)), pair, (1,)))(x, n)
    for row in range(3):
        a, b = np.float32(0), 1
        for p, q in zip(x[row], n[row]):
            a, b = a + p, b + int(q)
            for i in range(3):
                a = a * np.float32(0.5) + np.float32(i)
            b += sum(range(b & 3))
        np.testing.assert_allclose(got[0][row], a, rtol=1e-6)
        assert got[1][row] == b


@pytest.mark.parametrize("strides, base, dilation, padding", [
    ((1, 1), (1, 1), (1, 1), ((0, 0), (0, 0))), ((2, 1), (1, 1), (1, 1), ((1, 0), (0, 2))), ((1, 2), (1, 1), (1, 2), ((0, 0), (1, 1))),
    ((1, 1), (2, 1), (2, 1), ((0, 1), (0, 0))), ((4, 1), (1, 1), (1, 1), ((0, 0), (0, 0)))])
def test_reduce_window(strides, base, dilation, padding):
    x = 3 * f32(4, 6)
    wide = np.full([(n - 1) * d + 1 for n, d in zip(x.shape, base)], 0.25, np.float32)
    wide[::base[0], ::base[1]] = x
    wide = np.pad(wide, padding, constant_values=np.float32(0.25))
    spans = dilation[0] + 1, 2 * dilation[1] + 1
    want = [[fold(wide[r:r + spans[0]:dilation[0], c:c + spans[1]:dilation[1]].ravel(), 0.25)
             for c in range(0, wide.shape[1] - spans[1] + 1, strides[1])] for r in range(0, wide.shape[0] - spans[0] + 1, strides[0])]
    got = kjax.jit(lambda x: lax.reduce_window(x, np.float32(0.25), body, (2, 3), strides, padding, base, dilation))(x)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_map():
    text = """func.func @main(%x: tensor<2x3xf32>, %n: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %0 = "stablehlo.map"(%x, %n) ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %one = stablehlo.constant dense<1.0> : tensor<f32>
    %r:2 = stablehlo.while(%p = %a, %q = %b) : tensor<f32>, tensor<f32>
    cond { %c = stablehlo.compare GT, %q, %one : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %c : tensor<i1> }
    do { %s = stablehlo.add %p, %p : tensor<f32>
      %t = stablehlo.subtract %q, %one : tensor<f32>
      stablehlo.return %s, %t : tensor<f32>, tensor<f32> }
    stablehlo.return %r#0 : tensor<f32>
  }) {dimensions = array<i64: 0, 1>} : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32> }"""
    x, n = f32(2, 3), np.array([[0, 1, 2], [3, 4, 5]], np.float32)
    np.testing.assert_array_equal(kjax.compile(text)(x, n), x * 2 ** np.maximum(n - 1, 0))
