"""What a loop does to elements that it takes from a tensor is done to the whole tensor before the loop, where that is less work.

``f(x[i])`` is ``f(x)[i]`` to the bit when ``f`` is elementwise and its other operands are one value everywhere. A binary search
that compares in total order maps each element it has taken to an integer; a thousand elements are mapped once instead of ten
thousand in each step. A scan over scalars that multiplies each by a constant does so in vectors, and has an operation less in each step.

Only if nothing else uses what is taken, and one value is all that the loop goes on with: so the loop takes as often as before.
"""

import heapq

import numpy as np

from kjax.compiler.fuse import free_values, is_elementwise
from kjax.compiler.passes.algebra import constant_of
from kjax.ir.graph import Type
from kjax.ir.rewrite import substitute
from kjax.ir.scalar import splat

SMALL = 4  # elements of a slice: those that the engine does one by one (KJX_LANES_APART)
MOST_BYTES = 1 << 24


def _same_elements(op):
    return op.name == "reshape" or is_elementwise(op)


def _splat_of(value):
    """What ``value`` repeats, if that is one element."""
    if value.op is not None and value.op.name == "broadcast_in_dim" and value.op.operands[0].type.size == 1:
        return value.op.operands[0]
    return value


class _Body:
    """Where the operations of a region are, and who uses their results."""

    def __init__(self, region):
        self.ops, self.results = region.ops, set(region.results)
        self.inside = set(region.arguments) | {v for op in region.ops for v in op.results}
        self.users = {}
        for at, op in enumerate(region.ops):
            for value in {*op.operands, *(free_values(op) if op.regions else ())}:
                self.users.setdefault(value, []).append(at)


class _Taken:
    """Values of a loop's body that are functions of ``take``, an operation that takes elements from outside, and of nothing that varies."""

    def __init__(self, outer, body, take):
        self.outer, self.body, self.take = outer, body, take
        self.ops, self.values = [], {take.result}
        waiting = list(body.users.get(take.result, ()))
        heapq.heapify(waiting)
        own = set()
        while waiting:
            at = heapq.heappop(waiting)
            op = body.ops[at]
            if at in own or len(op.results) != 1 or not _same_elements(op):
                continue
            if all(v in self.values or self.is_uniform(v) for v in op.operands):
                own.add(at)
                self.ops.append(op)
                self.values.add(op.result)
                for user in body.users.get(op.result, ()):
                    heapq.heappush(waiting, user)
        self.left = {v for v in self.values if v in body.results or any(at not in own for at in body.users.get(v, ()))}

    def is_uniform(self, value):
        value = _splat_of(value)
        return constant_of(value) is not None or (value not in self.body.inside and value.type.size == 1)

    def uniform(self, value):
        """The scalar that ``value`` is everywhere, outside of the loop."""
        value = _splat_of(value)
        number = constant_of(value)
        if number is not None:
            return self.outer.add("constant", [], Type(value.dtype), value=np.asarray(number))
        return value if not value.shape else self.outer.add("reshape", [value], Type(value.dtype))

    def lift(self, wanted):
        """``wanted`` for all elements of the tensor, before the loop."""
        source = self.take.operands[0]
        at = {self.take.result: source}
        for op in self.ops:
            if op.name == "reshape":
                at[op.result] = at[op.operands[0]]
                continue
            operands = [at[v] if v in at else splat(self.outer, self.uniform(v), source.shape, op.source) for v in op.operands]
            at[op.result] = self.outer.add(op.name, operands, Type(op.result.dtype, source.shape), source=op.source, **op.attributes)
            if op.result is wanted:
                break
        return at[wanted]


def _pays(take, trips):
    source, result = take.operands[0].type, take.result.type
    if take.name == "dynamic_slice" and result.size > SMALL:
        return False
    return 0 < source.size <= trips * result.size and source.bytes <= MOST_BYTES


def lift(outer, loop):
    """Rewrite the body of the ``while`` operation ``loop``, which is to be appended to ``outer``. What it costs is about linear in the
    number of operations, and in that times the number of tensors that it changes."""
    region, body = loop.regions[1], None
    for take in [op for op in region.ops if op.name in ("gather", "dynamic_slice")]:
        if not _pays(take, loop.attributes.get("trips") or 1):
            continue
        body = body or _Body(region)
        if take.operands[0] in body.inside:
            continue
        taken = _Taken(outer, body, take)
        if len(taken.left) == 1 and take.result not in taken.left and any(op.name != "reshape" for op in taken.ops):
            _replace(region, take, taken, *taken.left)
            body = None


def _replace(region, take, taken, wanted):
    source, ops, done = taken.lift(wanted), region.ops, {id(op) for op in taken.ops}
    region.ops = []
    for op in ops:
        if op is take:
            kind = Type(wanted.dtype, take.result.shape)
            new = region.add(take.name, [source, *take.operands[1:]], kind, source=take.source, **take.attributes)
            if new.shape != wanted.shape:
                new = region.add("reshape", [new], wanted.type, source=take.source)
        elif id(op) not in done:
            region.ops.append(op)
    substitute(region, {wanted: new})
