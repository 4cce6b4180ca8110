"""Integers: wrapping, division, shifts, narrow types."""

import jax.numpy as jnp
from jax import lax
from rule import MAX32, MIN32, Rule, _ints, i8, i32, u8

RULES = [
    Rule("add", "wraps", lambda a, b: lax.add(a, b), (i32(MAX32, MIN32), i32(1, -1)), i32(MIN32, MAX32)),
    Rule("subtract", "unsigned wraps", lambda a, b: lax.sub(a, b), (u8(0, 3), u8(1, 255)), u8(255, 4)),
    Rule("multiply", "wraps", lambda a, b: lax.mul(a, b), (i8(100, -128), i8(3, -1)), i8(44, -128)),
    Rule(
        "divide",
        "by zero gives all ones, the smallest by -1 itself (XLA)",
        lambda a, b: lax.div(a, b),
        (i32(7, -7, MIN32, -7, 7), i32(0, 0, -1, 2, -2)),
        i32(-1, -1, MIN32, -3, -3),
    ),
    Rule(
        "divide",
        "unsigned by zero gives all ones (XLA)",
        lambda a, b: lax.div(a, b),
        (u8(7, 0), u8(0, 0)),
        u8(255, 255),
    ),
    Rule(
        "remainder",
        "by zero gives the dividend, the smallest by -1 zero (XLA)",
        lambda a, b: lax.rem(a, b),
        (i32(7, MIN32, -7, 7), i32(0, -1, 3, -3)),
        i32(7, 0, -1, 1),
    ),
    Rule("negate", "the smallest stays", lambda x: lax.neg(x), (i8(-128, 5),), i8(-128, -5)),
    Rule("abs", "the smallest stays", lambda x: lax.abs(x), (i8(-128, -5),), i8(-128, 5)),
    Rule(
        "shift_left",
        "by the width or more gives 0",
        lambda a, b: lax.shift_left(a, b),
        (i32(1, 1, 1, -1), i32(31, 32, 33, -1)),
        i32(MIN32, 0, 0, 0),
    ),
    Rule(
        "shift_right_logical",
        "by the width or more gives 0",
        lambda a, b: lax.shift_right_logical(a, b),
        (i32(-1, -1, -1), i32(31, 32, -5)),
        i32(1, 0, 0),
    ),
    Rule(
        "shift_right_arithmetic",
        "by the width or more leaves the sign",
        lambda a, b: lax.shift_right_arithmetic(a, b),
        (i32(-8, 8, -8, 8), i32(1, 1, 40, -1)),
        i32(-4, 4, -1, 0),
    ),
    Rule(
        "power",
        "integers: negative exponents",
        """
func.func @main(%a: tensor<5xi32>, %b: tensor<5xi32>) -> tensor<5xi32> {
  %0 = stablehlo.power %a, %b : tensor<5xi32>
  return %0 : tensor<5xi32>
}""",
        (i32(2, 1, -1, 3, 0), i32(10, -5, -3, 0, 0)),
        i32(1024, 1, -1, 1, 1),
    ),
    Rule("popcnt", "of all widths", lambda x: lax.population_count(x), (i8(-1, 0, 127, -128),), i8(8, 0, 7, 1)),
    Rule(
        "popcnt",
        "a narrow integer has its own bits only",
        lambda x: _ints(jnp.int4)(lax.population_count(lax.convert_element_type(x, jnp.int4))),
        (i32(-8, -1, 7, 0),),
        i32(1, 4, 3, 0),
    ),
    Rule("count_leading_zeros", "of zero is the width", lambda x: lax.clz(x), (u8(0, 1, 128),), u8(8, 7, 0)),
    Rule(
        "count_leading_zeros",
        "of narrow integers",
        lambda x: lax.convert_element_type(lax.clz(lax.convert_element_type(x, jnp.int4)), jnp.int32),
        (i32(0, 1, 7, -8),),
        i32(4, 3, 1, 0),
    ),
    Rule(
        "add",
        "narrow integers wrap",
        lambda a, b: lax.convert_element_type(
            lax.add(lax.convert_element_type(a, jnp.int4), lax.convert_element_type(b, jnp.int4)), jnp.int32
        ),
        (i32(7, -8), i32(1, -1)),
        i32(-8, 7),
    ),
    Rule(
        "multiply",
        "unsigned narrow integers wrap",
        lambda a, b: lax.convert_element_type(
            lax.mul(lax.convert_element_type(a, jnp.uint4), lax.convert_element_type(b, jnp.uint4)), jnp.int32
        ),
        (i32(7, 15), i32(3, 15)),
        i32(5, 1),
    ),
]
