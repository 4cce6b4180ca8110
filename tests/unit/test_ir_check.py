"""The rules of the tensor IR: each wrong operation is refused with its name, its source line and the reason."""

import numpy as np
import pytest

from kjax.errors import CompileError
from kjax.ir.check import RULES, check
from kjax.ir.graph import Graph, Region, Source, Type

F = Type("f32", (4,))
I1 = Type("i1", (4,))


def graph_of(build):
    graph = Graph()
    x = graph.argument(F)
    graph.results = [build(graph, x)]
    return graph


def scalar_region(name, dtype="f32"):
    region = Region()
    a, b = region.argument(Type(dtype)), region.argument(Type(dtype))
    region.results = [region.add(name, [a, b], Type(dtype))]
    return region


WRONG = {
    "no such": (lambda g, x: g.add("frobnicate", [x], F), "no such core operation"),
    "operand count": (lambda g, x: g.add("add", [x], F), "1 operands, expected 2"),
    "implicit broadcast": (lambda g, x: g.add("add", [x, g.argument(Type("f32"))], F), "of one type"),
    "mixed dtypes": (lambda g, x: g.add("mul", [x, g.argument(Type("f64", (4,)))], F), "of one type"),
    "kind": (lambda g, x: g.add("popcnt", [x], F), "not defined on f32"),
    "compare result": (lambda g, x: g.add("lt", [x, x], F), "results are"),
    "select predicate": (lambda g, x: g.add("select", [x, x, x], F), "predicate"),
    "constant shape": (lambda g, x: g.add("constant", [], F, value=np.zeros(3, np.float32)), "results are"),
    "missing attribute": (lambda g, x: g.add("transpose", [x], F), "'permutation' is missing"),
    "permutation": (lambda g, x: g.add("transpose", [x], F, permutation=(1,)), "no permutation"),
    "slice": (lambda g, x: g.add("slice", [x], F, start=(0,), limit=(5,), strides=(1,)), "not inside"),
    "reshape": (lambda g, x: g.add("reshape", [x], Type("f32", (5,))), "elements"),
    "broadcast": (lambda g, x: g.add("broadcast_in_dim", [x], Type("f32", (5,)), dims=(0,)), "does not broadcast"),
    "concatenate": (lambda g, x: g.add("concatenate", [x, g.argument(I1)], Type("f32", (8,)), dim=0), "do not join"),
    "pad value": (lambda g, x: g.add("pad", [x, x], F, low=(0,), high=(0,), interior=(0,)), "padding value"),
    "dot": (lambda g, x: g.add("dot_general", [x, g.argument(Type("f32", (5,)))], Type("f32"), lhs_batch=(),
                               rhs_batch=(), lhs_contract=(0,), rhs_contract=(0,)), "does not meet"),
    "reduce body": (lambda g, x: g.add("reduce", [x, g.argument(Type("f32"))], [Type("f32")], dims=(0,),
                                       regions=[scalar_region("add", "i32")])[0], "the body takes"),
    "reduce dims": (lambda g, x: g.add("reduce", [x, g.argument(Type("f32"))], [Type("f32")], dims=(1,),
                                       regions=[scalar_region("add")])[0], "not dims of rank"),
    "start": (lambda g, x: g.add("dynamic_slice", [x, x], F, sizes=(4,)), "expected an integer scalar"),
    "case index": (lambda g, x: g.add("case", [g.argument(Type("i64"))], [F], regions=[Region()])[0], "expected i32"),
    "while state": (lambda g, x: g.add("while", [x], [F], trips=None, regions=[Region(), Region()])[0], "arguments"),
    "bit width": (lambda g, x: g.add("bitcast_convert", [x], Type("i64", (4,))), "last dim"),
    "two senders": (lambda g, x: g.add("permute", [x], F, pairs=((0, 1), (2, 1))), "two lanes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_operations_are_refused(name):
    build, why = WRONG[name]
    with pytest.raises(CompileError, match=why):
        check(graph_of(build))


def test_the_source_line_is_in_the_message():
    graph = graph_of(lambda g, x: g.add("add", [x], F, source=Source("model.py", 7)))
    with pytest.raises(CompileError, match="add at model.py:7"):
        check(graph)


def test_use_before_definition():
    graph = graph_of(lambda g, x: g.add("neg", [g.add("neg", [x], F)], F))
    graph.ops.reverse()
    with pytest.raises(CompileError, match="before its use"):
        check(graph)


def test_aliases_join_equal_types():
    graph = graph_of(lambda g, x: g.add("lt", [x, x], I1))
    graph.aliases = {0: 0}
    with pytest.raises(CompileError, match="donated input 0"):
        check(graph)


def test_a_right_graph_passes_and_every_documented_operation_has_a_rule():
    check(graph_of(lambda g, x: g.add("neg", [x], F)))
    from kjax.ir import graph as module

    documented = {line.split("``")[1] for line in module.__doc__.splitlines() if line.startswith("``")}
    assert documented <= set(RULES), documented - set(RULES)
