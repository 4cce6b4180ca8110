"""Transformations by name: ``"grad"``, ``"jit(vmap(grad))"`` and any nesting, applied by JAX to a function."""

import functools
import importlib
import inspect
import re

NAMES = ("jit", "grad", "value_and_grad", "vmap", "pmap", "jvp", "vjp", "jacfwd", "jacrev", "hessian", "checkpoint")
_TOKEN = re.compile(r"\s*([A-Za-z_]\w*|[()])")


def parse(text):
    """Names of a transformation string, outermost first: ``"jit(vmap(grad))"`` -> ["jit", "vmap", "grad"].

    Raises ValueError for anything but known names nested in parentheses.
    """
    names, at, depth = [], 0, 0
    expect_name = True
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            if text[at:].strip() == "":
                break
            raise ValueError(f"transformation {text!r}: unexpected {text[at:].strip()[0]!r}")
        token, at = found.group(1), found.end()
        if token == "(" and not expect_name:
            depth, expect_name = depth + 1, True
        elif token == ")" and depth and not expect_name:
            depth -= 1
            if text[at:].strip(") \t"):
                raise ValueError(f"transformation {text!r}: nothing may follow the closing parenthesis")
        elif expect_name and token not in "()":
            if token not in NAMES:
                raise ValueError(f"transformation {token!r} is not one of {', '.join(NAMES)}")
            names.append(token)
            expect_name = False
        else:
            raise ValueError(f"transformation {text!r}: unexpected {token!r}")
    if expect_name or depth:
        raise ValueError(f"transformation {text!r} is incomplete")
    return names


def normalize(text):
    """The one spelling of a transformation, as libraries store it."""
    names = parse(text)
    return "(".join(names) + ")" * (len(names) - 1)


def resolve(function):
    """A callable from a callable, ``"package.module:name"``, or source text that defines one.

    Source text is executed in this process with the caller's rights: it is the caller's own code.
    """
    if callable(function):
        return function
    if not isinstance(function, str):
        raise TypeError(f"function must be a callable, 'module:name' or source text, not {type(function).__name__}")
    if re.fullmatch(r"[\w.]+:[\w.]+", function.strip()):
        module, _, name = function.strip().partition(":")
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return found
    import jax
    import numpy

    namespace = {"jax": jax, "jnp": jax.numpy, "lax": jax.lax, "np": numpy}
    before = set(namespace)
    if function.lstrip().startswith("lambda"):
        return eval(function, namespace)  # noqa: S307  the caller's own source
    exec(compile(function, "<kjax source>", "exec"), namespace)
    defined = [v for k, v in namespace.items() if k not in before and inspect.isfunction(v)]
    if not defined:
        raise ValueError("the source text defines no function")
    return defined[-1]


def _pmap(fun, axis_name=None, *, in_axes=0, out_axes=0, axis_size=None, lanes=None):
    """``jax.pmap`` over kjax lanes: shard_map over an abstract mesh, so that no device is needed to trace it."""
    import jax
    from jax.sharding import AbstractMesh, PartitionSpec

    axis = axis_name if isinstance(axis_name, str) else "_pmap"

    @functools.wraps(fun)
    def mapped(*args):
        axes = in_axes if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        axes = [jax.tree_util.tree_map(lambda _, a=a: -1 if a is None else a, x) if not isinstance(a, (tuple, list, dict))
                else jax.tree_util.tree_map(lambda a, _: -1 if a is None else a, a, x, is_leaf=lambda v: v is None)
                for a, x in zip(axes, args, strict=True)]
        sizes = {jax.numpy.shape(x)[a] for x, a in zip(*map(jax.tree_util.tree_leaves, (args, axes))) if a >= 0}
        if axis_size is not None:
            sizes.add(axis_size)
        if len(sizes) != 1:
            raise ValueError(f"pmap got inconsistent sizes for array axes to be mapped: {sorted(sizes)}")
        (size,) = sizes
        mesh = AbstractMesh((size,), (axis,))

        def spec(a):
            return PartitionSpec() if a < 0 else PartitionSpec(*([None] * a), axis)

        def local(*shards):
            inner = jax.tree_util.tree_map(lambda x, a: x if a < 0 else jax.lax.squeeze(x, (a,)), shards, tuple(axes))
            out = fun(*inner)
            return jax.tree_util.tree_map(lambda y: y if out_axes is None else jax.numpy.expand_dims(y, out_axes), out)

        out_spec = PartitionSpec() if out_axes is None else spec(out_axes)
        return jax.shard_map(local, mesh=mesh, in_specs=jax.tree_util.tree_map(spec, tuple(axes)), out_specs=out_spec,
                             check_vma=False)(*args)

    return mapped


def _jvp(fun):
    """jvp as a function of (primals, tangents)."""
    import jax

    return lambda primals, tangents: jax.jvp(fun, tuple(primals), tuple(tangents))


def _vjp(fun):
    """vjp as a function of (primals, cotangents): (value, cotangents of the primals)."""
    import jax

    def pulled(primals, cotangents):
        value, pull = jax.vjp(fun, *primals)
        return value, pull(cotangents)

    return pulled


def _rule(name):
    import jax

    own = {"pmap": _pmap, "jvp": _jvp, "vjp": _vjp, "jit": lambda fun: fun}
    return own.get(name) or getattr(jax, name)


ACCEPTS = {
    "jit": (), "jvp": (), "vjp": (), "checkpoint": ("policy", "prevent_cse", "static_argnums"),
    "vmap": ("in_axes", "out_axes", "axis_name", "axis_size"), "pmap": ("in_axes", "out_axes", "axis_name", "axis_size"),
    "grad": ("argnums", "has_aux", "holomorphic", "allow_int"),
    "value_and_grad": ("argnums", "has_aux", "holomorphic", "allow_int"),
    "jacfwd": ("argnums", "has_aux", "holomorphic"), "jacrev": ("argnums", "has_aux", "holomorphic", "allow_int"),
    "hessian": ("argnums", "has_aux", "holomorphic"),
}


def apply(transformation, function, **options):
    """The transformed callable.

    An option goes to every transformation of the string that takes it; ``options={"grad": {...}}``-style dicts under a
    transformation's own name go to that one alone. Raises TypeError for an option that none takes.
    """
    names = parse(transformation)
    special = {k: options.pop(k) for k in list(options) if k in NAMES}
    unknown = [k for k in options if not any(k in ACCEPTS[n] for n in names)]
    if unknown:
        raise TypeError(f"no transformation of {transformation!r} takes {', '.join(map(repr, unknown))}")
    fun = resolve(function)
    name = getattr(fun, "__name__", "function")
    for one in reversed(names):
        chosen = {k: v for k, v in options.items() if k in ACCEPTS[one]} | special.get(one, {})
        fun = _rule(one)(fun, **chosen)
    if fun is function:
        return fun

    def transformed(*args):
        return fun(*args)

    transformed.__name__ = transformed.__qualname__ = re.sub(r"\W+", "_", f"{'_'.join(names)}_{name}").strip("_")
    return transformed
