"""Calls that go from Python objects to a program without Python code on the way (``kjax._engine.Dispatch``): when, and how."""

from kjax.isa import dtypes

_NUMBERS = {bool: "bool", int: "int", float: "float", complex: "complex"}


def takes(program):
    """May calls of ``program`` go the direct way? One lane, and arrays whose bytes are what the engine takes and gives."""
    signature = program.signature
    leaves = signature.inputs + signature.outputs
    return (program.lanes == 1 and not signature.updates and not signature.captured and not any(leaf.extended for leaf in leaves)
            and not any(dtypes.BY_NAME[leaf.dtype].sign_is_stored for leaf in leaves))


def numbers(leaves):
    """For each flat argument its type where it is one of Python's numbers, else None."""
    return tuple(type(x) if type(x) in _NUMBERS else None for x in leaves)


def trees_of(signature):
    """(tree of the positional arguments, tree of the result) of a call without keywords; None: only JAX can take it apart."""
    if signature.in_spec is None:
        flat = signature.in_tree is None and signature.out_tree is None and signature.out_spec is None
        one = len(signature.outputs) == 1
        return (["tuple", *"*" * len(signature.inputs)], "*" if one else ["tuple", *"*" * len(signature.outputs)]) if flat else None
    args, kwargs = signature.in_spec[1:]
    return (args, signature.out_spec["spec"]) if signature.out_spec is not None and not kwargs[1] else None


def same_kind(signature, weak):
    """Is each Python number, of the types ``weak``, of its argument's kind? (An int for a float is converted on the other way.)"""
    return all(kind is None or _NUMBERS[kind] == dtypes.BY_NAME[leaf.dtype].kind and not leaf.shape
               for kind, leaf in zip(weak, signature.inputs, strict=True))
