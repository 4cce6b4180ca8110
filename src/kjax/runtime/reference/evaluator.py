"""Runs of a graph, lane by lane, operation by operation."""

import threading

import numpy as np

from kjax.runtime.reference import contractions, control, indexing, linalg, reductions, rules, shapes, sorting, transforms  # noqa: F401 (rules)
from kjax.runtime.reference.elementwise import elementwise


def evaluate(graph, inputs, *, max_trips=None):
    """Outputs of ``graph`` as a list of arrays; with lanes, ``inputs`` and the outcome are one list a lane.

    ``inputs``: NumPy arrays of the arguments' shapes and dtypes. ``max_trips`` bounds each loop; RuntimeError
    when it is exceeded. Raises TypeError for wrong arguments.
    """
    if graph.lanes == 1:
        return Evaluator(graph, max_trips=max_trips).run(inputs)
    exchange = Exchange(graph.lanes)
    out, errors = [None] * graph.lanes, []

    def work(lane):
        try:
            out[lane] = Evaluator(graph, lane, exchange, max_trips=max_trips).run(inputs[lane])
        except Exception as error:
            errors.append(error)
            exchange.barrier.abort()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(graph.lanes)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise next((e for e in errors if not isinstance(e, threading.BrokenBarrierError)), errors[0])
    return out


class Exchange:
    """Where lanes meet: each puts its array in its slot, then reads any slot."""

    def __init__(self, lanes):
        self.slots = [None] * lanes
        self.barrier = threading.Barrier(lanes)

    def swap(self, lane, array):
        """The arrays of all lanes."""
        self.slots[lane] = array
        self.barrier.wait()
        seen = list(self.slots)
        self.barrier.wait()
        return seen


class Evaluator:
    """Values of one run of one lane, by id of the ``ir.graph.Value``."""

    def __init__(self, graph, lane=0, exchange=None, *, max_trips=None):
        self.graph, self.lane, self.exchange, self.max_trips = graph, lane, exchange, max_trips
        self.values = {}

    def run(self, inputs):
        arguments = self.graph.arguments
        if len(inputs) != len(arguments):
            raise TypeError(f"the graph takes {len(arguments)} arguments, {len(inputs)} were given")
        arrays = []
        for k, (a, value) in enumerate(zip(inputs, arguments, strict=True)):
            a = np.asarray(a)
            if a.shape != value.shape or a.dtype != value.type.info.numpy:
                raise TypeError(f"argument {k} is {a.dtype}{list(a.shape)}, expected {value.type}")
            arrays.append(a)
        with np.errstate(all="ignore"):
            return [np.ascontiguousarray(a).reshape(v.shape)
                    for a, v in zip(self.region(self.graph, arrays), self.graph.results, strict=True)]

    def region(self, region, arguments):
        """Arrays of the region's results. Scalar regions may be given arrays that broadcast in place of scalars."""
        for value, array in zip(region.arguments, arguments, strict=True):
            self.values[id(value)] = array
        for op in region.ops:
            operands = [self.values[id(v)] for v in op.operands]
            rule = rules.BY_NAME.get(op.name)
            results = rule(self, op, *operands) if rule else elementwise(op.name, *operands)
            if not isinstance(results, list):
                results = [results]
            for value, array in zip(op.results, results, strict=True):
                self.values[id(value)] = array
        return [self.values[id(v)] for v in region.results]
