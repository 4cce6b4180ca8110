"""Which operations become one nest.

The operations of a region are partitioned into nodes: a ``Cluster`` (elementwise operations of one shape,
reductions of their values over the same dims, and elementwise operations on what was reduced), or a
single other operation. Two parts may join only when no path leads from one to the other through a third, so that
a cluster can run as a whole. Greedy, in program order.
"""

import heapq
from dataclasses import dataclass, field

from kjax.isa import ops

VIEWS = {"broadcast_in_dim", "reshape", "transpose", "slice", "reverse", "window", "constant", "iota"}
MAX_MEMBERS = 160
MAX_REDUCTIONS = 4
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
    """One unit of emission; ``ops`` in program order."""

    ops: list
    first: int
    last: int
    deps: set = field(default_factory=set)
    emitted: bool = False


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
    """Whether a reduction of ``shape`` over ``dims`` should run its strips along kept dims (see lower_nest)."""
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
    return inner >= 16


class _Fuser:
    def __init__(self, region):
        self.node_of = {}  # op -> Node
        self.producer = {}  # value -> op of this region
        self.nodes = []
        for at, op in enumerate(region.ops):
            self.add(at, op)
            for value in op.results:
                self.producer[value] = op

    def operand_nodes(self, op):
        values = list(op.operands) + (list(free_values(op)) if op.regions else [])
        return {self.node_of[self.producer[v]] for v in values if v in self.producer}

    def reaches(self, starts, target):
        """Whether ``target`` is among ``starts`` or their ancestors."""
        seen, stack = set(), list(starts)
        while stack:
            node = stack.pop()
            if node is target:
                return True
            if node in seen or node.last < target.first:
                continue
            seen.add(node)
            stack.extend(node.deps)
        return False

    def may_join(self, deps, cluster):
        return not self.reaches(deps - {cluster}, cluster)

    def add(self, at, op):
        deps = self.operand_nodes(op)
        cluster = None
        if is_elementwise(op):
            cluster = self.join_map(at, op, deps)
        elif op.name == "reduce" and op.operands[0].type.size:
            cluster = self.join_reduce(at, op, deps)
        if cluster is None:
            node = Node([op], at, at, deps)
            self.nodes.append(node)
            self.node_of[op] = node

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
        where.append(op)
        cluster.ops.append(op)
        cluster.last = at
        cluster.deps |= deps - {cluster}
        self.node_of[op] = cluster
        return cluster

    def merge(self, a, b):
        """Put all of ``b`` into ``a`` when that closes no cycle; True when done."""
        if len(a.ops) + len(b.ops) > MAX_MEMBERS or (b.kept is not None and a.kept not in (None, b.kept)):
            return False
        if len(a.reduces) + len(b.reduces) > MAX_REDUCTIONS:
            return False
        if self.reaches(a.deps - {b}, b) or self.reaches(b.deps - {a}, a):
            return False
        if (b in a.deps and b.posts) or (a in b.deps and a.posts):
            return False
        a.first, a.last = min(a.first, b.first), max(a.last, b.last)
        a.deps = (a.deps | b.deps) - {a, b}
        for name in ("ops", "maps", "reduces", "posts"):
            setattr(a, name, getattr(a, name) + getattr(b, name))
        a.kept = a.kept if a.kept is not None else b.kept
        for op in b.ops:
            self.node_of[op] = a
        for node in self.nodes:
            if b in node.deps:
                node.deps.discard(b)
                node.deps.add(a)
        self.nodes.remove(b)
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
        cluster = Cluster([], at, at, set(), shape=shape)
        self.nodes.append(cluster)
        return self.put(cluster, at, op, deps, cluster.maps)

    @staticmethod
    def post_pays(cluster):
        dims = [d for d in range(len(cluster.shape)) if d not in cluster.kept]
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
            home = Cluster([], at, at, set(), shape=shape)
            self.nodes.append(home)
        home.kept = kept
        return self.put(home, at, op, deps, home.reduces)


def partition(region):
    """The nodes of a region in an order in which they can be emitted, and the node of each op."""
    fuser = _Fuser(region)
    order = {op: k for k, op in enumerate(region.ops)}
    for node in fuser.nodes:
        if isinstance(node, Cluster):
            for part in (node.ops, node.maps, node.reduces, node.posts):
                part.sort(key=order.__getitem__)
    return _sorted(fuser.nodes), fuser.node_of


def _sorted(nodes):
    """Topological order; among the ready ones, that whose last operation comes first in the program."""
    waiting = {node: len(node.deps) for node in nodes}
    users = {node: [] for node in nodes}
    for node in nodes:
        for dep in node.deps:
            users[dep].append(node)
    ready = [(node.last, k, node) for k, node in enumerate(nodes) if not waiting[node]]
    heapq.heapify(ready)
    out, serial = [], len(nodes)
    while ready:
        node = heapq.heappop(ready)[2]
        out.append(node)
        for user in users[node]:
            waiting[user] -= 1
            if not waiting[user]:
                serial += 1
                heapq.heappush(ready, (user.last, serial, user))
    assert len(out) == len(nodes), "clusters depend on each other in a cycle"
    return out
