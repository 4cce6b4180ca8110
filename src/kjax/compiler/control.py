"""Lowering of structured control flow and of exchanges between lanes.

A loop's state lives in carried buffers that the body updates in place: a result is computed straight into its carried
buffer when nothing still reads the old value, else copied there at the end of the body. State that
the body passes through unchanged is not carried at all.
"""

from math import prod

from kjax.bytecode import program as p
from kjax.compiler.fuse import free_values
from kjax.compiler.views import Buffer, View, dense
from kjax.errors import LimitError
from kjax.isa import limits

MANY_TRIPS, FEW_ROWS, COPIED_BYTES = 16, 4, (1 << 12, 1 << 19)
LINE = 64  # bytes of a cache line


def _inside(self, region, arguments, kept=frozenset()):
    from kjax.compiler.lower import RegionLowering

    self.env.update(zip(region.arguments, arguments))  # a value is bound once, so that all regions can share one table
    return RegionLowering(self.program, region, self.env, self, kept)


def _touches(views, owner):
    return any(v.buffer is not None and v.buffer.owner is owner for v in views)


def _carry(self, op, k, init, others, taken):
    """Where state ``k`` of a loop lives: a wanted place, the initial value's own buffer, or a new one."""
    hint = self.hints.get(op.results[k])
    for place in (hint.view if hint else None, init):
        if place is None or place.buffer is None or not place.is_dense:
            continue
        owner = place.buffer.owner
        if owner in taken or _touches(others, owner) or not self.may_overwrite(owner):
            continue
        if place is init and owner.storage == "input":
            continue
        return self.take(place)
    return self.fresh(op.results[k].type)


def _read_often(self, op):
    """Copies, made before the loop, of the caller's matrices by which each of many iterations multiplies few rows: such a
    product only reads them, and a row that does not begin at a cache line takes longer to read."""
    copies = {}
    if (op.attributes.get("trips") or 0) < MANY_TRIPS:
        return copies
    for product in op.regions[1].ops:
        for value in product.operands if product.name == "dot_general" else ():
            view = self.env.get(value)
            if view is None or value in copies or value in op.regions[1].arguments or view.buffer is None:
                continue
            rows = product.result.type.size * prod(value.shape[d] for d in _contracted(product, value)) // max(1, value.type.size)
            if (view.buffer.owner.storage == "input" and rows <= FEW_ROWS and view.is_dense
                    and COPIED_BYTES[0] <= value.type.bytes <= COPIED_BYTES[1]):
                copies[value] = _apart(value.type) if _only_multiplied(op, value) else self.fresh(value.type)
                self.copy(view, copies[value], self.program.source(op))
                self.register(value, copies[value])
    return copies


def _only_multiplied(loop, value):
    """Whether nothing in the loop reads ``value`` but products."""
    ops = [o for region in loop.regions for o in region.ops]
    return not any(o.name != "dot_general" and value in o.operands or o.regions and value in free_values(o) for o in ops)


def _apart(type):
    """A new place for a matrix. Rows an even number of cache lines long get one more between them: else each column of lines
    falls on few sets of a cache, and the cache holds little of the matrix."""
    columns, line = type.shape[-1], LINE // type.info.size
    if type.rank != 2 or columns % (2 * line):
        return dense(Buffer(type.dtype, type.size), type.shape)
    pitch = columns + line
    return View(Buffer(type.dtype, (type.shape[0] - 1) * pitch + columns), type.dtype, type.shape, (pitch, 1))


def _contracted(product, value):
    return product.attributes["lhs_contract" if product.operands[0] is value else "rhs_contract"]


