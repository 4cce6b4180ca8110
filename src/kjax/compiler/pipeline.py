"""The compiler from end to end: a graph in, the bytes of a program out."""

from kjax.bytecode.assembler import assemble
from kjax.compiler import rows, turn
from kjax.compiler.encode import encode
from kjax.compiler.lower import Lowering
from kjax.compiler.passes import counters, expand, hoist, indices, rematerialize, simplify, slices

PASSES = (simplify.run, expand.run, simplify.run, hoist.run, indices.run, slices.run, simplify.run,
          rematerialize.run, counters.run)


def build(graph):
    """The ``bytecode.program.Image`` of ``graph``, which is rewritten in place.

    Raises UnsupportedOpError for an operation that the engine lacks, LimitError for one beyond its limits. Cost: about
    linear in the number of operations; constants are copied once.
    """
    for one in PASSES:
        one(graph)
    lowering = Lowering(graph)
    _, inputs, outputs = lowering.run()
    lowering.code = turn.run(rows.run(lowering.code))
    return encode(graph, lowering, inputs, outputs)


def compile_graph(graph, *, meta=None, stablehlo=b""):
    """The bytes of a ``.kjx``. ``meta`` (JSON-able) is merged into the META section, ``stablehlo`` becomes SHLO."""
    image = build(graph)
    image.meta.update(meta or {})
    image.stablehlo = stablehlo
    return assemble(image)
