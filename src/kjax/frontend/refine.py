"""Modules with dynamic shapes whose sizes follow from static arguments or constants are made static by jaxlib's refinement."""

import re

from jaxlib.mlir import ir

from kjax.errors import CompileError

# operations whose shape comes with an operand; refinement leaves none of them
_DYNAMIC = re.compile(r"stablehlo\.(dynamic_(?!slice|update_slice)|real_dynamic_slice|get_dimension_size|set_dimension_size)")
_CALLS = re.compile(r"shape_assertion|stablehlo\.dynamic_|dynamic_(approx_)?top_k")
_FOUND = re.compile(r"error: (.+)")
_MORE = re.compile(r"[,.\s]*Please see https://\S+ for more details\.?")


def needs(module):
    """Whether a module has dynamic dims, or operations that take a shape as an operand."""
    stack = [module.operation]
    while stack:
        op = stack.pop()
        if _DYNAMIC.match(op.name):
            return True
        if op.name == "stablehlo.custom_call" and _CALLS.search(ir.StringAttr(op.attributes["call_target_name"]).value):
            return True
        for region in op.regions:
            for block in region.blocks:
                if op.name == "func.func" and any("?" in str(a.type) for a in block.arguments):
                    return True
                stack += [inner.operation for inner in block.operations]
    return False


def refined(module):
    """``module``, or a static one that does the same. Raises CompileError when shapes depend on values, or a check of
    shapes in the module fails."""
    if not needs(module):
        return module
    _check_arguments(module)
    try:
        return refine(module)
    except ValueError as error:
        raise CompileError(str(error)) from error.__cause__


def _check_arguments(module):
    for op in module.body.operations:
        if op.operation.name == "func.func" and ir.StringAttr(op.attributes["sym_name"]).value == "main":
            types = [str(a.type) for a in op.regions[0].blocks[0].arguments]
            if dynamic := [f"argument {k} is {t}" for k, t in enumerate(types) if "?" in t]:
                raise CompileError(f"The module has dynamic dims: {', '.join(dynamic)}. Give kjax.compile the "
                                   "jax.export.Exported (or its serialized bytes), which makes a program for each set of shapes, "
                                   "or export with concrete shapes.")


def refine(module):
    """The static module. Raises ValueError in the words of the check that failed."""
    from jax._src.interpreters import mlir

    with module.context:
        try:
            return mlir.refine_polymorphic_shapes(module)
        except ValueError as error:
            raise ValueError(reason_of(str(error.__cause__ or error))) from error


def without_address(text):
    """A sentence of JAX's, without the address of its documentation."""
    return _MORE.sub(".", text).strip()


def reason_of(text):
    """The sentence of a failed check, without where JAX found it."""
    found = _FOUND.search(text)
    reason = without_address(found.group(1) if found else text.splitlines()[0])
    if "has dynamic shape" in reason:
        return (f"The module's shapes depend on values, which is not possible in a program whose memory is planned: {reason}. "
                "Use static shapes, or pad to the largest size and mask.")
    return reason if "Input shapes" in reason else f"The module's own check of its shapes fails: {reason}"
