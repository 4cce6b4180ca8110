"""Rewrites into what the instruction set has: convolution and reduce_window over padded operands, contractions in a
type that the engine multiplies in."""

import itertools
from math import prod

import numpy as np

from kjax.compiler.body import outer_scalars
from kjax.compiler.passes.padding import by_phases, is_dilated, padded
from kjax.ir.graph import Region, Type
from kjax.ir.rewrite import rewrite
from kjax.ir.scalar import apply_elementwise, splat
from kjax.isa import dtypes, limits

SHORT_DOT, SHORT_RESULT = 4, 1024  # products of at most so many terms, and so many results, are written out
SMALL_DOT, SMALL_SIDE = 16, 32  # results, and elements of a side, that the engine multiplies in registers
UNROLLED_WINDOW = 16  # windows of at most so many places become elementwise operations on slices

_WIDE = {"i1": "i32", "i2": "i32", "i4": "i32", "i8": "i32", "i16": "i32", "u2": "u32", "u4": "u32", "u8": "u32", "u16": "u32"}


def _contraction_dtype(dtype, info):
    if dtype in _WIDE:
        return _WIDE[dtype]
    return dtype if info.is_native else "f32"


def _converted(region, value, dtype, source):
    if value.dtype == dtype:
        return value
    return region.add("convert", [value], Type(dtype, value.shape), source=source)


def _narrow_operands(operands, wide):
    """The operands before conversions to ``wide`` that the contraction does on its own, or None."""
    before = [v.op.operands[0] if v.dtype == wide and v.op is not None and v.op.name == "convert" else v for v in operands]
    return before if {v.dtype for v in before} <= dtypes.WIDENED.get(wide, frozenset()) else None


def _in_wide_type(region, op):
    """The op on operands and result of types that the engine contracts."""
    wide = _contraction_dtype(op.result.dtype, op.result.type.info)
    operands = _narrow_operands(op.operands, wide) or [_converted(region, v, wide, op.source) for v in op.operands]
    if operands == op.operands and wide == op.result.dtype:
        return None
    result = region.add(op.name, operands, Type(wide, op.result.shape), source=op.source, **op.attributes)
    return [_converted(region, result, op.result.dtype, op.source)]


def _short_dot(region, op):
    """A small product over few terms, as multiplications and additions in order: they fuse with what is around them, and
    round as StableHLO's interpreter does."""
    a = op.attributes
    lhs, rhs = op.operands
    shape = op.result.shape
    if len(a["lhs_contract"]) != 1 or not 0 < op.result.type.size <= SHORT_RESULT:
        return None
    (lc,), (rc,) = a["lhs_contract"], a["rhs_contract"]
    terms = lhs.shape[lc]
    dtype = op.result.dtype
    if not 0 < terms <= SHORT_DOT or {dtype, lhs.dtype, rhs.dtype} != {_contraction_dtype(dtype, op.result.type.info)}:
        return None
    if dtype == "f32" and terms > 1 and op.result.type.size <= SMALL_DOT and max(lhs.type.size, rhs.type.size) <= SMALL_SIDE:
        return None
    n_batch, n_lhs = len(a["lhs_batch"]), lhs.type.rank - len(a["lhs_batch"]) - 1

    def term(value, contract, batch, first_free, k):
        start = tuple(k if d == contract else 0 for d in range(value.type.rank))
        limit = tuple(k + 1 if d == contract else n for d, n in enumerate(value.shape))
        part = region.add("slice", [value], Type(value.dtype, tuple(b - s for s, b in zip(start, limit))), source=op.source,
                          start=start, limit=limit, strides=(1,) * value.type.rank)
        kept = [d for d in range(value.type.rank) if d != contract]
        part = region.add("reshape", [part], Type(value.dtype, tuple(value.shape[d] for d in kept)), source=op.source)
        free = iter(range(first_free, len(shape)))
        dims = tuple(batch.index(d) if d in batch else next(free) for d in kept)
        order = sorted(range(len(dims)), key=dims.__getitem__)
        part = region.add("transpose", [part], Type(value.dtype, tuple(part.shape[d] for d in order)), source=op.source,
                          permutation=tuple(order))
        return region.add("broadcast_in_dim", [part], Type(value.dtype, shape), source=op.source,
                          dims=tuple(sorted(dims)))

    total = None
    for k in range(terms):
        product = region.add("mul", [term(lhs, lc, tuple(a["lhs_batch"]), n_batch, k),
                                     term(rhs, rc, tuple(a["rhs_batch"]), n_batch + n_lhs, k)], op.result.type, source=op.source)
        total = product if total is None else region.add("add", [total, product], op.result.type, source=op.source)
    return [total]


def _convolution(region, op):
    a = op.attributes
    wide = _contraction_dtype(op.result.dtype, op.result.type.info)
    narrow = _narrow_operands(op.operands, wide)
    if is_dilated(op):
        lhs, rhs = narrow or [_converted(region, v, wide, op.source) for v in op.operands]
        return [_converted(region, by_phases(region, op, lhs, rhs, wide), op.result.dtype, op.source)]
    lhs, rhs = narrow or op.operands
    rank = lhs.type.rank
    spatial = a["lhs_spec"][2:]
    plain = (not any(x for pair in a["padding"] for x in pair) and all(d == 1 for d in a["lhs_dilation"])
             and not any(a["reversal"]))
    if not plain:
        low, high, interior = [0] * rank, [0] * rank, [0] * rank
        for d, (before, after), dilation in zip(spatial, a["padding"], a["lhs_dilation"]):
            low[d], high[d], interior[d] = before, after, dilation - 1
        zero = region.add("constant", [], Type(lhs.dtype), source=op.source,
                          value=np.zeros((), lhs.type.info.numpy))
        lhs = padded(region, lhs, zero, low, high, interior, op.source)
        flipped = tuple(d for d, flip in zip(a["rhs_spec"][2:], a["reversal"]) if flip)
        if flipped:
            rhs = region.add("reverse", [rhs], rhs.type, source=op.source, dims=flipped)
        n = len(spatial)
        attributes = {**a, "padding": ((0, 0),) * n, "lhs_dilation": (1,) * n, "reversal": (False,) * n}
        op.operands, op.attributes = [lhs, rhs], attributes
    return _in_wide_type(region, op)