def while_loop(self, op):
    condition, body = op.regions
    inits = [self.view(v) for v in op.operands]
    captured = [self.env[v] for v in free_values(op)]
    invariant = [r is a for r, a in zip(body.results, body.arguments)]
    places, taken = [], set()
    for k, init in enumerate(inits):
        if invariant[k] or init.size == 0:
            places.append(init)
            continue
        others = captured + [v for j, v in enumerate(inits) if j != k]
        place = _carry(self, op, k, init, others, taken)
        taken.add(place.buffer.owner)
        places.append(place)
    for init, place in zip(inits, places):
        if place is not init:
            self.copy(init, place)
    copies = _read_often(self, op)
    originals = {value: self.env[value] for value in copies}
    self.env.update(copies)
    self.program.emit(p.While(op.attributes.get("trips") or 0, self.program.source(op)))
    state = frozenset(place.buffer.owner for place in places if place.buffer is not None)  # the body, and who comes after, read it
    (predicate,) = _inside(self, condition, places, state).run([None])
    predicate = self.materialize(predicate)
    self.program.emit(p.Do(predicate.buffer, predicate.offset))
    _inside(self, body, places).run([None if same or not place.size else place
                                     for place, same in zip(places, invariant)])
    self.program.emit(p.End())
    self.env.update(originals)
    for value, place in zip(op.results, places):
        self.bind(value, place)


def case(self, op):
    index = self.materialize(self.view(op.operands[0]))
    captured = [self.env[v] for v in free_values(op)]
    targets = []
    for value in op.results:
        hint = self.hints.get(value)
        place = hint.view if hint else None
        if (place is None or _touches(captured, place.buffer.owner) or _touches(targets, place.buffer.owner)
                or _touches([index], place.buffer.owner) or not self.may_overwrite(place.buffer.owner)):
            place = self.fresh(value.type)
        targets.append(self.take(place))
    self.program.emit(p.Case(index.buffer, len(op.regions), index.offset))
    for k, region in enumerate(op.regions):
        if k:
            self.program.emit(p.Branch())
        _inside(self, region, ()).run([t if t.size else None for t in targets])
    self.program.emit(p.End())
    for value, target in zip(op.results, targets):
        self.bind(value, target)


def all_gather(self, op):
    groups = op.attributes["groups"]
    where = {lane: (g, place) for g, group in enumerate(groups) for place, lane in enumerate(group)}
    table = tuple(where[lane] for lane in range(self.program.graph.lanes))
    _exchange(self, op, "all_gather", table, len(groups[0]))


def permute(self, op):
    sender = {to: source for source, to in op.attributes["pairs"]}
    _exchange(self, op, "permute", tuple(sender.get(lane) for lane in range(self.program.graph.lanes)), 1)


def _exchange(self, op, kind, table, group_size):
    source = self.materialize(self.view(op.operands[0]), dense_only=True)
    target = self.fresh(op.result.type)
    self.bind(op.result, target)
    if target.size:
        self.program.emit(p.Exchange(kind, target.buffer, table, source.buffer, group_size, self.program.source(op)))


def lane_id(self, op):
    target = dense(self.fresh(op.result.type).buffer, ())
    self.bind(op.result, target)
    self.program.emit(p.Exchange("lane_id", target.buffer, (0,) * self.program.graph.lanes,
                                 source=self.program.source(op)))


def trace(self, op):
    """The host reads whole dense tensors, and writes results into new ones."""
    a = op.attributes
    if max(len(op.operands), len(op.results)) > limits.MAX_TRACE_VALUES:
        raise LimitError(f"{a['what']} at {op.source}: {len(op.operands)} arrays in, {len(op.results)} out, at most "
                         f"{limits.MAX_TRACE_VALUES} of each are possible. Print or pass fewer, or stack them.")
    views = [self.materialize(self.view(v), dense_only=True) if v.type.size else None for v in op.operands]
    targets = [self.fresh(r.type) for r in op.results]
    for value, target in zip(op.results, targets):
        self.bind(value, target)

    def rows(values, views):
        return tuple(p.Value(view.buffer if v.type.size else None, v.dtype, v.shape) for v, view in zip(values, views))

    self.program.emit(p.Trace(a["kind"], a["site"], rows(op.operands, views), rows(op.results, targets),
                              self.program.source(op)))


HANDLERS = {"while": while_loop, "case": case, "all_gather": all_gather, "permute": permute, "lane_id": lane_id,
            "trace": trace}
