"""``chlo.ragged_dot`` in its three modes and ``chlo.scan``, which JAX's own lowerings for the CPU do not write."""

import jax
import numpy as np
import pytest
from jax import export, lax

import kjax

RNG = np.random.default_rng(11)


def f32(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def module(signature, body):
    return f"module {{ func.func @main({signature} {{\n{body}\n}} }}"


def ragged(lhs, rhs, groups, out, numbers):
    types = f"tensor<{lhs}xf32>, tensor<{rhs}xf32>, tensor<{groups}xi32>"
    return module(f"%x: tensor<{lhs}xf32>, %w: tensor<{rhs}xf32>, %g: tensor<{groups}xi32>) -> tensor<{out}xf32>",
                  '%0 = "chlo.ragged_dot"(%x, %w, %g) <{ragged_dot_dimension_numbers = #chlo.ragged_dot<' + numbers +
                  f">}}> : ({types}) -> tensor<{out}xf32>\nreturn %0 : tensor<{out}xf32>")


@pytest.mark.parametrize("sizes", [(2, 3, 1), (0, 6, 0), (1, 0, 2), (0, 0, 0)])
def test_free_ragged_dim(sizes):
    x, w, g = f32(6, 5), f32(3, 5, 4), np.array(sizes, np.int32)
    program = kjax.compile(ragged("6x5", "3x5x4", 3, "6x4", "lhs_batching_dimensions = [], rhs_batching_dimensions = [], "
                                  "lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1], "
                                  "lhs_ragged_dimensions = [0], rhs_group_dimensions = [0]"))
    np.testing.assert_allclose(program(x, w, g), lax.ragged_dot(x, w, g), rtol=1e-5, atol=1e-5)


def test_free_ragged_dim_in_a_batch():
    x, w, g = f32(2, 6, 5), f32(3, 2, 5, 4), np.array([1, 3, 2], np.int32)
    program = kjax.compile(ragged("2x6x5", "3x2x5x4", 3, "2x6x4", "lhs_batching_dimensions = [0], rhs_batching_dimensions = [1], "
                                  "lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [2], "
                                  "lhs_ragged_dimensions = [1], rhs_group_dimensions = [0]"))
    want = np.stack([lax.ragged_dot(x[k], w[:, k], g) for k in range(2)])
    np.testing.assert_allclose(program(x, w, g), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", [(2, 3, 1), (1, 0, 2)])
def test_contracted_ragged_dim(sizes):
    x, w, g = f32(5, 6), f32(6, 4), np.array(sizes, np.int32)
    program = kjax.compile(ragged("5x6", "6x4", 3, "3x5x4", "lhs_batching_dimensions = [], rhs_batching_dimensions = [], "
                                  "lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0], "
                                  "lhs_ragged_dimensions = [1], rhs_group_dimensions = []"))
    ends = np.cumsum(sizes)
    want = np.stack([x[:, e - n:e] @ w[e - n:e] for n, e in zip(sizes, ends)])
    np.testing.assert_allclose(program(x, w, g), want, rtol=1e-5, atol=1e-5)


def test_batch_ragged_dim():
    x, w, g = f32(6, 3, 5), f32(6, 5, 4), np.array([2, 1, 3], np.int32)
    program = kjax.compile(ragged("6x3x5", "6x5x4", 3, "6x3x4", "lhs_batching_dimensions = [0], rhs_batching_dimensions = [0], "
                                  "lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [1], "
                                  "lhs_ragged_dimensions = [0], rhs_group_dimensions = []"))
    np.testing.assert_allclose(program(x, w, g), x @ w, rtol=1e-5, atol=1e-5)


def sizes_of(text):
    return np.array([[int(c) for c in row] for row in text.split()], np.int32)


@pytest.mark.parametrize("groups", ["231 015", "600 000", "020 111"])
def test_sizes_that_differ_in_a_batch(groups):
    x, w, g = f32(2, 6, 5), f32(3, 2, 5, 4), sizes_of(groups)
    program = kjax.compile(ragged("2x6x5", "3x2x5x4", "2x3", "2x6x4", "lhs_batching_dimensions = [0], rhs_batching_dimensions = [1], "
                                  "lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [2], "
                                  "lhs_ragged_dimensions = [1], rhs_group_dimensions = [0]"))
    want = np.stack([lax.ragged_dot(x[k], w[:, k], g[k]) for k in range(2)])
    np.testing.assert_allclose(program(x, w, g), want, rtol=1e-5, atol=1e-5)


def test_sizes_that_differ_along_a_free_dim():
    x, w, g = f32(2, 6, 5), f32(3, 5, 4), sizes_of("231 014")
    program = kjax.compile(ragged("2x6x5", "3x5x4", "2x3", "2x6x4", "lhs_batching_dimensions = [], rhs_batching_dimensions = [], "
                                  "lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [1], "
                                  "lhs_ragged_dimensions = [1], rhs_group_dimensions = [0]"))
    want = np.stack([lax.ragged_dot(x[k], w, g[k]) for k in range(2)])
    np.testing.assert_allclose(program(x, w, g), want, rtol=1e-5, atol=1e-5)


def test_contracted_sizes_that_differ_in_a_batch():
    x, w, g = f32(2, 5, 6), f32(2, 6, 4), sizes_of("231 103")
    program = kjax.compile(ragged("2x5x6", "2x6x4", "2x3", "3x2x5x4", "lhs_batching_dimensions = [0], "
                                  "rhs_batching_dimensions = [0], lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [1], "
                                  "lhs_ragged_dimensions = [2], rhs_group_dimensions = []"))
    ends = np.cumsum(g, axis=1)
    want = np.stack([[x[k][:, e - n:e] @ w[k][e - n:e] for n, e in zip(g[k], ends[k])] for k in range(2)], axis=1)
    np.testing.assert_allclose(program(x, w, g), want, rtol=1e-5, atol=1e-5)


def test_batched_sizes_of_a_ragged_batch():
    x, w, g = f32(2, 6, 3, 5), f32(2, 6, 5, 4), sizes_of("21 33")
    program = kjax.compile(ragged("2x6x3x5", "2x6x5x4", "2x2", "2x6x3x4", "lhs_batching_dimensions = [0, 1], "
                                  "rhs_batching_dimensions = [0, 1], lhs_contracting_dimensions = [3], "
                                  "rhs_contracting_dimensions = [2], lhs_ragged_dimensions = [1], rhs_group_dimensions = []"))
    want = x @ w
    want[0, 3:] = 0
    np.testing.assert_allclose(program(x, w, g), want, rtol=1e-5, atol=1e-5)


def test_vmap_over_sizes_for_another_platform():
    x, w, g = f32(2, 6, 5), f32(2, 3, 5, 4), sizes_of("231 042")
    artifact = export.export(jax.jit(jax.vmap(lax.ragged_dot)), platforms=("tpu",))(x, w, g)
    want = np.stack([lax.ragged_dot(x[k], w[k], g[k]) for k in range(2)])
    np.testing.assert_allclose(kjax.compile(artifact)(x, w, g), want, rtol=1e-5, atol=1e-5)


def test_an_artifact_for_another_platform():
    x, w, g = f32(6, 5), f32(3, 5, 4), np.array([2, 3, 1], np.int32)
    artifact = export.export(jax.jit(lax.ragged_dot), platforms=("tpu",))(x, w, g)
    assert "chlo.ragged_dot" in artifact.mlir_module()
    np.testing.assert_allclose(kjax.compile(artifact)(x, w, g), lax.ragged_dot(x, w, g), rtol=1e-5, atol=1e-5)


def scan(reverse):
    return module(
        "%x: tensor<3x4xf32>, %i: tensor<3xf32>) -> (tensor<3x4xf32>, tensor<3xf32>)",
        '%0:2 = "chlo.scan"(%x, %i) <{dimension = 1 : i64, is_reverse = ' + reverse + ", operandSegmentSizes = array<i32: 1, 1>, "
        "resultSegmentSizes = array<i32: 1, 1>}> ({\n^bb0(%e: tensor<3xf32>, %c: tensor<3xf32>):\n"
        "%s = stablehlo.add %e, %c : tensor<3xf32>\n%d = stablehlo.multiply %s, %e : tensor<3xf32>\n"
        "stablehlo.return %d, %s : tensor<3xf32>, tensor<3xf32>\n}) : (tensor<3x4xf32>, tensor<3xf32>) -> "
        "(tensor<3x4xf32>, tensor<3xf32>)\nreturn %0#0, %0#1 : tensor<3x4xf32>, tensor<3xf32>")


@pytest.mark.parametrize("reverse", [False, True])
def test_scan(reverse):
    x, i = f32(3, 4), f32(3)
    carry, rows = lax.scan(lambda c, e: (e + c, (e + c) * e), i, x.T, reverse=reverse)
    out, last = kjax.compile(scan(str(reverse).lower()))(x, i)
    np.testing.assert_allclose(out, rows.T, rtol=1e-6)
    np.testing.assert_allclose(last, carry, rtol=1e-6)
