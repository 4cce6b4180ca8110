"""Edge semantics, a row a rule: the section of StableHLO's specification, what it says, a function, its arguments, what must come out.

Expected values are written down, not computed by a library. Where the specification leaves a result to the implementation, the row
has what XLA's compilers agree on, and says so.
"""

from dataclasses import dataclass
from typing import Callable

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax import lax

INF, NAN = np.inf, np.nan
TINY32, TINY64 = np.float32(1e-45), 5e-324  # the smallest denormals
MIN32, MAX32 = -2**31, 2**31 - 1


@dataclass(frozen=True)
class Rule:
    section: str
    says: str
    fn: Callable | str
    args: tuple
    want: object


def f32(*v):
    return np.array(v, np.float32)


def f64(*v):
    return np.array(v, np.float64)


def i32(*v):
    return np.array(v, np.int32)


def i8(*v):
    return np.array(v, np.int8)


def u8(*v):
    return np.array(v, np.uint8)


def c64(*v):
    return np.array(v, np.complex64)


def b1(*v):
    return np.array(v, bool)


def small(dtype, *v):
    return np.array(v, np.float32).astype(getattr(ml_dtypes, dtype))


def _through(dtype):
    return lambda x: lax.convert_element_type(lax.convert_element_type(x, dtype), jnp.float32)


def _ints(dtype, back=jnp.int32):
    return lambda x: lax.convert_element_type(lax.convert_element_type(x, dtype), back)


