"""Sorting by any comparison: merges of runs, many at a time."""

import numpy as np

from kjax.runtime.reference.rules import rule


@rule
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
