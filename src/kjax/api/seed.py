"""The three functions: load the library, execute a transformation, execute a program."""

from pathlib import Path

import numpy as np

from kjax.api import environments, transform
from kjax.api.compile import compile as compile_program
from kjax.api.family import Family
from kjax.api.library import Library, loaded_libraries
from kjax.api.program import Program, load, on_accelerator

_variants = {}


def load_jax_library(path=None, *, environment=None, memory_limit=None):
    """Bring up the engine of an environment and, when ``path`` names a ``.kjl``, load its programs there.

    Returns a ``Library``, a context manager with ``devices``, ``memory``, ``version`` and ``programs``; leaving it unloads
    what it loaded and, for a guest that it started, shuts the guest down. ``memory_limit``: bytes that the programs may take
    together. Raises DeviceError, VerifyError, LimitError.
    """
    return Library(environments.get(environment), Path(path) if path is not None else None, memory_limit)


def execute_jax_transformation(transformation, function, args, *, environment=None, deadline=None, **options):
    """Transform ``function`` and run the result on ``args``.

    ``transformation``: a name or a nesting, ``"grad"``, ``"jit(vmap(grad))"``; of jit, grad, value_and_grad, vmap, pmap, jvp, vjp,
    jacfwd, jacrev, hessian, checkpoint. ``jvp`` takes (primals, tangents), ``vjp`` (primals, cotangents) as arguments. ``function``: a
    callable, ``"package.module:name"``, source text that defines it, or the name of a function in a library that is loaded in
    that environment. ``args``: the tuple (or list) of its arguments; one array stands for itself. ``options``: keywords of the
    transformations (argnums, in_axes, axis_name ...). Returns what the transformed function returns, as NumPy arrays.
    """
    args = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    normal = transform.normalize(transformation)
    if isinstance(function, str) and function.isidentifier():
        for library in loaded_libraries(environments.get(environment)):
            program = library.variant(normal, function, args)
            if program is not None:
                return program(*args, environment=library.environment, deadline=deadline)
        raise LookupError(
            f"no loaded library has function {function!r} with transformation {normal!r} for these argument types; build it in: "
            f"kjax.library({{{function!r}: (fn, example_args)}}, transformations=[{normal!r}])")
    program = _variant(normal, function, args, options)
    return program(*args, environment=environment, deadline=deadline)


def _variant(normal, function, args, options):
    """The compiled variant, kept for the next call with arguments of the same types."""
    import jax

    from kjax.api.jit import _abstract

    leaves, tree = jax.tree_util.tree_flatten(args)
    key = (normal, function, tree, tuple(map(_abstract, leaves)), repr(sorted(options.items(), key=lambda kv: kv[0])),
           jax.config.jax_enable_x64)
    try:
        if key in _variants:
            return _variants[key]
    except TypeError:  # a function that cannot be hashed is compiled each time
        return compile_program(transform.apply(normal, function, **options), *args)
    if len(_variants) > 512:
        _variants.pop(next(iter(_variants)))
    _variants[key] = program = compile_program(transform.apply(normal, function, **options), *args)
    return program


def execute_jax_program(program, *args, environment=None, device=None, deadline=None, fuel=None):
    """Run a compiled program.

    ``program``: a ``Program`` or ``Family``, the path of a ``.kjx``, the bytes of one, a ``jax.export`` artifact, or StableHLO text or
    bytes.
    ``device``: None for a CPU lane of ``environment``; "gpu:0", "tpu:0" or "pjrt:cpu:0" runs the program's StableHLO section through
    JAX's PJRT client instead. Raises TypeError for wrong arguments, VerifyError, DeadlineError, DeviceError.
    """
    program = as_program(program)
    if isinstance(program, Family):
        program = program.specialize(*args)
    if device is not None and not device.startswith("cpu:"):
        if environment is not None:
            raise ValueError(f"device {device!r} is not part of environment {environment!r}; give one of the two")
        leaves = program.signature.leaves(args, {})
        return program.signature.unflatten(on_accelerator(program, program.signature.arrays(leaves), device), leaves)
    return program(*args, environment=environment, deadline=deadline, fuel=fuel)


def as_program(source):
    """A ``Program`` from any form that ``execute_jax_program`` takes; a ``Family`` where that has symbolic dims."""
    from kjax.isa.container import MAGIC

    if isinstance(source, (Program, Family)):
        return source
    if isinstance(source, Path) or (isinstance(source, str) and "\n" not in source and source.endswith(".kjx")):
        return load(source)
    if isinstance(source, (bytes, bytearray, memoryview)) and bytes(source[:4]) == MAGIC:
        return Program(bytes(source))
    if isinstance(source, np.ndarray):
        raise TypeError("execute_jax_program takes the program first, then its arguments")
    return compile_program(source)
