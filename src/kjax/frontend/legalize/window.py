"""Windows: reduce_window and select_and_scatter."""

import itertools
import math
from itertools import product

from kjax.frontend.legalize.commute import commutes, windows_in_order
from kjax.frontend.legalize.reduction import (
    is_elementwise,
    only_op,
    reduce_one_by_one,
    without_branches,
)
from kjax.frontend.legalize.registry import rule
from kjax.frontend.legalize.scatter_loop import element_by_element, scatter_one_by_one
from kjax.ir.graph import Type
from kjax.ir.scalar import apply_elementwise
from kjax.isa import ops

SCAN_FROM = 16  # a cumulative window at least this long is a scan instead of a window per element
UNROLLED = 16  # places of a window, of windows that do not touch each other
SCANNED = ("add", "mul", "max", "min", "and", "or", "xor")


def _ones(node, name, rank):
    return tuple(node.attr(name) or [1] * rank)


def _padding(node, rank):
    rows = node.attr("padding")
    return ((0, 0),) * rank if rows is None else tuple((int(lo), int(hi)) for lo, hi in rows.reshape(-1, 2))


@rule("stablehlo.reduce_window")
def reduce_window(b, node):
    n = len(node.operands) // 2
    xs, inits = list(node.operands[:n]), list(node.operands[n:])
    rank = xs[0].type.rank
    region = without_branches(b, node.region(0))
    window, strides = node.attr("window_dimensions"), _ones(node, "window_strides", rank)
    base, dilations = _ones(node, "base_dilations", rank), _ones(node, "window_dilations", rank)
    padding = _padding(node, rank)
    if not is_elementwise(region):
        xs = [_windows(b, x, i, window, strides, base, dilations, padding, node.types[0].shape) for x, i in zip(xs, inits)]
        return reduce_one_by_one(b, node, xs, inits, (0,))
    xs = [b.convert(x, a.dtype) for x, a in zip(xs, region.arguments[n:], strict=True)]
    inits = [b.convert(x, a.dtype) for x, a in zip(inits, region.arguments[:n], strict=True)]
    types = [Type(a.dtype, t.shape) for a, t in zip(region.results, node.types, strict=True)]
    dim = cumulative_dim(xs[0].shape, window, padding) if {*strides, *base, *dilations} == {1} else None
    if dim is not None and window[dim] >= SCAN_FROM:
        scanned = scan(b, xs, inits, dim, region, backward=padding[dim][0] == 0)
        return [b.convert(v, t.dtype) for v, t in zip(scanned, node.types, strict=True)]
    if commutes(region):
        out = b.add("reduce_window", xs + inits, types, regions=[region], window=tuple(window), strides=strides,
                    base_dilations=base, window_dilations=dilations, padding=padding)
    else:
        out = windows_in_order(b, region, xs, inits, types[0].shape, window, strides, base, dilations, padding)
    return [b.convert(v, t.dtype) for v, t in zip(out, node.types, strict=True)]


def _windows(b, x, initial, window, strides, base, dilations, padding, shape):
    """(places of a window, *shape): what each of ``shape`` windows has at each place; ``initial`` is around the operand."""
    wide = b.pad(x, initial, [lo for lo, _ in padding], [hi for _, hi in padding], [k - 1 for k in base])
    rows = []
    for place in product(*map(range, window)):
        first = [p * d for p, d in zip(place, dilations)]
        end = [f + (n - 1) * s + 1 if n else f for f, n, s in zip(first, shape, strides)]
        rows.append(b.reshape(b.slice(wide, first, end, strides), (1, *shape)))
    return b.concatenate(rows, 0)


def cumulative_dim(shape, window, padding):
    """The dim along which each window is everything up to (or from) its element, or None."""
    wide = [k for k, w in enumerate(window) if w != 1]
    if len(wide) != 1 or any(p != (0, 0) for k, p in enumerate(padding) if k != wide[0]):
        return None
    (k,) = wide
    return k if window[k] == shape[k] and sorted(padding[k]) == [0, shape[k] - 1] else None


