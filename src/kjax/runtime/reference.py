"""A NumPy interpreter of the tensor IR: the meaning of every core operation, and the tests' oracle.

Plain and slow: arrays go in, a list of arrays comes out. Sums are done in double precision and rounded
once. With lanes, each lane is a thread that meets the others at the exchanges.
"""

import threading

import numpy as np

from kjax.isa import dtypes
from kjax.runtime.reference_elementwise import bitcast, convert, elementwise

_RULES = {}
SEQUENTIAL = 16  # a sum this short is done in order and in its own type, as StableHLO's test data was


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
            rule = _RULES.get(op.name)
            results = rule(self, op, *operands) if rule else elementwise(op.name, *operands)
            if not isinstance(results, list):
                results = [results]
            for value, array in zip(op.results, results, strict=True):
                self.values[id(value)] = array
        return [self.values[id(v)] for v in region.results]


def _rule(function):
    _RULES[function.__name__.strip("_")] = function
    return function


def apply(op, *operands):
    """Arrays of the results of one operation whose operands are known: for constant folding."""
    rule = _RULES.get(op.name)
    out = rule(Evaluator(None), op, *operands) if rule else elementwise(op.name, *operands)
    return out if isinstance(out, list) else [out]


def _result(op):
    return op.results[0].type.info.numpy


@_rule
def _convert(ev, op, a):
    return convert(a, _result(op))


@_rule
def _bitcast_convert(ev, op, a):
    shape = op.results[0].shape
    return bitcast(a, _result(op), shape if a.shape == op.operands[0].shape else a.shape)


@_rule
def _constant(ev, op):
    return op.attributes["value"]


@_rule
def _iota(ev, op):
    shape, dim = op.results[0].shape, op.attributes["dim"]
    count = np.arange(shape[dim]).reshape([-1 if k == dim else 1 for k in range(len(shape))])
    return np.broadcast_to(convert(count, _result(op)), shape)


@_rule
def _broadcast_in_dim(ev, op, a):
    shape, dims = op.results[0].shape, op.attributes["dims"]
    placed = np.transpose(a, np.argsort(dims)) if len(dims) else a
    inner = [1] * len(shape)
    for n, d in zip(placed.shape, sorted(dims), strict=True):
        inner[d] = n
    return np.broadcast_to(placed.reshape(inner), shape)


@_rule
def _reshape(ev, op, a):
    return a.reshape(op.results[0].shape)


@_rule
def _transpose(ev, op, a):
    return a.transpose(op.attributes["permutation"])


@_rule
def _slice(ev, op, a):
    at = op.attributes
    return a[tuple(slice(*s) for s in zip(at["start"], at["limit"], at["strides"], strict=True))]


@_rule
def _reverse(ev, op, a):
    return np.flip(a, op.attributes["dims"])


@_rule
def _concatenate(ev, op, *arrays):
    return np.concatenate(arrays, op.attributes["dim"])


@_rule
def _pad(ev, op, a, value):
    at = op.attributes
    return pad(a, value, at["low"], at["high"], at["interior"])


def pad(a, value, low, high, interior):
    """StableHLO's pad: ``interior`` elements between neighbours; negative ``low`` and ``high`` crop."""
    spread = [n + max(0, n - 1) * i for n, i in zip(a.shape, interior, strict=True)]
    wide = np.full(spread, value, a.dtype)
    wide[tuple(slice(None, None, i + 1) for i in interior)] = a
    full = np.full([n + max(lo, 0) + max(hi, 0) for n, lo, hi in zip(spread, low, high, strict=True)], value, a.dtype)
    full[tuple(slice(max(lo, 0), max(lo, 0) + n) for lo, n in zip(low, spread, strict=True))] = wide
    return full[tuple(slice(max(-lo, 0), n - max(-hi, 0)) for lo, hi, n in zip(low, high, full.shape, strict=True))]


# -- reductions -----------------------------------------------------------------------------------------------------
_UFUNCS = {"add": np.add, "mul": np.multiply, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}


def _single(region):
    """Name of the body's only operation when it is ``op(acc, value)`` in either order, else None."""
    if len(region.ops) != 1 or len(region.arguments) != 2:
        return None
    op = region.ops[0]
    same = {id(v) for v in op.operands} == {id(v) for v in region.arguments}
    return op.name if same and region.results[0] is op.results[0] else None


