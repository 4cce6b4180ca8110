"""What a program takes and returns: pytrees, names, types; and checking a call against it in JAX's words."""

from dataclasses import dataclass

import ml_dtypes  # noqa: F401  (registers the small element types with NumPy)
import numpy as np

from kjax.ir import trees
from kjax.isa import dtypes

_NARROWED = {"i64": "i32", "u64": "u32", "f64": "f32", "c128": "c64"}


@dataclass(frozen=True)
class Leaf:
    """One array argument or result: its path in the call (``x['w']``), shape, element type's name.

    ``extended``: None, or what callers have in its place (see ``extended.py``).
    """

    path: str
    shape: tuple
    dtype: str
    extended: object = None

    @property
    def numpy(self):
        return dtypes.BY_NAME[self.dtype].numpy

    def __str__(self):
        name, shape = (self.extended.name, self.extended.shape) if self.extended else (np.dtype(self.numpy).name, self.shape)
        return f"{name}[{','.join(map(str, shape))}]"


@dataclass(frozen=True)
class Signature:
    """``in_spec`` describes (args, kwargs); None for a flat list of arrays. ``x64``: compiled with 64-bit types enabled.

    ``in_tree``/``out_tree`` are JAX treedefs where the program was compiled in this process.

    ``updates``: (result, argument) positions: such a result is what the ``jax.Ref`` at that argument holds after the call, and
    no part of the result tree. ``captured``: refs that the function uses without getting them; they follow the arguments.
    """

    inputs: tuple
    outputs: tuple
    in_spec: object = None
    out_spec: object = None
    x64: bool = True
    in_tree: object = None
    out_tree: object = None
    updates: tuple = ()
    captured: tuple = ()

    def to_meta(self):
        return {"inputs": [leaf.path for leaf in self.inputs], "in": self.in_spec, "out": self.out_spec,
                "x64": self.x64, "flat": self.in_spec is None}

    def flatten(self, args, kwargs):
        """The program's arrays for a call, converted where JAX would. Raises TypeError."""
        return self.arrays(self.leaves(args, kwargs))

    def leaves(self, args, kwargs):
        """The flat arguments of a call. Raises TypeError."""
        leaves = []
        if self.in_spec is None and self.in_tree is None:
            if kwargs:
                raise TypeError(f"this program takes arrays by position only, got keywords {sorted(kwargs)}")
            leaves = list(args)
        elif self.in_spec is not None:
            spec = trees.flatten((tuple(args), dict(kwargs)), leaves)
            if spec != self.in_spec:
                self.mismatch(spec, leaves, args, kwargs)
        else:
            leaves, tree = trees.jax_flatten((tuple(args), dict(kwargs)))
            if tree != self.in_tree:
                raise TypeError("function compiled for input pytree does not match the input pytree it was called with. "
                                f"Compiled for {self.in_tree}, called with {tree}.")
        wanted = len(self.inputs) - len(self.captured)
        if len(leaves) != wanted:
            raise TypeError(f"program compiled for {wanted} arrays, called with {len(leaves)}")
        return leaves

    def arrays(self, leaves):
        """The program's arrays for flat arguments. Raises TypeError, and ValueError for a ref that is there twice."""
        leaves = [*leaves, *self.captured]
        refs = [leaves[k] for _, k in self.updates]
        if len({id(ref) for ref in refs}) < len(refs):
            raise ValueError("one jax.Ref is there twice, as arguments or as an argument and in the function")
        return [self.convert(x, leaf) for x, leaf in zip(leaves, self.inputs)]

    def mismatch(self, spec, leaves, args, kwargs):
        """The call's tree is not the compiled one: perhaps it holds registered classes that jax can flatten."""
        if self.in_tree is not None:
            flat, tree = trees.jax_flatten((tuple(args), dict(kwargs)))
            if tree == self.in_tree:
                leaves[:] = flat
                return
        want, got = trees.paths(self.in_spec), trees.paths(spec)
        raise TypeError(
            "Function compiled with input pytree does not match the input pytree it was called with: compiled for "
            f"{len(want)} arrays {_short(want)}, called with {len(got)} {_short(got)}.")

    def convert(self, x, leaf):
        if leaf.extended is not None:
            array = leaf.extended.words(x)
            if array is None:
                raise self.wrong(leaf, _described(x))
            return np.require(array, requirements=["C", "A"])
        array = x if isinstance(x, np.ndarray) else None
        if array is None:
            # np.float64 and np.complex128 are Python's numbers by descent alone: their types are strong
            if isinstance(x, (bool, int, float, complex)) and not isinstance(x, np.generic):
                return self.scalar(x, leaf)
            array = np.asarray(x)
        if array.dtype != leaf.numpy:
            row = dtypes.BY_NUMPY.get(array.dtype)
            if row is None or self.x64 or _NARROWED.get(row.name) != leaf.dtype:
                raise self.wrong(leaf, f"{array.dtype.name}[{','.join(map(str, array.shape))}]")
            array = array.astype(leaf.numpy)
        if array.shape != leaf.shape:
            raise self.wrong(leaf, f"{array.dtype.name}[{','.join(map(str, array.shape))}]")
        if dtypes.BY_NAME[leaf.dtype].sign_is_stored:
            array = _signed(array, dtypes.BY_NAME[leaf.dtype].bits)
        return np.require(array, requirements=["C", "A"])

    def scalar(self, x, leaf):
        kind = dtypes.BY_NAME[leaf.dtype].kind
        order = ("bool", "int", "float", "complex")
        need = next(name for name, python in zip(order, (bool, int, float, complex)) if isinstance(x, python))
        have = "int" if kind == "uint" else kind
        if leaf.shape or order.index(need) > order.index(have):
            raise self.wrong(leaf, f"{need}[]")
        return np.asarray(x, leaf.numpy)

    @staticmethod
    def wrong(leaf, called):
        return TypeError("Argument types differ from the types for which this computation was compiled. The mismatch is:\n"
                         f"Argument '{leaf.path}' compiled with {leaf} and called with {called}")

    def unflatten(self, arrays, leaves=()):
        """The result tree of a call with these flat arguments, of which refs get what they hold now."""
        if any(leaf.extended for leaf in self.outputs):
            arrays = [leaf.extended.wrapped(a) if leaf.extended else a for a, leaf in zip(arrays, self.outputs, strict=True)]
        if self.updates:
            refs = [*leaves, *self.captured]
            for result, argument in self.updates:
                refs[argument][...] = arrays[result]
            updated = {result for result, _ in self.updates}
            arrays = [a for k, a in enumerate(arrays) if k not in updated]
        if self.out_spec is not None:
            return trees.unflatten(self.out_spec["spec"], iter(arrays))
        if self.out_tree is not None:
            import jax

            return jax.tree_util.tree_unflatten(self.out_tree, arrays)
        return arrays[0] if len(arrays) == 1 else tuple(arrays)


def _signed(array, bits):
    """Integers below a byte with their sign in all of it, as the engine has them: ml_dtypes looks at the low bits only."""
    low = np.ascontiguousarray(array).view(np.int8) << (8 - bits)
    return (low >> (8 - bits)).view(array.dtype).reshape(array.shape)


def _described(x):
    """An argument of any kind, for messages: dtype and shape, or the Python type."""
    if not hasattr(x, "dtype"):
        return type(x).__name__
    return f"{'float0' if getattr(x.dtype, 'names', None) else x.dtype}[{','.join(map(str, x.shape))}]"


def _short(paths):
    text = ", ".join(paths[:4])
    return f"({text}{', ...' if len(paths) > 4 else ''})"
