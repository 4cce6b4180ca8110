"""The order of the operations of a nest of few elements (compiler/schedule.py)."""

import numpy as np
from frontend_oracle import imported

from kjax.compiler.passes import simplify
from kjax.compiler.schedule import scheduled


def names(fn, *args):
    graph = imported(fn, *args)
    simplify.run(graph)
    members = [op for op in graph.ops if op.name != "constant"]
    order = scheduled(members)
    assert sorted(map(id, order)) == sorted(map(id, members))
    made = set()
    for op in order:
        assert not {v for v in op.operands if v.op in members} - made
        made.add(op.result)
    return [op.name for op in order]


X = np.float32(3)


def test_what_takes_longest_comes_last():
    assert names(lambda x: (x * x - 2) / (x + 1), X) == ["add", "mul", "sub", "div"]
    assert names(lambda x: (x + 1) / (x * x - 2), X) == ["add", "mul", "sub", "div"]
    assert names(lambda x: (x / 3) * (x * x * x), X) == ["mul", "mul", "div", "mul"]


def test_what_is_used_twice_is_done_once():
    assert names(lambda x: (x * 2 - 1) * (x * 2 + 1) / (x * 2), X).count("mul") == 2


def test_other_nests_keep_their_order():
    assert names(lambda x: (x * x - 2) / (x + 1), np.ones(5, np.float32)) == ["mul", "sub", "add", "div"]
    assert names(lambda x: (x * x - 2, x + 1), X) == ["mul", "sub", "add"]