def scan(b, xs, inits, dim, region, *, backward=False):
    """Inclusive prefix (or suffix) combinations along ``dim``: an instruction where the body is an operation that has one,
    else ceil(log2 n) steps over the whole arrays."""
    name, dtype = only_op(region), xs[0].dtype
    wide = dtype if xs[0].type.info.is_native else "f32"
    if name in SCANNED and not xs[0].type.info.is_complex and wide in ops.BY_NAME[name].dtypes and len(xs) == 1:
        scanned = b.add("scan", [b.convert(xs[0], wide)], Type(wide, xs[0].shape), op=name, dim=dim, reverse=backward)
        xs = [b.convert(scanned, dtype)]
    else:
        xs = _scan_in_steps(b, xs, dim, region, backward)
    if name and _is_identity(inits[0], name):
        return xs
    return apply_elementwise(b.region, region, [b.broadcast(i, x.shape) for i, x in zip(inits, xs)] + xs, b.source)


def _scan_in_steps(b, xs, dim, region, backward):
    n, shift = xs[0].shape[dim], 1
    while shift < n:
        late = [b.slice_dim(x, dim, shift, n) for x in xs]
        early = [b.slice_dim(x, dim, 0, n - shift) for x in xs]
        merged = apply_elementwise(b.region, region, early + late, b.source)
        done = [b.slice_dim(x, dim, n - shift, n) if backward else b.slice_dim(x, dim, 0, shift) for x in xs]
        xs = [b.concatenate([m, d] if backward else [d, m], dim) for d, m in zip(done, merged)]
        shift *= 2
    return xs


def _is_identity(initial, name):
    """Whether the initial value changes nothing: 0 for add, 1 for mul, the extremes for max and min, all ones for and."""
    if initial.op is None or initial.op.name != "constant":
        return False
    v, info = initial.op.attributes["value"].reshape(-1)[0], initial.type.info
    if name in ("add", "or", "xor"):
        return not v
    if name == "mul":
        return v == 1
    if name not in ("max", "min", "and"):
        return False
    if info.kind == "bool":
        return bool(v) == (name != "max")
    if info.is_float:
        return v == (float("-inf") if name == "max" else float("inf"))
    ones = (1 << info.bits) - 1 if info.kind == "uint" else -1
    lowest, highest = (0, ones) if info.kind == "uint" else (-1 << info.bits - 1, (1 << info.bits - 1) - 1)
    return int(v) == {"max": lowest, "min": highest, "and": ones}[name]


def _scatter_apart(b, node, window, strides, select, scatter):
    """Windows that do not touch each other: which of its places a window selects, elementwise on slices, and for each place
    the elements that those windows put there; side by side they are the result."""
    x, source, initial = node.operands
    places = list(itertools.product(*map(range, window)))
    dtype = scatter.results[0].dtype
    initial, source = (b.convert(v, a.dtype) for v, a in zip((initial, source), scatter.arguments, strict=True))

    def at(place):
        limit = [p + (n - 1) * s + 1 for p, n, s in zip(place, source.shape, strides)]
        return b.slice(x, place, limit, strides)

    value, chosen = at(places[0]), b.full(0, Type("i32", source.shape))
    for k, place in enumerate(places[1:], 1):
        candidate = at(place)
        (keep,) = apply_elementwise(b.region, select, [value, candidate], b.source)
        value, chosen = b.map("select", keep, value, candidate), b.map("select", keep, chosen, b.full(k, chosen.type))
    (put,) = apply_elementwise(b.region, scatter, [b.broadcast(initial, source.shape), source], b.source)
    initial = b.convert(initial, dtype)
    nothing = b.broadcast(initial, source.shape)
    result = {place: b.select(b.map("eq", chosen, b.full(k, chosen.type)), put, nothing) for k, place in enumerate(places)}
    apart = tuple(n for d in source.shape for n in (d, 1))

    def assembled(place):
        """The results whose places begin with ``place``, with their dims apart from those of the windows' numbers."""
        d = len(place)
        if d == len(window):
            return b.reshape(result.get(place, nothing), apart)
        return b.concatenate([assembled((*place, p)) for p in range(strides[d])], 2 * d + 1)

    whole = b.reshape(assembled(()), tuple(n * s for n, s in zip(source.shape, strides)))
    whole = b.slice(whole, [0] * len(window), [min(a, n) for a, n in zip(whole.shape, x.shape)])
    whole = b.pad(whole, initial, [0] * len(window), [n - a for a, n in zip(whole.shape, x.shape)])
    return b.convert(whole, node.type.dtype)