FLOATS = [
    Rule("add", "denormals are kept", lambda a, b: lax.add(a, b), (f32(TINY32, 1e-38), f32(TINY32, -9e-39)), f32(3e-45, np.float32(1e-38) + np.float32(-9e-39))),
    Rule("multiply", "denormals are kept", lambda a, b: lax.mul(a, b), (f64(TINY64, 1e-300), f64(1, 1e-20)), f64(TINY64, 1e-320)),
    Rule("divide", "a denormal divides", lambda a, b: lax.div(a, b), (f32(TINY32, 1), f32(1, INF)), f32(TINY32, 0)),
    Rule("maximum", "NaN wins", lambda a, b: lax.max(a, b), (f32(NAN, 1, NAN, INF), f32(1, NAN, NAN, 2)), f32(NAN, NAN, NAN, INF)),
    Rule("minimum", "NaN wins", lambda a, b: lax.min(a, b), (f32(NAN, 1, NAN, -INF), f32(1, NAN, NAN, 2)), f32(NAN, NAN, NAN, -INF)),
    Rule("maximum", "+0 is larger than -0", lambda a, b: lax.max(a, b), (f32(0, -0.0), f32(-0.0, 0)), f32(0, 0)),
    Rule("minimum", "-0 is smaller than +0", lambda a, b: lax.min(a, b), (f32(0, -0.0), f32(-0.0, 0)), f32(-0.0, -0.0)),
    Rule("clamp", "NaN passes through, bounds with NaN win", lambda lo, x, hi: lax.clamp(lo, x, hi),
         (f32(0, NAN, 0, 2), f32(NAN, 1, 1, 1), f32(1, 2, NAN, 0)), f32(NAN, NAN, NAN, 0)),
    Rule("negate", "the sign of zero flips", lambda x: lax.neg(x), (f32(0, -0.0, NAN, INF),), f32(-0.0, 0, NAN, -INF)),
    Rule("abs", "of -0 and -inf", lambda x: lax.abs(x), (f32(-0.0, -INF, NAN, -TINY32),), f32(0, INF, NAN, TINY32)),
    Rule("sign", "of zeros and NaN", lambda x: lax.sign(x), (f32(0, -0.0, NAN, -INF, TINY32),), f32(0, -0.0, NAN, -1, 1)),
    Rule("add", "inf - inf", lambda a, b: lax.add(a, b), (f32(INF, INF, -0.0, 0), f32(-INF, 1, -0.0, -0.0)), f32(NAN, INF, -0.0, 0)),
    Rule("divide", "by zeros", lambda a, b: lax.div(a, b), (f32(1, -1, 0, 1), f32(0, 0, 0, -0.0)), f32(INF, -INF, NAN, -INF)),
    Rule("remainder", "sign of the dividend", lambda a, b: lax.rem(a, b),
         (f32(5, -5, 5, -4, INF, 3, 1), f32(3, 3, -3, 2, 2, INF, 0)), f32(2, -2, 2, -0.0, NAN, 3, NAN)),
    Rule("remainder", "exact however large the quotient", lambda a, b: lax.rem(a, b), (f32(1e30), f32(3)), f32(np.fmod(float(np.float32(1e30)), 3))),
    Rule("round_nearest_even", "ties", lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
         (f32(-2.5, -0.5, 0.5, 1.5, 2.5, 8388609, -0.2, NAN),), f32(-2, -0.0, 0, 2, 2, 8388609, -0.0, NAN)),
    Rule("round_nearest_afz", "ties", lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO),
         (f32(-2.5, -0.5, 0.5, 2.5, 0.49999997, 8388609, -0.2, INF),), f32(-3, -1, 1, 3, 0, 8388609, -0.0, INF)),
    Rule("floor", "of zeros and infinities", lambda x: lax.floor(x), (f32(-0.0, -0.5, -INF, 1e9),), f32(-0.0, -1, -INF, 1e9)),
    Rule("ceil", "of what is above -1", lambda x: lax.ceil(x), (f32(-0.0, -0.5, INF, 0.1),), f32(-0.0, -0.0, INF, 1)),
    Rule("sqrt", "of -0 and negatives", lambda x: lax.sqrt(x), (f32(-0.0, -1, INF, 4),), f32(-0.0, NAN, INF, 2)),
    Rule("rsqrt", "of zeros", lambda x: lax.rsqrt(x), (f32(0, -0.0, INF, 4),), f32(INF, -INF, 0, 0.5)),
    Rule("cbrt", "of negatives", lambda x: lax.cbrt(x), (f32(-8, -0.0, INF, 27),), f32(-2, -0.0, INF, 3)),
    Rule("log", "of zeros and negatives", lambda x: lax.log(x), (f32(0, -0.0, -1, INF, 1),), f32(-INF, -INF, NAN, INF, 0)),
    Rule("log_plus_one", "at and below -1; -0", lambda x: lax.log1p(x), (f32(-1, -2, -0.0, INF),), f32(-INF, NAN, -0.0, INF)),
    Rule("exponential", "beyond the range", lambda x: lax.exp(x), (f32(-INF, INF, 1000, -1000, 0),), f32(0, INF, INF, 0, 1)),
    Rule("exponential_minus_one", "-0 and -inf", lambda x: lax.expm1(x), (f32(-0.0, -INF, INF),), f32(-0.0, -1, INF)),
    Rule("tanh", "ends and zeros", lambda x: lax.tanh(x), (f32(-0.0, INF, -INF, NAN),), f32(-0.0, 1, -1, NAN)),
    Rule("logistic", "ends", lambda x: lax.logistic(x), (f32(-INF, INF, 0, NAN),), f32(0, 1, 0.5, NAN)),
    Rule("sine", "of zeros and infinities", lambda x: lax.sin(x), (f32(-0.0, INF, NAN),), f32(-0.0, NAN, NAN)),
    Rule("is_finite", "infinities and NaN are not", lambda x: lax.is_finite(x), (f32(0, INF, -INF, NAN, 3e38),), b1(1, 0, 0, 0, 1)),
    Rule("power", "C99's list", lambda a, b: lax.pow(a, b),
         (f32(-0.0, -0.0, 0, -1, 1, NAN, -2, -2, 0.5, 2, -INF, -INF, INF, 0, -8),
          f32(-3, 3, -2, INF, NAN, 0, 3, 0.5, -INF, -INF, 3, -3, -1, 0, 1 / 3)),
         f32(-INF, -0.0, INF, 1, 1, 1, -8, NAN, INF, 0, -INF, -0.0, 0, 1, NAN)),
    Rule("atan2", "quadrants and signed zeros", lambda a, b: lax.atan2(a, b),
         (f32(0, -0.0, 0, -0.0, 1, -1, INF, INF, -INF, 1, -0.0), f32(1, 1, -1, -1, 0, 0, INF, -INF, -INF, -INF, -0.0)),
         f32(0, -0.0, np.pi, -np.pi, np.pi / 2, -np.pi / 2, np.pi / 4, 3 * np.pi / 4, -3 * np.pi / 4, np.pi, -np.pi)),
    Rule("compare", "NaN is unequal to all", lambda a, b: (lax.eq(a, b), lax.ne(a, b), lax.lt(a, b), lax.ge(a, b)),
         (f32(NAN, 0, NAN), f32(NAN, -0.0, 1)), (b1(0, 1, 0), b1(1, 0, 1), b1(0, 0, 0), b1(0, 1, 0))),
    Rule("compare", "total order", """
func.func @main(%a: tensor<6xf32>, %b: tensor<6xf32>) -> tensor<6xi1> {
  %0 = stablehlo.compare LT, %a, %b, TOTALORDER : (tensor<6xf32>, tensor<6xf32>) -> tensor<6xi1>
  return %0 : tensor<6xi1>
}""", (f32(-0.0, 0, INF, NAN, -NAN, -INF), f32(0, -0.0, NAN, INF, -INF, -1)), b1(1, 0, 1, 0, 1, 1)),
    Rule("select", "the other side's NaN does not matter", lambda p, a, b: lax.select(p, a, b), (b1(1, 0), f32(1, NAN), f32(NAN, 2)), f32(1, 2)),
]

