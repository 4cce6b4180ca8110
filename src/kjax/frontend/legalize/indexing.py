"""Reads and writes at computed places: dynamic slices, gather, scatter."""

from kjax.frontend.legalize.reduction import is_elementwise, without_branches
from kjax.frontend.legalize.registry import rule
from kjax.frontend.legalize.scatter_loop import element_by_element, elementwise, scatter_one_by_one
from kjax.ir.graph import Op, Region

MOST_CONSTANTS = 24  # of a scatter's body: each takes a register of it


@rule("stablehlo.dynamic_slice")
def dynamic_slice(b, node):
    x, *starts = node.operands
    return b.dynamic_slice(x, starts, node.attr("slice_sizes"))


@rule("stablehlo.dynamic_update_slice")
def dynamic_update_slice(b, node):
    x, update, *starts = node.operands
    return b.dynamic_update_slice(x, update, starts)


@rule("stablehlo.gather")
def gather(b, node):
    from jaxlib.mlir.dialects import stablehlo

    numbers = stablehlo.GatherDimensionNumbers(node.raw("dimension_numbers"))
    return b.add("gather", node.operands, node.type, offset_dims=tuple(numbers.offset_dims),
                 collapsed_dims=tuple(numbers.collapsed_slice_dims),
                 operand_batch_dims=tuple(numbers.operand_batching_dims),
                 index_batch_dims=tuple(numbers.start_indices_batching_dims),
                 start_index_map=tuple(numbers.start_index_map), index_vector_dim=numbers.index_vector_dim,
                 slice_sizes=node.attr("slice_sizes"))


@rule("stablehlo.scatter")
def scatter(b, node):
    """Several operands become several scatters where no result looks at another operand, else a loop over windows."""
    from jaxlib.mlir.dialects import stablehlo

    numbers = stablehlo.ScatterDimensionNumbers(node.raw("scatter_dimension_numbers"))
    n = len(node.operands) // 2
    xs, indices, updates = node.operands[:n], node.operands[n], node.operands[n + 1:]
    region = without_branches(b, node.region(0))
    inside = node.argument_types(0)
    dims = dict(update_window_dims=tuple(numbers.update_window_dims),
                inserted_dims=tuple(numbers.inserted_window_dims),
                operand_batch_dims=tuple(numbers.input_batching_dims),
                index_batch_dims=tuple(numbers.scatter_indices_batching_dims),
                scatter_dims_map=tuple(numbers.scattered_dims_to_operand_dims),
                index_vector_dim=numbers.index_vector_dim)
    xs = [b.convert(x, a.dtype) for x, a in zip(xs, inside[:n], strict=True)]  # the body may be wider
    updates = [b.convert(u, a.dtype) for u, a in zip(updates, inside[n:], strict=True)]
    if not is_elementwise(region):
        body = element_by_element(b, lambda *values: node.inline(0, values))
        out = scatter_one_by_one(b, xs, indices, updates, body, **dims)
        return [b.convert(v, t.dtype) for v, t in zip(out, node.types, strict=True)]
    parts = [separate(region, k, n) for k in range(n)] if n > 1 else [None]
    if all(parts) and n > 1:
        out = [b.add("scatter", [xs[k], indices, updates[k]], xs[k].type, regions=[parts[k]], **dims) for k in range(n)]
    else:
        few = n == 1 and sum(op.name == "constant" for op in region.ops) <= MOST_CONSTANTS
        out = [b.add("scatter", [*xs, indices, *updates], xs[0].type, regions=[region], **dims)] if few \
            else scatter_one_by_one(b, xs, indices, updates, elementwise(b, region), **dims)
    return [b.convert(v, t.dtype) for v, t in zip(out, node.types, strict=True)]


def separate(region, k, n):
    """The part of a body of ``n`` pairs that makes result ``k``, as a body of one pair; None if it needs others."""
    old, new = region.arguments[k], region.arguments[n + k]
    part = Region()
    values = {id(old): part.argument(old.type), id(new): part.argument(new.type)}
    foreign = set(map(id, region.arguments)) - set(values)
    needed = {id(region.results[k])}
    chosen = []
    for op in reversed(region.ops):
        if any(id(r) in needed for r in op.results):
            needed |= set(map(id, op.operands))
            chosen.append(op)
    if needed & foreign:
        return None
    for op in reversed(chosen):
        copy = Op(op.name, [values.get(id(v), v) for v in op.operands], dict(op.attributes), source=op.source)
        part.ops.append(copy)
        for r in op.results:
            value = type(r)(r.type, copy, r.index)
            copy.results.append(value)
            values[id(r)] = value
    part.results = [values.get(id(region.results[k]), region.results[k])]
    return part


@rule("stablehlo.torch_index_select")
def torch_index_select(b, node):
    """Take along ``dim``; the first ``batch_dims`` dims are common to both."""
    x, indices = node.operands
    dim, batch = node.attr("dim"), node.attr("batch_dims")
    sizes = list(x.shape)
    sizes[dim] = 1
    for k in range(batch):
        sizes[k] = 1
    index_rank = indices.type.rank
    rest = [k for k in range(x.type.rank) if k != dim and k >= batch]
    before = [k for k in rest if k < dim]
    offsets = list(range(batch, batch + len(before)))
    offsets += list(range(batch + len(before) + index_rank - batch, node.type.rank))
    return b.add("gather", [x, indices], node.type, offset_dims=tuple(offsets), collapsed_dims=(dim,),
                 operand_batch_dims=tuple(range(batch)), index_batch_dims=tuple(range(batch)),
                 start_index_map=(dim,), index_vector_dim=index_rank, slice_sizes=tuple(sizes))
