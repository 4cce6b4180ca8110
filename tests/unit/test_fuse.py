"""Fusion on random graphs: every operation in one node, every node after what it needs; and the order that it keeps."""

from hypothesis import given
from hypothesis import strategies as st

from kjax.compiler import fuse
from kjax.compiler.order import Order
from kjax.ir.graph import Graph, Region, Type


class Member:
    place = 0


LONG, SHORT = Type("f32", (6, 4)), Type("f32", (4,))


def sum_region():
    region = Region()
    a, b = (region.argument(Type("f32")) for _ in range(2))
    region.results = [region.add("add", [a, b], Type("f32"))]
    return region


def narrow(graph, value):
    row = graph.add("slice", [value], Type("f32", (1, 4)), start=(2, 0), limit=(3, 4), strides=(1, 1))
    return graph.add("reshape", [row], SHORT)


def random_graph(data):
    """Maps of two shapes, reductions from the one to the other, broadcasts back, and what fuses with nothing."""
    graph = Graph()
    zero = graph.argument(Type("f32"))
    values = {LONG: [graph.argument(LONG)], SHORT: [graph.argument(SHORT)]}
    for _ in range(data.draw(st.integers(1, 40))):
        kind = data.draw(st.sampled_from(["long", "long", "short", "short", "reduce", "broadcast", "alone", "narrow"]))

        def pick(type):
            return data.draw(st.sampled_from(values[type][-6:]))

        if kind in ("long", "short"):
            type = LONG if kind == "long" else SHORT
            values[type].append(graph.add("add", [pick(type), pick(type)], type))
        elif kind == "reduce":
            values[SHORT] += graph.add("reduce", [pick(LONG), zero], [SHORT], regions=[sum_region()], dims=(0,))
        elif kind == "broadcast":
            values[LONG].append(graph.add("broadcast_in_dim", [pick(SHORT)], LONG, dims=(1,)))
        elif kind == "narrow":
            values[SHORT].append(narrow(graph, pick(LONG)))
        else:
            values[LONG].append(graph.add("sort", [pick(LONG)], LONG, dim=0, stable=True))
    graph.results = [values[LONG][-1], values[SHORT][-1]]
    return graph


@given(st.data())
def test_nodes_come_after_what_they_need(data):
    graph = random_graph(data)
    nodes, node_of = fuse.partition(graph)
    assert sorted((op for node in nodes for op in node.ops), key=id) == sorted(graph.ops, key=id)
    place = {node: k for k, node in enumerate(nodes)}
    for op in graph.ops:
        assert op in node_of[op].ops
        for value in op.operands:
            if value.op is not None:
                assert place[node_of[value.op]] <= place[node_of[op]]
    assert all(place[dep] < place[node] for node in nodes for dep in node.deps)


def test_a_path_through_a_node_that_grew_later_is_found():
    graph = Graph()
    x, y = graph.argument(LONG), graph.argument(SHORT)
    a = graph.add("add", [x, x], LONG)
    n = narrow(graph, graph.add("sort", [a], LONG, dim=0, stable=True))
    t = graph.add("add", [y, y], SHORT)
    c = graph.add("mul", [a, graph.add("broadcast_in_dim", [t], LONG, dims=(1,))], LONG)  # joins a, which now needs t
    d = graph.add("mul", [t, n], SHORT)  # needs a by way of n: with t it would close a cycle
    graph.results = [c, d]
    _, node_of = fuse.partition(graph)
    assert node_of[c.op] is node_of[a.op]
    assert node_of[d.op] is not node_of[t.op]


@given(st.lists(st.tuples(st.integers(0, 11), st.lists(st.integers(0, 11), max_size=4)), max_size=400))
def test_an_order_moves_members(moves):
    order, wanted = Order(), [Member() for _ in range(12)]
    for member in wanted:
        order.append(member)
    for target, some in moves:
        target = wanted[target]
        some = [m for m in wanted[wanted.index(target) + 1:] if wanted.index(m) in some]
        order.move(some, target)
        wanted = [m for m in wanted if m not in some]
        at = wanted.index(target)
        wanted[at:at] = some
        assert list(order) == wanted
        places = [m.place for m in wanted]
        assert places == sorted(set(places))


def test_places_are_given_anew_when_they_run_out():
    order = Order()
    members = [Member() for _ in range(3000)]
    for member in members:
        order.append(member)
    for member in members[1:]:  # each before the one that moved last: the gaps shrink as fast as they can
        order.move([member], members[0])
        members[0] = member
    places = [m.place for m in order]
    assert places == sorted(set(places)) and places[0] > 0