INTEGERS = [
    Rule("add", "wraps", lambda a, b: lax.add(a, b), (i32(MAX32, MIN32), i32(1, -1)), i32(MIN32, MAX32)),
    Rule("subtract", "unsigned wraps", lambda a, b: lax.sub(a, b), (u8(0, 3), u8(1, 255)), u8(255, 4)),
    Rule("multiply", "wraps", lambda a, b: lax.mul(a, b), (i8(100, -128), i8(3, -1)), i8(44, -128)),
    Rule("divide", "by zero gives all ones, the smallest by -1 itself (XLA)", lambda a, b: lax.div(a, b),
         (i32(7, -7, MIN32, -7, 7), i32(0, 0, -1, 2, -2)), i32(-1, -1, MIN32, -3, -3)),
    Rule("divide", "unsigned by zero gives all ones (XLA)", lambda a, b: lax.div(a, b), (u8(7, 0), u8(0, 0)), u8(255, 255)),
    Rule("remainder", "by zero gives the dividend, the smallest by -1 zero (XLA)", lambda a, b: lax.rem(a, b),
         (i32(7, MIN32, -7, 7), i32(0, -1, 3, -3)), i32(7, 0, -1, 1)),
    Rule("negate", "the smallest stays", lambda x: lax.neg(x), (i8(-128, 5),), i8(-128, -5)),
    Rule("abs", "the smallest stays", lambda x: lax.abs(x), (i8(-128, -5),), i8(-128, 5)),
    Rule("shift_left", "by the width or more gives 0", lambda a, b: lax.shift_left(a, b), (i32(1, 1, 1, -1), i32(31, 32, 33, -1)), i32(MIN32, 0, 0, 0)),
    Rule("shift_right_logical", "by the width or more gives 0", lambda a, b: lax.shift_right_logical(a, b), (i32(-1, -1, -1), i32(31, 32, -5)), i32(1, 0, 0)),
    Rule("shift_right_arithmetic", "by the width or more leaves the sign", lambda a, b: lax.shift_right_arithmetic(a, b),
         (i32(-8, 8, -8, 8), i32(1, 1, 40, -1)), i32(-4, 4, -1, 0)),
    Rule("power", "integers: negative exponents", """
func.func @main(%a: tensor<5xi32>, %b: tensor<5xi32>) -> tensor<5xi32> {
  %0 = stablehlo.power %a, %b : tensor<5xi32>
  return %0 : tensor<5xi32>
}""", (i32(2, 1, -1, 3, 0), i32(10, -5, -3, 0, 0)), i32(1024, 1, -1, 1, 1)),
    Rule("popcnt", "of all widths", lambda x: lax.population_count(x), (i8(-1, 0, 127, -128),), i8(8, 0, 7, 1)),
    Rule("popcnt", "a narrow integer has its own bits only", lambda x: _ints(jnp.int4)(lax.population_count(lax.convert_element_type(x, jnp.int4))),
         (i32(-8, -1, 7, 0),), i32(1, 4, 3, 0)),
    Rule("count_leading_zeros", "of zero is the width", lambda x: lax.clz(x), (u8(0, 1, 128),), u8(8, 7, 0)),
    Rule("count_leading_zeros", "of narrow integers", lambda x: lax.convert_element_type(lax.clz(lax.convert_element_type(x, jnp.int4)), jnp.int32),
         (i32(0, 1, 7, -8),), i32(4, 3, 1, 0)),
    Rule("add", "narrow integers wrap", lambda a, b: lax.convert_element_type(
        lax.add(lax.convert_element_type(a, jnp.int4), lax.convert_element_type(b, jnp.int4)), jnp.int32), (i32(7, -8), i32(1, -1)), i32(-8, 7)),
    Rule("multiply", "unsigned narrow integers wrap", lambda a, b: lax.convert_element_type(
        lax.mul(lax.convert_element_type(a, jnp.uint4), lax.convert_element_type(b, jnp.uint4)), jnp.int32), (i32(7, 15), i32(3, 15)), i32(5, 1)),
]

