"""Collectives: everything is an all_gather (or a permute) between lanes and local work on what came together."""

import numpy as np

from kjax.errors import CompileError
from kjax.frontend.legalize.reduction import is_elementwise, map_one_by_one, without_branches
from kjax.frontend.legalize.registry import rule
from kjax.ir.graph import Type


def _groups(b, node):
    """Groups of lanes as tuples; an empty attribute is one group of all lanes."""
    lanes = node.importer.graph.lanes
    rows = node.attr("replica_groups")
    if hasattr(rows, "shape"):
        groups = tuple(tuple(int(k) for k in row if k >= 0) for row in rows)
    else:
        groups = ()
        if rows is not None:
            b.refuse(node.name, f"its groups are {rows}", "Lower with Shardy's default replica groups")
    groups = tuple(g for g in groups if g) or (tuple(range(lanes)),)
    if sorted(k for g in groups for k in g) != list(range(lanes)):
        raise CompileError(f"{node.name} at {b.source}: its groups {groups} do not cover the {lanes} lanes. "
                           "Compile the function under kjax.pmap or jax.shard_map over that many lanes.")
    if len({len(g) for g in groups}) > 1:
        b.refuse(node.name, "its groups differ in size", "Use groups of one size")
    return groups


def _place(b, groups):
    """This lane's place in its group, an i32 scalar: looked up by lane number."""
    lane = b.add("lane_id", [], Type("u32"))
    if groups == (tuple(range(len(groups[0]))),):
        return b.convert(lane, "i32")
    table = np.zeros(sum(map(len, groups)), np.int32)
    for g in groups:
        table[list(g)] = range(len(g))
    return b.reshape(b.dynamic_slice(b.constant(table), [b.convert(lane, "i32")], (1,)), ())


def _gathered(b, x, groups):
    """(group size, *shape of x): what the lanes of my group contribute, in the group's order."""
    if len(groups[0]) == 1:
        return b.reshape(x, (1, *x.shape))
    return b.add("all_gather", [x], Type(x.dtype, (len(groups[0]), *x.shape)), groups=groups)


def _combined(b, node, stacked):
    """Reduce the leading dim by the operation's body, one lane after another so that every lane gets the same bits."""
    region = without_branches(b, node.region(0))
    shape = stacked.shape[1:]
    wide = region.arguments[0].dtype
    rows = [b.reshape(b.slice_dim(stacked, 0, k, k + 1), shape) for k in range(stacked.shape[0])]
    total = b.convert(rows[0], wide)
    for row in rows[1:]:
        pair = [total, b.convert(row, wide)]
        total = apply_body(b, region, pair)[0] if is_elementwise(region) else map_one_by_one(
            b, pair, [total.type], lambda *values: node.inline(0, values))[0]
    return total


def apply_body(b, region, arguments):
    """A body of scalar operations, written over whole arrays of one shape."""
    shape = arguments[0].shape
    values = dict(zip(map(id, region.arguments), arguments, strict=True))
    for op in region.ops:
        if op.name == "constant":
            values[id(op.result)] = b.constant(np.broadcast_to(op.attributes["value"], shape), op.result.dtype)
            continue
        operands = [values[id(v)] if id(v) in values else b.broadcast(v, shape) for v in op.operands]
        out = b.add(op.name, operands, [Type(r.dtype, shape) for r in op.results], **op.attributes)
        values.update(zip(map(id, op.results), out, strict=True))
    return [values[id(v)] if id(v) in values else b.broadcast(v, shape) for v in region.results]


@rule("stablehlo.partition_id", "stablehlo.replica_id")
def lane_id(b, node):
    """One of the two counts the lanes; the other is always 0."""
    graph, kind = node.importer.graph, node.name.split(".")[1]
    if graph.lanes == 1 or node.importer.lane_kind not in (kind, None):
        return b.full(0, Type("u32"))
    return b.add("lane_id", [], Type("u32"))


@rule("stablehlo.all_reduce", "stablehlo.cross-replica-sum")
def all_reduce(b, node):
    groups = _groups(b, node)
    return [b.convert(_combined(b, node, _gathered(b, x, groups)), t.dtype)
            for x, t in zip(node.operands, node.types, strict=True)]


@rule("stablehlo.all_gather")
def all_gather(b, node):
    groups, dim = _groups(b, node), node.attr("all_gather_dim")
    out = []
    for x, t in zip(node.operands, node.types, strict=True):
        rank = x.type.rank
        stacked = b.transpose(_gathered(b, x, groups), (*range(1, dim + 1), 0, *range(dim + 1, rank + 1)))
        out.append(b.reshape(stacked, t.shape))
    return out


@rule("stablehlo.reduce_scatter")
def reduce_scatter(b, node):
    groups, dim = _groups(b, node), node.attr("scatter_dimension")
    (x,) = node.operands
    total = _combined(b, node, _gathered(b, x, groups))
    size = x.shape[dim] // len(groups[0])
    return [b.convert(part_of(b, total, dim, _place(b, groups), size), node.type.dtype)]


def part_of(b, x, dim, place, size):
    """Part number ``place`` (an i32 scalar) of ``x`` cut into parts of ``size`` along ``dim``."""
    zero = b.full(0, place.type)
    start = b.map("mul", place, b.full(size, place.type))
    sizes = [size if k == dim else n for k, n in enumerate(x.shape)]
    return b.dynamic_slice(x, [start if k == dim else zero for k in range(x.type.rank)], sizes)


@rule("stablehlo.all_to_all")
def all_to_all(b, node):
    """My part of what every lane has, joined along the other dim."""
    groups = _groups(b, node)
    split, concat, count = node.attr("split_dimension"), node.attr("concat_dimension"), node.attr("split_count")
    place, out = _place(b, groups), []
    for x, t in zip(node.operands, node.types, strict=True):
        size = x.shape[split] // count
        mine = part_of(b, _gathered(b, x, groups), split + 1, place, size)
        rank = x.type.rank
        mine = b.transpose(mine, (*range(1, concat + 1), 0, *range(concat + 1, rank + 1)))
        out.append(b.reshape(mine, t.shape))
    return out


@rule("stablehlo.collective_permute")
def collective_permute(b, node):
    rows = node.attr("source_target_pairs")
    pairs = tuple(tuple(map(int, row)) for row in rows.reshape(-1, 2))
    return [b.add("permute", [x], x.type, pairs=pairs) for x in node.operands]


@rule("stablehlo.collective_broadcast")
def collective_broadcast(b, node):
    """The first lane of a group sends; lanes outside of every group get zeros, as a permute gives them."""
    rows = node.attr("replica_groups")
    lanes = node.importer.graph.lanes
    groups = [[int(k) for k in row if k >= 0] for row in rows] if rows is not None and rows.size else [range(lanes)]
    pairs = tuple((g[0], k) for g in groups for k in g)
    return [b.add("permute", [x], x.type, pairs=pairs) for x in node.operands]


@rule("stablehlo.async_start")
def async_start(b, node):
    """What is begun here is done here: all lanes meet at one exchange after the other. The future is a tuple of the results."""
    return [tuple(node.inline(0, node.operands))]


@rule("stablehlo.async_done")
def async_done(b, node):
    (future,) = node.operands
    return list(future)