def _fold(ev, region, arrays, inits):
    """Combine along the leading axis, pairwise and in order, and then with the initial values."""
    n = len(inits)
    kept = arrays[0].shape[1:]
    name = _single(region)
    info = dtypes.of(arrays[0].dtype)
    if name in _UFUNCS and arrays[0].shape[0] > SEQUENTIAL:
        wide = {"f": np.float64, "c": np.complex128}.get(np.dtype(arrays[0].dtype).kind)
        if not info.is_integer and info.kind != "bool" and wide is None:
            wide = np.float64
        if wide is not None or info.is_native:
            a = arrays[0].astype(wide or info.numpy)
            first = np.broadcast_to(convert(inits[0], a.dtype), (1, *kept))
            total = _UFUNCS[name].reduce(np.concatenate([first, a]), 0, dtype=a.dtype)
            return [convert(total, info.numpy)]
    if name and 0 < arrays[0].shape[0] <= SEQUENTIAL:
        total = np.broadcast_to(inits[0], kept)
        for row in arrays[0]:
            total = elementwise(name, total, row)
        return [total]
    while arrays[0].shape[0] > 1:
        m = arrays[0].shape[0] // 2
        left, right = [a[0:2 * m:2] for a in arrays], [a[1:2 * m:2] for a in arrays]
        merged = [np.broadcast_to(r, (m, *kept)) for r in ev.region(region, left + right)]
        arrays = [np.concatenate([r, a[2 * m:]]) for r, a in zip(merged, arrays, strict=True)]
    wide = [np.broadcast_to(i, kept) for i in inits]
    if arrays[0].shape[0] == 0:
        return wide
    return [np.broadcast_to(r, kept) for r in ev.region(region, wide + [a[0] for a in arrays])][:n]


@_rule
def _reduce(ev, op, *operands):
    n, dims = len(operands) // 2, op.attributes["dims"]
    rest = [k for k in range(operands[0].ndim) if k not in dims]
    kept = tuple(operands[0].shape[k] for k in rest)
    count = int(np.prod([operands[0].shape[k] for k in dims], dtype=np.int64))
    arrays = [a.transpose([*dims, *rest]).reshape((count, *kept)) for a in operands[:n]]
    return _fold(ev, op.regions[0], arrays, operands[n:])


@_rule
def _reduce_window(ev, op, *operands):
    n, at = len(operands) // 2, op.attributes
    rank = operands[0].ndim
    arrays = []
    for a, init in zip(operands[:n], operands[n:], strict=True):
        low, high = zip(*at["padding"], strict=True) if rank else ((), ())
        wide = pad(a, init, low, high, [d - 1 for d in at["base_dilations"]])
        shape, strides = op.results[0].shape, wide.strides
        view = np.lib.stride_tricks.as_strided(
            wide, (*at["window"], *shape),
            (*(s * d for s, d in zip(strides, at["window_dilations"], strict=True)),
             *(s * t for s, t in zip(strides, at["strides"], strict=True))))
        count = int(np.prod(at["window"]))
        arrays.append(view.reshape((count, *shape)) if view.size else np.empty((count, *shape), a.dtype))
    return _fold(ev, op.regions[0], arrays, operands[n:])


@_rule
def _linalg(ev, op, *operands):
    from kjax.runtime import reference_linalg

    return reference_linalg.evaluate(op.attributes["kind"], op.attributes["flags"], op.operands[0].dtype, operands)


# -- contractions ---------------------------------------------------------------------------------------------------
def _accumulator(dtype):
    info = dtypes.of(dtype)
    if info.is_float:
        return np.float64
    if info.is_complex:
        return np.complex128
    return info.numpy if info.is_native and info.kind != "bool" else np.int32


def _product_type(op, x):
    """In which NumPy type products of ``x`` are summed; integers may be narrower than the result."""
    wanted = op.results[0].dtype
    return _result(op) if wanted in dtypes.WIDENED else _accumulator(x.dtype)