def _reduce_window(region, op):
    a = op.attributes
    n = len(op.operands) // 2
    padded_values = []
    for value, init in zip(op.operands[:n], op.operands[n:]):
        low, high = zip(*a["padding"]) if a["padding"] else ((), ())
        interior = [d - 1 for d in a["base_dilations"]]
        padded_values.append(padded(region, value, init, low, high, interior, op.source))
    if prod(a["window"]) <= UNROLLED_WINDOW and op.results[0].type.size:
        return _unrolled(region, op, padded_values, op.operands[n:])
    windows = []
    for value in padded_values:
        shape = op.results[0].shape + tuple(a["window"])
        windows.append(region.add("window", [value], Type(value.dtype, shape), source=op.source, sizes=tuple(a["window"]),
                                  strides=tuple(a["strides"]), dilations=tuple(a["window_dilations"])))
    rank = len(a["window"])
    reduced = region.add("reduce", windows + op.operands[n:], [r.type for r in op.results], source=op.source,
                         regions=op.regions, dims=tuple(range(rank, 2 * rank)))
    whole = region.ops[-1]
    apart = _wide_reduce(region, whole)
    if apart is not None:
        region.ops.remove(whole)
    return apart or reduced


def _unrolled(region, op, values, inits):
    """A small window: its places are strided slices, combined one after the other, the initial value first."""
    a = op.attributes
    shape = op.results[0].shape
    results = [splat(region, init, shape, op.source) for init in inits]
    for place in itertools.product(*map(range, a["window"])):
        start = tuple(p * d for p, d in zip(place, a["window_dilations"]))
        limit = tuple(s + (n - 1) * k + 1 for s, n, k in zip(start, shape, a["strides"]))
        slices = [region.add("slice", [v], Type(v.dtype, shape), source=op.source, start=start, limit=limit,
                             strides=tuple(a["strides"])) for v in values]
        results = apply_elementwise(region, op.regions[0], results + slices, op.source)
    return results


def _wide_reduce(region, op):
    """A reduction of more values than a nest has accumulators (outer scalars take one each): halves combined elementwise
    until one element is left, then the initial value."""
    n = len(op.results)
    if n + len(outer_scalars(op.regions[0])) <= limits.MAX_ACCUMULATORS or not op.operands[0].type.size:
        return None
    dims, shape = op.attributes["dims"], op.operands[0].shape
    order = (*(d for d in range(len(shape)) if d not in dims), *dims)
    kept, left = op.results[0].shape, prod(shape[d] for d in dims)
    values = []
    for x in op.operands[:n]:
        x = region.add("transpose", [x], Type(x.dtype, tuple(shape[d] for d in order)), source=op.source, permutation=order)
        values.append(region.add("reshape", [x], Type(x.dtype, (*kept, left)), source=op.source))

    def part(first, last):
        start, limit = (*[0] * len(kept), first), (*kept, last)
        return [region.add("slice", [v], Type(v.dtype, (*kept, last - first)), source=op.source, start=start, limit=limit,
                           strides=(1,) * len(limit)) for v in values]

    while left > 1:
        half = left // 2
        joined = apply_elementwise(region, op.regions[0], part(0, half) + part(half, 2 * half), op.source)
        if left % 2:
            joined = [region.add("concatenate", [a, b], Type(a.dtype, (*kept, half + 1)), source=op.source, dim=len(kept))
                      for a, b in zip(joined, part(left - 1, left))]
        values, left = joined, left - half
    values = [region.add("reshape", [v], Type(v.dtype, kept), source=op.source) for v in values]
    inits = [splat(region, init, kept, op.source) for init in op.operands[n:]]
    return apply_elementwise(region, op.regions[0], inits + values, op.source)


def _extreme_in_f32(region, op):
    """A maximum or minimum of 16-bit floats, in f32: it is one of the values, and the engine folds f32 many at a time."""
    body = op.regions[0]
    if len(op.operands) != 2 or op.operands[0].dtype not in ("f16", "bf16") or [o.name for o in body.ops] not in (["max"], ["min"]):
        return None
    if set(body.ops[0].operands) != set(body.arguments) or body.results != [body.ops[0].result]:
        return None
    wide = Region()
    at = {v: wide.argument(Type("f32")) for v in body.arguments}
    wide.results = [wide.add(body.ops[0].name, [at[v] for v in body.ops[0].operands], Type("f32"), source=body.ops[0].source)]
    operands = [_converted(region, v, "f32", op.source) for v in op.operands]
    result = region.add("reduce", operands, Type("f32", op.result.shape), source=op.source, regions=[wide], **op.attributes)
    return [_converted(region, result, op.result.dtype, op.source)]


def _rule(region, op):
    if op.name == "convolution":
        return _convolution(region, op)
    if op.name == "dot_general":
        return _short_dot(region, op) or _in_wide_type(region, op)
    if op.name == "reduce_window":
        return _reduce_window(region, op)
    if op.name == "reduce":
        return _extreme_in_f32(region, op) or _wide_reduce(region, op)
    return None


def run(graph):
    return rewrite(graph, _rule)
