"""Graph -> instructions over buffers: nodes in order, each value given a place.

``Lowering`` owns what the whole program shares (code, constants, source table); ``RegionLowering`` walks
one region. A value is known by its view; view operations only compute another view. A value that is
wanted somewhere (an output, a loop's carried buffer) is computed there when nothing still reads what is there,
else computed aside and copied at the end of the region.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from kjax.compiler import clusters, control, data, linalg, products, transform
from kjax.compiler.body import Body, finish
from kjax.compiler.fuse import VIEWS, Cluster, free_values, is_elementwise, partition
from kjax.compiler.nest import Operands, map_nest
from kjax.compiler.views import Buffer, View, dense
from kjax.errors import UnsupportedOpError
from kjax.isa import dtypes

ROW, MAX_ROW_NUMBERS = 64, 4096  # elements of a row that pays for its number as a constant; rows that such a constant is made for


class Lowering:
    """State of one program's lowering."""

    def __init__(self, graph):
        self.graph = graph
        self.donated = set(graph.aliases.values())
        self.code = []
        self.constants = {}
        self.sources = {}

    def constant(self, array):
        """View of a constant; a splat is stored as one element."""
        array = np.asarray(array)
        dtype = dtypes.of(array.dtype).name
        shape = array.shape
        if array.size and _is_splat(array):
            array = array.reshape(-1)[:1]
        data_bytes = np.ascontiguousarray(array).tobytes()
        key = (dtype, data_bytes)
        if key not in self.constants:
            self.constants[key] = Buffer(dtype, array.size, "constant", data=data_bytes)
        buffer = self.constants[key]
        if array.shape == shape:
            return dense(buffer, shape)
        return View(buffer, dtype, shape, (0,) * len(shape))

    def source(self, op):
        """Number of an operation's source line in META's table (0 = unknown)."""
        text = str(op.source)
        return self.sources.setdefault(text, len(self.sources) + 1) if text else 0

    def emit(self, instruction):
        self.code.append(instruction)

    def run(self):
        """Lower the whole graph. Returns (code, input buffers, output buffers)."""
        graph = self.graph
        inputs = [Buffer(v.dtype, v.type.size, "input", k) for k, v in enumerate(graph.arguments)]
        outputs = []
        for k, value in enumerate(graph.results):
            root = inputs[graph.aliases[k]] if k in graph.aliases else None
            outputs.append(Buffer(value.dtype, value.type.size, "output", k, root=root))
        env = {v: dense(b, v.shape) for v, b in zip(graph.arguments, inputs)}
        RegionLowering(self, graph, env, None).run([dense(b, v.shape) for v, b in zip(graph.results, outputs)])
        return self.code, inputs, outputs


def _is_splat(array):
    if array.size == 1:
        return True
    flat = array.reshape(-1).view(np.uint8).reshape(array.size, -1) if array.flags.c_contiguous else None
    if flat is None:
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(array.size, -1)
    return bool((flat == flat[0]).all())


SHARED = 64 << 10  # bytes of a result from which on what it is computed from lies there before

_RESULT = object()  # stands for "leaves the region" among a value's users


@dataclass(frozen=True)
class Hint:
    """Where a value is wanted. ``exclusive``: that memory is for this value alone, whatever else its buffer holds."""

    view: View
    exclusive: bool


