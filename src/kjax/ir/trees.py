"""Pytrees: nested containers to flat lists of arrays and back, with and without jax.

Containers of Python's own (tuple, list, dict, None, namedtuple by its fields) are walked here, in JAX's
order (dicts by sorted key), so that a loaded program needs no jax. Trees with registered classes (Equinox
modules, dataclasses) go through ``jax.tree_util``.
"""

LEAF = "*"


def _is_builtin(tree):
    return type(tree) in (tuple, list, dict) or tree is None


def structure(tree):
    """JSON-able structure: "*" a leaf, None, ["tuple", ...], ["list", ...], ["dict", {key: ...}], or raises TypeError for
    keys that are not strings."""
    if tree is None:
        return None
    if type(tree) in (tuple, list):
        return [type(tree).__name__, *map(structure, tree)]
    if type(tree) is dict:
        if not all(isinstance(k, str) for k in tree):
            raise TypeError("only string keys can be saved")
        return ["dict", {k: structure(tree[k]) for k in sorted(tree)}]
    return LEAF


def flatten(tree, leaves):
    """Append the leaves of a builtin tree to ``leaves`` and return its structure."""
    if tree is None:
        return None
    kind = type(tree)
    if kind is tuple or kind is list:
        return [kind.__name__, *[flatten(x, leaves) for x in tree]]
    if kind is dict:
        return ["dict", {k: flatten(tree[k], leaves) for k in sorted(tree)}]
    leaves.append(tree)
    return LEAF


def unflatten(spec, leaves):
    """The tree of structure ``spec`` over the iterator ``leaves``."""
    if spec is None:
        return None
    if spec == LEAF:
        return next(leaves)
    kind, *rest = spec
    if kind == "dict":
        return {k: unflatten(s, leaves) for k, s in rest[0].items()}
    items = [unflatten(s, leaves) for s in rest]
    return tuple(items) if kind == "tuple" else items


def paths(spec, prefix=""):
    """Path of every leaf, as JAX prints it: ``[0]['w']``."""
    if spec is None:
        return []
    if spec == LEAF:
        return [prefix]
    kind, *rest = spec
    if kind == "dict":
        return [path for k, s in rest[0].items() for path in paths(s, f"{prefix}[{k!r}]")]
    return [path for k, s in enumerate(rest) for path in paths(s, f"{prefix}[{k}]")]


def jax_flatten(tree):
    """(leaves, treedef) by jax.tree_util."""
    import jax

    return jax.tree_util.tree_flatten(tree)


def jax_structure(treedef):
    """``structure`` of a JAX treedef, or None when it has nodes that only Python classes can rebuild."""
    import jax

    tree = jax.tree_util.tree_unflatten(treedef, [0] * treedef.num_leaves)
    try:
        spec = structure(tree)
    except TypeError:
        return None
    leaves = []
    return {"spec": spec} if flatten(tree, leaves) == spec and len(leaves) == treedef.num_leaves and all(
        x == 0 for x in leaves if isinstance(x, int)) and all(isinstance(x, int) for x in leaves) else None


def jax_paths(tree):
    """Path of every leaf of ``tree`` by jax.tree_util."""
    import jax

    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]
