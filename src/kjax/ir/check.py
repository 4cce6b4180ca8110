"""What is legal, operation by operation: rules as data. ``check`` runs them over a graph.

A rule names the operands' count, the attributes, the regions, and a function that returns the types that the
results must have (it may refuse by raising ``Wrong``). The frontend checks what it built; a pass that rewrites
a graph may check it again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from kjax.errors import CompileError
from kjax.ir.graph import Type
from kjax.isa import dtypes, limits, linalg, opcodes, ops


class Wrong(Exception):
    """Why an operation is not legal; ``check`` adds the operation and its source line."""


def need(condition, why):
    if not condition:
        raise Wrong(why)


@dataclass(frozen=True)
class Rule:
    """``operands``: a count or None; ``attributes``: names that must be there; ``types(op)``: types of the results."""

    operands: int | None
    attributes: tuple
    regions: int | None
    types: Callable


def _elementwise(row):
    part = {"c64": "f32", "c128": "f64"}
    join = {v: k for k, v in part.items()}
    kinds = {dtypes.BY_NAME[d].kind for d in row.dtypes}

    def types(op):
        *_, last = op.operands
        shape = last.shape
        first = op.operands[0].type
        if row.form == "select":
            need(first == Type("i1", shape), f"the predicate is {first}, expected {Type('i1', shape)}")
        for v in op.operands[row.form == "select":]:
            need(v.type == last.type, f"operands are {v.type} and {last.type}: they must be of one type")
        need(last.type.info.kind in kinds, f"{row.name} is not defined on {last.dtype}")
        if row.form in ("compare", "test"):
            return [Type("i1", shape)]
        if row.form == "part":
            return [Type(part[last.dtype], shape)]
        if row.form == "join":
            need(last.dtype in join, f"complex numbers have no parts of {last.dtype}")
            return [Type(join[last.dtype], shape)]
        return [last.type]

    return Rule(row.arity, (), 0, types)


def _dims_in(dims, rank, what):
    need(all(0 <= d < rank for d in dims), f"{what} {tuple(dims)} are not dims of rank {rank}")
    need(len(set(dims)) == len(tuple(dims)), f"{what} {tuple(dims)} repeat a dim")


def _result(op):
    return op.results[0].type


def _convert(op):
    return [Type(_result(op).dtype, op.operands[0].shape)]


def _bitcast(op):
    have, want = op.operands[0].type, _result(op)
    a, b = have.info.bits, want.info.bits
    if a == b:
        return [Type(want.dtype, have.shape)]
    need(a >= 8 and b >= 8, "only types of whole bytes change their width")
    if a > b:
        return [Type(want.dtype, (*have.shape, a // b))]
    need(have.rank and have.shape[-1] == b // a, f"the last dim of {have} must be {b // a}")
    return [Type(want.dtype, have.shape[:-1])]


def _constant(op):
    value = op.attributes["value"]
    return [Type(dtypes.of(value.dtype).name, tuple(value.shape))]


def _iota(op):
    _dims_in([op.attributes["dim"]], _result(op).rank, "dim")
    return [_result(op)]


def _broadcast(op):
    x, dims, out = op.operands[0].type, op.attributes["dims"], _result(op)
    need(len(dims) == x.rank, f"{len(dims)} dims for an operand of rank {x.rank}")
    _dims_in(dims, out.rank, "dims")
    for k, d in enumerate(dims):
        need(x.shape[k] in (1, out.shape[d]), f"dim {k} of {x} does not broadcast to dim {d} of {out}")
    return [Type(x.dtype, out.shape)]


def _reshape(op):
    x, out = op.operands[0].type, _result(op)
    need(x.size == out.size, f"{x} has {x.size} elements, {out} has {out.size}")
    return [Type(x.dtype, out.shape)]


def _transpose(op):
    x, p = op.operands[0].type, op.attributes["permutation"]
    need(sorted(p) == list(range(x.rank)), f"{p} is no permutation of {x.rank} dims")
    return [Type(x.dtype, tuple(x.shape[k] for k in p))]


def _slice(op):
    x, at = op.operands[0].type, op.attributes
    start, limit, strides = at["start"], at["limit"], at["strides"]
    need(len(start) == len(limit) == len(strides) == x.rank, "start, limit and strides have one number a dim")
    for s, e, t, n in zip(start, limit, strides, x.shape, strict=True):
        need(0 <= s <= e <= n and t > 0, f"[{s}:{e}:{t}] is not inside a dim of {n}")
    return [Type(x.dtype, tuple(-(-(e - s) // t) for s, e, t in zip(start, limit, strides, strict=True)))]


def _reverse(op):
    _dims_in(op.attributes["dims"], op.operands[0].type.rank, "dims")
    return [op.operands[0].type]


def _pad(op):
    x, value, at = op.operands[0].type, op.operands[1].type, op.attributes
    need(value == Type(x.dtype), f"the padding value is {value}, expected {x.dtype}")
    shape = tuple(lo + hi + n + max(0, n - 1) * i
                  for n, lo, hi, i in zip(x.shape, at["low"], at["high"], at["interior"], strict=True))
    need(all(n >= 0 for n in shape), f"the padding crops {x} to {shape}")
    return [Type(x.dtype, shape)]


def _concatenate(op):
    dim, first = op.attributes["dim"], op.operands[0].type
    _dims_in([dim], first.rank, "dim")
    for v in op.operands:
        need(v.dtype == first.dtype and v.type.rank == first.rank and all(
            a == b for k, (a, b) in enumerate(zip(v.shape, first.shape, strict=True)) if k != dim),
            f"{v.type} and {first} do not join along dim {dim}")
    shape = list(first.shape)
    shape[dim] = sum(v.shape[dim] for v in op.operands)
    return [Type(first.dtype, tuple(shape))]


def _pairs(op):
    n = len(op.operands) // 2
    need(n and len(op.operands) == 2 * n, "as many initial values as operands")
    xs, inits = op.operands[:n], op.operands[n:]
    for x, i in zip(xs, inits, strict=True):
        need(x.shape == xs[0].shape, "all operands have one shape")
        need(i.type == Type(x.dtype), f"an initial value is {i.type}, expected {x.dtype}")
    _scalar_body(op.regions[0], [Type(x.dtype) for x in xs] * 2, [Type(x.dtype) for x in xs])
    return xs


def _scalar_body(region, arguments, results):
    need([v.type for v in region.arguments] == arguments,
         f"the body takes {_list(region.arguments)}, expected ({', '.join(map(str, arguments))})")
    need([v.type for v in region.results] == results,
         f"the body gives {_list(region.results)}, expected ({', '.join(map(str, results))})")
    for inner in region.ops:
        need(inner.name in ops.BY_NAME or inner.name in ("constant", "convert", "bitcast_convert"),
             f"the body holds {inner.name}: only elementwise operations on scalars are possible there")
        need(not any(v.type.rank for v in [*inner.operands, *inner.results]), "the body works on scalars only")


def _list(values):
    return "(" + ", ".join(str(v.type) for v in values) + ")"


def _reduce(op):
    xs, dims = _pairs(op), op.attributes["dims"]
    _dims_in(dims, xs[0].type.rank, "dims")
    return [Type(x.dtype, tuple(n for k, n in enumerate(x.shape) if k not in dims)) for x in xs]


def window_shape(shape, window, strides, base, dilations, padding):
    """Shape of the grid of windows over ``shape``."""
    out = []
    for n, w, s, b, d, (low, high) in zip(shape, window, strides, base, dilations, padding, strict=True):
        wide = low + high + (0 if n == 0 else (n - 1) * b + 1)
        reach = 0 if w == 0 else (w - 1) * d + 1
        out.append(0 if wide == 0 or reach > wide else (wide - reach) // s + 1)
    return tuple(out)


def _reduce_window(op):
    xs, at = _pairs(op), op.attributes
    shape = window_shape(xs[0].shape, at["window"], at["strides"], at["base_dilations"], at["window_dilations"],
                         at["padding"])
    return [Type(x.dtype, shape) for x in xs]


def _product_dtype(op):
    """What a contraction results in: its operands' element type, or a wider integer (``dtypes.WIDENED``)."""
    x, y, wanted = op.operands[0].dtype, op.operands[1].dtype, op.results[0].dtype
    if wanted in dtypes.WIDENED and {x, y} <= dtypes.WIDENED[wanted]:
        return wanted
    need(x == y, f"operands are {x} and {y}")
    return x


