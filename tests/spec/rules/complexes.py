"""Complex numbers: cuts, extremes, comparison."""

import numpy as np
from jax import lax
from rule import INF, NAN, Rule, b1, c64, f32

RULES = [
    Rule(
        "sqrt",
        "the cut's side is the sign of zero",
        lambda x: lax.sqrt(x),
        (c64(complex(-4, 0.0), complex(-4, -0.0)),),
        c64(2j, complex(0, -2)),
    ),
    Rule(
        "log",
        "the cut's side is the sign of zero",
        lambda x: lax.log(x),
        (c64(complex(-1, 0.0), complex(-1, -0.0)),),
        c64(complex(0, np.pi), complex(0, -np.pi)),
    ),
    Rule("log", "of zero", lambda x: lax.real(lax.log(x)), (c64(0),), f32(-INF)),
    Rule(
        "abs",
        "does not overflow",
        lambda x: lax.abs(x),
        (c64(3e38 + 1e38j, complex(INF, NAN)),),
        f32(np.hypot(3e38, 1e38), INF),
    ),
    Rule("exponential", "of -inf", lambda x: lax.exp(x), (c64(complex(-INF, 0)),), c64(0)),
    Rule(
        "compare",
        "equal parts",
        lambda a, b: (lax.eq(a, b), lax.ne(a, b)),
        (c64(1 + 2j, 1, complex(NAN, 0)), c64(1 + 2j, 1j, complex(NAN, 0))),
        (b1(1, 0, 0), b1(0, 1, 1)),
    ),
    Rule(
        "compare",
        "by real parts, then by imaginary ones",
        """
func.func @main(%a: tensor<4xcomplex<f32>>, %b: tensor<4xcomplex<f32>>) -> (tensor<4xi1>, tensor<4xi1>) {
  %0 = stablehlo.compare LT, %a, %b : (tensor<4xcomplex<f32>>, tensor<4xcomplex<f32>>) -> tensor<4xi1>
  %1 = stablehlo.compare GE, %a, %b : (tensor<4xcomplex<f32>>, tensor<4xcomplex<f32>>) -> tensor<4xi1>
  return %0, %1 : tensor<4xi1>, tensor<4xi1>
}""",
        (c64(1 + 2j, 1 + 2j, 1 + 2j, complex(NAN, 0)), c64(1 + 3j, 1 + 2j, 0 + 9j, 1)),
        (b1(1, 0, 0, 0), b1(0, 1, 1, 0)),
    ),
    Rule("multiply", "parts", lambda a, b: lax.mul(a, b), (c64(1 + 2j), c64(3 - 1j)), c64(5 + 5j)),
    Rule(
        "divide",
        "large parts do not overflow",
        lambda a, b: lax.div(a, b),
        (c64(1e30 + 1e30j), c64(1e30 + 1e30j)),
        c64(1),
    ),
    Rule(
        "real",
        "of a float is itself",
        lambda x: (lax.real(lax.complex(x, x)), lax.imag(lax.complex(x, -x))),
        (f32(1, -0.0),),
        (f32(1, -0.0), f32(-1, 0)),
    ),
]
