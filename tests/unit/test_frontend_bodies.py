"""Bodies of reductions, windows, scatters, sorts and maps: constants, branches, many values, several tensors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import kjax

X = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
PLACES = np.array([3, 1, 3, 9, -7], np.int32)
ZERO = np.float32(0)


def _sums(n):
    return lambda x: lax.reduce(
        tuple(x * k for k in range(n)), (ZERO,) * n, lambda a, b: tuple(map(jnp.add, a, b)), (0,)
    )


CASES = {
    "scatter with constants": lambda x: x.at[PLACES].apply(lambda v: jnp.sin(v) * 2 + 1),
    "scatter of elements with constants": lambda x: x.at[PLACES, 1].apply(lambda v: jnp.where(v > 0.5, v * 0.25, 3.0)),
    "scatter with many constants": lambda x: x.at[PLACES].apply(lax.lgamma),
    "scatter of bf16 with constants": lambda x: x.astype(jnp.bfloat16).at[PLACES].apply(lambda v: v * 3 + 1),
    "reduce of 9 values": _sums(9),
    "reduce of 20 values": _sums(20),
    "reduce with 9 constants": lambda x: lax.reduce(
        x, ZERO, lambda a, b: jnp.maximum(a, b) + sum(jnp.minimum(a, c) * 0 for c in np.float32(range(9))), (0,)
    ),
    "windows of two values with constants": lambda x: lax.reduce_window(
        (x, x),
        (ZERO, np.float32(1)),
        lambda a, b: (a[0] + b[0] * 1.0, jnp.maximum(a[1], b[1])),
        (2, 2),
        (1, 1),
        "VALID",
    ),
    "large windows of 9 values": lambda x: lax.reduce_window(
        (x,) * 9, (ZERO,) * 9, lambda a, b: tuple(map(jnp.add, a, b)), (5, 4), (1, 1), "SAME"
    ),
}


BRANCHING = {  # XLA has no code for all of these; the same without a branch
    "scatter": (
        lambda x: x.at[PLACES].apply(lambda v: lax.cond(v > 0, lambda: v * 2, lambda: v - 3.0)),
        lambda x: x.at[PLACES].apply(lambda v: jnp.where(v > 0, v * 2, v - 3.0)),
    ),
    "reduce": (
        lambda x: lax.reduce(x, ZERO, lambda a, b: lax.cond(a > b, lambda: a, lambda: b), (1,)),
        lambda x: jnp.maximum(x.max(1), 0),
    ),
    "reduce of three branches": (
        lambda x: lax.reduce(
            x, ZERO, lambda a, b: lax.switch((a > b).astype(int) * 2, [lambda: b, lambda: a * 0, lambda: a]), (1,)
        ),
        lambda x: jnp.maximum(x.max(1), 0),
    ),
    "windows": (
        lambda x: lax.reduce_window(
            x, ZERO, lambda a, b: lax.cond(a > b, lambda: a, lambda: b), (2, 2), (1, 1), "SAME"
        ),
        lambda x: lax.reduce_window(x, ZERO, lax.max, (2, 2), (1, 1), "SAME"),
    ),
}


@pytest.mark.parametrize("name", BRANCHING)
def test_branching_bodies(name):
    branching, plain = BRANCHING[name]
    np.testing.assert_array_equal(kjax.compile(branching, X)(X), jax.jit(plain)(X))


@pytest.mark.parametrize("name", CASES)
def test_bodies(name):
    for got, want in zip(
        jax.tree.leaves(kjax.compile(CASES[name], X)(X)), jax.tree.leaves(jax.jit(CASES[name])(X)), strict=True
    ):
        np.testing.assert_allclose(got.astype(np.float32), np.asarray(want, np.float32), rtol=1e-5, atol=1e-5)


SCATTER = """
func.func @main(%x: tensor<6xf32>, %k: tensor<6xi32>, %i: tensor<8x1xi32>, %u: tensor<8xf32>, %v: tensor<8xi32>)
    -> (tensor<6xf32>, tensor<6xi32>) {
  %0:2 = "stablehlo.scatter"(%x, %k, %i, %u, %v) <{scatter_dimension_numbers = #stablehlo.scatter<
      inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
    ^bb0(%a: tensor<f32>, %b: tensor<i32>, %c: tensor<f32>, %d: tensor<i32>):
      %p = stablehlo.compare GE, %a, %c : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %q = stablehlo.select %p, %a, %c : tensor<i1>, tensor<f32>
      %r = stablehlo.select %p, %b, %d : tensor<i1>, tensor<i32>
      stablehlo.return %q, %r : tensor<f32>, tensor<i32>
    }) : (tensor<6xf32>, tensor<6xi32>, tensor<8x1xi32>, tensor<8xf32>, tensor<8xi32>) -> (tensor<6xf32>, tensor<6xi32>)
  return %0#0, %0#1 : tensor<6xf32>, tensor<6xi32>
}"""


def test_scatter_of_a_maximum_and_its_place():
    """The second result looks at the first operand: one loop over the updates, those outside left out."""
    rng = np.random.default_rng(1)
    x, k = rng.standard_normal(6).astype(np.float32), np.arange(6, dtype=np.int32)
    i = np.int32([[0], [3], [3], [9], [-1], [5], [0], [3]])
    u, v = rng.standard_normal(8).astype(np.float32), np.arange(8, dtype=np.int32) + 10
    best, place = x.copy(), k.copy()
    for (at,), value, number in zip(i, u, v):
        if 0 <= at < 6 and not best[at] >= value:
            best[at], place[at] = value, number
    got = kjax.compile(SCATTER)(x, k, i, u, v)
    np.testing.assert_array_equal(got[0], best)
    np.testing.assert_array_equal(got[1], place)


WINDOWS = """
func.func @main(%x: tensor<2x5x6xf32>, %y: tensor<2x5x6xf32>, %i: tensor<2x3x1xi64>, %u: tensor<2x3x4xf32>, %v: tensor<2x3x4xf32>)
    -> (tensor<2x5x6xf32>, tensor<2x5x6xf32>) {
  %0:2 = "stablehlo.scatter"(%x, %y, %i, %u, %v) <{scatter_dimension_numbers = #stablehlo.scatter<
      update_window_dims = [2], inserted_window_dims = [1], input_batching_dims = [0], scatter_indices_batching_dims = [0],
      scatter_dims_to_operand_dims = [1], index_vector_dim = 2>}> ({
    ^bb0(%a: tensor<f32>, %b: tensor<f32>, %c: tensor<f32>, %d: tensor<f32>):
      %p = stablehlo.add %a, %d : tensor<f32>
      %q = stablehlo.multiply %b, %c : tensor<f32>
      stablehlo.return %p, %q : tensor<f32>, tensor<f32>
    }) : (tensor<2x5x6xf32>, tensor<2x5x6xf32>, tensor<2x3x1xi64>, tensor<2x3x4xf32>, tensor<2x3x4xf32>)
      -> (tensor<2x5x6xf32>, tensor<2x5x6xf32>)
  return %0#0, %0#1 : tensor<2x5x6xf32>, tensor<2x5x6xf32>
}"""


def test_scatter_of_windows_into_two_tensors():
    rng = np.random.default_rng(2)
    x, y, u, v = (rng.standard_normal(s).astype(np.float32) for s in ((2, 5, 6), (2, 5, 6), (2, 3, 4), (2, 3, 4)))
    i = np.int64([[[0], [7], [4]], [[2], [2], [-1]]])
    wx, wy = x.copy(), y.copy()
    for n in range(2):
        for k in range(3):
            at = i[n, k, 0]
            if 0 <= at < 5:
                wx[n, at, :4] += v[n, k]
                wy[n, at, :4] *= u[n, k]
    got = kjax.compile(WINDOWS)(x, y, i, u, v)
    np.testing.assert_array_equal(got[0], wx)
    np.testing.assert_array_equal(got[1], wy)


@pytest.mark.parametrize(
    "config, shapes",
    [
        ("ii->i", [(3, 3)]),
        ("iji->ji", [(3, 2, 3)]),
        ("iii->", [(3, 3, 3)]),
        ("ii,ij->j", [(3, 3), (3, 4)]),
        ("ii,jj->ij", [(2, 2), (3, 3)]),
    ],
)
def test_einsum_of_diagonals(config, shapes):
    arrays = [np.random.default_rng(3).standard_normal(s).astype(np.float32) for s in shapes]
    want = np.einsum(config, *arrays)
    name = "unary_einsum" if len(arrays) == 1 else "einsum"
    types = ["x".join([*map(str, s), "f32"]) for s in (*shapes, want.shape)]
    arguments = ", ".join(f"%{k}: tensor<{t}>" for k, t in enumerate(types[:-1]))
    text = (
        f'func.func @main({arguments}) -> tensor<{types[-1]}> {{ %r = "stablehlo.{name}"('
        f'{", ".join(f"%{k}" for k in range(len(arrays)))}) <{{einsum_config = "{config}"}}> : '
        f"({', '.join(f'tensor<{t}>' for t in types[:-1])}) -> tensor<{types[-1]}> return %r : tensor<{types[-1]}> }}"
    )
    got = kjax.compile(text)(*arrays)
    np.testing.assert_allclose(got[0] if isinstance(got, tuple) else got, want, rtol=1e-5, atol=1e-6)
