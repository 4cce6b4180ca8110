"""``chlo.scan``: a body over the slices of arrays along one dim, with values carried along. A loop of as many trips."""

from kjax.frontend.legalize.registry import rule
from kjax.ir.graph import Type


@rule("chlo.scan")
def scan(b, node):
    """The body takes a slice of each input and the carries; it gives a slice of each output and the new carries."""
    n_inputs, n_carries = (int(n) for n in node.attr("operandSegmentSizes"))
    inputs, inits = node.operands[:n_inputs], node.operands[n_inputs:]
    outputs = node.types[:len(node.types) - n_carries]
    dim, reverse = node.attr("dimension"), bool(node.attr("is_reverse"))
    size = inputs[0].shape[dim] if inputs else node.attr("scan_dim_size")
    if size is None:
        b.refuse(node.name, "it has neither inputs nor scan_dim_size", "Say how many steps there are")
    zero = b.full(0, Type("i32"))

    def one(shape):
        return (*shape[:dim], 1, *shape[dim + 1:])

    def body(step, *state):
        carries, made = state[:n_carries], state[n_carries:]
        at = b.map("sub", b.full(size - 1, step.type), step) if reverse else step

        def starts(rank):
            return [at if k == dim else zero for k in range(rank)]

        slices = [b.reshape(b.dynamic_slice(x, starts(x.type.rank), one(x.shape)), (*x.shape[:dim], *x.shape[dim + 1:]))
                  for x in inputs]
        results = node.inline(0, [*slices, *carries])
        pieces, carries = results[:len(made)], results[len(made):]
        return [*carries, *(b.dynamic_update_slice(m, b.reshape(p, one(m.shape)), starts(m.type.rank))
                            for m, p in zip(made, pieces, strict=True))]

    state = b.loop(size, [*inits, *(b.full(0, t) for t in outputs)], body)
    return [*state[n_carries:], *state[:n_carries]]
