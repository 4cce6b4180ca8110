"""Conversions, constants, and what moves elements without looking at them."""

import numpy as np

from kjax.runtime.reference.elementwise import bitcast, convert
from kjax.runtime.reference.rules import numpy_type, rule


@rule
def _convert(ev, op, a):
    return convert(a, numpy_type(op))


@rule
def _bitcast_convert(ev, op, a):
    shape = op.results[0].shape
    return bitcast(a, numpy_type(op), shape if a.shape == op.operands[0].shape else a.shape)


@rule
def _constant(ev, op):
    return op.attributes["value"]


@rule
def _iota(ev, op):
    shape, dim = op.results[0].shape, op.attributes["dim"]
    count = np.arange(shape[dim]).reshape([-1 if k == dim else 1 for k in range(len(shape))])
    return np.broadcast_to(convert(count, numpy_type(op)), shape)


@rule
def _broadcast_in_dim(ev, op, a):
    shape, dims = op.results[0].shape, op.attributes["dims"]
    placed = np.transpose(a, np.argsort(dims)) if len(dims) else a
    inner = [1] * len(shape)
    for n, d in zip(placed.shape, sorted(dims), strict=True):
        inner[d] = n
    return np.broadcast_to(placed.reshape(inner), shape)


@rule
def _reshape(ev, op, a):
    return a.reshape(op.results[0].shape)


@rule
def _transpose(ev, op, a):
    return a.transpose(op.attributes["permutation"])


@rule
def _slice(ev, op, a):
    at = op.attributes
    return a[tuple(slice(*s) for s in zip(at["start"], at["limit"], at["strides"], strict=True))]


@rule
def _reverse(ev, op, a):
    return np.flip(a, op.attributes["dims"])


@rule
def _concatenate(ev, op, *arrays):
    return np.concatenate(arrays, op.attributes["dim"])


@rule
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
