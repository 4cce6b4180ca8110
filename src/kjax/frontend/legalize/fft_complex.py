"""Passes of a complex transform.

A pass of radix r takes l transforms of length r m and leaves r l of length m: from element i + m j of transform k it
computes
a butterfly over j, times the root r m of i j, as element i of transform k + l j (decimation in frequency,
self-sorting). An
array is held as (a, m, c) with k = (a, c), the batch being part of k: what a pass writes is one block for each j. The
innermost
runs are long throughout: at first along i (c = 1), later, when i has become short, along c.
"""

from math import sqrt

from kjax.frontend.legalize.fft_parts import minus, plus, radices, roots, rotated, turned, weighted

FIXED = (8, 4)
SHORT = 64  # runs along i of fewer elements give way to runs along k
IN_ORDER = 11  # odd radices up to here sum their terms one by one, larger ones in pairs


def transform(b, at, *, sign, scale, finish):
    """The transform of (a, n, c) along the middle, and times ``scale``, as (n, a, c). ``at``: a complex value or two
    parts.
    ``finish``: makes the value that a pair of parts becomes, given to the last pass so that it joins that nest."""
    a, n, c = shape = at[0].shape
    factors = radices(n, FIXED)
    if not factors:
        return b.reshape(finish(_scaled(split(b, at), scale)), (n, a, c))
    for r in factors:
        m = shape[1] // r
        along_k = shape[2] > 1 or (1 < m < SHORT < shape[0])
        order = (1, 0, 2) if along_k else (0, 1, 2)
        x = [split(b, [b.transpose(b.slice_dim(p, 1, j * m, (j + 1) * m), order) for p in at]) for j in range(r)]
        y = _twiddled(b, butterfly(x, sign, n), m, n, sign, dim=order.index(1))
        if m == 1:
            return b.reshape(b.concatenate([finish(_scaled(v, scale)) for v in y], 0), (n, a, c))
        shape = (r, m, shape[0] * shape[2]) if along_k else (r * shape[0], m, 1)
        at = tuple(b.reshape(b.concatenate([v[part].value for v in y], 0), shape) for part in (0, 1))


def split(b, values):
    """The parts, as expressions, of one complex value or of two values that are parts."""
    if len(values) == 1:
        values = [b.map(part, values[0]) for part in ("real", "imag")]
    return tuple(b.expr(v) for v in values)


def _scaled(parts, scale):
    return parts if scale == 1 else tuple(p * scale for p in parts)


def _twiddled(b, y, m, n, sign, dim):
    """Element i of part j times the root i j of the transform that the pass takes apart."""
    if m == 1:
        return y
    shape = y[0][0].type.shape
    out = [y[0]]
    for j in range(1, len(y)):
        root = tuple(b.expr(b.broadcast(b.constant(part, y[0][0].dtype), shape, (dim,)))
                     for part in roots([i * j for i in range(m)], m * len(y), n))
        out.append(rotated(y[j], root, sign))
    return out


def butterfly(x, sign, n):
    """The transforms of length r over the list ``x`` of r pairs, within one of length ``n``: sum over j of
    x[j] exp(sign 2 pi i j k / r), k < r."""
    even = {2: _two, 4: _four, 8: _eight}.get(len(x))
    return even(x, sign) if even else odd(x, sign, n)


def _two(x, sign):
    return [plus(x[0], x[1]), minus(x[0], x[1])]


def _four(x, sign):
    even, odd = plus(x[0], x[2]), plus(x[1], x[3])
    even_, odd_ = minus(x[0], x[2]), turned(minus(x[1], x[3]), sign)
    return [plus(even, odd), plus(even_, odd_), minus(even, odd), minus(even_, odd_)]


def _eight(x, sign):
    """Radix 4 over the odd elements, its second half turned by 45 degrees; then radix 2 with radix 4 over the even
    ones."""
    a1, a5, a3, a7 = plus(x[1], x[5]), minus(x[1], x[5]), plus(x[3], x[7]), minus(x[3], x[7])
    a1, a3 = plus(a1, a3), turned(minus(a1, a3), sign)
    a7 = turned(a7, sign)
    a5, a7 = plus(a5, a7), minus(a5, a7)
    h = sqrt(0.5)
    if sign > 0:
        a5 = (a5[0] - a5[1]) * h, (a5[0] + a5[1]) * h
        a7 = (-a7[0] - a7[1]) * h, (a7[0] - a7[1]) * h
    else:
        a5 = (a5[0] + a5[1]) * h, (a5[1] - a5[0]) * h
        a7 = (a7[1] - a7[0]) * h, (-a7[0] - a7[1]) * h
    a0, a4, a2, a6 = plus(x[0], x[4]), minus(x[0], x[4]), plus(x[2], x[6]), turned(minus(x[2], x[6]), sign)
    halves = [(plus(a0, a2), a1), (plus(a4, a6), a5), (minus(a0, a2), a3), (minus(a4, a6), a7)]
    return [plus(u, v) for u, v in halves] + [minus(u, v) for u, v in halves]


def odd_groups(r, in_order, widths):
    """How the (r - 1) / 2 weighted terms of an odd radix are grouped: in one up to ``in_order``; else two, then
    ``widths``."""
    left, groups = (r - 1) // 2, []
    if r <= in_order:
        return [left]
    for width in (*widths, 1):
        while left >= (width if groups else 2):
            groups.append(width if len(groups) else 2)
            left -= groups[-1]
    return groups


def odd(x, sign, n, in_order=IN_ORDER, widths=(2,)):
    """A butterfly of odd radix; ``in_order``, ``widths``: see odd_groups."""
    r = len(x)
    half = range(1, (r + 1) // 2)
    sums, differences = [plus(x[j], x[r - j]) for j in half], [minus(x[j], x[r - j]) for j in half]
    first, *others = odd_groups(r, in_order, widths)
    out = [None] * r
    out[0] = x[0]
    for s in sums:
        out[0] = plus(out[0], s)
    for k in half:
        cos, sin = roots([j * k for j in half], r, None if r <= in_order else n)
        even = tuple(weighted([(x[0][p], None)] + [(s[p], float(c)) for s, c in zip(sums, cos)], (1 + first, *others))
                     for p in (0, 1))
        turn = tuple(weighted([(d[p], float(c)) for d, c in zip(differences, sin)], (first, *others)) for p in (0, 1))
        turn = turned(turn, sign)
        out[k], out[r - k] = plus(even, turn), minus(even, turn)
    return out

