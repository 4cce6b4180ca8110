"""Slices, gathers and scatters at places that are known only when they run."""

import numpy as np

from kjax.runtime.reference.elementwise import convert
from kjax.runtime.reference.rules import rule


def _starts(op, starts, shape, sizes):
    wraps = op.attributes.get("from_end", (0,) * len(starts))
    starts = [int(s) + (wrap if s < 0 else 0) for s, wrap in zip(starts, wraps, strict=True)]
    return tuple(slice(c, c + m) for c, m in
                 ((min(max(s, 0), n - m), m) for s, n, m in zip(starts, shape, sizes, strict=True)))


@rule
def _dynamic_slice(ev, op, a, *starts):
    return a[_starts(op, starts, a.shape, op.attributes["sizes"])]


@rule
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


@rule
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


@rule
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