CONVERSIONS = [
    Rule("convert", "float to integer saturates, NaN gives 0 (XLA)", _ints(jnp.int32), (f32(1e10, -1e10, NAN, INF, -INF, -1.9, 2.5),),
         i32(MAX32, MIN32, 0, MAX32, MIN32, -1, 2)),
    Rule("convert", "float to unsigned saturates", lambda x: lax.convert_element_type(x, jnp.uint8), (f32(-5, 300, NAN, 255.9, -0.5),), u8(0, 255, 0, 255, 0)),
    Rule("convert", "integers wrap", lambda x: lax.convert_element_type(x, jnp.int8), (i32(300, -129, 128),), i8(44, 127, -128)),
    Rule("convert", "to bool: anything but zero, NaN too", lambda x: lax.convert_element_type(x, bool), (f32(0, -0.0, NAN, 0.1),), b1(0, 0, 1, 1)),
    Rule("convert", "f64 to f32 rounds to even", lambda x: lax.convert_element_type(x, jnp.float32),
         (f64(1 + 2.0**-24, 1 + 3 * 2.0**-24, 1e300, 1e-50),), f32(1, 1 + 2.0**-22, INF, 0)),
    Rule("convert", "i64 to f32 rounds once", lambda x: lax.convert_element_type(x, jnp.float32), (np.array([2**53 + 1, 2**24 + 1, -2**63]),),
         f32(2.0**53, 2.0**24, -2.0**63)),
    Rule("convert", "bf16 rounds to even", _through(jnp.bfloat16), (f32(1.00390625, 1.01171875, 3.4e38, NAN),), f32(1, 1.015625, INF, NAN)),
    Rule("convert", "f16 has denormals and overflows", _through(jnp.float16), (f32(65520, 6e-8, 2.9e-8, -65504),), f32(INF, 6e-8, 0, -65504).astype(np.float16).astype(np.float32)),
    Rule("convert", "f8e4m3fn has no infinity", _through(jnp.float8_e4m3fn), (f32(448, 464, 465, INF, NAN, 2.0**-9, 2.0**-11),), f32(448, 448, NAN, NAN, NAN, 2.0**-9, 0)),
    Rule("convert", "f8e5m2 has one", _through(jnp.float8_e5m2), (f32(57344, 61439, 61440, INF, NAN, 2.0**-16),), f32(57344, 57344, INF, INF, NAN, 2.0**-16)),
    Rule("convert", "f8e4m3fnuz: one NaN, no -0", _through(jnp.float8_e4m3fnuz), (f32(240, 250, -0.0, INF, 2.0**-10),), f32(240, NAN, 0, NAN, 2.0**-10)),
    Rule("convert", "f8e5m2fnuz", _through(jnp.float8_e5m2fnuz), (f32(57344, 65000, -0.0, 2.0**-17),), f32(57344, NAN, 0, 2.0**-17)),
    Rule("convert", "f8e4m3b11fnuz", _through(jnp.float8_e4m3b11fnuz), (f32(30, 40, -0.0, 2.0**-13),), f32(30, NAN, 0, 2.0**-13)),
    Rule("convert", "f8e4m3 and its infinity", _through(jnp.float8_e4m3), (f32(240, 247, 248, -INF),), f32(240, 240, INF, -INF)),
    Rule("convert", "f8e3m4", _through(jnp.float8_e3m4), (f32(15.5, 15.7, 16, 2.0**-6),), f32(15.5, 15.5, INF, 2.0**-6)),
    Rule("convert", "f8e8m0fnu: powers of two", _through(jnp.float8_e8m0fnu), (f32(1, 2.0**-127, 2.0**100),), f32(1, 2.0**-127, 2.0**100)),
    Rule("convert", "f4e2m1fn saturates", _through(jnp.float4_e2m1fn), (f32(6, 7, -9, 0.25, 0.75, -0.0, 2.5),), f32(6, 6, -6, 0, 1, -0.0, 2)),
    Rule("convert", "complex to real takes the real part", lambda x: lax.convert_element_type(lax.real(x), jnp.int32), (c64(2 + 3j, -1.5 + 1j),), i32(2, -1)),
    Rule("convert", "i4 wraps", _ints(jnp.int4), (i32(7, 8, -9, 100),), i32(7, -8, 7, 4)),
    Rule("convert", "u4 wraps", _ints(jnp.uint4), (i32(15, 16, -1),), i32(15, 0, 15)),
    Rule("convert", "i2 wraps", _ints(jnp.int2), (i32(1, 2, -3, 3),), i32(1, -2, 1, -1)),
    Rule("reduce_precision", "e5m10 is f16", lambda x: lax.reduce_precision(x, 5, 10), (f32(1.0004883, 65520, 1e-9, NAN, -INF),), f32(1, INF, 0, NAN, -INF)),
    Rule("reduce_precision", "e8m7 is bf16", lambda x: lax.reduce_precision(x, 8, 7), (f32(1.00390625, 1.01171875, -0.0),), f32(1, 1.015625, -0.0)),
    Rule("reduce_precision", "m0 leaves powers of two, ties to the even exponent", lambda x: lax.reduce_precision(x, 8, 0), (f32(1.4, 1.6, 3.0, 6.0),), f32(1, 2, 2, 8)),
    Rule("bitcast_convert", "to a smaller type: the low part first", lambda x: lax.bitcast_convert_type(x, jnp.uint8), (i32(0x01020304),), u8(4, 3, 2, 1).reshape(1, 4)),
    Rule("bitcast_convert", "to a larger type", lambda x: lax.bitcast_convert_type(x, jnp.int32), (u8(4, 3, 2, 1),), np.int32(0x01020304)),
    Rule("bitcast_convert", "signs of floats", lambda x: lax.bitcast_convert_type(x, jnp.int32), (f32(-0.0, 1),), i32(MIN32, 0x3F800000)),
]

