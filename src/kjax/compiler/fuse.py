"""Which operations become one nest.

The operations of a region are partitioned into nodes: a ``Cluster`` (elementwise operations of one shape,
reductions of their values over the same dims, and elementwise operations on what was reduced), or a
single other operation. Two parts may join only when no path leads from one to the other through a third, so that
a cluster can run as a whole. Greedy, in program order.
"""

import heapq
from dataclasses import dataclass, field
from math import prod
from operator import attrgetter

from kjax.compiler.order import Order
from kjax.ir.graph import is_traced
from kjax.isa import ops

VIEWS = {"broadcast_in_dim", "reshape", "transpose", "slice", "reverse", "window", "constant", "iota"}
MAX_MEMBERS = 160
MAX_REDUCTIONS = 4
MAX_SEARCH = 512  # nodes
FOLDS = {(name, dtype) for name in ("add", "mul", "max", "min") for dtype in ("f32", "f64")}
LONG_ROW = 64
MAX_POSTS = 8  # of a reduction along rows
SMALL_EXTENT = 32  # a reduction shorter than this runs with strips along the kept dims

_ELEMENTWISE = {o.name for o in ops.OPS if o.form not in ("special", "convert") and o.name != "copy"} | {"convert"}


def is_elementwise(op):
    if op.name in _ELEMENTWISE:
        return op.result.type.size > 0
    if op.name == "bitcast_convert":
        a, b = op.operands[0].type, op.result.type
        return a.shape == b.shape and a.info.size == b.info.size and b.size > 0
    return False


@dataclass(eq=False)
class Node:
    """One unit of emission; ``ops`` in program order.

    Hashed by its number in the region, so that sets of nodes have the same order in every process: searches then take
    the same way each time, and a program costs the same to compile.
    """

    ops: list
    first: int
    last: int
    number: int
    deps: set = field(default_factory=set)
    users: set = field(default_factory=set)
    place: int = 0
    emitted: bool = False

    def __hash__(self):
        return self.number


PLACE = attrgetter("place")


@dataclass(eq=False)
class Cluster(Node):
    shape: tuple = ()
    kept: tuple | None = None  # dims that a reduction keeps
    maps: list = field(default_factory=list)
    reduces: list = field(default_factory=list)
    posts: list = field(default_factory=list)

    @property
    def kept_shape(self):
        return tuple(self.shape[d] for d in self.kept)


def free_values(op):
    """Values that an operation's regions use from outside, in no order."""
    inside, used = set(), set()

    def walk(region):
        inside.update(region.arguments)
        for inner in region.ops:
            inside.update(inner.results)
            used.update(inner.operands)
            for r in inner.regions:
                walk(r)
        used.update(region.results)

    for region in op.regions:
        walk(region)
    return used - inside


def strips_along_kept(shape, dims):
    """Whether a reduction of ``shape`` over ``dims`` should run its strips along kept dims (see nest.reduce_nest)."""
    kept = [d for d in range(len(shape)) if d not in dims and shape[d] != 1]
    if not kept:
        return False
    extent = 1
    for d in dims:
        extent *= shape[d]
    count = 1
    for d in kept:
        count *= shape[d]
    if extent <= SMALL_EXTENT and count >= 8:
        return True
    inner = 1
    for d in range(len(shape) - 1, -1, -1):
        if d in dims and shape[d] != 1:
            break
        inner *= shape[d]
    return inner >= 2


def ends_together(cluster, dims):
    """Whether the engine ends the folds of several rows at once (engine/reduce.c): one float fold along long rows."""
    trailing = dims == list(range(len(cluster.shape) - len(dims), len(cluster.shape)))
    return (trailing and len(cluster.reduces) == 1 and reduced_by(cluster.reduces[0]) in FOLDS
            and prod(cluster.shape[d] for d in dims) >= LONG_ROW and len(cluster.posts) < MAX_POSTS)