class RegionLowering:
    """One region. ``env`` maps values of all regions to views; ``kept``: memory that stays as it is, whoever reads it here."""

    def __init__(self, program, region, env, parent, kept=frozenset()):
        self.program = program
        self.region = region
        self.env = env
        self.parent = parent
        self.kept = kept | parent.kept if parent is not None else kept
        self.nodes, self.node_of = partition(region)
        self.users = _users(region)
        self.hints = {}
        self.parts = {}  # value -> views of the components that it would hold, were it in memory
        self.wanted = set()  # memory that hints of this region and of those around it are about
        self.current = None
        self.later = frozenset()  # operations of the current node that further instructions will compute
        self.finished = False
        for value in region.arguments:
            if value in env:
                self.register(value, env[value])

    # -- places ---------------------------------------------------------------------------------------------
    def register(self, value, view):
        if view is not None and view.buffer is not None:
            view.buffer.owner.values.append((self, value))

    def bind(self, value, view):
        """From now on ``value`` is at ``view``."""
        self.env[value] = view
        self.register(value, view)

    def view(self, value):
        return self.env[value]

    def pending(self, value, asking):
        """Whether something still to be emitted reads ``value`` of this region.

        The instruction that region ``asking`` is emitting is no obstacle to itself; a loop that encloses ``asking`` is:
        its next iteration reads again what the last one read.
        """
        if self.finished:
            return False
        for user in self.users.get(value, ()):
            if user is _RESULT:
                return True
            node = self.node_of[user]
            if not node.emitted and not (node is self.current and asking is self and user not in self.later):
                return True
        return False

    def may_overwrite(self, owner):
        """Whether nothing that is still to run needs what is in ``owner`` now."""
        if owner.storage == "constant" or (owner.storage == "input" and not self.donated(owner)) or owner in self.kept:
            return False
        return not any(region.pending(value, self) for region, value in owner.values)

    def take(self, view):
        """Claim memory whose values are dead; returns ``view``."""
        view.buffer.owner.values.clear()
        return view

    def donated(self, owner):
        return owner.index in self.program.donated

    def destination(self, value, reads=(), *, over=(), moves=False):
        """Where the current instruction shall write ``value``. ``reads``: views that it reads, which must be either
        elsewhere or exactly there, or elsewhere if it ``moves`` elements; ``over``: those of them that may be overwritten when
        nothing else needs them."""
        hint = self.hints.get(value)
        if hint is not None:
            owner = hint.view.buffer.owner
            clash = any(r.buffer is not None and r.buffer.owner is owner and (moves or not r.same_place(hint.view)) for r in reads)
            if not clash and hint.exclusive:
                return hint.view
            if not clash and self.may_overwrite(owner):
                return hint.view
        for view in over:
            if view.buffer is None or (view.dtype, view.shape) != (value.dtype, value.shape) or not view.is_dense:
                continue
            owner = view.buffer.owner
            if (owner.storage == "arena" and owner not in self.wanted and self.may_overwrite(owner) and
                    all(r.buffer is None or r.buffer.owner is not owner or r.same_place(view) for r in reads)):
                return view
        return self.fresh(value.type)

    def fresh(self, type):
        return dense(Buffer(type.dtype, type.size), type.shape)

    def copy(self, source, target, origin=0):
        """Emit target <- source, views of one shape and dtype."""
        if target.size == 0 or source.same_place(target):
            return
        operands, body = Operands(), Body()
        register = self.load(body, operands, source)
        body.store(operands.add(target), register)
        self.program.emit(map_nest(target.shape, operands, *finish(body), origin))

    def load(self, body, operands, view):
        if view.is_iota:
            table = self.row_numbers(view)
            if table is None:
                return body.iota(operands.add(view), view.dtype, *view.extremes())
            view = table
        return body.load(operands.add(view), view.dtype)

    def row_numbers(self, view):
        """An iota that is one number for each row of other elements, as a constant with that number; None where it is not.

        A nest reads one element a row where it lies, but would fill a strip with each of an iota's numbers.
        """
        varying = [d for d, n in enumerate(view.shape) if n != 1 and view.strides[d]]
        if len(varying) != 1 or view.dtype not in ("i32", "f32"):
            return None
        d, = varying
        if prod(view.shape[d + 1:]) < ROW or view.shape[d] > MAX_ROW_NUMBERS or max(map(abs, view.extremes())) >= 1 << 24:
            return None
        numbers = view.offset + view.strides[d] * np.arange(view.shape[d])
        column = self.program.constant(numbers.astype(dtypes.BY_NAME[view.dtype].numpy))
        return column.broadcast(view.shape, (d,))

    def materialize(self, view, *, dense_only=False):
        """``view`` itself when it is memory (and dense, if asked), else a fresh copy of it."""
        if view.buffer is not None and (view.is_dense or not dense_only):
            return view
        target = dense(Buffer(view.dtype, view.size), view.shape)
        self.copy(view, target)
        return target

    def spread_hints(self):
        """Carry wanted places backwards: what is only transposed, reshaped or concatenated is computed in its final place.

        So is what a large elementwise result is computed from: the result then takes its memory over, if by then nothing else
        reads that, and a pass over memory that is not in a cache is saved.
        """
        place = {op: k for k, op in enumerate(self.region.ops)}
        for op in reversed(self.region.ops):
            if op.name in ("transpose", "reshape", "reverse"):
                hint, value = self.hints.get(op.result), op.operands[0]
                if hint is None or len(self.users[value]) != 1 or value in self.hints:
                    continue
                view = hint.view
                if op.name == "transpose":
                    inverse = sorted(range(len(view.shape)), key=op.attributes["permutation"].__getitem__)
                    self.hints[value] = Hint(view.transpose(inverse), hint.exclusive)
                elif op.name == "reverse":
                    self.hints[value] = Hint(view.reverse(op.attributes["dims"]), hint.exclusive)
                elif (reshaped := view.reshape(value.shape)) is not None:
                    self.hints[value] = Hint(reshaped, hint.exclusive)
            elif is_elementwise(op):
                hint = self.hints.get(op.result)
                if hint is None or not hint.exclusive or op.result.type.bytes < SHARED or not hint.view.is_dense:
                    continue
                for value in op.operands:
                    if value.type == op.result.type and value not in self.hints and self.ends_here(value, op, place):
                        self.hints[op.result] = self.hints[value] = Hint(hint.view, False)
                        break
            elif op.name == "concatenate" and op.result.type.size and not self.joins_indices(op):
                hint = self.hints.get(op.result)
                if hint is None or not hint.exclusive:
                    hint = self.hints[op.result] = Hint(self.fresh(op.result.type), True)
                at, d = 0, op.attributes["dim"]
                for value in op.operands:
                    start = [at if k == d else 0 for k in range(value.type.rank)]
                    limit = [n + (at if k == d else 0) for k, n in enumerate(value.shape)]
                    at += value.shape[d]
                    if value.type.size and len(self.users[value]) == 1 and op.operands.count(value) == 1:
                        self.hints.setdefault(value, Hint(hint.view.slice(start, limit, [1] * len(start)), True))

    def ends_here(self, value, op, place):
        """Whether ``value`` is elementwise, of this region, and has ``op`` as its last user. ``place``: of the region's operations."""
        return (value.op in place and is_elementwise(value.op) and
                all(user is not _RESULT and place[user] <= place[op] for user in self.users[value]))

    def joins_indices(self, op):
        """Whether a concatenation only puts the components of gathers' and scatters' origins side by side.

        Those are read where they are; then nothing is concatenated.
        """
        d = op.attributes["dim"]
        return all(v.shape[d] == 1 for v in op.operands) and all(
            user is not _RESULT and user.name in ("gather", "scatter") and user.attributes["index_vector_dim"] == d
            and [v is op.result for v in user.operands] == [k == len(user.operands) // 2 for k in range(len(user.operands))]
            for user in self.users.get(op.result, ()))

    # -- walking --------------------------------------------------------------------------------------------
    def run(self, targets):
        """Emit the region; leave result k in ``targets[k]`` (None: leave it where it is). Returns the results' views."""
        for value, target in zip(self.region.results, targets):
            if target is not None and value not in self.hints and target.size:
                own = self.parent is None and target.buffer.root is None  # a loop's state may lie in an output, too
                self.hints[value] = Hint(target, own)
        self.spread_hints()
        self.wanted = {hint.view.buffer.owner for hint in self.hints.values()}
        if self.parent is not None:
            self.wanted |= self.parent.wanted
        for node in self.nodes:
            self.current, self.later = node, frozenset()
            if isinstance(node, Cluster):
                clusters.lower(self, node)
            else:
                self.operation(node.ops[0])
            node.emitted = True
        self.current = None
        self.leave(targets)
        self.finished = True
        return [t if t is not None else self.env[v] for v, t in zip(self.region.results, targets)]

    def leave(self, targets):
        """Copy results that are not yet in their targets; first aside those that lie where another one goes."""
        moves = [(self.env[v], t) for v, t in zip(self.region.results, targets) if t is not None and t.size]
        moves = [(source, target) for source, target in moves if not source.same_place(target)]
        overwritten = {target.buffer.owner for _, target in moves}
        for k, (source, target) in enumerate(moves):
            if source.buffer is not None and source.buffer.owner in overwritten:
                aside = dense(Buffer(source.dtype, source.size), source.shape)
                self.copy(source, aside)
                moves[k] = (aside, target)
        for source, target in moves:
            self.copy(source, target)

    def operation(self, op):
        if op.name in VIEWS:
            return self.bind(op.result, self.view_operation(op))
        handler = _HANDLERS.get(op.name)
        if handler is None:
            raise UnsupportedOpError(f"operation {op.name!r} at {op.source or 'unknown source'} is not supported yet; "
                                     "rewrite it with supported operations (docs/spec/isa.md lists them)")
        handler(self, op)

    def view_operation(self, op):
        a = op.attributes
        if op.name == "constant":
            return self.program.constant(a["value"])
        if op.name == "iota":
            strides = tuple(int(d == a["dim"]) for d in range(op.result.type.rank))
            return View(None, op.result.dtype, op.result.shape, strides)
        x = self.view(op.operands[0])
        if op.name == "broadcast_in_dim":
            return x.broadcast(op.result.shape, a["dims"])
        if op.name == "transpose":
            return x.transpose(a["permutation"])
        if op.name == "slice":
            return x.slice(a["start"], a["limit"], a["strides"])
        if op.name == "reverse":
            return x.reverse(a["dims"])
        if op.name == "window":
            return self.materialize(x).window(a["sizes"], a["strides"], a["dilations"])
        reshaped = x.reshape(op.result.shape)
        if reshaped is None:
            target = self.destination(op.result, [x])
            if target.shape == op.result.shape and target.is_dense:
                self.copy(x, target.reshape(x.shape))
                return target
            reshaped = self.materialize(x, dense_only=True).reshape(op.result.shape)
        return reshaped

    # -- values in nests ------------------------------------------------------------------------------------
    def needed(self, value, inside):
        """Whether ``value`` must be in memory: somebody outside the ops ``inside`` uses it."""
        return any(user is _RESULT or user not in inside for user in self.users.get(value, ()))

    def outer(self, body, operands, shape):
        """How a scalar region inside a nest over ``shape`` reads a value from outside: loaded as a splat."""

        return lambda value: self.load(body, operands, self.scalar(value).broadcast(shape, ()))

    def scalar(self, value):
        """View of a scalar from around or inside (then it is a constant) a scalar region."""
        view = self.env.get(value)
        return view if view is not None else self.program.constant(value.op.attributes["value"])


def _users(region):
    users = {}
    for op in region.ops:
        for value in set(op.operands) | (free_values(op) if op.regions else set()):
            users.setdefault(value, []).append(op)
    for value in region.results:
        users.setdefault(value, []).append(_RESULT)
    return users


_HANDLERS = {**data.HANDLERS, **products.HANDLERS, **control.HANDLERS, **linalg.HANDLERS, **transform.HANDLERS}
