"""Splitting a call's arrays among lanes and joining the lanes' results.

A sharding record, one for each argument, is {"global_shape": [...], "axes": [[d, parts, inner], ...]}: global dim ``d``
is cut into ``parts`` pieces, and lane ``l`` takes piece ``(l // inner) % parts``. No axes: every lane has the whole.
"""

import numpy as np


def _piece(record, shape, lane):
    """Slices of the global array that ``lane`` holds."""
    where = [slice(None)] * len(shape)
    for d, parts, inner in record["axes"]:
        size = shape[d] // parts
        at = (lane // inner) % parts * size
        where[d] = slice(at, at + size)
    return tuple(where)


def split_lanes(arrays, sharding, lanes):
    """For each lane its own C-contiguous arrays."""
    records = sharding["in"]
    return [[np.ascontiguousarray(a[_piece(r, a.shape, lane)]).reshape(
        tuple(s // np.prod([p for d2, p, _ in r["axes"] if d2 == d], dtype=int) for d, s in enumerate(a.shape)))
        for a, r in zip(arrays, records)] for lane in range(lanes)]


def join_lanes(results, sharding, lanes):
    """The global arrays from each lane's results; where lanes hold the same piece, the lowest lane's is taken."""
    joined = []
    for k, record in enumerate(sharding["out"]):
        shape = tuple(record["global_shape"])
        if not record["axes"]:
            joined.append(results[0][k])
            continue
        whole = np.empty(shape, results[0][k].dtype)
        for lane in reversed(range(lanes)):
            whole[_piece(record, shape, lane)] = results[lane][k]
        joined.append(whole)
    return joined