@rule("stablehlo.select_and_scatter")
def select_and_scatter(b, node):
    """First the place that each window selects (a reduce_window of (value, place)), then a scatter to the places.

    A place outside of the operand is -1 and never wins; of two candidates the one that comes first is the
    body's left argument, so the combination does not depend on the order in which it is done.
    """
    x, source, initial = node.operands
    rank = x.type.rank
    index = "i32" if x.type.size < 1 << 31 else "i64"
    window, strides = tuple(node.attr("window_dimensions") or [1] * rank), _ones(node, "window_strides", rank)
    select, scatter = (without_branches(b, node.region(k)) for k in (0, 1))
    if (all(w <= s for w, s in zip(window, strides)) and not any(map(any, _padding(node, rank))) and source.type.size
            and math.prod(window) <= UNROLLED and is_elementwise(select) and is_elementwise(scatter)):
        return _scatter_apart(b, node, window, strides, select, scatter)
    places = b.reshape(b.iota(Type(index, (x.type.size,)), 0), x.shape)
    nowhere = b.full(-1, Type(index))

    def better(value_a, place_a, value_b, place_b):
        swap = b.map("gt", place_a, place_b)
        first_value, second_value = b.map("select", swap, value_b, value_a), b.map("select", swap, value_a, value_b)
        first_place, second_place = b.map("select", swap, place_b, place_a), b.map("select", swap, place_a, place_b)
        (keep,) = node.inline(0, [first_value, second_value])
        take_second = b.map("or", b.map("eq", first_place, nowhere), b.map("not", keep))
        return [b.map("select", take_second, second_value, first_value),
                b.map("select", take_second, second_place, first_place)]

    def found():
        region = without_branches(b, b.make_region([Type(x.dtype), Type(index)] * 2, better))
        if not is_elementwise(region):
            return _select_one_by_one(b, node, window, strides, places)
        types = [Type(x.dtype, source.shape), Type(index, source.shape)]
        ones = (1,) * rank
        return b.add("reduce_window", [x, places, b.full(0, Type(x.dtype)), nowhere], types, regions=[region],
                     window=window, strides=strides, base_dilations=ones, window_dilations=ones,
                     padding=_padding(node, rank))[1]

    count = math.prod(source.shape)
    inside = node.argument_types(1)
    start = b.convert(b.broadcast(initial, (x.type.size,)), inside[0].dtype)
    indices, updates = b.reshape(found(), (count, 1)), b.convert(b.reshape(source, (count,)), inside[1].dtype)
    dims = dict(update_window_dims=(), inserted_dims=(0,), operand_batch_dims=(), index_batch_dims=(),
                scatter_dims_map=(0,), index_vector_dim=1)
    if is_elementwise(scatter):
        (flat,) = b.add("scatter", [start, indices, updates], [start.type], regions=[scatter], **dims)
    else:
        body = element_by_element(b, lambda *values: node.inline(1, values))
        (flat,) = scatter_one_by_one(b, [start], indices, [updates], body, **dims)
    return b.convert(b.reshape(flat, x.shape), node.type.dtype)


def _select_one_by_one(b, node, window, strides, places):
    """Flat number of the element that each window selects, -1 for none, when the selection is more than elementwise
    operations: it runs for one element of a window after the other."""
    x, source, _ = node.operands
    rank, count, size = len(window), math.prod(source.shape), math.prod(window)
    ones, nowhere = (1,) * rank, b.full(-1, Type(places.dtype))

    def windows(v, outside):
        rows = _windows(b, v, outside, window, strides, ones, ones, _padding(node, rank), source.shape)
        return b.reshape(rows, (size, count))

    values, numbers = windows(x, b.full(0, Type(x.dtype))), windows(places, nowhere)

    def row(i, chosen):
        def step(j, value, place):
            candidate, there = (b.reshape(b.dynamic_slice(v, [j, i], (1, 1)), ()) for v in (values, numbers))
            has, can = (b.map("ne", p, nowhere) for p in (place, there))
            kept = b.make_region([], lambda: [b.map("not", can)])
            asked = b.make_region([], lambda: node.inline(0, [value, candidate]))
            (keep,) = b.add("case", [b.convert(b.map("and", has, can), "i32")], [Type("i1")], regions=[kept, asked])
            return [b.map("select", keep, value, candidate), b.map("select", keep, place, there)]

        _, place = b.loop(size, [b.full(0, Type(x.dtype)), nowhere], step)
        return [b.dynamic_update_slice(chosen, b.reshape(place, (1,)), [i])]

    chosen = b.full(-1, Type(places.dtype, (count,)))
    return b.loop(count, [chosen], row)[0] if count and size else chosen