def reduced_by(op):
    """(operation, dtype) that a reduction combines two values with, where it is a single one; else None."""
    body = op.regions[0].ops
    if len(body) != 1 or len(op.operands) != 2 or set(body[0].operands) != set(op.regions[0].arguments):
        return None
    return body[0].name, body[0].result.type.dtype


class _Fuser:
    """Builds the nodes of one region.

    The nodes are kept in an order that puts each after what it depends on, so that a search for a path between two of
    them stays between their places. Joining operations moves only the nodes that the search has met. One that meets more
    than ``MAX_SEARCH`` nodes gives up, and what would have been joined stays apart: that keeps the cost linear.
    """

    def __init__(self, region):
        self.node_of = {}  # op -> Node
        self.producer = {}  # value -> op of this region
        self.order = Order()
        self.last_traced = None
        for at, op in enumerate(region.ops):
            self.add(at, op)
            for value in op.results:
                self.producer[value] = op

    @property
    def nodes(self):
        return list(self.order)

    def operand_nodes(self, op):
        values = list(op.operands) + (list(free_values(op)) if op.regions else [])
        return {self.node_of[self.producer[v]] for v in values if v in self.producer}

    def between(self, starts, target):
        """``starts`` and their ancestors, as far as they are in the order after ``target``, in that order.

        None when ``target`` is among them, or when there are too many of them.
        """
        seen = {node for node in starts if node.place >= target.place}
        stack = list(seen)
        while stack:
            node = stack.pop()
            if node is target or len(seen) > MAX_SEARCH:
                return None
            fresh = {dep for dep in node.deps if dep.place >= target.place} - seen
            seen |= fresh
            stack.extend(fresh)
        return sorted(seen, key=PLACE)

    def may_join(self, deps, cluster):
        return self.between(deps - {cluster}, cluster) is not None

    def node(self, node, deps):
        """Put a new node at the end of the order."""
        self.order.append(node)
        self.depend(node, deps)
        return node

    @staticmethod
    def depend(node, deps):
        node.deps |= deps
        for dep in deps:
            dep.users.add(node)

    def add(self, at, op):
        deps = self.operand_nodes(op)
        cluster = None
        if is_elementwise(op):
            cluster = self.join_map(at, op, deps)
        elif op.name == "reduce" and op.operands[0].type.size:
            cluster = self.join_reduce(at, op, deps)
        if cluster is None:
            node = Node([op], at, at, at)
            if is_traced(op):  # what the host sees keeps its order
                deps |= {self.last_traced} if self.last_traced is not None else set()
                self.last_traced = node
            self.node_of[op] = self.node(node, deps)

    def member_clusters(self, op, shape):
        """Clusters of ``shape`` that produce an operand as a full member."""
        found = []
        for value in op.operands:
            producer = self.producer.get(value)
            node = self.node_of.get(producer)
            if isinstance(node, Cluster) and node.shape == shape and producer in node.maps and node not in found:
                found.append(node)
        return found

    def put(self, cluster, at, op, deps, where):
        deps = deps - {cluster}
        self.order.move(self.between(deps, cluster), cluster)
        where.append(op)
        cluster.ops.append(op)
        cluster.last = at
        self.depend(cluster, deps)
        self.node_of[op] = cluster
        return cluster

    def merge(self, a, b):
        """Put all of ``b`` into ``a`` when that closes no cycle; True when done."""
        if len(a.ops) + len(b.ops) > MAX_MEMBERS or (b.kept is not None and a.kept not in (None, b.kept)):
            return False
        if len(a.reduces) + len(b.reduces) > MAX_REDUCTIONS:
            return False
        if (b in a.deps and b.posts) or (a in b.deps and a.posts):
            return False
        first, second = sorted((a, b), key=PLACE)
        moved = self.between(second.deps - {first}, first)
        if moved is None:
            return False
        self.order.move(moved, first)
        self.order.put(a, first)
        self.order.remove(b)
        a.first, a.last = min(a.first, b.first), max(a.last, b.last)
        for name in ("ops", "maps", "reduces", "posts"):
            setattr(a, name, getattr(a, name) + getattr(b, name))
        a.kept = a.kept if a.kept is not None else b.kept
        for op in b.ops:
            self.node_of[op] = a
        for dep in b.deps:
            dep.users.discard(b)
        for user in b.users:
            user.deps.discard(b)
        self.depend(a, b.deps - {a, b})
        for user in b.users - {a}:
            self.depend(user, {a})
        return True

    def join_map(self, at, op, deps):
        shape = op.result.shape
        home = None
        for cluster in self.member_clusters(op, shape):
            if len(cluster.ops) >= MAX_MEMBERS:
                continue
            if home is None:
                if self.may_join(deps, cluster):
                    home = cluster
            elif self.merge(home, cluster):
                deps = {home if d is cluster else d for d in deps}
        if home is not None and self.may_join(deps, home):
            return self.put(home, at, op, deps, home.maps)
        for value in op.operands:  # elementwise on what a reduction left
            producer = self.producer.get(value)
            cluster = self.node_of.get(producer)
            if (isinstance(cluster, Cluster) and cluster.kept is not None and cluster.kept_shape == shape
                    and (producer in cluster.reduces or producer in cluster.posts)
                    and len(cluster.ops) < MAX_MEMBERS
                    and self.post_pays(cluster) and self.may_join(deps, cluster)):
                return self.put(cluster, at, op, deps, cluster.posts)
        cluster = self.node(Cluster([], at, at, at, shape=shape), set())
        return self.put(cluster, at, op, deps, cluster.maps)

    @staticmethod
    def post_pays(cluster):
        """Whether the post body has lanes: kept dims that strips run along, or rows whose folds end together."""
        dims = [d for d in range(len(cluster.shape)) if d not in cluster.kept]
        if ends_together(cluster, dims):
            return True
        count = 1
        for d in cluster.kept:
            count *= cluster.shape[d]
        return count <= 4 or strips_along_kept(cluster.shape, dims)

    def join_reduce(self, at, op, deps):
        shape = op.operands[0].shape
        n = len(op.operands) // 2
        kept = tuple(d for d in range(len(shape)) if d not in op.attributes["dims"])
        homes = [c for c in self.member_clusters(op, shape) if c.kept in (None, kept)]
        inits = {self.node_of[self.producer[v]] for v in op.operands[n:] if v in self.producer}
        home = next((c for c in homes if len(c.reduces) + n <= MAX_REDUCTIONS and c not in inits
                     and self.may_join(deps, c)), None)
        if home is None:
            home = self.node(Cluster([], at, at, at, shape=shape), set())
        home.kept = kept
        return self.put(home, at, op, deps, home.reduces)


def partition(region):
    """The nodes of a region in an order in which they can be emitted, and the node of each op."""
    fuser = _Fuser(region)
    order = {op: k for k, op in enumerate(region.ops)}
    nodes = fuser.nodes
    for node in nodes:
        if isinstance(node, Cluster):
            for part in (node.ops, node.maps, node.reduces, node.posts):
                part.sort(key=order.__getitem__)
    return _sorted(nodes), fuser.node_of


def _sorted(nodes):
    """Topological order; among the ready ones, that whose last operation comes first in the program."""
    waiting = {node: len(node.deps) for node in nodes}
    ready = [(node.last, k, node) for k, node in enumerate(nodes) if not waiting[node]]
    heapq.heapify(ready)
    out, serial = [], len(nodes)
    while ready:
        node = heapq.heappop(ready)[2]
        out.append(node)
        for user in node.users:
            waiting[user] -= 1
            if not waiting[user]:
                serial += 1
                heapq.heappush(ready, (user.last, serial, user))
    assert len(out) == len(nodes), "clusters depend on each other in a cycle"
    return out
