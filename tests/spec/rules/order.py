"""Sorting, extremes, windows: ties and NaN."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from rule import INF, NAN, Rule, f32, i32

RULES = [
    Rule(
        "sort",
        "stable, -0 and 0 equal, NaN last (JAX's order)",
        lambda x: lax.sort((x, np.arange(6, dtype=np.int32)), num_keys=1),
        (f32(NAN, 0, 1, -0.0, -INF, 0),),
        (f32(-INF, 0, -0.0, 0, 1, NAN), i32(4, 1, 3, 5, 2, 0)),
    ),
    Rule(
        "sort",
        "stable descending comparator",
        lambda x: jnp.argsort(x, descending=True, stable=True),
        (i32(1, 3, 1, 3),),
        np.array([1, 3, 0, 2]),
    ),
    Rule(
        "chlo.top_k",
        "ties by place, NaN first",
        lambda x: lax.top_k(x, 3),
        (f32(1, NAN, 3, 3),),
        (f32(NAN, 3, 3), i32(1, 2, 3)),
    ),
    Rule(
        "reduce",
        "argmax: the first of equals, NaN wins",
        lambda x: jnp.argmax(x, 1),
        (f32([1, 3, 3], [1, NAN, 9]),),
        np.array([1, 1]),
    ),
    Rule(
        "reduce",
        "argmin: the first of equals, NaN wins",
        lambda x: jnp.argmin(x, 1),
        (f32([2, 1, 1], [1, NAN, 0]),),
        np.array([1, 1]),
    ),
    Rule(
        "select_and_scatter",
        "ties go to the first place",
        lambda x: jax.grad(lambda y: lax.reduce_window(y, -jnp.inf, lax.max, (2,), (2,), "VALID").sum())(x),
        (f32(1, 1, 0, 2),),
        f32(1, 0, 0, 1),
    ),
    Rule(
        "reduce_window",
        "dilations and negative padding",
        lambda x: lax.reduce_window(x, np.int32(0), lax.add, (2,), (1,), ((-1, 1),), (2,), (2,)),
        (i32(1, 2, 3),),
        i32(0, 5, 0),
    ),
    Rule(
        "reverse",
        "and reverse again",
        lambda x: (lax.rev(x, (0,)), lax.rev(lax.rev(x, (0,)), (0,))),
        (i32(1, 2, 3),),
        (i32(3, 2, 1), i32(1, 2, 3)),
    ),
]
