"""Applying a scalar region (the body of a reduction, say) elementwise to whole tensors."""

from kjax.ir.graph import Type


def apply_elementwise(into, body, arguments, source):
    """Append the operations of ``body`` to region ``into``, on tensors of one shape instead of scalars.

    ``arguments``: one tensor for each argument of ``body``. Scalars from outside the body are broadcast. Returns the tensors
    that stand for its results.
    """
    shape = arguments[0].shape
    at = dict(zip(body.arguments, arguments, strict=True))

    def get(value):
        if value not in at:
            at[value] = splat(into, value, shape, source)
        return at[value]

    for op in body.ops:
        if op.name == "constant":
            scalar = into.add("constant", [], op.result.type, source=source, **op.attributes)
            at[op.result] = splat(into, scalar, shape, source)
        else:
            at[op.result] = into.add(op.name, [get(v) for v in op.operands], Type(op.result.dtype, shape),
                                     source=op.source, **op.attributes)
    return [get(v) for v in body.results]


def splat(into, scalar, shape, source):
    """``scalar`` as a tensor of ``shape``."""
    return into.add("broadcast_in_dim", [scalar], Type(scalar.dtype, tuple(shape)), source=source, dims=())
