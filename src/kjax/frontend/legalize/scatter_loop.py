"""A scatter as a loop over its windows: for bodies that combine several tensors, or hold loops."""

from math import prod

from kjax.ir.graph import Type
from kjax.ir.scalar import apply_elementwise


def scatter_one_by_one(
    b,
    xs,
    indices,
    updates,
    body,
    *,
    update_window_dims,
    inserted_dims,
    operand_batch_dims,
    index_batch_dims,
    scatter_dims_map,
    index_vector_dim,
):
    """Results of the scatter with these attributes (see ``ir/graph.py``). Windows that do not fit are left out.

    ``body(fits, old, new)`` writes what makes the result of ``old``, windows of the tensors, and ``new``, windows of the
    updates: ``old`` itself unless the i1 value ``fits``. ``elementwise`` and ``element_by_element`` make such a body.
    """
    shape, rank = xs[0].shape, xs[0].type.rank
    batch = [k for k in range(updates[0].type.rank) if k not in update_window_dims]
    count = prod(updates[0].shape[k] for k in batch)
    if not count or not prod(updates[0].shape) or not prod(shape):
        return list(xs)
    along = dict(zip(index_batch_dims, operand_batch_dims))
    starts = _origins(b, indices, index_vector_dim, along, scatter_dims_map, rank)
    moving = [d for d in range(rank) if d not in inserted_dims and d not in operand_batch_dims]
    window = [1] * rank
    for d, k in zip(moving, update_window_dims):
        window[d] = updates[0].shape[k]
    updates = [b.reshape(b.transpose(u, [*batch, *update_window_dims]), (count, *window)) for u in updates]

    def step(i, *state):
        zero = b.full(0, Type("i32"))
        origin = [b.reshape(b.dynamic_slice(s, [i], (1,)), ()) for s in starts]
        fits = b.full(1, Type("i1"))
        for s, n, w in zip(origin, shape, window):
            inside = b.map("and", b.map("ge", s, b.like(0, s)), b.map("le", s, b.like(n - w, s)))
            fits = b.map("and", fits, inside)
        old = [b.dynamic_slice(x, origin, window) for x in state]
        new = [b.reshape(b.dynamic_slice(u, [i] + [zero] * rank, (1, *window)), window) for u in updates]
        made = body(fits, old, new)
        return [b.dynamic_update_slice(x, m, origin) for x, m in zip(state, made, strict=True)]

    return b.loop(count, xs, step)


def elementwise(b, region):
    """A body of ``scatter_one_by_one``: all elements of a window at once."""
    def body(fits, old, new):
        made = apply_elementwise(b.region, region, old + new, b.source)
        return [b.select(fits, m, o) for m, o in zip(made, old, strict=True)]

    return body


def element_by_element(b, combine):
    """A body of ``scatter_one_by_one`` from one of scalars, ``combine(*old, *new)``. For windows that do not fit it does
    not run: it may hold loops that would not end there."""
    def one(fits, old, new):
        kept, made = b.make_region([], lambda: old), b.make_region([], lambda: combine(*old, *new))
        return b.add("case", [b.convert(fits, "i32")], [v.type for v in old], regions=[kept, made])

    def body(fits, old, new):
        shape, count = old[0].shape, prod(old[0].shape)
        old, new = ([b.reshape(v, (count,)) for v in side] for side in (old, new))

        def step(k, *state):
            here = ([b.reshape(b.dynamic_slice(v, [k], (1,)), ()) for v in side] for side in (state, new))
            made = one(fits, *here)
            return [b.dynamic_update_slice(v, b.reshape(m, (1,)), [k]) for v, m in zip(state, made, strict=True)]

        if count == 1:
            old = one(fits, *([b.reshape(v, ()) for v in side] for side in (old, new)))
        else:
            old = b.loop(count, old, step)
        return [b.reshape(v, shape) for v in old]

    return body


def _origins(b, indices, vector_dim, batch_dims, dims_map, rank):
    """For each dim of the operand the windows' first elements, (count,) i64."""
    wide = b.convert(indices, "i64")
    if vector_dim == indices.type.rank:
        wide = b.reshape(wide, (*wide.shape, 1))
    lead = [k for k in range(wide.type.rank) if k != vector_dim]
    shape = tuple(wide.shape[k] for k in lead)
    count = prod(shape)
    starts = [b.full(0, Type("i64", (count,)))] * rank
    for component, d in enumerate(dims_map):
        only = b.slice_dim(wide, vector_dim, component, component + 1)
        starts[d] = b.reshape(b.transpose(only, [*lead, vector_dim]), (count,))
    for k, d in batch_dims.items():
        starts[d] = b.reshape(b.iota(Type("i64", shape), lead.index(k)), (count,))
    return starts
