"""Floats: denormals, NaN, signed zeros, infinities."""

import numpy as np
from jax import lax
from rule import INF, NAN, TINY32, TINY64, Rule, b1, f32, f64

RULES = [
    Rule(
        "add",
        "denormals are kept",
        lambda a, b: lax.add(a, b),
        (f32(TINY32, 1e-38), f32(TINY32, -9e-39)),
        f32(3e-45, np.float32(1e-38) + np.float32(-9e-39)),
    ),
    Rule(
        "multiply",
        "denormals are kept",
        lambda a, b: lax.mul(a, b),
        (f64(TINY64, 1e-300), f64(1, 1e-20)),
        f64(TINY64, 1e-320),
    ),
    Rule("divide", "a denormal divides", lambda a, b: lax.div(a, b), (f32(TINY32, 1), f32(1, INF)), f32(TINY32, 0)),
    Rule(
        "maximum",
        "NaN wins",
        lambda a, b: lax.max(a, b),
        (f32(NAN, 1, NAN, INF), f32(1, NAN, NAN, 2)),
        f32(NAN, NAN, NAN, INF),
    ),
    Rule(
        "minimum",
        "NaN wins",
        lambda a, b: lax.min(a, b),
        (f32(NAN, 1, NAN, -INF), f32(1, NAN, NAN, 2)),
        f32(NAN, NAN, NAN, -INF),
    ),
    Rule("maximum", "+0 is larger than -0", lambda a, b: lax.max(a, b), (f32(0, -0.0), f32(-0.0, 0)), f32(0, 0)),
    Rule("minimum", "-0 is smaller than +0", lambda a, b: lax.min(a, b), (f32(0, -0.0), f32(-0.0, 0)), f32(-0.0, -0.0)),
    Rule(
        "clamp",
        "NaN passes through, bounds with NaN win",
        lambda lo, x, hi: lax.clamp(lo, x, hi),
        (f32(0, NAN, 0, 2), f32(NAN, 1, 1, 1), f32(1, 2, NAN, 0)),
        f32(NAN, NAN, NAN, 0),
    ),
    Rule("negate", "the sign of zero flips", lambda x: lax.neg(x), (f32(0, -0.0, NAN, INF),), f32(-0.0, 0, NAN, -INF)),
    Rule("abs", "of -0 and -inf", lambda x: lax.abs(x), (f32(-0.0, -INF, NAN, -TINY32),), f32(0, INF, NAN, TINY32)),
    Rule(
        "sign", "of zeros and NaN", lambda x: lax.sign(x), (f32(0, -0.0, NAN, -INF, TINY32),), f32(0, -0.0, NAN, -1, 1)
    ),
    Rule(
        "add",
        "inf - inf",
        lambda a, b: lax.add(a, b),
        (f32(INF, INF, -0.0, 0), f32(-INF, 1, -0.0, -0.0)),
        f32(NAN, INF, -0.0, 0),
    ),
    Rule(
        "divide",
        "by zeros",
        lambda a, b: lax.div(a, b),
        (f32(1, -1, 0, 1), f32(0, 0, 0, -0.0)),
        f32(INF, -INF, NAN, -INF),
    ),
    Rule(
        "remainder",
        "sign of the dividend",
        lambda a, b: lax.rem(a, b),
        (f32(5, -5, 5, -4, INF, 3, 1), f32(3, 3, -3, 2, 2, INF, 0)),
        f32(2, -2, 2, -0.0, NAN, 3, NAN),
    ),
    Rule(
        "remainder",
        "exact however large the quotient",
        lambda a, b: lax.rem(a, b),
        (f32(1e30), f32(3)),
        f32(np.fmod(float(np.float32(1e30)), 3)),
    ),
    Rule(
        "round_nearest_even",
        "ties",
        lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
        (f32(-2.5, -0.5, 0.5, 1.5, 2.5, 8388609, -0.2, NAN),),
        f32(-2, -0.0, 0, 2, 2, 8388609, -0.0, NAN),
    ),
    Rule(
        "round_nearest_afz",
        "ties",
        lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO),
        (f32(-2.5, -0.5, 0.5, 2.5, 0.49999997, 8388609, -0.2, INF),),
        f32(-3, -1, 1, 3, 0, 8388609, -0.0, INF),
    ),
    Rule(
        "floor",
        "of zeros and infinities",
        lambda x: lax.floor(x),
        (f32(-0.0, -0.5, -INF, 1e9),),
        f32(-0.0, -1, -INF, 1e9),
    ),
    Rule("ceil", "of what is above -1", lambda x: lax.ceil(x), (f32(-0.0, -0.5, INF, 0.1),), f32(-0.0, -0.0, INF, 1)),
    Rule("sqrt", "of -0 and negatives", lambda x: lax.sqrt(x), (f32(-0.0, -1, INF, 4),), f32(-0.0, NAN, INF, 2)),
    Rule("rsqrt", "of zeros", lambda x: lax.rsqrt(x), (f32(0, -0.0, INF, 4),), f32(INF, -INF, 0, 0.5)),
    Rule("cbrt", "of negatives", lambda x: lax.cbrt(x), (f32(-8, -0.0, INF, 27),), f32(-2, -0.0, INF, 3)),
    Rule(
        "log", "of zeros and negatives", lambda x: lax.log(x), (f32(0, -0.0, -1, INF, 1),), f32(-INF, -INF, NAN, INF, 0)
    ),
    Rule(
        "log_plus_one",
        "at and below -1; -0",
        lambda x: lax.log1p(x),
        (f32(-1, -2, -0.0, INF),),
        f32(-INF, NAN, -0.0, INF),
    ),
    Rule(
        "exponential",
        "beyond the range",
        lambda x: lax.exp(x),
        (f32(-INF, INF, 1000, -1000, 0),),
        f32(0, INF, INF, 0, 1),
    ),
    Rule("exponential_minus_one", "-0 and -inf", lambda x: lax.expm1(x), (f32(-0.0, -INF, INF),), f32(-0.0, -1, INF)),
    Rule("tanh", "ends and zeros", lambda x: lax.tanh(x), (f32(-0.0, INF, -INF, NAN),), f32(-0.0, 1, -1, NAN)),
    Rule("logistic", "ends", lambda x: lax.logistic(x), (f32(-INF, INF, 0, NAN),), f32(0, 1, 0.5, NAN)),
    Rule("sine", "of zeros and infinities", lambda x: lax.sin(x), (f32(-0.0, INF, NAN),), f32(-0.0, NAN, NAN)),
    Rule(
        "is_finite",
        "infinities and NaN are not",
        lambda x: lax.is_finite(x),
        (f32(0, INF, -INF, NAN, 3e38),),
        b1(1, 0, 0, 0, 1),
    ),
    Rule(
        "power",
        "C99's list",
        lambda a, b: lax.pow(a, b),
        (
            f32(-0.0, -0.0, 0, -1, 1, NAN, -2, -2, 0.5, 2, -INF, -INF, INF, 0, -8),
            f32(-3, 3, -2, INF, NAN, 0, 3, 0.5, -INF, -INF, 3, -3, -1, 0, 1 / 3),
        ),
        f32(-INF, -0.0, INF, 1, 1, 1, -8, NAN, INF, 0, -INF, -0.0, 0, 1, NAN),
    ),
    Rule(
        "atan2",
        "quadrants and signed zeros",
        lambda a, b: lax.atan2(a, b),
        (f32(0, -0.0, 0, -0.0, 1, -1, INF, INF, -INF, 1, -0.0), f32(1, 1, -1, -1, 0, 0, INF, -INF, -INF, -INF, -0.0)),
        f32(0, -0.0, np.pi, -np.pi, np.pi / 2, -np.pi / 2, np.pi / 4, 3 * np.pi / 4, -3 * np.pi / 4, np.pi, -np.pi),
    ),
    Rule(
        "compare",
        "NaN is unequal to all",
        lambda a, b: (lax.eq(a, b), lax.ne(a, b), lax.lt(a, b), lax.ge(a, b)),
        (f32(NAN, 0, NAN), f32(NAN, -0.0, 1)),
        (b1(0, 1, 0), b1(1, 0, 1), b1(0, 0, 0), b1(0, 1, 0)),
    ),
    Rule(
        "compare",
        "total order",
        """
func.func @main(%a: tensor<6xf32>, %b: tensor<6xf32>) -> tensor<6xi1> {
  %0 = stablehlo.compare LT, %a, %b, TOTALORDER : (tensor<6xf32>, tensor<6xf32>) -> tensor<6xi1>
  return %0 : tensor<6xi1>
}""",
        (f32(-0.0, 0, INF, NAN, -NAN, -INF), f32(0, -0.0, NAN, INF, -INF, -1)),
        b1(1, 0, 1, 0, 1, 1),
    ),
    Rule(
        "select",
        "the other side's NaN does not matter",
        lambda p, a, b: lax.select(p, a, b),
        (b1(1, 0), f32(1, NAN), f32(NAN, 2)),
        f32(1, 2),
    ),
]