@_rule
def _dot_general(ev, op, x, y):
    at = op.attributes
    lb, rb, lc, rc = at["lhs_batch"], at["rhs_batch"], at["lhs_contract"], at["rhs_contract"]
    lf = [k for k in range(x.ndim) if k not in lb and k not in lc]
    rf = [k for k in range(y.ndim) if k not in rb and k not in rc]

    def group(a, dims):
        return int(np.prod([a.shape[k] for k in dims], dtype=np.int64))

    depth = group(x, lc)
    wide = x.dtype if depth <= SEQUENTIAL and x.dtype.kind in "fc" and x.dtype.itemsize >= 4 else _product_type(op, x)
    a = x.transpose([*lb, *lf, *lc]).reshape(group(x, lb), group(x, lf), depth).astype(wide)
    b = y.transpose([*rb, *rc, *rf]).reshape(group(y, rb), depth, group(y, rf)).astype(wide)
    if depth <= SEQUENTIAL:
        total = np.zeros((a.shape[0], a.shape[1], b.shape[2]), wide)
        for k in range(depth):
            total += a[:, :, k, None] * b[:, k, None, :]
    else:
        total = np.matmul(a, b)
    return convert(total, _result(op)).reshape(op.results[0].shape)


@_rule
def _convolution(ev, op, x, y):
    """Sum over kernel places of a strided slice of the padded input times that place's weights, group by group."""
    at = op.attributes
    x, y = x.transpose(at["lhs_spec"]), y.transpose(at["rhs_spec"])
    n = x.ndim - 2
    flips = [2 + k for k in range(n) if at["reversal"][k]]
    y = np.flip(y, flips) if flips else y
    low, high = zip(*at["padding"], strict=True) if n else ((), ())
    x = pad(x, np.zeros((), x.dtype), (0, 0, *low), (0, 0, *high), (0, 0, *(d - 1 for d in at["lhs_dilation"])))
    out_shape = tuple(op.results[0].shape[k] for k in at["out_spec"])
    groups, wide = max(at["feature_groups"], at["batch_groups"]), _product_type(op, x)
    x, y = x.astype(wide), y.astype(wide)
    axis = 1 if at["feature_groups"] > 1 else 0
    xs = np.split(x, groups, axis)
    ys = np.split(y, groups, 0)
    parts = []
    for a, w in zip(xs, ys, strict=True):
        total = np.zeros((a.shape[0], w.shape[0], *out_shape[2:]), wide)
        for place in np.ndindex(*w.shape[2:]):
            window = tuple(slice(p * d, p * d + (m - 1) * s + 1 if m else p * d, s) for p, d, s, m in
                           zip(place, at["rhs_dilation"], at["strides"], out_shape[2:], strict=True))
            total += np.einsum("bi...,oi->bo...", a[(slice(None), slice(None), *window)],
                               w[(slice(None), slice(None), *place)])
        parts.append(total)
    out = convert(np.concatenate(parts, 1), _result(op))
    return out.transpose(np.argsort(at["out_spec"]))


# -- indexing -------------------------------------------------------------------------------------------------------
def _starts(op, starts, shape, sizes):
    wraps = op.attributes.get("from_end", (0,) * len(starts))
    starts = [int(s) + (wrap if s < 0 else 0) for s, wrap in zip(starts, wraps, strict=True)]
    return tuple(slice(c, c + m) for c, m in
                 ((min(max(s, 0), n - m), m) for s, n, m in zip(starts, shape, sizes, strict=True)))


@_rule
def _dynamic_slice(ev, op, a, *starts):
    return a[_starts(op, starts, a.shape, op.attributes["sizes"])]


@_rule
def _dynamic_update_slice(ev, op, a, update, *starts):
    out = np.array(a)
    out[_starts(op, starts, a.shape, update.shape)] = update
    return out


def _origins(indices, at, dims_map, rank, vector_dim):
    """Window origins, shape (*batch, rank) of Python-size ints, and the batch shape."""
    if vector_dim == indices.ndim:
        indices = indices[..., None]
    vectors = np.moveaxis(indices, vector_dim, -1)
    wide = convert(vectors, np.int64) if vectors.dtype != np.uint64 else \
        np.minimum(vectors, np.uint64(1 << 62)).astype(np.int64)
    batch = vectors.shape[:-1]
    origins = np.zeros((*batch, rank), np.int64)
    for k, (d, wrap) in enumerate(zip(dims_map, at.get("from_end", (0,) * len(dims_map)), strict=True)):
        origins[..., d] = wide[..., k] + np.where(wide[..., k] < 0, wrap, 0)
    # a batching dim of the indices, counted without the vector dim, is the origin along the operand's batching dim
    for d, i in zip(at["operand_batch_dims"], at["index_batch_dims"], strict=True):
        i -= i > vector_dim
        origins[..., d] = np.arange(batch[i]).reshape([-1 if k == i else 1 for k in range(len(batch))])
    return origins, batch