def _dot(op):
    x, y, at = op.operands[0].type, op.operands[1].type, op.attributes
    lb, rb, lc, rc = at["lhs_batch"], at["rhs_batch"], at["lhs_contract"], at["rhs_contract"]
    _dims_in((*lb, *lc), x.rank, "lhs dims")
    _dims_in((*rb, *rc), y.rank, "rhs dims")
    for a, b in (*zip(lb, rb, strict=True), *zip(lc, rc, strict=True)):
        need(x.shape[a] == y.shape[b], f"dim {a} of {x} does not meet dim {b} of {y}")
    shape = [x.shape[k] for k in lb] + [n for k, n in enumerate(x.shape) if k not in (*lb, *lc)]
    shape += [n for k, n in enumerate(y.shape) if k not in (*rb, *rc)]
    return [Type(_product_dtype(op), tuple(shape))]


def _convolution(op):
    x, y, at = op.operands[0].type, op.operands[1].type, op.attributes
    n = x.rank - 2
    for spec in ("lhs_spec", "rhs_spec", "out_spec"):
        need(sorted(at[spec]) == list(range(n + 2)), f"{spec} {at[spec]} is no permutation of {n + 2} dims")
    xs, ys = [x.shape[k] for k in at["lhs_spec"]], [y.shape[k] for k in at["rhs_spec"]]
    groups, batches = at["feature_groups"], at["batch_groups"]
    need(xs[1] == ys[1] * groups, f"{xs[1]} input features are not {groups} groups of {ys[1]}")
    need(ys[0] % groups == 0 and ys[0] % batches == 0 and xs[0] % batches == 0, "the groups do not divide the features")
    grid = window_shape(xs[2:], ys[2:], at["strides"], at["lhs_dilation"], at["rhs_dilation"], at["padding"])
    shape = [0] * x.rank
    for k, size in zip(at["out_spec"], (xs[0] // batches, ys[0], *grid), strict=True):
        shape[k] = size
    return [Type(_product_dtype(op), tuple(shape))]


def _batch_shape(op, indices, vector):
    need(indices.info.is_integer, f"indices are {indices.dtype}")
    need(0 <= vector <= indices.rank, f"index_vector_dim {vector} is not a dim of {indices}")
    return [n for k, n in enumerate(indices.shape) if k != vector]


def _from_end(op, count):
    wraps = op.attributes.get("from_end", (0,) * count)
    need(len(wraps) == count and min(wraps, default=0) >= 0, f"from_end {wraps} for {count} components")


def _gather(op):
    x, indices, at = op.operands[0].type, op.operands[1].type, op.attributes
    batch = _batch_shape(op, indices, at["index_vector_dim"])
    _from_end(op, len(at["start_index_map"]))
    gone = (*at["collapsed_dims"], *at["operand_batch_dims"])
    _dims_in(gone, x.rank, "collapsed and batch dims")
    _dims_in(at["start_index_map"], x.rank, "start_index_map")
    need(len(at["slice_sizes"]) == x.rank, "slice_sizes has one number a dim")
    for size, n in zip(at["slice_sizes"], x.shape, strict=True):
        need(0 <= size <= n, f"a window of {size} does not fit a dim of {n}")
    kept = [n for k, n in enumerate(at["slice_sizes"]) if k not in gone]
    need(len(kept) == len(at["offset_dims"]), "offset_dims has one number for each dim of a window")
    rank = len(batch) + len(kept)
    _dims_in(at["offset_dims"], rank, "offset_dims")
    b, w = iter(batch), iter(kept)
    return [Type(x.dtype, tuple(next(w) if k in at["offset_dims"] else next(b) for k in range(rank)))]


def _scatter(op):
    n, at = len(op.operands) // 2, op.attributes
    xs, indices, updates = op.operands[:n], op.operands[n].type, op.operands[n + 1:]
    need(len(op.operands) == 2 * n + 1, "operands are (*xs, indices, *updates)")
    batch = _batch_shape(op, indices, at["index_vector_dim"])
    _from_end(op, len(at["scatter_dims_map"]))
    gone = (*at["inserted_dims"], *at["operand_batch_dims"])
    rank = xs[0].type.rank
    _dims_in(gone, rank, "inserted and batch dims")
    _dims_in(at["scatter_dims_map"], rank, "scatter_dims_map")
    need(rank - len(gone) == len(at["update_window_dims"]), "update_window_dims has one for each dim of a window")
    for x, u in zip(xs, updates, strict=True):
        need(u.dtype == x.dtype and u.type.rank == len(batch) + rank - len(gone), f"an update is {u.type} for {x.type}")
        outer = [m for k, m in enumerate(u.shape) if k not in at["update_window_dims"]]
        need(outer == batch, f"updates have batch {outer}, indices {batch}")
    scalars = [Type(x.dtype) for x in xs]
    _scalar_body(op.regions[0], scalars * 2, scalars)
    return [x.type for x in xs]


def _starts(x, starts, sizes):
    need(len(starts) == x.rank == len(sizes), f"{len(starts)} starts for {x}")
    for s in starts:
        need(s.type.rank == 0 and s.type.info.is_integer, f"a start is {s.type}, expected an integer scalar")
    for size, n in zip(sizes, x.shape, strict=True):
        need(0 <= size <= n, f"a slice of {size} does not fit a dim of {n}")


def _dynamic_slice(op):
    x, *starts = op.operands
    _from_end(op, len(starts))
    _starts(x.type, starts, op.attributes["sizes"])
    return [Type(x.dtype, tuple(op.attributes["sizes"]))]


def _dynamic_update_slice(op):
    x, update, *starts = op.operands
    need(update.dtype == x.dtype, f"the update is {update.type} for {x.type}")
    _starts(x.type, starts, update.shape)
    return [x.type]


def _sort(op):
    xs = [v.type for v in op.operands]
    need(xs and all(x.shape == xs[0].shape for x in xs), "all operands have one shape")
    need(len(xs) <= limits.MAX_SORT_OPERANDS, f"{len(xs)} operands, at most {limits.MAX_SORT_OPERANDS} are possible")
    _dims_in([op.attributes["dim"]], xs[0].rank, "dim")
    _scalar_body(op.regions[0], [Type(x.dtype) for x in xs for _ in (0, 1)], [Type("i1")])
    return xs


def linalg_signature(kind, flags, types):
    """(dims of the batch, {"m": .., "n": .., "k": ..}, dtype, types of the results) of the op ``linalg``, by its operands'
    types; refuses operands that contradict each other."""
    row = linalg.BY_NAME[kind]
    need(len(types) == len(row.operands), f"{len(types)} operands, {kind} has {len(row.operands)}")
    need(set(flags) <= set(row.flags), f"{kind} does not have all of the flags {flags}")
    sizes, batch, dtype = {}, None, types[0].dtype
    need(dtype in linalg.DTYPES, f"matrices of {dtype} cannot be factored")
    for have, operand in zip(types, row.operands, strict=True):
        rank = linalg.matrix_rank(operand)
        need(have.rank >= rank, f"{operand[0]} is {have}, it must have at least {rank} dims")
        lead = have.shape[:have.rank - rank]
        batch = lead if batch is None else batch
        need(lead == batch, f"{operand[0]} is {have}, its batch is not {batch}")
        element = linalg.element(operand[1], dtype)
        need(have.dtype == element, f"{operand[0]} is {have}, expected {element}")
        for dim, n in zip(operand[2:], have.shape[len(lead):]):
            need(sizes.setdefault(dim, n) == n, f"{operand[0]} is {have}: its size {dim} is {sizes[dim]} elsewhere")
    results = [Type(linalg.element(r[1], dtype), batch + linalg.shape(r, sizes, "full" in flags)) for r in row.results]
    return batch, sizes, dtype, results


def _linalg(op):
    return linalg_signature(op.attributes["kind"], op.attributes["flags"], [v.type for v in op.operands])[-1]


def transform_length(kind, n):
    """Elements of a transform of length ``n`` that are read, and written."""
    half = n // 2 + 1
    return (half if kind == "backward" else n), (half if kind == "forward" else n)


def transform_roots(kind, factors, turned=0):
    """How many numbers the roots of a transform are; ``turned``: roots for each element, for so many lanes."""
    m = n = prod(factors)
    count = n * turned
    for r in factors:
        m //= r
        count += (m - 1 if kind == "complex" else (m - 1) // 2) * (r - 1)
    return 2 * count


def _transform(op):
    x, roots, at = op.operands[0].type, op.operands[1].type, op.attributes
    kind, factors, parts = at["kind"], at["factors"], roots.dtype
    need(parts in ("f32", "f64") and kind in opcodes.TRANSFORM_KINDS, f"no transform {kind} of parts of {parts}")
    whole = {"f32": "c64", "f64": "c128"}[parts]
    need(x.rank == 3 and at["dim"] in (1, 2) and sorted(at["order"]) == [0, 1, 2], f"{x} along dim {at['dim']}")
    need(x.dtype in {"complex": (parts, whole), "forward": (parts,), "backward": (whole,)}[kind], f"{kind} of {x} with roots of {parts}")
    n = prod(factors)
    given, made = transform_length(kind, n)
    need(1 < n <= opcodes.TRANSFORM_MAX_LENGTH and x.shape[at["dim"]] == given, f"factors {factors} of {x}")
    lanes = x.shape[2] if "turned" in at["flags"] else 0
    need(roots.shape == (max(2, transform_roots(kind, factors, lanes)),), f"roots are {roots}")
    shape = tuple(made if d == at["dim"] else m for d, m in enumerate(x.shape))
    return [Type(parts if kind == "backward" else whole, tuple(shape[d] for d in at["order"]))]


def _scan(op):
    x, at = op.operands[0].type, op.attributes
    _dims_in([at["dim"]], x.rank, "dim")
    need(at["op"] in ("add", "mul", "max", "min", "and", "or", "xor") and x.dtype in ops.BY_NAME[at["op"]].dtypes
         and not x.info.is_complex, f"nothing is scanned by {at['op']} on {x.dtype}")
    return [x]


def _while(op):
    types = [v.type for v in op.operands]
    condition, body = op.regions
    for region in op.regions:
        need([v.type for v in region.arguments] == types, "a region's arguments are not of the state's types")
    need([v.type for v in condition.results] == [Type("i1")], "the condition gives one i1 scalar")
    need([v.type for v in body.results] == types, "the body does not give a state of the same types")
    trips = op.attributes.get("trips")
    need(trips is None or trips >= 0, f"trips is {trips}")
    return types


def _case(op):
    need(op.operands[0].type == Type("i32"), f"the index is {op.operands[0].type}, expected i32")
    need(0 < len(op.regions) <= limits.MAX_BRANCHES, f"{len(op.regions)} branches, at most {limits.MAX_BRANCHES}")
    types = [v.type for v in op.results]
    for region in op.regions:
        need(not region.arguments, "a branch takes no arguments")
        need([v.type for v in region.results] == types, "the branches do not give the same types")
    return types


def _all_gather(op):
    sizes = {len(g) for g in op.attributes["groups"]}
    need(len(sizes) == 1, "all groups have one size")
    x = op.operands[0].type
    return [Type(x.dtype, (*sizes, *x.shape))]


def _permute(op):
    to = [t for _, t in op.attributes["pairs"]]
    need(len(set(to)) == len(to), "two lanes send to one")
    return [op.operands[0].type]


RULES = {
    **{row.name: _elementwise(row) for row in ops.OPS
       if row.form not in ("special", "convert") and row.name != "copy"},
    "convert": Rule(1, (), 0, _convert),
    "bitcast_convert": Rule(1, (), 0, _bitcast),
    "constant": Rule(0, ("value",), 0, _constant),
    "iota": Rule(0, ("dim",), 0, _iota),
    "broadcast_in_dim": Rule(1, ("dims",), 0, _broadcast),
    "reshape": Rule(1, (), 0, _reshape),
    "transpose": Rule(1, ("permutation",), 0, _transpose),
    "slice": Rule(1, ("start", "limit", "strides"), 0, _slice),
    "reverse": Rule(1, ("dims",), 0, _reverse),
    "pad": Rule(2, ("low", "high", "interior"), 0, _pad),
    "concatenate": Rule(None, ("dim",), 0, _concatenate),
    "reduce": Rule(None, ("dims",), 1, _reduce),
    "reduce_window": Rule(None, ("window", "strides", "base_dilations", "window_dilations", "padding"), 1,
                          _reduce_window),
    "dot_general": Rule(2, ("lhs_batch", "rhs_batch", "lhs_contract", "rhs_contract"), 0, _dot),
    "convolution": Rule(2, ("strides", "padding", "lhs_dilation", "rhs_dilation", "reversal", "feature_groups",
                            "batch_groups", "lhs_spec", "rhs_spec", "out_spec"), 0, _convolution),
    "gather": Rule(2, ("offset_dims", "collapsed_dims", "operand_batch_dims", "index_batch_dims", "start_index_map",
                       "index_vector_dim", "slice_sizes"), 0, _gather),
    "scatter": Rule(None, ("update_window_dims", "inserted_dims", "operand_batch_dims", "index_batch_dims",
                           "scatter_dims_map", "index_vector_dim"), 1, _scatter),
    "dynamic_slice": Rule(None, ("sizes",), 0, _dynamic_slice),
    "dynamic_update_slice": Rule(None, (), 0, _dynamic_update_slice),
    "scan": Rule(1, ("op", "dim", "reverse"), 0, _scan),
    "sort": Rule(None, ("dim", "stable"), 1, _sort),
    "transform": Rule(2, ("kind", "dim", "order", "flags", "factors", "scale"), 0, _transform),
    "linalg": Rule(None, ("kind", "flags"), 0, _linalg),
    "while": Rule(None, ("trips",), 2, _while),
    "case": Rule(1, (), None, _case),
    "all_gather": Rule(1, ("groups",), 0, _all_gather),
    "permute": Rule(1, ("pairs",), 0, _permute),
    "trace": Rule(None, ("kind", "site", "pure"), 0, lambda op: [r.type for r in op.results]),
    "lane_id": Rule(0, (), 0, lambda op: [Type("u32")]),
}


def check(graph):
    """Raise CompileError for the first operation that is not legal, or a value used where it is not defined."""
    _check_region(graph, set(), 0)
    for out, argument in graph.aliases.items():
        if not (0 <= out < len(graph.results) and 0 <= argument < len(graph.arguments)):
            raise CompileError(f"Output {out} cannot take over input {argument}: there is no such pair.")
        if graph.results[out].type != graph.arguments[argument].type:
            raise CompileError(f"Output {out} is {graph.results[out].type}, the donated input {argument} is "
                               f"{graph.arguments[argument].type}.")


def _check_region(region, outer, depth):
    visible = outer | set(map(id, region.arguments))
    for op in region.ops:
        _check_op(op, visible, depth)
        visible |= set(map(id, op.results))
    for v in region.results:
        if id(v) not in visible:
            raise CompileError(f"A region gives back a value ({v.type}) that is not defined in it.")


def _check_op(op, visible, depth):
    rule = RULES.get(op.name)
    try:
        need(rule is not None, "there is no such core operation")
        need(rule.operands in (None, len(op.operands)), f"{len(op.operands)} operands, expected {rule.operands}")
        need(rule.regions in (None, len(op.regions)), f"{len(op.regions)} regions, expected {rule.regions}")
        for name in rule.attributes:
            need(name in op.attributes, f"attribute {name!r} is missing")
        for k, v in enumerate(op.operands):
            need(id(v) in visible, f"operand {k} is not defined before its use")
        need(depth + 1 <= limits.MAX_DEPTH or not op.regions, f"regions nest deeper than {limits.MAX_DEPTH}")
        want, have = rule.types(op), [v.type for v in op.results]
        need(want == have, f"results are ({', '.join(map(str, have))}), expected ({', '.join(map(str, want))})")
    except Wrong as why:
        at = f" at {op.source}" if str(op.source) else ""
        raise CompileError(f"{op.name}{at}: {why}.") from None
    for inner in op.regions:
        _check_region(inner, visible, depth + 1)