COMPLEX = [
    Rule("sqrt", "the cut's side is the sign of zero", lambda x: lax.sqrt(x), (c64(complex(-4, 0.0), complex(-4, -0.0)),), c64(2j, complex(0, -2))),
    Rule("log", "the cut's side is the sign of zero", lambda x: lax.log(x), (c64(complex(-1, 0.0), complex(-1, -0.0)),), c64(complex(0, np.pi), complex(0, -np.pi))),
    Rule("log", "of zero", lambda x: lax.real(lax.log(x)), (c64(0),), f32(-INF)),
    Rule("abs", "does not overflow", lambda x: lax.abs(x), (c64(3e38 + 1e38j, complex(INF, NAN)),), f32(np.hypot(3e38, 1e38), INF)),
    Rule("exponential", "of -inf", lambda x: lax.exp(x), (c64(complex(-INF, 0)),), c64(0)),
    Rule("compare", "equal parts", lambda a, b: (lax.eq(a, b), lax.ne(a, b)), (c64(1 + 2j, 1, complex(NAN, 0)), c64(1 + 2j, 1j, complex(NAN, 0))), (b1(1, 0, 0), b1(0, 1, 1))),
    Rule("compare", "by real parts, then by imaginary ones", """
func.func @main(%a: tensor<4xcomplex<f32>>, %b: tensor<4xcomplex<f32>>) -> (tensor<4xi1>, tensor<4xi1>) {
  %0 = stablehlo.compare LT, %a, %b : (tensor<4xcomplex<f32>>, tensor<4xcomplex<f32>>) -> tensor<4xi1>
  %1 = stablehlo.compare GE, %a, %b : (tensor<4xcomplex<f32>>, tensor<4xcomplex<f32>>) -> tensor<4xi1>
  return %0, %1 : tensor<4xi1>, tensor<4xi1>
}""", (c64(1 + 2j, 1 + 2j, 1 + 2j, complex(NAN, 0)), c64(1 + 3j, 1 + 2j, 0 + 9j, 1)), (b1(1, 0, 0, 0), b1(0, 1, 1, 0))),
    Rule("multiply", "parts", lambda a, b: lax.mul(a, b), (c64(1 + 2j), c64(3 - 1j)), c64(5 + 5j)),
    Rule("divide", "large parts do not overflow", lambda a, b: lax.div(a, b), (c64(1e30 + 1e30j), c64(1e30 + 1e30j)), c64(1)),
    Rule("real", "of a float is itself", lambda x: (lax.real(lax.complex(x, x)), lax.imag(lax.complex(x, -x))), (f32(1, -0.0),), (f32(1, -0.0), f32(-1, 0))),
]