def _window_points(origins, sizes):
    """Index arrays, one an operand dim, of shape (*batch, *sizes)."""
    rank, batch = len(sizes), origins.shape[:-1]
    out = []
    for d in range(rank):
        steps = np.arange(sizes[d]).reshape([1] * len(batch) + [-1 if k == d else 1 for k in range(rank)])
        out.append(origins[..., d].reshape(*batch, *[1] * rank) + steps)
    return out


@_rule
def _gather(ev, op, x, indices):
    at = op.attributes
    sizes = at["slice_sizes"]
    origins, batch = _origins(indices, at, at["start_index_map"], x.ndim, at["index_vector_dim"])
    origins = np.clip(origins, 0, np.array(x.shape, np.int64) - np.array(sizes, np.int64))
    if 0 in op.results[0].shape:
        return np.zeros(op.results[0].shape, x.dtype)
    windows = x[tuple(_window_points(origins, sizes))] if x.ndim else np.broadcast_to(x, batch)
    gone = {*at["collapsed_dims"], *at["operand_batch_dims"]}
    kept = [n for k, n in enumerate(sizes) if k not in gone]
    windows = windows.reshape((*batch, *kept))
    rank = len(op.results[0].shape)
    order = [k for k in range(rank) if k not in at["offset_dims"]] + list(at["offset_dims"])
    return windows.transpose(np.argsort(order))


@_rule
def _scatter(ev, op, *operands):
    at, n = op.attributes, len(operands) // 2
    xs, indices, updates = operands[:n], operands[n], operands[n + 1:]
    shape = xs[0].shape
    origins, batch = _origins(indices, at, at["scatter_dims_map"], len(shape), at["index_vector_dim"])
    rank = updates[0].ndim
    order = [k for k in range(rank) if k not in at["update_window_dims"]] + list(at["update_window_dims"])
    gone = sorted({*at["inserted_dims"], *at["operand_batch_dims"]})
    window = [updates[0].shape[k] for k in at["update_window_dims"]]
    sizes = list(window)
    for d in gone:
        sizes.insert(d, 1)
    updates = [u.transpose(order).reshape((*batch, *sizes)) for u in updates]
    outs = [np.array(x) for x in xs]
    if 0 in updates[0].shape or not outs[0].size:
        return outs
    points = _window_points(origins, sizes)
    whole = np.broadcast_shapes(*(p.shape for p in points), updates[0].shape) if points else batch
    points = [np.broadcast_to(p, whole).reshape(-1) for p in points]
    valid = np.ones(int(np.prod(whole, dtype=np.int64)), bool)
    for p, m in zip(points, shape, strict=True):
        valid &= (p >= 0) & (p < m)
    flat = np.zeros(valid.shape, np.int64)
    for p, m in zip(points, shape, strict=True):
        flat = flat * m + np.where(valid, p, 0)
    flat, values = flat[valid], [np.broadcast_to(u, whole).reshape(-1)[valid] for u in updates]
    sorted_by_place = np.argsort(flat, kind="stable")
    places = flat[sorted_by_place]
    first = np.searchsorted(places, places)  # the k-th update of one place is applied in round k
    turn = np.empty_like(flat)
    turn[sorted_by_place] = np.arange(len(flat)) - first
    buffers = [o.reshape(-1) for o in outs]
    for k in range(int(turn.max(initial=-1)) + 1):
        now = turn == k
        old = [b[flat[now]] for b in buffers]
        for b, r in zip(buffers, ev.region(op.regions[0], old + [v[now] for v in values]), strict=True):
            b[flat[now]] = r
    return [b.reshape(shape) for b in buffers]


