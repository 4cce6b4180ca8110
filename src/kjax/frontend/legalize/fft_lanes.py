"""Transforms as the instruction ``transform`` (ADR 25): where there are several, each has a lane of a vector.

A long one is cut in two: as a matrix, its columns are transformed (the lanes are side by side then), elements multiplied by
roots, and its rows transformed, which gives the result by columns.
"""

from math import prod

import numpy as np

from kjax.frontend.builder import JOIN, PART
from kjax.frontend.legalize.fft_parts import radices, roots
from kjax.isa import opcodes

RADICES = {"complex": (8, 4), "forward": (4,), "backward": (4,)}
FEW = 4  # transforms: as many or more are worth a vector
CUT = 320  # shortest transforms, few of them or too long ones, that are cut in two: XLA has another plan for them, too


def along(b, x, shape, kind, scale):
    """Transforms of ``x``, seen as (a, n, c) = ``shape``, along n, as (a, n', c); None: by other means. ``kind``: "complex",
    "inverse", "forward", "backward"."""
    a, n, c = shape
    flags = ("inverse",) if kind == "inverse" else ()
    kind = "complex" if kind == "inverse" else kind
    if kind == "complex" and x.dtype in PART:
        x = _without_conversion(x)
    parts = PART.get(x.dtype, x.dtype)
    if parts not in JOIN or not pays(kind, shape):
        return None
    cut = _cut(kind, shape)
    if cut:
        x = b.transpose(b.reshape(x, shape), (0, 2, 1))
        x = _in_two(b, b.reshape(x, (a * c, *cut)), parts, cut, flags, scale)
        return b.transpose(b.reshape(x, (a, c, n)), (0, 2, 1))
    x = b.reshape(x, (a, x.type.size // (a * c), c))
    return _transform(b, x, parts, kind, n, 1, (0, 1, 2), flags, scale)


def pays(kind, shape):
    """Are transforms of this shape for the instruction?"""
    return _in_lanes(kind, shape) or _cut(kind, shape) is not None


def _in_lanes(kind, shape):
    return max(shape[0], shape[2]) >= FEW and _has_passes(kind, shape[1])


def _without_conversion(x):
    """What ``x`` is converted from, where that are its real parts."""
    source = x.op.operands[0] if x.op is not None and x.op.name == "convert" else None
    return source if source is not None and source.dtype == PART[x.dtype] else x


def _has_passes(kind, n):
    return 1 < n <= opcodes.TRANSFORM_MAX_LENGTH and max(radices(n, RADICES[kind])) <= (8 if kind == "complex" else 5)


def _cut(kind, shape):
    """(rows, columns) with columns that fill vectors; None: there are none, or these transforms are better left whole."""
    a, n, c = shape
    if kind != "complex" or n < CUT or (_in_lanes(kind, shape) and (a >= 2 * FEW or c != 1)):
        return None
    lanes = opcodes.TRANSFORM_LANES
    found = [(n // m, m) for m in range(lanes, min(n // 2, opcodes.TRANSFORM_MAX_LENGTH) + 1, lanes)
             if n % m == 0 and _has_passes("complex", m) and _has_passes("complex", n // m)]
    return min(found, key=lambda f: (f[0] % lanes != 0, max(f)), default=None)


def _in_two(b, x, parts, cut, flags, scale):
    x = _transform(b, x, parts, "complex", cut[0], 1, (0, 1, 2), (*flags, "turned"), 1)
    return _transform(b, x, parts, "complex", cut[1], 2, (0, 2, 1), flags, scale)


def _transform(b, x, parts, kind, n, dim, order, flags, scale):
    factors = tuple(radices(n, RADICES[kind]))
    table = b.constant(_roots(kind, factors, x.shape[2] if "turned" in flags else 0), parts)
    return b.transform(x, table, kind=kind, dim=dim, order=order, flags=flags, factors=factors, scale=scale)


def _roots(kind, factors, lanes):
    """The numbers that the passes multiply by, in the order of ``engine/format.h``, as float64; at least two."""
    n = m = prod(factors)
    found = [np.zeros(0)]
    for r in factors:
        m //= r
        i, j = np.arange(1, m if kind == "complex" else (m + 1) // 2), np.arange(1, r)
        found.append(np.stack(roots(np.outer(i, j).ravel(), r * m, n), 1).ravel())
    if lanes:
        turn = roots(np.outer(np.arange(n), np.arange(lanes)).ravel(), n * lanes, n * lanes)
        found.append(np.stack([part.reshape(n, lanes) for part in turn], 1).ravel())
    table = np.concatenate(found)
    return np.concatenate([table, np.zeros(max(0, 2 - table.size))])
