"""Lanes: modules of shard_map and pmap (``sdy.manual_computation``) become graphs that every lane runs.

A lane's graph takes the parts of the arguments that the shardings give it. Where the module is nothing but one
manual computation, its body is the graph. Otherwise what is around it is computed whole by every lane: a lane
cuts its part where a value enters a manual computation, and the parts are gathered where one leaves.
"""

import re

from jaxlib.mlir import ir
from jaxlib.mlir.dialects import sdy

from kjax.errors import CompileError
from kjax.frontend import attributes
from kjax.frontend.legalize.collective import part_of
from kjax.frontend.legalize.registry import rule
from kjax.ir.graph import Type
from kjax.ir.sharding import Sharding

_MESH = re.compile(r'"([^"]+)"=(\d+)')
_NAME = re.compile(r'"([^"]+)"')


def mesh_of(attribute):
    """((axis name, size), ...) of a mesh."""
    return tuple((name, int(size)) for name, size in _MESH.findall(str(attribute).partition("device_ids")[0]))


def _shardings(importer, attribute):
    out = []
    for one in sdy.TensorShardingPerValueAttr(attribute).shardings:
        one = sdy.TensorShardingAttr(one)
        mesh = str(one.mesh_or_ref)
        axes = importer.meshes[mesh.lstrip("@").strip('"')] if mesh.startswith("@") else mesh_of(one.mesh_or_ref)
        dims = tuple(tuple(_axis(a) for a in sdy.DimensionShardingAttr(d).axes) for d in one.dimension_shardings)
        out.append(Sharding(axes, dims))
    return out


def _axis(attribute):
    axis = sdy.AxisRefAttr(attribute)
    if axis.sub_axis_info is not None:
        raise CompileError("A sharding over a part of a mesh axis is not possible: use whole axes.")
    return axis.name


def _attribute_count(importer, name):
    operation = importer.module.operation
    return ir.IntegerAttr(operation.attributes[name]).value if name in operation.attributes else 1


def import_lanes(importer, block):
    """Set the graph's lanes and write it if it is one manual computation; returns whether it did."""
    partitions = _attribute_count(importer, "mhlo.num_partitions")
    replicas = _attribute_count(importer, "mhlo.num_replicas")
    manual = [op.operation for op in block.operations if op.operation.name == "sdy.manual_computation"]
    sizes = {s.lanes for f in importer.functions.values() for op in _manual_below(f.operation)
             for s in _all_shardings(importer, op)}
    sizes |= {n for n in (partitions, replicas) if n > 1}
    if not sizes:
        return False
    if len(sizes) > 1:
        raise CompileError(f"The module counts {sorted(sizes)} devices: use one mesh in all of a function.")
    graph = importer.graph
    graph.lanes = sizes.pop()
    importer.lane_kind = "replica_id" if replicas > 1 else "partition_id"
    block = _unwrapped(importer, block)
    manual = [op.operation for op in block.operations if op.operation.name == "sdy.manual_computation"]
    others = [op.operation.name for op in block.operations if op.operation.name != "sdy.manual_computation"]
    if len(manual) != 1 or others != ["func.return"]:
        return False
    return _import_body(importer, block, manual[0])


def _unwrapped(importer, block):
    """The block of the function that does all the work: jit around pmap is a function that only calls another."""
    while True:
        operations = [op.operation for op in block.operations]
        call = operations[0]
        if len(operations) != 2 or call.name != "func.call" or list(call.operands) != list(block.arguments) \
                or list(operations[1].operands) != list(call.results):
            return block
        name = attributes.value_of(call.attributes["callee"])
        if name in importer.calling or name not in importer.functions:
            return block
        importer.calling.append(name)
        block = importer.functions[name].regions[0].blocks[0]


