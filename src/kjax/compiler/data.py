"""Lowering of data movement: pad, concatenate, windows at computed places, sort.

A dynamic slice is a gather of one window, a dynamic update a scatter of one; both clamp. A scatter leaves out
a window that does not fit, as XLA does.
"""

from dataclasses import replace
from math import prod

from kjax.bytecode import program as p
from kjax.compiler.body import Body, Register, finish, outer_scalars
from kjax.compiler.nest import access, collapse_groups
from kjax.compiler.sortkeys import keys_of
from kjax.compiler.views import Buffer, dense
from kjax.ir.graph import Type


def _fill(self, op, value, target):
    self.copy(self.view(value).broadcast(target.shape, ()), target, self.program.source(op))


def pad(self, op):
    a = op.attributes
    x = self.view(op.operands[0])
    target = self.destination(op.result, [x, self.view(op.operands[1])], moves=True)
    if target.size == 0:
        return self.bind(op.result, target)
    if any((*a["low"], *a["high"], *a["interior"])):
        _fill(self, op, op.operands[1], target)
    start, limit, steps, first, last = [], [], [], [], []
    for n, low, interior in zip(x.shape, a["low"], a["interior"]):
        step = interior + 1
        size = target.shape[len(start)]
        skip = -(low // step) if low < 0 else 0  # elements cropped at the front
        at = low + skip * step
        count = max(0, min(n, skip + (max(0, size - at) + step - 1) // step) - skip)
        first.append(skip)
        last.append(skip + count)
        start.append(at)
        limit.append(at + (count - 1) * step + 1 if count else at)
        steps.append(step)
    inner = x.slice(first, last, [1] * len(first))
    if inner.size:
        self.copy(inner, target.slice(start, limit, steps), self.program.source(op))
    self.bind(op.result, target)


def concatenate(self, op):
    d = op.attributes["dim"]
    views = [self.view(v) for v in op.operands]
    if self.joins_indices(op):
        self.parts[op.result] = [self.materialize(v) for v in views]
        for view in self.parts[op.result]:
            self.register(op.result, view)
        return
    shape = op.result.shape
    ranges, at = [], 0
    for view in views:
        n = view.shape[d]
        start = [at if k == d else 0 for k in range(len(shape))]
        ranges.append((start, [at + n if k == d else m for k, m in enumerate(shape)]))
        at += n
    target = _assembled(self, op, views, ranges) or self.destination(op.result, views)
    for view, (start, limit) in zip(views, ranges):
        if view.size:
            self.copy(view, target.slice(start, limit, [1] * len(shape)), self.program.source(op))
    self.bind(op.result, target)


def _assembled(self, op, views, ranges):
    """The wanted place, when the operands that lie in it were computed in their slots; else None."""
    hint = self.hints.get(op.result)
    if hint is None or not hint.exclusive:
        return None
    for view, (start, limit) in zip(views, ranges):
        here = view.buffer is not None and view.buffer.owner is hint.view.buffer.owner
        if here and view.size and not view.same_place(hint.view.slice(start, limit, [1] * len(start))):
            return None
    return hint.view


def _index(self, view, batch, limit, step, wrap):
    """One origin component: ``view`` holds it over the batch dims ``batch`` of its own; below zero ``wrap`` is added."""
    view = self.materialize(view)
    return p.Index(view.buffer, view.offset, limit, step, tuple(view.strides[b] for b in batch), wrap)


def _components(self, value, vector_dim):
    """One view of ``value``'s shape for each component that it has along ``vector_dim``, read at 0 there."""
    if value in self.parts:
        return self.parts[value]
    view = self.materialize(self.view(value))
    if vector_dim >= len(view.shape):
        return [view]
    return [replace(view, offset=view.offset + j * view.strides[vector_dim]) for j in range(view.shape[vector_dim])]


def _indices(self, op, components, room, steps):
    """All components of the origins: component j moves the j-th dim of ``room`` (dim -> largest origin), by its step."""
    vector_dim, wraps = op.attributes["index_vector_dim"], op.attributes.get("from_end", (0,) * len(components))
    return [_index(self, view, [k for k in range(len(view.shape)) if k != vector_dim], limit, steps[d], wrap)
            for view, (d, limit), wrap in zip(components, room.items(), wraps, strict=True)]


def _starts(self, op, starts, sizes, x):
    """The origin of a slice of ``sizes`` of ``x``."""
    wraps = op.attributes.get("from_end", (0,) * len(starts))
    return [_index(self, self.view(v), (), n - size, step, wrap)
            for v, n, size, step, wrap in zip(starts, x.shape, sizes, x.strides, wraps) if n != size]


def gather(self, op):
    a = op.attributes
    x, components = self.materialize(self.view(op.operands[0])), _components(self, op.operands[1], a["index_vector_dim"])
    target = self.destination(op.result, [x, *components], moves=True)
    self.bind(op.result, target)
    if target.size == 0:
        return
    batch_in_indices = [k for k in range(op.operands[1].type.rank) if k != a["index_vector_dim"]]
    batch_out = [k for k in range(len(target.shape)) if k not in a["offset_dims"]]
    window_of = [d for d in range(len(x.shape)) if d not in a["collapsed_dims"] and d not in a["operand_batch_dims"]]
    along = dict(zip(a["index_batch_dims"], a["operand_batch_dims"]))
    dims = [target.shape[k] for k in batch_out] + [target.shape[k] for k in a["offset_dims"]]
    windowed = [x.strides[along[b]] if b in along else 0 for b in batch_in_indices] + [x.strides[d] for d in window_of]
    plain = [target.strides[k] for k in batch_out] + [target.strides[k] for k in a["offset_dims"]]
    room = {d: x.shape[d] - a["slice_sizes"][d] for d in a["start_index_map"]}
    rows = _indices(self, op, components, room, x.strides)
    _emit(self, op, dims, len(batch_out), x, windowed, target, plain, rows)


def dynamic_slice(self, op):
    x = self.materialize(self.view(op.operands[0]))
    target = self.destination(op.result, [x, *map(self.view, op.operands[1:])], moves=True)
    self.bind(op.result, target)
    if target.size == 0:
        return
    rows = _starts(self, op, op.operands[1:], op.attributes["sizes"], x)
    _emit(self, op, target.shape, 0, x, x.strides, target, target.strides, rows)


def _updated(self, op, value, reads):
    """The result's place with the operand's content in it: in place where nothing else needs the operand."""
    x = self.view(value)
    hint = self.hints.get(op.result)
    wanted = hint.view if hint else None
    for place in (wanted, x):
        if place is None or place.buffer is None or not place.is_dense:
            continue
        owner = place.buffer.owner
        clash = any(r.buffer is not None and r.buffer.owner is owner for r in reads)
        if clash or not self.may_overwrite(owner) or (owner.storage == "input" and place is x):
            continue
        if place is wanted and x.buffer is not None and x.buffer.owner is owner and not x.same_place(place):
            continue
        self.copy(x, self.take(place))
        return place
    target = self.fresh(op.result.type)
    self.copy(x, target)
    return target


def dynamic_update_slice(self, op):
    x, update, *starts = op.operands
    view = self.view(update)
    target = _updated(self, op, x, [view, *map(self.view, starts)])
    self.bind(op.result, target)
    if view.size == 0 or target.size == 0:
        return
    view = self.materialize(view)
    rows = _starts(self, op, starts, view.shape, target)
    _emit(self, op, view.shape, 0, target, target.strides, view, view.strides, rows, scatter=True)


def scatter(self, op):
    a = op.attributes
    x, indices, updates = op.operands
    index_rank, components = indices.type.rank, _components(self, indices, a["index_vector_dim"])
    updates = self.materialize(self.view(updates))
    region = op.regions[0]
    replaces = region.results[0] is region.arguments[1]
    outside = {} if replaces else {v: self.materialize(self.scalar(v)) for v in outer_scalars(region)}
    target = _updated(self, op, x, [*components, updates, *outside.values()])
    self.bind(op.result, target)
    if updates.size == 0 or target.size == 0:
        return
    batch = [k for k in range(len(updates.shape)) if k not in a["update_window_dims"]]
    window_of = [d for d in range(len(target.shape)) if d not in a["inserted_dims"] and d not in a["operand_batch_dims"]]
    size = dict(zip(window_of, (updates.shape[k] for k in a["update_window_dims"])))
    batch_in_indices = [k for k in range(index_rank) if k != a["index_vector_dim"]]
    along = dict(zip(a["index_batch_dims"], a["operand_batch_dims"]))
    dims = [updates.shape[k] for k in batch] + [updates.shape[k] for k in a["update_window_dims"]]
    windowed = [target.strides[along[b]] if b in along else 0 for b in batch_in_indices]
    windowed += [target.strides[d] for d in window_of]
    plain = [updates.strides[k] for k in batch] + [updates.strides[k] for k in a["update_window_dims"]]
    room = {d: target.shape[d] - size.get(d, 1) for d in a["scatter_dims_map"]}
    rows = _indices(self, op, components, room, target.strides)
    uops, registers = (), 0
    if not replaces:
        body = Body()
        inputs = [Register(v.dtype) for v in [x, x, *outside]]
        results = body.region(region, inputs[:2], dict(zip(outside, inputs[2:])).__getitem__)
        uops, registers = finish(body, inputs=inputs, results=results)
    splats = tuple(p.Operand(v.buffer, v.offset, ()) for v in outside.values())
    _emit(self, op, dims, len(batch), target, windowed, updates, plain, rows, scatter=True, mode="skip", body=uops,
          n_regs=registers, splats=splats)


def _emit(self, op, dims, n_batch, windowed, windowed_strides, plain, plain_strides, indices, **more):
    dims = tuple(dims)
    if not dims:  # one element
        dims, windowed_strides, plain_strides = (1,), (0,), (0,)
    self.program.emit(p.Gather(dims, n_batch, access(windowed, tuple(windowed_strides)),
                               access(plain, tuple(plain_strides)), tuple(indices), source=self.program.source(op), **more))


def sort(self, op):
    d = op.attributes["dim"]
    views = [self.materialize(self.view(v)) for v in op.operands]
    order = [k for k in range(len(views[0].shape)) if k != d] + [d]
    targets = [self.destination(r, views) for r in op.results]
    taken = {v.buffer.owner for v in views}
    for k, (r, t) in enumerate(zip(op.results, targets)):
        if t.buffer.owner in taken:
            targets[k] = self.fresh(r.type)
        taken.add(targets[k].buffer.owner)
    for r, t in zip(op.results, targets):
        self.bind(r, t)
    if prod(views[0].shape) == 0:
        return
    pairs = [(v.transpose(order), t.transpose(order)) for v, t in zip(views, targets)]
    shape = pairs[0][0].shape
    found = keys_of(op.regions[0], len(views))
    keys, body, registers, positions = (), (), 0, list(range(len(views)))
    if found is not None:
        positions = [k for k, _, _ in found] + [k for k in positions if k not in {f[0] for f in found}]
        keys = tuple((descending, total) for _, descending, total in found)
    else:
        builder = Body()
        inputs = [Register(v.dtype) for v in op.regions[0].arguments]
        outside = {}
        for value in outer_scalars(op.regions[0]):  # a comparator cannot load: constants are sorted along
            positions.append(len(pairs))
            pairs.append((self.materialize(self.scalar(value)).broadcast(shape, ()), self.fresh(Type(value.dtype, shape))))
            outside[value] = Register(value.dtype)
            inputs += [outside[value], Register(value.dtype)]
        results = builder.region(op.regions[0], inputs, outside.__getitem__)
        body, registers = finish(builder, inputs=inputs, results=results)
    self.program.emit(p.Sort(shape or (1,), tuple((access(v, v.strides or (0,)), access(t, t.strides or (0,)))
                                                              for v, t in (pairs[k] for k in positions)),
                             keys, body, registers, self.program.source(op)))


def bitcast_convert(self, op):
    """To elements of another size: the same memory, read as another dtype."""
    if not op.result.type.size:
        return self.bind(op.result, self.fresh(op.result.type))
    source = self.materialize(self.view(op.operands[0]), dense_only=True)
    self.bind(op.result, dense(Buffer(op.result.dtype, op.result.type.size, root=source.buffer), op.result.shape))


def scan(self, op):
    d, x = op.attributes["dim"], self.materialize(self.view(op.operands[0]))
    target = self.destination(op.result, [x])
    self.bind(op.result, target)
    if target.size == 0 or x.shape[d] == 1:
        return self.copy(x, target)
    views = [v.reverse([d]) if op.attributes["reverse"] else v for v in (x, target)]
    views = [v.transpose([k for k in range(len(v.shape)) if k != d] + [d]) for v in views]
    dims, strides, _ = collapse_groups((list(range(len(x.shape) - 1)), [], [len(x.shape) - 1]), views[0].shape, views)
    self.program.emit(p.Scan(op.attributes["op"], x.dtype, dims, *(access(v, s) for v, s in zip(views, strides)),
                             source=self.program.source(op)))


HANDLERS = {
    "bitcast_convert": bitcast_convert, "pad": pad, "concatenate": concatenate, "gather": gather, "scatter": scatter,
    "dynamic_slice": dynamic_slice, "dynamic_update_slice": dynamic_update_slice, "sort": sort, "scan": scan,
}
