"""Exported artifacts with symbolic dims, and what they are for concrete shapes."""

from kjax.frontend import parse, refine


def exported_of(source):
    """The ``jax.export.Exported`` that ``source`` is, or holds as serialized bytes, if it has symbolic dims; else None."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        source = parse.deserialized(bytes(source))
    if source is None or not hasattr(source, "mlir_module_serialized"):
        return None
    return source if any(not isinstance(d, int) for aval in source.in_avals for d in aval.shape) else None


def lower(exported, types):
    """(jax.stages.Lowered, static MLIR module) of an artifact for flat ``types``: (shape, dtype name) each.

    Raises ValueError, in JAX's words, for shapes, ranks and dtypes that the artifact does not take.
    """
    import jax

    leaves = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in types]
    args, kwargs = jax.tree_util.tree_unflatten(exported.in_tree, leaves)
    try:
        traced = jax.jit(exported.call, keep_unused=True).trace(*args, **kwargs)
    except ValueError as error:
        raise ValueError(refine.without_address(str(error))) from error
    lowered = traced.lower(lowering_platforms=(exported.platforms[0],))
    return lowered, refine.refine(lowered.compiler_ir("stablehlo"))
