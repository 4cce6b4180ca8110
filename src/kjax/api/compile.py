"""``compile``: from a function, an exported artifact or StableHLO to a ``Program``."""

import gc
import json
from contextlib import contextmanager

from kjax.api.extended import held, split
from kjax.api.family import Family
from kjax.api.program import Program
from kjax.api.signature import Leaf, Signature
from kjax.ir import trees


def compile(fn_or_exported_or_stablehlo, *example_args, static_argnums=None, static_argnames=None, donate_argnums=None,
            donate_argnames=None, strip=False, **example_kwargs):
    """Compile to a ``Program``; an artifact with symbolic dimensions to a ``Family`` of them.

    ``fn_or_exported_or_stablehlo``: a Python function (traced and lowered by JAX on ``example_args``: arrays or
    ``jax.ShapeDtypeStruct``), a ``jax.export.Exported`` or its serialized bytes, or a StableHLO module as text, bytes
    or MLIR object; those need no example arguments and make a program over a flat list of arrays. The
    ``static_*`` and ``donate_*`` keywords are ``jax.jit``'s. ``strip``: leave the StableHLO out of the program (smaller, but
    accelerators cannot run it).

    Raises UnsupportedOpError (names operation, source line, remedy), CompileError, LimitError. Cost: tracing by JAX
    plus time about linear in the number of operations.
    """
    if callable(fn_or_exported_or_stablehlo) and not hasattr(fn_or_exported_or_stablehlo, "mlir_module_serialized"):
        options = {"static_argnums": static_argnums, "static_argnames": static_argnames,
                   "donate_argnums": donate_argnums, "donate_argnames": donate_argnames}
        return _compile_function(fn_or_exported_or_stablehlo, example_args, example_kwargs, options, strip)
    if example_args or example_kwargs:
        raise TypeError("example arguments go with a Python function; a StableHLO module knows its own types")
    from kjax.frontend import polymorphic

    exported = polymorphic.exported_of(fn_or_exported_or_stablehlo)
    return Family(exported, strip=strip) if exported else _compile_module(fn_or_exported_or_stablehlo, strip)


def compile_lowered(lowered, module, name, strip):
    """The ``Program`` of ``module``, which is what a ``jax.stages.Lowered`` became; its trees are those of ``lowered``."""
    import jax

    from kjax import frontend

    graph, portable = frontend.import_with_artifact(module)
    graph.name = name
    return _finish(graph, portable, *_signatures(jax, lowered), strip)


@contextmanager
def collector_paused():
    """A compilation makes many objects and drops few: to look for garbage meanwhile is a third of the time, and finds none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _finish(graph, portable, signature_meta, signature, strip):
    from kjax import frontend
    from kjax.compiler.pipeline import compile_graph

    meta = {"signature": signature_meta} if signature_meta else {}
    if graph.in_shardings or graph.out_shardings:
        mesh = (graph.in_shardings + graph.out_shardings)[0].mesh
        meta["sharding"] = {"mesh": mesh, "in": [s.dims for s in graph.in_shardings],
                            "out": [s.dims for s in graph.out_shardings]}
    image = compile_graph(graph, meta=json.loads(json.dumps(meta)), stablehlo=b"" if strip else portable)
    return Program(image, signature, frontend.callbacks_of(graph.sites))


def _compile_module(source, strip):
    from kjax import frontend

    with collector_paused():
        graph, portable = frontend.import_with_artifact(source)
        return _finish(graph, portable, None, None, strip)


def _compile_function(fn, args, kwargs, options, strip):
    import jax

    from kjax import frontend
    from kjax.frontend import platform

    jitted = jax.jit(fn, keep_unused=True, **{k: v for k, v in options.items() if v is not None})
    lowered = platform.lower(jitted.trace(*args, **kwargs))
    with collector_paused():
        graph, portable = frontend.import_with_artifact(lowered)
        graph.name = getattr(fn, "__name__", "main")
        return _finish(graph, portable, *_signatures(jax, lowered), strip)


def _signatures(jax, lowered):
    """(META record, Signature) of a lowered function."""
    from kjax.frontend import platform
    from kjax.isa import dtypes

    flat, in_tree = jax.tree_util.tree_flatten(lowered.args_info)
    out, updates, captured = platform.results_of(lowered)
    refs = {argument for _, argument in updates}

    def leaf(path, info, describe):
        shape, dtype, extended = describe(jax, info)
        return Leaf(path, shape, dtypes.BY_NUMPY[dtype].name, extended)

    paths = ["args" + p[3:] if p.startswith("[0]") else "kwargs" + p[3:] for p in trees.jax_paths(lowered.args_info)]
    paths += [f"ref {k} of the function" for k in range(len(captured))]
    inputs = tuple(leaf(p, i, held if k in refs else split) for k, (p, i) in enumerate(zip(paths, [*flat, *captured])))
    outputs = tuple(leaf(f"[{k}]", o, split) for k, o in enumerate(out))
    in_spec, out_spec = trees.jax_structure(lowered.in_tree), trees.jax_structure(lowered.out_tree)
    signature = Signature(inputs, outputs, in_spec and in_spec["spec"], out_spec, bool(jax.config.jax_enable_x64),
                          lowered.in_tree, lowered.out_tree, updates, captured)
    return (signature.to_meta() if in_spec and out_spec and not updates else None), signature
