"""jnp's functions of single elements."""

from table import rows

ROWS = [
    *rows("jnp", "x:3,5", "sin cos tanh exp expm1 abs square negative sinh cosh arctan arcsinh sign floor ceil rint trunc "
          "cbrt sinc reciprocal exp2 deg2rad nan_to_num positive fabs".split()),
    *rows("jnp", "p:3,5", "log log1p log2 log10 sqrt arccosh".split()),
    *rows("jnp", "u:3,5", "arcsin arccos arctanh tan".split()),
    *rows("jnp", "x:3,5 x:3,5", "add subtract multiply divide maximum minimum arctan2 hypot logaddexp logaddexp2 fmod "
          "remainder copysign fmax fmin float_power heaviside nextafter".split(), grad=False),
    *rows("jnp", "p:3,5 x:3,5", ["power"]),
    *rows("jnp", "i:3,5 n:3,5", "floor_divide mod left_shift right_shift bitwise_and bitwise_or bitwise_xor gcd lcm".split(),
          grad=False, f64=False),
    *rows("jnp", "i:3,5", "bitwise_not bitwise_count invert".split(), grad=False, f64=False),
    *rows("jnp", "x:3,5 x:3,5", "equal not_equal less greater less_equal greater_equal isclose".split(), grad=False),
    *rows("jnp", "b:3,5 b:3,5", "logical_and logical_or logical_xor".split(), grad=False, f64=False),
    *rows("jnp", "x:3,5", "isnan isinf isfinite signbit isneginf".split(), grad=False),
]
