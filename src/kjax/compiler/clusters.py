"""Clusters (fuse.py) to nests: bodies of what is computed together, and the places that its results get."""

from dataclasses import dataclass, field

from kjax.compiler.body import Body, Register, RegisterPressure, finish, outer_scalars
from kjax.compiler.fuse import Cluster
from kjax.compiler.nest import Operands, map_nest, reduce_nest
from kjax.compiler.neutral import neutral
from kjax.compiler.schedule import scheduled
from kjax.compiler.views import View, apart
from kjax.isa import limits


def lower(region, node):
    """Emit ``node``, a ``Cluster`` of the region that the ``RegionLowering`` is of."""
    if not node.reduces:
        emit_maps(region, node.maps)
        return
    try:
        emit_reduce(region, node)
    except RegisterPressure:
        _emit_apart(region, node)


def _emit_apart(region, node):
    """A cluster that one nest cannot hold: its parts one after the other, the reductions each alone."""
    emit_maps(region, node.maps, {*node.reduces, *node.posts})
    for k, op in enumerate(node.reduces):
        region.later = {*node.reduces[k + 1:], *node.posts}
        emit_reduce(region, Cluster([op], node.first, node.last, node.number, shape=node.shape, kept=node.kept, reduces=[op]))
    emit_maps(region, node.posts)


# -- maps -----------------------------------------------------------------------------------------------------------


def emit_maps(region, members, later=frozenset()):
    """One nest for elementwise ``members`` of one shape, or several when one cannot hold them. ``later``: operations
    of the node that come after them."""
    if not members:
        return
    region.later = later
    try:
        instruction, places = _map_instruction(region, members)
    except RegisterPressure:
        if len(members) == 1:
            raise
        half = len(members) // 2
        emit_maps(region, members[:half], {*later, *members[half:]})
        emit_maps(region, members[half:], later)
        return
    region.program.emit(instruction)
    for value, place in places:
        region.bind(value, place)


def _map_instruction(region, members):
    members = scheduled(members)
    views = _external(region, members)
    body, operands = Body(), Operands()
    registers, _ = _compute(region, body, operands, members, views)
    inside = set(members)
    places = []
    for op in members:
        if region.needed(op.result, inside):
            places.append((op.result, region.destination(op.result, views.values(), over=views.values())))
    for k, (value, place) in enumerate(places):  # two results never share memory
        if not all(apart(place, other) for _, other in places[:k]):
            places[k] = (value, region.fresh(value.type))
    for value, place in places:
        body.store(operands.add(place), registers[value])
    uops, n = finish(body)
    return map_nest(members[0].result.shape, operands, uops, n, region.program.source(members[-1])), places


def _external(region, members):
    """Views of the values that ``members`` read but do not produce, by value."""
    inside = {op.result for op in members}
    return {v: region.view(v) for op in members for v in op.operands if v not in inside}


def _compute(region, body, operands, members, views):
    """Emit ``members`` into ``body``; returns the registers by value, and a function that also loads."""
    registers = {}

    def get(value):
        if value not in registers:
            registers[value] = region.load(body, operands, views[value])
        return registers[value]

    for op in members:
        registers[op.result] = body.elementwise(op.name, [get(v) for v in op.operands], op.result.dtype, op.source)
    return registers, get


# -- reductions -----------------------------------------------------------------------------------------------------


@dataclass
class _Reduction:
    """A nest that reduces, in the making.

    ``inputs``: what is reduced. ``extras``: a combine body cannot load; what it uses from outside travels as accumulators that
    never change. ``kinds``: dtypes of both. ``places``: (value, place) of results so far.
    """

    region: object
    node: Cluster
    views: dict
    inputs: list
    extras: list
    operands: Operands = field(default_factory=Operands)
    places: list = field(default_factory=list)

    @property
    def kinds(self):
        return [v.dtype for v in self.inputs + self.extras]


def emit_reduce(region, node):
    """One nest for all of ``node``. Raises RegisterPressure when it cannot hold it."""
    nest = _reduction(region, node)
    if len(nest.kinds) > limits.MAX_ACCUMULATORS:
        raise RegisterPressure()
    bodies = _map_body(nest), _combine_body(nest), _post_body(nest)
    uops, tops = zip(*bodies)
    region.program.emit(reduce_nest(node.shape, node.kept, nest.operands, uops, max(tops), len(nest.kinds),
                                    region.program.source(node.reduces[-1])))
    for value, place in nest.places:
        region.bind(value, place)


