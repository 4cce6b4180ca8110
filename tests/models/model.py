"""What a model of this room is: named functions with example arguments, each a program of its own."""

import zlib
from dataclasses import dataclass
from math import prod

import jax
import numpy as np


@dataclass(frozen=True)
class Part:
    """One function of a model.

    ``make()`` returns (function, arguments). ``kind``: "forward", "gradient", "step" or what else the part is called.
    ``tolerance``: how far from JAX's result ours may be, relative to each array's largest element. ``donate``: argument
    positions that the results take the place of. ``full``: the size that people run, where another part is the same in
    small.
    """

    model: str
    kind: str
    make: object
    tolerance: float = 1e-5
    donate: tuple = ()
    full: bool = False

    @property
    def name(self):
        return f"{self.model}-{self.kind}" + ("-full" if self.full else "")


def rng(name):
    """The same numbers for the same name, in every process."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def f32(generator, *shape, scale=1.0):
    return (generator.standard_normal(shape) * scale).astype(np.float32)


def is_shape(x):
    """Whether a leaf is an array of which only shape and type are known."""
    return isinstance(x, jax.ShapeDtypeStruct)


def weights(shapes, generator):
    """Numbers for a tree of parameters that is given by its shapes: quicker than a library's own initialisers."""
    def leaf(path, x):
        if not jax.numpy.issubdtype(x.dtype, jax.numpy.floating):
            return np.zeros(x.shape, x.dtype)
        drawn = generator.standard_normal(x.shape).astype(np.float32)
        if len(x.shape) >= 2:
            return drawn / np.float32(prod(x.shape) / max(x.shape[0], x.shape[-1])) ** np.float32(0.5)
        positive = any(word in jax.tree_util.keystr(path) for word in ("scale", "var", "norm"))
        return 1 + np.abs(drawn) / 4 if positive else drawn / 4

    return jax.tree_util.tree_map_with_path(leaf, shapes)


def zeros(optimizer, params):
    """The state that most optimizers of optax start from."""
    return jax.tree_util.tree_map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(optimizer.init, params))


def parts(model, build, tolerances, *, donate=(0,), full=False):
    """Parts of a model that ``build()`` makes as a dict of kind -> (function, arguments).

    Built once, when the first part is asked for; ``tolerances``: kind -> tolerance. Steps donate their state.
    """
    made = {}

    def maker(kind):
        def make():
            if not made:
                made.update(build())
            return made[kind]
        return make

    return [Part(model, kind, maker(kind), tolerance, donate if kind == "step" else (), full)
            for kind, tolerance in tolerances.items()]
