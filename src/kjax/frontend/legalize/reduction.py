"""reduce and sort: operations with a body of scalars."""

from math import prod

from kjax.frontend.legalize import choice
from kjax.frontend.legalize.commute import reduce_in_order, without_order
from kjax.frontend.legalize.registry import rule
from kjax.frontend.legalize.sort_loop import sort_one_by_one
from kjax.ir.graph import Type
from kjax.isa import ops

SCALAR_OPS = {"convert", "bitcast_convert", "constant", *(o.name for o in ops.OPS if o.form != "special")}


def is_elementwise(region):
    """Whether a region is no more than elementwise operations on scalars."""
    return all(map(is_elementwise_op, region.ops))


def is_elementwise_op(op):
    return op.name in SCALAR_OPS and not op.regions and not any(r.type.rank for r in op.results)


def without_branches(b, region):
    """``region`` with each case replaced by all its branches and a choice among their results: nothing in a scalar
    body has an effect, so that all may be computed."""
    if not any(op.name == "case" for op in region.ops):
        return region
    ops, region.ops = region.ops, []
    values = {}

    def emit(op):
        op.operands = [values.get(v, v) for v in op.operands]
        if op.name != "case":
            region.ops.append(op)
            return
        outcomes = []
        for branch in op.regions:
            for inner in branch.ops:
                emit(inner)
            outcomes.append([values.get(v, v) for v in branch.results])
        chosen = outcomes[-1]  # also for a number outside of the range
        for k in reversed(range(len(outcomes) - 1)):
            this = b.map("eq", op.operands[0], b.full(k, op.operands[0].type))
            chosen = [b.map("select", this, yes, no) for yes, no in zip(outcomes[k], chosen, strict=True)]
        values.update(zip(op.results, chosen, strict=True))

    with b.inside(region):
        for op in ops:
            emit(op)
        region.results = [values.get(v, v) for v in region.results]
    return region


def only_op(region):
    """Name of the single binary operation that a body (a, b) -> op(a, b) consists of, or None."""
    if len(region.ops) == 1 and len(region.arguments) == 2 and len(region.results) == 1:
        op = region.ops[0]
        if region.results[0] is op.results[0] and [v in region.arguments for v in op.operands] == [True, True] \
                and op.operands[0] is not op.operands[1]:
            return op.name
    return None


@rule("stablehlo.reduce")
def reduce(b, node):
    """The body may work in a wider type than the operands: then they are converted first."""
    n = len(node.operands) // 2
    xs, inits = list(node.operands[:n]), list(node.operands[n:])
    region, dims = without_branches(b, node.region(0)), tuple(sorted(node.attr("dimensions")))
    if not is_elementwise(region):
        return reduce_one_by_one(b, node, xs, inits, dims)
    xs = [b.convert(x, a.dtype) for x, a in zip(xs, region.arguments[n:], strict=True)]
    inits = [b.convert(x, a.dtype) for x, a in zip(inits, region.arguments[:n], strict=True)]
    types = [Type(r.dtype, t.shape) for r, t in zip(region.results, node.types, strict=True)]
    if choice.is_long(xs[0], dims) and (order := choice.order_of(region, xs, dims)):
        out = choice.best_and_where(b, order, xs, inits, dims)
    elif (body := without_order(b, region, xs, dims)) is not None:
        out = b.add("reduce", xs + inits, types, regions=[body], dims=dims)
    else:
        out = reduce_in_order(b, region, xs, inits, dims)
    return [b.convert(v, t.dtype) for v, t in zip(out, node.types, strict=True)]


def reduce_one_by_one(b, node, xs, inits, dims):
    """A reduction whose body is more than elementwise operations (a loop, say): the body runs for one element after the other."""
    kept = [k for k in range(xs[0].type.rank) if k not in dims]
    outer, inner = prod(xs[0].shape[k] for k in kept), prod(xs[0].shape[k] for k in dims)
    inside = node.argument_types(0)
    flat = [b.convert(b.reshape(b.transpose(x, (*kept, *dims)), (outer, inner)), t.dtype) for x, t in zip(xs, inside[len(xs):])]
    inits = [b.convert(b.reshape(i, ()), t.dtype) for i, t in zip(inits, inside)]

    def row(i, *outs):
        def step(j, *so_far):
            here = [b.reshape(b.dynamic_slice(x, [i, j], (1, 1)), ()) for x in flat]
            return node.inline(0, [*so_far, *here])

        ends = b.loop(inner, inits, step) if inner else inits
        return [b.dynamic_update_slice(o, b.reshape(e, (1,)), [i]) for o, e in zip(outs, ends, strict=True)]

    outs = [b.broadcast(i, (outer,), ()) for i in inits]
    outs = b.loop(outer, outs, row) if outer else outs
    return [b.convert(b.reshape(o, t.shape), t.dtype) for o, t in zip(outs, node.types, strict=True)]


def map_one_by_one(b, operands, types, body):
    """``body(*scalars)`` for one element of ``operands`` (of one shape) after the other: for a body with a loop."""
    shape, count = operands[0].shape, operands[0].type.size
    flat = [b.reshape(x, (count,)) for x in operands]

    def step(i, *outs):
        values = body(*(b.reshape(b.dynamic_slice(x, [i], (1,)), ()) for x in flat))
        return [b.dynamic_update_slice(o, b.reshape(v, (1,)), [i]) for o, v in zip(outs, values, strict=True)]

    outs = [b.full(0, Type(t.dtype, (count,))) for t in types]
    return [b.reshape(o, shape) for o in (b.loop(count, outs, step) if count else outs)]


@rule("stablehlo.sort")
def sort(b, node):
    dim = node.attr("dimension", -1) % node.operands[0].type.rank
    region = without_branches(b, node.region(0))
    if not is_elementwise(region):
        return sort_one_by_one(b, node.operands, dim, lambda *sides: node.inline(0, sides)[0])
    return b.add("sort", node.operands, node.types, regions=[region], dim=dim, stable=node.attr("is_stable", False))


def sort_values(b, operands, dim, before):
    """Stable sort; ``before(l0, r0, l1, r1, ...)`` is the i1 value that l goes first."""
    scalars = [Type(v.dtype) for v in operands for _ in (0, 1)]
    region = b.make_region(scalars, lambda *a: [before(*a)])
    return b.add("sort", operands, [v.type for v in operands], regions=[region], dim=dim, stable=True)


