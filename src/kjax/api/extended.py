"""What only JAX has, as arguments and results: typed random keys, float0 (the type of what has no tangent), and refs.

In a program a key is its words, which are the last dims of the array, a float0 is an i1 that nobody reads, and a ref is an
argument and a further result. A call takes and gives what JAX does; a program read from a file knows arrays only.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Keys:
    """An array of ``jax.random.key``s. ``impl``: as ``jax.random.key_impl`` has it; ``name``: of the dtype; ``shape``: without
    the words."""

    impl: object
    name: str
    shape: tuple

    def words(self, x):
        """The array for the program, or None when ``x`` is no such array."""
        import jax

        if not hasattr(x, "dtype") or not jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            return None
        return np.asarray(jax.random.key_data(x)) if (str(x.dtype), x.shape) == (self.name, self.shape) else None

    def wrapped(self, array):
        import jax

        return jax.random.wrap_key_data(array, impl=self.impl)


@dataclass(frozen=True)
class Float0:
    shape: tuple
    name: str = "float0"

    def words(self, x):
        import jax

        fits = getattr(x, "dtype", None) == jax.dtypes.float0 and x.shape == self.shape
        return np.zeros(self.shape, np.bool_) if fits else None

    def wrapped(self, array):
        import jax

        return np.zeros(array.shape, jax.dtypes.float0)


@dataclass(frozen=True)
class Held:
    """An argument that is a ``jax.Ref``. ``inner``: None, or what it holds instead of arrays that NumPy knows."""

    name: str
    shape: tuple
    inner: object = None

    def words(self, x):
        import jax

        if not isinstance(x, jax.Ref) or (f"Ref{{{x.dtype}}}", x.shape) != (self.name, self.shape):
            return None
        value = x[...]
        return self.inner.words(value) if self.inner else np.asarray(value)


def held(jax, info):
    """``split`` of a ref that holds what ``info`` says."""
    shape, dtype, inner = split(jax, info)
    return shape, dtype, Held(f"Ref{{{info.dtype}}}", tuple(info.shape), inner)


def split(jax, info):
    """(shape, NumPy dtype, None | Keys | Float0) of what a program gets for an array like ``info`` (shape and dtype)."""
    shape, dtype = tuple(info.shape), info.dtype
    if dtype == jax.dtypes.float0:
        return shape, np.dtype(np.bool_), Float0(shape)
    if not jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        return shape, jax.numpy.dtype(dtype), None
    impl = []

    def look(keys):
        impl.append(jax.random.key_impl(keys))
        return jax.random.key_data(keys)

    words = jax.eval_shape(look, jax.ShapeDtypeStruct(shape, dtype))
    return tuple(words.shape), words.dtype, Keys(*impl, str(dtype), shape)