X6 = np.arange(6, dtype=np.int32).reshape(2, 3)
PLACES = [
    Rule("dynamic_slice", "starts are clamped", lambda x, i: lax.dynamic_slice(x, (i, i), (1, 2)), (X6, np.int32(9)), i32([4, 5])),
    Rule("dynamic_slice", "negative starts too", lambda x, i: lax.dynamic_slice(x, (i, i), (1, 2)), (X6, np.int32(-7)), i32([0, 1])),
    Rule("dynamic_update_slice", "starts are clamped", lambda x, i: lax.dynamic_update_slice(x, i32([9, 9]), (i, i)), (X6, np.int32(5)), i32([0, 1, 2], [3, 9, 9])),
    Rule("gather", "starts are clamped", lambda x, i: x.at[i].get(mode="clip"), (i32(10, 11, 12), i32(-5, 1, 99)), i32(10, 11, 12)),
    Rule("scatter", "windows that do not fit are left out", lambda x, i: x.at[i].add(1, mode="drop"), (i32(0, 0, 0), i32(-9, 1, 99)), i32(0, 1, 0)),
    Rule("scatter", "equal places: every update counts", lambda x, i: x.at[i].add(i32(1, 2, 4)), (i32(0, 0), i32(1, 1, 1)), i32(0, 7)),
    Rule("slice", "with strides", lambda x: lax.slice(x, (1,), (6,), (2,)), (np.arange(7, dtype=np.int32),), i32(1, 3, 5)),
    Rule("pad", "negative and interior", lambda x: lax.pad(x, np.int32(9), ((-1, 2, 1),)), (i32(1, 2, 3),), i32(9, 2, 9, 3, 9, 9)),
    Rule("iota", "of floats and narrow integers", lambda: (lax.iota(jnp.bfloat16, 3).astype(jnp.float32), lax.iota(jnp.uint4, 3).astype(jnp.int32)), (), (f32(0, 1, 2), i32(0, 1, 2))),
    Rule("case", "a number outside takes the last branch", """
func.func @main(%i: tensor<i32>) -> tensor<i32> {
  %0 = "stablehlo.case"(%i) ({
    %c = stablehlo.constant dense<10> : tensor<i32>
    stablehlo.return %c : tensor<i32>
  }, {
    %c = stablehlo.constant dense<20> : tensor<i32>
    stablehlo.return %c : tensor<i32>
  }) : (tensor<i32>) -> tensor<i32>
  return %0 : tensor<i32>
}""", (np.int32(-3),), np.int32(20)),
]

