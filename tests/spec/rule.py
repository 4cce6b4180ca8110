"""What a rule is: the section of StableHLO's specification, what it says, a function, its arguments, what must come
out.

Expected values are written down, not computed by a library. Where the specification leaves a result to the
implementation, the row
has what XLA's compilers agree on, and says so.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax import lax

INF, NAN = np.inf, np.nan
TINY32, TINY64 = np.float32(1e-45), 5e-324  # the smallest denormals
MIN32, MAX32 = -(2**31), 2**31 - 1


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