def _import_body(importer, block, op):
    """The body of the block's manual computation as the graph; False if an argument is cut in two ways."""
    ins = _shardings(importer, op.attributes["in_shardings"])
    outs = _shardings(importer, op.attributes["out_shardings"])
    _check_manual(importer, op)
    returned = [list(op.results).index(v) if v in list(op.results) else None
                for v in list(block.operations)[-1].operation.operands]
    cuts = [{ins[k] for k, v in enumerate(op.operands) if v == a} for a in block.arguments]
    if None in returned or any(len(c) > 1 for c in cuts):
        return False
    graph, inner = importer.graph, op.regions[0].blocks[0]
    for argument, cut in zip(block.arguments, cuts, strict=True):
        whole = attributes.type_of(argument.type)
        sharding = cut.pop() if cut else Sharding((outs + ins)[0].mesh, ((),) * whole.rank)
        parts = tuple(n // sharding.parts(d) for d, n in enumerate(whole.shape))
        importer.values[argument] = graph.argument(Type(whole.dtype, parts))
        graph.in_shardings += (sharding,)
    graph.out_shardings = tuple(outs[k] for k in returned)
    results = importer.block(inner, [importer.values[v] for v in op.operands])
    graph.results = [results[k] for k in returned]
    return True


def _manual_below(op):
    """Every manual computation of a function."""
    for region in op.regions:
        for block in region.blocks:
            for inner in block.operations:
                if inner.operation.name == "sdy.manual_computation":
                    yield inner.operation
                yield from _manual_below(inner.operation)


def _all_shardings(importer, op):
    return [s for name in ("in_shardings", "out_shardings") for s in _shardings(importer, op.attributes[name])]


def _check_manual(importer, op):
    manual = set(_NAME.findall(str(op.attributes["manual_axes"])))
    for s in _all_shardings(importer, op):
        left = [name for name, size in s.mesh if size > 1 and name not in manual]
        if left:
            raise CompileError(f"The mesh axes {left} are left to the partitioner, which kjax does not have: "
                               "make shard_map manual over all axes of the mesh.")


@rule("sdy.manual_computation")
def manual_computation(b, node):
    """In the middle of a module: cut, run the body, gather."""
    importer = node.importer
    _check_manual(importer, node.op)
    if importer.graph.lanes > 1 and importer.inside_manual:
        b.refuse(node.name, "it is inside another manual computation", "Use one shard_map over all mesh axes")
    ins = _shardings(importer, node.op.attributes["in_shardings"])
    outs = _shardings(importer, node.op.attributes["out_shardings"])
    parts = [_cut(b, v, s) for v, s in zip(node.operands, ins, strict=True)]
    importer.inside_manual = True
    results = node.inline(0, parts)
    importer.inside_manual = False
    return [_joined(b, v, s) for v, s in zip(results, outs, strict=True)]


def _coordinate(b, mesh, axes):
    """This lane's place along the product of some mesh axes, as an i32 scalar."""
    lane = b.expr(b.convert(b.add("lane_id", [], Type("u32")), "i32"))
    sizes = dict(mesh)
    inner, strides = 1, {}
    for name, size in reversed(mesh):
        strides[name], inner = inner, inner * size
    place = lane * 0
    for name in axes:
        place = place * sizes[name] + lane / strides[name] % sizes[name]
    return place.value


def _cut(b, value, sharding):
    for dim, axes in enumerate(sharding.dims):
        parts = sharding.parts(dim)
        if parts > 1:
            value = part_of(b, value, dim, _coordinate(b, sharding.mesh, axes), value.shape[dim] // parts)
    return value


def _joined(b, value, sharding):
    """The whole value from the lanes' parts."""
    lanes = sharding.lanes
    if lanes == 1 or all(sharding.parts(d) == 1 for d in range(value.type.rank)):
        return value
    group = (tuple(range(lanes)),)
    stacked = b.add("all_gather", [value], Type(value.dtype, (lanes, *value.shape)), groups=group)

    def block(lane):
        return b.reshape(b.slice_dim(stacked, 0, lane, lane + 1), value.shape)

    return _assemble(b, block, sharding, 0, ())


def _assemble(b, block, sharding, dim, places):
    if dim == len(sharding.dims):
        return block(sharding.lane_at(places))
    rows = [_assemble(b, block, sharding, dim + 1, (*places, k)) for k in range(sharding.parts(dim))]
    return b.concatenate(rows, dim)