ORDER = [
    Rule("sort", "stable, -0 and 0 equal, NaN last (JAX's order)", lambda x: lax.sort((x, np.arange(6, dtype=np.int32)), num_keys=1),
         (f32(NAN, 0, 1, -0.0, -INF, 0),), (f32(-INF, 0, -0.0, 0, 1, NAN), i32(4, 1, 3, 5, 2, 0))),
    Rule("sort", "stable descending comparator", lambda x: jnp.argsort(x, descending=True, stable=True), (i32(1, 3, 1, 3),), np.array([1, 3, 0, 2])),
    Rule("chlo.top_k", "ties by place, NaN first", lambda x: lax.top_k(x, 3), (f32(1, NAN, 3, 3),), (f32(NAN, 3, 3), i32(1, 2, 3))),
    Rule("reduce", "argmax: the first of equals, NaN wins", lambda x: jnp.argmax(x, 1), (f32([1, 3, 3], [1, NAN, 9]),), np.array([1, 1])),
    Rule("reduce", "argmin: the first of equals, NaN wins", lambda x: jnp.argmin(x, 1), (f32([2, 1, 1], [1, NAN, 0]),), np.array([1, 1])),
    Rule("select_and_scatter", "ties go to the first place", lambda x: jax.grad(
        lambda y: lax.reduce_window(y, -jnp.inf, lax.max, (2,), (2,), "VALID").sum())(x), (f32(1, 1, 0, 2),), f32(1, 0, 0, 1)),
    Rule("reduce_window", "dilations and negative padding", lambda x: lax.reduce_window(
        x, np.int32(0), lax.add, (2,), (1,), ((-1, 1),), (2,), (2,)), (i32(1, 2, 3),), i32(0, 5, 0)),
    Rule("reverse", "and reverse again", lambda x: (lax.rev(x, (0,)), lax.rev(lax.rev(x, (0,)), (0,))), (i32(1, 2, 3),), (i32(3, 2, 1), i32(1, 2, 3))),
]

