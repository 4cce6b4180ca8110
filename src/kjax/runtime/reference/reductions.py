"""Folds: of dims, of windows, and running ones. Sums are done in double precision and rounded once."""

import numpy as np

from kjax.isa import dtypes
from kjax.runtime.reference.elementwise import convert, elementwise
from kjax.runtime.reference.rules import rule
from kjax.runtime.reference.shapes import pad

SEQUENTIAL = 16  # a sum this short is done in order and in its own type, as StableHLO's test data was
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


@rule
def _reduce(ev, op, *operands):
    n, dims = len(operands) // 2, op.attributes["dims"]
    rest = [k for k in range(operands[0].ndim) if k not in dims]
    kept = tuple(operands[0].shape[k] for k in rest)
    count = int(np.prod([operands[0].shape[k] for k in dims], dtype=np.int64))
    arrays = [a.transpose([*dims, *rest]).reshape((count, *kept)) for a in operands[:n]]
    return _fold(ev, op.regions[0], arrays, operands[n:])


@rule
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


@rule
def _scan(ev, op, a):
    """In double precision, rounded once, like a sum."""
    at = op.attributes
    backward = (slice(None),) * at["dim"] + (slice(None, None, -1),)
    a = a[backward] if at["reverse"] else a
    wide = np.float64 if a.dtype.kind == "f" else a.dtype
    by = {"max": np.maximum, "min": np.minimum, **_UFUNCS}[at["op"]]
    out = convert(by.accumulate(a.astype(wide), at["dim"], dtype=wide), a.dtype)
    return out[backward] if at["reverse"] else out
