"""Comparators that the engine need not interpret: one key after the other, as JAX writes them; and look-alikes that are none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from frontend_oracle import run_text
from jax import lax

import kjax

RNG = np.random.default_rng(3)
N = 500
FEW = RNG.integers(0, 5, N).astype(np.int32)
ODD = np.array([0.0, -0.0, np.nan, -np.nan, 1, -1, np.inf, -np.inf], np.float32)[RNG.integers(0, 8, N)]
PLACES = np.arange(N, dtype=np.int32)


@pytest.mark.parametrize("operands, keys", [((FEW, ODD, PLACES), 2), ((ODD, FEW, PLACES), 2), ((FEW, ODD, FEW[::-1].copy(), PLACES), 3),
                                            ((ODD.reshape(25, 20), FEW.reshape(25, 20)), 2)])
def test_several_keys(operands, keys):
    program = kjax.compile(lambda *x: lax.sort(x, num_keys=keys), *operands)
    assert "by comparator" not in program.as_text()
    for got, want in zip(program(*operands), jax.jit(lambda *x: lax.sort(x, num_keys=keys))(*operands), strict=True):
        np.testing.assert_array_equal(got, want)


def test_lexsort_and_unique_rows():
    rows = RNG.integers(0, 2, (60, 3)).astype(np.int32)
    cases = [(lambda a, b: jnp.lexsort((a, b)), (FEW, FEW[::-1].copy())), (lambda x: jnp.unique(x, axis=0, size=12), (rows,))]
    for function, args in cases:
        program = kjax.compile(function, *args)
        assert "by comparator" not in program.as_text()
        np.testing.assert_array_equal(program(*args), function(*args))


SORT = """func.func @main(%x: tensor<{n}xi32>, %y: tensor<{n}xi32>) -> (tensor<{n}xi32>, tensor<{n}xi32>) {{
  %r:2 = "stablehlo.sort"(%x, %y) <{{dimension = 0 : i64, is_stable = true}}> ({{
  ^bb0(%a: tensor<i32>, %b: tensor<i32>, %c: tensor<i32>, %d: tensor<i32>):
    %first = stablehlo.compare {first} : (tensor<i32>, tensor<i32>) -> tensor<i1>
    %same = stablehlo.compare {same} : (tensor<i32>, tensor<i32>) -> tensor<i1>
    %second = stablehlo.compare {second} : (tensor<i32>, tensor<i32>) -> tensor<i1>
    {joined}
    stablehlo.return %less : tensor<i1>
  }}) : (tensor<{n}xi32>, tensor<{n}xi32>) -> (tensor<{n}xi32>, tensor<{n}xi32>)
  return %r#0, %r#1 : tensor<{n}xi32>, tensor<{n}xi32>
}}"""
BOTH, BOTH_TURNED = "%rest = stablehlo.and %same, %second : tensor<i1>", "%rest = stablehlo.and %second, %same : tensor<i1>"
OR, OR_TURNED = "%less = stablehlo.or %first, %rest : tensor<i1>", "%less = stablehlo.or %rest, %first : tensor<i1>"
SELECT = "%less = stablehlo.select %same, %second, %first : tensor<i1>, tensor<i1>"


UP, DOWN, BY_COMPARATOR = 1, -1, ()


@pytest.mark.parametrize("first, same, second, joined, order", [
    ("LT, %a, %b", "EQ, %a, %b", "LT, %c, %d", f"{BOTH} {OR}", ((0, UP), (1, UP))),
    ("GT, %a, %b", "EQ, %b, %a", "LT, %c, %d", f"{BOTH_TURNED} {OR}", ((0, DOWN), (1, UP))),
    ("GT, %b, %a", "EQ, %a, %b", "LT, %d, %c", f"{BOTH} {OR_TURNED}", ((0, UP), (1, DOWN))),
    ("LT, %c, %d", "EQ, %d, %c", "GT, %a, %b", SELECT, ((1, UP), (0, DOWN))),
    ("LT, %a, %b", "EQ, %c, %d", "LT, %c, %d", f"{BOTH} {OR}", BY_COMPARATOR),  # ties of another key
    ("LT, %a, %b", "EQ, %c, %d", "LT, %c, %d", SELECT, BY_COMPARATOR),
    ("LT, %a, %b", "NE, %a, %b", "LT, %c, %d", f"{BOTH} {OR}", BY_COMPARATOR),
    ("LT, %a, %d", "EQ, %a, %d", "LT, %c, %d", f"{BOTH} {OR}", BY_COMPARATOR),  # an element of one operand with one of another
])
def test_what_a_lexicographic_comparator_is(first, same, second, joined, order):
    text = SORT.format(n=6, first=first, same=same, second=second, joined=joined.replace(" %less", "\n    %less"))
    listing = kjax.compile(text).as_text()
    if order is BY_COMPARATOR:
        assert "by comparator" in listing
        return
    assert "by " + ", ".join("ascending" if sign is UP else "descending" for _, sign in order) in listing
    operands = np.array([3, 1, 3, 1, 2, 2], np.int32), np.array([5, 4, 5, 9, 1, 0], np.int32)
    places = sorted(range(6), key=lambda k: [sign * operands[n][k] for n, sign in order])
    for got, x in zip(run_text(text, *operands), operands, strict=True):
        np.testing.assert_array_equal(got, x[places])