def _reduction(region, node):
    views = _external(region, node.maps)
    inputs = [v for op in node.reduces for v in op.operands[:len(op.operands) // 2]]
    made = {m.result for m in node.maps}
    views.update((v, region.view(v)) for v in inputs if v not in made)
    extras = list(dict.fromkeys(v for op in node.reduces for v in outer_scalars(op.regions[0])))
    return _Reduction(region, node, views, inputs, extras)


def _map_body(nest):
    """The values that are reduced, in the first registers."""
    region, node, body = nest.region, nest.node, Body()
    registers, get = _compute(region, body, nest.operands, node.maps, nest.views)
    values = [get(v) for v in nest.inputs]
    values += map(region.outer(body, nest.operands, node.shape), nest.extras)
    for k, register in enumerate(values):
        if any(register is other for other in values[:k]):
            values[k] = body.duplicate(register)
    inside = set(node.ops)
    for op in node.maps:
        if region.needed(op.result, inside):
            place = region.destination(op.result, list(nest.views.values()))
            if any(place.buffer.owner is other.buffer.owner for _, other in nest.places):
                place = region.fresh(op.result.type)
            nest.places.append((op.result, place))
            body.store(nest.operands.add(place), registers[op.result])
    return finish(body, results=values, reserved=len(values))


def _combine_body(nest):
    body = Body()
    accumulators, incoming = [Register(d) for d in nest.kinds], [Register(d) for d in nest.kinds]
    unchanged = dict(zip(nest.extras, accumulators[len(nest.inputs):]))
    results, at = [], 0
    for op in nest.node.reduces:
        k = len(op.operands) // 2
        args = accumulators[at:at + k] + incoming[at:at + k]
        results += body.region(op.regions[0], args, unchanged.__getitem__)
        at += k
    return finish(body, inputs=accumulators + incoming, results=[*results, *unchanged.values()])


def _post_body(nest):
    """What is done to the accumulators at last; places for all of it that is needed."""
    region, node, body = nest.region, nest.node, Body()
    accumulators = [Register(d) for d in nest.kinds]
    final = _with_initial_values(nest, body, accumulators)
    loads = {}

    def get(value):
        if value in final:
            return final[value]
        if value not in loads:
            loads[value] = _stretched(region.view(value), node)
        return region.load(body, nest.operands, loads[value])

    for op in node.posts:
        final[op.result] = body.elementwise(op.name, [get(v) for v in op.operands], op.result.dtype, op.source)
    read = list(nest.views.values()) + list(loads.values()) + list(nest.operands.views)
    inside, taken = set(node.ops), []
    for value in [r for op in node.reduces for r in op.results] + [op.result for op in node.posts]:
        if region.needed(value, inside):
            place = region.destination(value, read)
            busy = [v.buffer.owner for v in read if v.buffer is not None] + [q.buffer.owner for q in taken]
            if place.buffer.owner in busy:
                place = region.fresh(value.type)
            taken.append(place)
            nest.places.append((value, place))
            body.store(nest.operands.add(_stretched(place, node)), final[value])
    return finish(body, inputs=accumulators)


def _with_initial_values(nest, body, accumulators):
    """Registers of the reductions' results, by value."""
    outer = nest.region.outer(body, nest.operands, nest.node.shape)
    final, at = {}, 0
    for op in nest.node.reduces:
        k = len(op.operands) // 2
        combined = accumulators[at:at + k]
        if not neutral(op):
            combined = body.region(op.regions[0], [outer(v) for v in op.operands[k:]] + combined, outer)
        final.update(zip(op.results, combined))
        at += k
    return final


def _stretched(view, node):
    """A view of the kept dims as one of all dims."""
    strides = [0] * len(node.shape)
    for k, d in enumerate(node.kept):
        strides[d] = view.strides[k]
    return View(view.buffer, view.dtype, node.shape, tuple(strides), view.offset)
