"""What a row of JAX's surface is; ``rows/`` has them, a file a family.

A row has the function, the kinds of its arguments, and what else is tried on it (``grad``, ``vmap``). An argument kind
is "x" (any real), "p" (positive), "u" (inside (-1, 1)), "i" (int32), "n" (non-negative int32), "b" (bool), "c" (complex), "m" (square matrix),
"s" (symmetric positive definite), "k" (random key), optionally with a shape: "x:4,5".
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import jax.scipy.special
from jax import lax, nn, random


@dataclass(frozen=True)
class Row:
    name: str
    fn: Callable
    kinds: tuple
    grad: bool = True
    vmap: bool = True
    f64: bool = True
    tolerance: float = 3e-5  # relative to the largest element, for float32; a millionth of it for float64


def rows(prefix, kinds, functions, **options):
    kinds = tuple(kinds.split())
    return [Row(f"{prefix}.{f}" if isinstance(f, str) else f"{prefix}.{f[0]}", getattr(MODULES[prefix], f) if isinstance(f, str)
                else f[1], kinds, **options) for f in functions]


MODULES = {"jnp": jnp, "lax": lax, "nn": nn, "linalg": jnp.linalg, "fft": jnp.fft, "special": jax.scipy.special, "random": random,
           "jsl": jax.scipy.linalg}
