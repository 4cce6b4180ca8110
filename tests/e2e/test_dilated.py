"""Convolutions over dilated operands go phase by phase (compiler/passes/padding.py): whole numbers, so that any order of sums is exact."""

import random

import jax
import numpy as np
import pytest
from jax import lax

import kjax


def _case(seed):
    """(function, x, w) of 1 to 3 spatial dims: dilations, padding of both signs, groups, layouts, reversed kernels."""
    r, rng = random.Random(seed), np.random.default_rng(seed)
    n, groups = r.choice([1, 1, 2, 2, 3]), r.choice([1, 1, 2])
    inside, outside = r.choice([1, 2, 3]) * groups, r.choice([1, 2, 3]) * groups
    x = rng.integers(-4, 5, (2, *(r.randint(1, 7) for _ in range(n)), inside)).astype(r.choice(["f4", "f4", "f2", "i4"]))
    w = rng.integers(-4, 5, (*(r.randint(1, 5) for _ in range(n)), inside // groups, outside)).astype(x.dtype)
    dilation = tuple(r.choice([1, 2, 2, 3]) for _ in range(n))
    strides = tuple(1 if d > 1 else r.choice([1, 2]) for d in dilation)
    padding = tuple((r.randint(-2, 4), r.randint(-2, 4)) for _ in range(n))
    letters = "HWD"[:n]
    layout = f"N{letters}C", f"{letters}IO", f"N{letters}C"
    if r.random() < 0.4:
        layout = f"NC{letters}", f"OI{letters}", f"NC{letters}"
        x, w = np.ascontiguousarray(np.moveaxis(x, -1, 1)), np.ascontiguousarray(np.moveaxis(np.moveaxis(w, -1, 0), -1, 1))
    flipped = [d for d, letter in enumerate(layout[1]) if letter in letters and r.random() < 0.3]

    def convolve(x, w):
        return lax.conv_general_dilated(x, jax.numpy.flip(w, flipped), strides, padding, lhs_dilation=dilation, dimension_numbers=layout,
                                        feature_group_count=groups)

    return convolve, x, w


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_any_dilation(first):
    compared = 0
    for seed in range(first, first + 20):
        convolve, x, w = _case(seed)
        try:
            want = jax.jit(convolve)(x, w)
        except (TypeError, ValueError):  # a window that is larger than what it goes over
            continue
        np.testing.assert_array_equal(kjax.compile(convolve, x, w)(x, w), want)
        compared += 1
    assert compared >= 15


def test_gradient_of_a_strided_convolution():
    rng = np.random.default_rng(0)
    x, w = rng.integers(-3, 4, (2, 9, 10, 3)).astype("f4"), rng.integers(-3, 4, (3, 4, 3, 5)).astype("f4")

    def loss(x, w):
        y = lax.conv_general_dilated(x, w, (2, 3), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return (y * y).sum()

    got, want = kjax.jit(jax.grad(loss, (0, 1)))(x, w), jax.jit(jax.grad(loss, (0, 1)))(x, w)
    jax.tree.map(np.testing.assert_array_equal, got, want)


def test_a_phase_that_meets_nothing():
    """A window shorter than the dilation: what lies between is zero."""
    x, w = np.arange(1, 5, dtype="f4").reshape(1, 4, 1), np.full((1, 1, 1), 3, "f4")
    layout = "NWC", "WIO", "NWC"
    got = kjax.jit(lambda x, w: lax.conv_general_dilated(x, w, (1,), [(0, 0)], lhs_dilation=(3,), dimension_numbers=layout))(x, w)
    np.testing.assert_array_equal(got.ravel(), [3, 0, 0, 6, 0, 0, 9, 0, 0, 12])