EMPTY = np.zeros((0, 3), np.float32)
NOTHING = [
    Rule("reduce", "of nothing is the initial value", lambda x: (x.sum(0), x.max(0, initial=-5.0), x.sum(1)), (EMPTY,), (f32(0, 0, 0), f32(-5, -5, -5), f32())),
    Rule("dot_general", "over nothing is zero", lambda x: (x.T @ x, x @ x.T), (EMPTY,), (np.zeros((3, 3), np.float32), np.zeros((0, 0), np.float32))),
    Rule("sort", "of nothing", lambda x: (lax.sort(x, dimension=0), jnp.argsort(x, 0)), (EMPTY,), (EMPTY, np.zeros((0, 3), np.int64))),
    Rule("concatenate", "with nothing", lambda x: (lax.concatenate([x, x], 0), lax.concatenate([x, jnp.ones((1, 3), x.dtype)], 0)), (EMPTY,), (EMPTY, np.ones((1, 3), np.float32))),
    Rule("while", "no trips", lambda x: lax.while_loop(lambda c: c[0] < 0, lambda c: (c[0] + 1, c[1] * 0), (np.int32(0), x))[1], (f32(1, NAN),), f32(1, NAN)),
    Rule("while", "over nothing", lambda x: lax.fori_loop(0, 3, lambda i, c: c + 1, x), (EMPTY,), EMPTY),
    Rule("gather", "of nothing, and nothing of something", lambda x, i: (x[i], x[i].sum()), (f32(1, 2), np.zeros(0, np.int32)), (f32(), np.float32(0))),
    Rule("scatter", "nothing", lambda x, i: x.at[i].set(5.0), (f32(1, 2), np.zeros(0, np.int32)), f32(1, 2)),
    Rule("dynamic_slice", "of nothing", lambda x, i: lax.dynamic_slice(x, (i, i), (0, 2)), (EMPTY, np.int32(1)), np.zeros((0, 2), np.float32)),
    Rule("dynamic_update_slice", "with nothing", lambda x, i: lax.dynamic_update_slice(x, x[:0], (i,)), (f32(1, 2), np.int32(1)), f32(1, 2)),
    Rule("reduce_window", "of nothing but padding", lambda x: lax.reduce_window(x, np.float32(7), lax.add, (2,), (1,), ((1, 1),)), (f32(),), f32(7 * 3)),
    Rule("transpose", "of nothing", lambda x: x.T, (EMPTY,), np.zeros((3, 0), np.float32)),
    Rule("convolution", "over no batch", lambda x: lax.conv(x, jnp.ones((1, 1, 2), x.dtype), (1,), "VALID"), (np.zeros((0, 1, 4), np.float32),), np.zeros((0, 1, 3), np.float32)),
    Rule("fft", "of nothing", lambda x: jnp.abs(jnp.fft.fft(x, axis=1)), (EMPTY,), EMPTY),
    Rule("add", "of scalars", lambda a, b: a + b, (np.float32(1), np.float32(2)), np.float32(3)),
    Rule("reduce", "of a scalar over no dims", lambda a: jnp.sum(a), (np.float32(4),), np.float32(4)),
]

PRODUCTS = [
    Rule("dot_general", "bf16 into f32 keeps f32", lambda a, b: lax.dot(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), preferred_element_type=jnp.float32),
         (f32([1, 256]), f32([256], [1.0078125])), f32([514])),
    Rule("dot_general", "i8 into i32 does not wrap", lambda a, b: lax.dot(a, b, preferred_element_type=jnp.int32), (i8([127, 127]), i8([127], [127])), i32([32258])),
    Rule("dot_general", "i8 wraps", lambda a, b: lax.dot(a, b), (i8([100, 100]), i8([2], [1])), i8([44])),
    Rule("dot_general", "precision asks for no less", lambda a, b: lax.dot(a, b, precision=lax.DotAlgorithmPreset.F32_F32_F32), (f32([1, 2]), f32([3], [4])), f32([11])),
    Rule("dot_general", "inf times zero", lambda a, b: lax.dot(a, b), (f32([INF, 1]), f32([0], [1])), f32([NAN])),
]

RULES = FLOATS + INTEGERS + CONVERSIONS + COMPLEX + PLACES + ORDER + NOTHING + PRODUCTS
