"""Arrays without elements, and of rank 0."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from rule import NAN, Rule, f32

EMPTY = np.zeros((0, 3), np.float32)

RULES = [
    Rule(
        "reduce",
        "of nothing is the initial value",
        lambda x: (x.sum(0), x.max(0, initial=-5.0), x.sum(1)),
        (EMPTY,),
        (f32(0, 0, 0), f32(-5, -5, -5), f32()),
    ),
    Rule(
        "dot_general",
        "over nothing is zero",
        lambda x: (x.T @ x, x @ x.T),
        (EMPTY,),
        (np.zeros((3, 3), np.float32), np.zeros((0, 0), np.float32)),
    ),
    Rule(
        "sort",
        "of nothing",
        lambda x: (lax.sort(x, dimension=0), jnp.argsort(x, 0)),
        (EMPTY,),
        (EMPTY, np.zeros((0, 3), np.int64)),
    ),
    Rule(
        "concatenate",
        "with nothing",
        lambda x: (lax.concatenate([x, x], 0), lax.concatenate([x, jnp.ones((1, 3), x.dtype)], 0)),
        (EMPTY,),
        (EMPTY, np.ones((1, 3), np.float32)),
    ),
    Rule(
        "while",
        "no trips",
        lambda x: lax.while_loop(lambda c: c[0] < 0, lambda c: (c[0] + 1, c[1] * 0), (np.int32(0), x))[1],
        (f32(1, NAN),),
        f32(1, NAN),
    ),
    Rule("while", "over nothing", lambda x: lax.fori_loop(0, 3, lambda i, c: c + 1, x), (EMPTY,), EMPTY),
    Rule(
        "gather",
        "of nothing, and nothing of something",
        lambda x, i: (x[i], x[i].sum()),
        (f32(1, 2), np.zeros(0, np.int32)),
        (f32(), np.float32(0)),
    ),
    Rule("scatter", "nothing", lambda x, i: x.at[i].set(5.0), (f32(1, 2), np.zeros(0, np.int32)), f32(1, 2)),
    Rule(
        "dynamic_slice",
        "of nothing",
        lambda x, i: lax.dynamic_slice(x, (i, i), (0, 2)),
        (EMPTY, np.int32(1)),
        np.zeros((0, 2), np.float32),
    ),
    Rule(
        "dynamic_update_slice",
        "with nothing",
        lambda x, i: lax.dynamic_update_slice(x, x[:0], (i,)),
        (f32(1, 2), np.int32(1)),
        f32(1, 2),
    ),
    Rule(
        "reduce_window",
        "of nothing but padding",
        lambda x: lax.reduce_window(x, np.float32(7), lax.add, (2,), (1,), ((1, 1),)),
        (f32(),),
        f32(7 * 3),
    ),
    Rule("transpose", "of nothing", lambda x: x.T, (EMPTY,), np.zeros((3, 0), np.float32)),
    Rule(
        "convolution",
        "over no batch",
        lambda x: lax.conv(x, jnp.ones((1, 1, 2), x.dtype), (1,), "VALID"),
        (np.zeros((0, 1, 4), np.float32),),
        np.zeros((0, 1, 3), np.float32),
    ),
    Rule("fft", "of nothing", lambda x: jnp.abs(jnp.fft.fft(x, axis=1)), (EMPTY,), EMPTY),
    Rule("add", "of scalars", lambda a, b: a + b, (np.float32(1), np.float32(2)), np.float32(3)),
    Rule("reduce", "of a scalar over no dims", lambda a: jnp.sum(a), (np.float32(4),), np.float32(4)),
]
