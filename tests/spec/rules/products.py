"""Contractions: accumulation types and infinities."""

import jax.numpy as jnp
from jax import lax
from rule import INF, NAN, Rule, f32, i8, i32

RULES = [
    Rule(
        "dot_general",
        "bf16 into f32 keeps f32",
        lambda a, b: lax.dot(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), preferred_element_type=jnp.float32),
        (f32([1, 256]), f32([256], [1.0078125])),
        f32([514]),
    ),
    Rule(
        "dot_general",
        "i8 into i32 does not wrap",
        lambda a, b: lax.dot(a, b, preferred_element_type=jnp.int32),
        (i8([127, 127]), i8([127], [127])),
        i32([32258]),
    ),
    Rule("dot_general", "i8 wraps", lambda a, b: lax.dot(a, b), (i8([100, 100]), i8([2], [1])), i8([44])),
    Rule(
        "dot_general",
        "precision asks for no less",
        lambda a, b: lax.dot(a, b, precision=lax.DotAlgorithmPreset.F32_F32_F32),
        (f32([1, 2]), f32([3], [4])),
        f32([11]),
    ),
    Rule("dot_general", "inf times zero", lambda a, b: lax.dot(a, b), (f32([INF, 1]), f32([0], [1])), f32([NAN])),
]
