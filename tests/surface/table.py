"""What a row of JAX's surface is; ``rows/`` has them, a file a family.

A row has the function, the kinds of its arguments, and what else is tried on it (``grad``, ``vmap``). An argument kind
is "x" (any real), "p" (positive), "u" (inside (-1, 1)), "i" (int32), "n" (non-negative int32), "b" (bool), "c" (complex),
"m" (square matrix), "s" (symmetric positive definite), "k" (random key), optionally with a shape: "x:4,5".

A row is also tried at other extents than these and in other dtypes, those that JAX takes (cases.py); what it is not
tried at though JAX takes it, and why, is its ``untried``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import jax.scipy.fft
import jax.scipy.integrate
import jax.scipy.linalg
import jax.scipy.ndimage
import jax.scipy.signal
import jax.scipy.special
import jax.scipy.stats
from jax import lax, nn, random


@dataclass(frozen=True)
class Row:
    name: str
    fn: Callable
    kinds: tuple
    grad: bool = True
    vmap: bool = True
    f64: bool | float = True  # a number: the tolerance in float64
    slow: bool = False  # for make exhaustive only: it takes JAX or kjax seconds to compile
    tolerance: float = 3e-5  # relative to the largest element, for float32; a millionth of it for float64
    untried: dict = field(default_factory=dict)  # names of sizes and dtypes ("empty bf16") -> why not
    by_f64: dict = field(default_factory=dict)  # names of dtypes -> why JAX in float64 is the measure, and ours no farther than JAX's


def rows(prefix, kinds, functions, **options):
    """Rows of a module: ``functions`` holds names of the module's, (name, function) pairs, or is a dict of such pairs."""
    kinds, module = tuple(kinds.split()), MODULES[prefix]
    named = functions.items() if isinstance(functions, dict) else [
        (f, getattr(module, f)) if isinstance(f, str) else f for f in functions]
    return [Row(f"{prefix}.{name}", function, kinds, **options) for name, function in named]


MODULES = {"jnp": jnp, "lax": lax, "nn": nn, "linalg": jnp.linalg, "fft": jnp.fft, "random": random,
           "special": jax.scipy.special, "jsl": jax.scipy.linalg, "ops": jax.ops, "image": jax.image,
           "signal": jax.scipy.signal, "ndimage": jax.scipy.ndimage, "sfft": jax.scipy.fft,
           "integrate": jax.scipy.integrate, "stats": jax.scipy.stats}