@_rule
def _scan(ev, op, a):
    """In double precision, rounded once, like a sum."""
    at = op.attributes
    backward = (slice(None),) * at["dim"] + (slice(None, None, -1),)
    a = a[backward] if at["reverse"] else a
    wide = np.float64 if a.dtype.kind == "f" else a.dtype
    by = {"max": np.maximum, "min": np.minimum, **_UFUNCS}[at["op"]]
    out = convert(by.accumulate(a.astype(wide), at["dim"], dtype=wide), a.dtype)
    return out[backward] if at["reverse"] else out


# -- sort -----------------------------------------------------------------------------------------------------------
@_rule
def _sort(ev, op, *arrays):
    """Stable merge sort of all rows at once: each run's elements find their place in its neighbour by bisection."""
    dim, region = op.attributes["dim"], op.regions[0]
    if not arrays[0].size:
        return list(arrays)
    moved = [np.moveaxis(a, dim, -1) for a in arrays]
    shape = moved[0].shape
    n = shape[-1]
    rows = [a.reshape(-1, n).copy() for a in moved]
    run = 1
    while run < n:
        place = _merge_places(ev, region, rows, n, run)
        lines = np.arange(rows[0].shape[0])[:, None]
        merged = [np.empty_like(r) for r in rows]
        for m, r in zip(merged, rows, strict=True):
            m[lines, place] = r
        rows, run = merged, run * 2
    return [np.moveaxis(r.reshape(shape), -1, dim) for r in rows]


def _merge_places(ev, region, rows, n, run):
    here = np.broadcast_to(np.arange(n), rows[0].shape)
    start = here // (2 * run) * (2 * run)
    is_left = here - start < run
    other_lo = np.where(is_left, np.minimum(start + run, n), start)
    other_hi = np.where(is_left, np.minimum(start + 2 * run, n), np.minimum(start + run, n))
    lo, hi = other_lo.copy(), other_hi.copy()
    lines = np.arange(rows[0].shape[0])[:, None]
    while (lo < hi).any():
        mid = np.minimum((lo + hi) // 2, n - 1)
        others = [r[lines, mid] for r in rows]
        other_first = [v for pair in zip(others, rows, strict=True) for v in pair]
        mine_first = [v for pair in zip(rows, others, strict=True) for v in pair]
        goes_before = np.broadcast_to(ev.region(region, other_first)[0], lo.shape)
        not_after = ~np.broadcast_to(ev.region(region, mine_first)[0], lo.shape)
        passed = np.where(is_left, goes_before, not_after)  # equal ones: the left run's come first
        active = lo < hi
        lo = np.where(active & passed, mid + 1, lo)
        hi = np.where(active & ~passed, mid, hi)
    mine = np.where(is_left, here - start, here - start - run)
    return start + mine + (lo - other_lo)


# -- control --------------------------------------------------------------------------------------------------------
@_rule
def _while(ev, op, *state):
    condition, body = op.regions
    state, trips = list(state), 0
    while bool(ev.region(condition, state)[0]):
        trips += 1
        if ev.max_trips is not None and trips > ev.max_trips:
            raise RuntimeError(f"a loop at {op.source} ran more than {ev.max_trips} times")
        state = ev.region(body, state)
    bound = op.attributes.get("trips")
    if bound is not None and trips > bound:
        raise RuntimeError(f"a loop at {op.source} ran {trips} times, its bound is {bound}")
    return state


@_rule
def _case(ev, op, index):
    k = int(index)
    last = len(op.regions) - 1
    return ev.region(op.regions[k if 0 <= k <= last else last], [])


# -- lanes ----------------------------------------------------------------------------------------------------------
@_rule
def _all_gather(ev, op, a):
    group = next(g for g in op.attributes["groups"] if ev.lane in g)
    seen = ev.exchange.swap(ev.lane, a) if ev.exchange else [a]
    return np.stack([seen[k] for k in group])


@_rule
def _permute(ev, op, a):
    seen = ev.exchange.swap(ev.lane, a) if ev.exchange else [a]
    senders = [f for f, t in op.attributes["pairs"] if t == ev.lane]
    return seen[senders[0]] if senders else np.zeros_like(a)


@_rule
def _lane_id(ev, op):
    return np.array(ev.lane, np.uint32)
