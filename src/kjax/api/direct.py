"""Calls that go from Python objects to a program without Python code on the way (``kjax._engine.Dispatch``): when, and how."""

import sys

from kjax.isa import dtypes

_NUMBERS = {bool: "bool", int: "int", float: "float", complex: "complex"}


def takes(program):
    """May calls of ``program`` go the direct way? One lane, and arrays whose bytes are what the engine takes and gives."""
    signature = program.signature
    leaves = signature.inputs + signature.outputs
    return (program.lanes == 1 and not signature.updates and not signature.captured and not any(leaf.extended for leaf in leaves)
            and not any(dtypes.BY_NAME[leaf.dtype].sign_is_stored for leaf in leaves))


def weak_types(leaves):
    """For each flat argument its type where that is weak: one of Python's numbers, or such an array of JAX; else None.

    None for all of them where one is a number of a class of its own (an ``IntEnum``): such calls do not go the direct way.
    """
    if any(isinstance(x, tuple(_NUMBERS)) and type(x) not in _NUMBERS and not hasattr(x, "dtype") for x in leaves):
        return None
    return tuple(type(x) if type(x) in _NUMBERS or _is_array_of_jax(x) and x.weak_type else None for x in leaves)


def trees_of(signature):
    """The trees of a call and its result, as ``Dispatch.add`` takes them (a dict); None for results that only Python can make."""
    if signature.in_spec is None and signature.in_tree is None:
        outputs = ["tuple", *"*" * len(signature.outputs)] if len(signature.outputs) != 1 else "*"
        flat = signature.out_tree is None and signature.out_spec is None
        return {"inputs": ["tuple", *"*" * len(signature.inputs)], "outputs": outputs} if flat else None
    outputs = signature.out_tree if signature.out_spec is None else signature.out_spec["spec"]
    if outputs is None and signature.out_spec is None:
        return None
    if signature.in_spec is None:
        return {"inputs": signature.in_tree, "outputs": outputs}
    args, kwargs = signature.in_spec[1:]
    return {"inputs": args, "outputs": outputs, "keywords": kwargs if kwargs[1] else None}


def prepare(dispatch, trees, leaves):
    """Let ``dispatch`` take calls apart that look like the one with these trees and leaves."""
    if dispatch.flatten is None and hasattr(trees["inputs"], "unflatten"):
        import jax

        dispatch.flatten = jax.tree_util.tree_flatten
    if dispatch.array is None:
        dispatch.array = next((type(x) for x in leaves if _is_array_of_jax(x)), None)


def _is_array_of_jax(x):
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(x, jax.Array) and hasattr(x, "weak_type") and not isinstance(x, jax.core.Tracer)


def same_kind(signature, weak):
    """Is each Python number, of the types ``weak``, of its argument's kind? (An int for a float is converted on the other way.)"""
    return all(kind not in _NUMBERS or _NUMBERS[kind] == dtypes.BY_NAME[leaf.dtype].kind and not leaf.shape
               for kind, leaf in zip(weak, signature.inputs, strict=True))
