"""Computed places out of range, slices, pads, choices."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from rule import Rule, f32, i32

X6 = np.arange(6, dtype=np.int32).reshape(2, 3)

RULES = [
    Rule(
        "dynamic_slice",
        "starts are clamped",
        lambda x, i: lax.dynamic_slice(x, (i, i), (1, 2)),
        (X6, np.int32(9)),
        i32([4, 5]),
    ),
    Rule(
        "dynamic_slice",
        "negative starts too",
        lambda x, i: lax.dynamic_slice(x, (i, i), (1, 2)),
        (X6, np.int32(-7)),
        i32([0, 1]),
    ),
    Rule(
        "dynamic_update_slice",
        "starts are clamped",
        lambda x, i: lax.dynamic_update_slice(x, i32([9, 9]), (i, i)),
        (X6, np.int32(5)),
        i32([0, 1, 2], [3, 9, 9]),
    ),
    Rule(
        "gather",
        "starts are clamped",
        lambda x, i: x.at[i].get(mode="clip"),
        (i32(10, 11, 12), i32(-5, 1, 99)),
        i32(10, 11, 12),
    ),
    Rule(
        "scatter",
        "windows that do not fit are left out",
        lambda x, i: x.at[i].add(1, mode="drop"),
        (i32(0, 0, 0), i32(-9, 1, 99)),
        i32(0, 1, 0),
    ),
    Rule(
        "scatter",
        "equal places: every update counts",
        lambda x, i: x.at[i].add(i32(1, 2, 4)),
        (i32(0, 0), i32(1, 1, 1)),
        i32(0, 7),
    ),
    Rule(
        "slice", "with strides", lambda x: lax.slice(x, (1,), (6,), (2,)), (np.arange(7, dtype=np.int32),), i32(1, 3, 5)
    ),
    Rule(
        "pad",
        "negative and interior",
        lambda x: lax.pad(x, np.int32(9), ((-1, 2, 1),)),
        (i32(1, 2, 3),),
        i32(9, 2, 9, 3, 9, 9),
    ),
    Rule(
        "iota",
        "of floats and narrow integers",
        lambda: (lax.iota(jnp.bfloat16, 3).astype(jnp.float32), lax.iota(jnp.uint4, 3).astype(jnp.int32)),
        (),
        (f32(0, 1, 2), i32(0, 1, 2)),
    ),
    Rule(
        "case",
        "a number outside takes the last branch",
        """
func.func @main(%i: tensor<i32>) -> tensor<i32> {
  %0 = "stablehlo.case"(%i) ({
    %c = stablehlo.constant dense<10> : tensor<i32>
    stablehlo.return %c : tensor<i32>
  }, {
    %c = stablehlo.constant dense<20> : tensor<i32>
    stablehlo.return %c : tensor<i32>
  }) : (tensor<i32>) -> tensor<i32>
  return %0 : tensor<i32>
}""",
        (np.int32(-3),),
        np.int32(20),
    ),
]
