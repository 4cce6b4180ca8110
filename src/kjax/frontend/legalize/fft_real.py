"""Passes of real transforms: signal to half spectrum, and back.

An array holds half spectra of n' elements: (frequencies 0 .. n' / 2, sequences, batch) parts, the imaginary ones of
frequency 0 and, for an even length, of n' / 2 being zero. Columns of a pass are of three kinds: the first (frequency
0, real), the
middle (n' / 2 of an even length, real) and those between, which are complex and come with their mirror images.
"""

from math import sqrt

from kjax.frontend.legalize.fft_complex import butterfly, odd, odd_groups
from kjax.frontend.legalize.fft_parts import radices, roots, rotated, weighted
from kjax.ir.graph import Type

FIXED = (4,)
IN_ORDER, WIDTHS = 5, (4, 2)


def _complex_columns(x, sign, n):
    return odd(x, sign, n, IN_ORDER, WIDTHS) if len(x) % 2 else butterfly(x, sign, n)


def _sum(terms, r, *, lead=None):
    """Sum of (value, weight) terms of an odd radix, after ``lead``."""
    first, *others = odd_groups(r, IN_ORDER, WIDTHS)
    if lead is None:
        return weighted(terms, (first, *others))
    return weighted([(lead, None), *terms], (1 + first, *others))


# -- forward --------------------------------------------------------------------------------------------------------


def forward(b, x, *, finish):
    """The half spectrum of (n, batch) real ``x`` along the first dim. ``finish``: as for complex transforms."""
    n, batch = x.type.shape
    re, im, m = b.reshape(x.value, (1, n, batch)), None, 1
    for r in reversed(radices(n, FIXED)):
        count = n // (r * m)
        last = count == 1
        pieces = _forward_pass(b, re, im, r, m, n, batch)
        m *= r
        if last:
            return _whole(b, pieces, batch, finish)
        zero = b.expr(b.full(0, Type(x.dtype, (1, count, batch))))
        re = b.concatenate([p[0].value for p in pieces], 0)
        im = b.concatenate([(p[1] if p[1] is not None else zero).value for p in pieces], 0)
    return _whole(b, [(b.expr(re), None)], batch, finish)


def _whole(b, pieces, batch, finish):
    out = []
    for re, im in pieces:
        parts = re, re.like(0) if im is None else im
        out.append(b.reshape(finish(parts), (re.type.shape[0], batch)))
    return b.concatenate(out, 0)


def _forward_pass(b, re, im, r, m, n, batch):
    """Pieces (real, imaginary or None) of the longer spectra, by ascending frequency."""
    count, between, even = n // (r * m), (m - 1) // 2, m % 2 == 0

    def column(part, j, start, stop):
        part = b.slice_dim(b.slice_dim(part, 1, j * count, (j + 1) * count), 0, start, stop)
        return b.expr(part)

    edge = _forward_first([column(re, j, 0, 1) for j in range(r)], n)
    middle = _forward_middle([column(re, j, m // 2, m // 2 + 1) for j in range(r)]) if even else []
    columns = mirrored = [None] * r
    if between:
        x = [(column(re, j, 1, 1 + between), column(im, j, 1, 1 + between)) for j in range(r)]
        x = [x[0]] + [rotated(x[j], _roots(b, x[0][0], j, r * m, n), -1) for j in range(1, r)]
        columns = _complex_columns(x, -1, n)
        mirrored = [(_back(b, re), _back(b, -im)) for re, im in columns]
    pieces = []
    for q in range(r // 2 + 1):
        if q:
            pieces.append(mirrored[r - q] if between else None)
        pieces.append(edge[q])
        if 2 * q < r:
            pieces.append(columns[q] if between else None)
            if even:
                pieces.append(middle[q])
    return [p for p in pieces if p is not None]


def _back(b, x):
    return b.expr(b.reverse(x.value, (0,)))


def _roots(b, like, j, n, whole):
    """Roots j i of length n for the columns i = 1, 2, ..., as constants of ``like``'s shape."""
    shape = like.type.shape
    parts = roots([i * j for i in range(1, shape[0] + 1)], n, whole)
    return tuple(b.expr(b.broadcast(b.constant(part, like.dtype), shape, (0,))) for part in parts)


def _forward_first(x, n):
    r = len(x)
    if r == 2:
        return [(x[0] + x[1], None), (x[0] - x[1], None)]
    if r == 4:
        odd, even = x[3] + x[1], x[0] + x[2]
        return [(even + odd, None), (x[0] - x[2], x[3] - x[1]), (even - odd, None)]
    half = range(1, (r + 1) // 2)
    sums, differences = [x[j] + x[r - j] for j in half], [x[r - j] - x[j] for j in half]
    total = x[0]
    for s in sums:
        total = total + s
    out = [(total, None)]
    for k in half:
        cos, sin = roots([j * k for j in half], r, None if r <= IN_ORDER else n)
        out.append((_sum(list(zip(sums, map(float, cos))), r, lead=x[0]), _sum(list(zip(differences, map(float, sin))), r)))
    return out


def _forward_middle(x):
    if len(x) == 2:
        return [(x[0], -x[1])]
    h = sqrt(0.5)
    im, re = (x[1] + x[3]) * -h, (x[1] - x[3]) * h
    return [(x[0] + re, im - x[2]), (x[0] - re, im + x[2])]


# -- backward -------------------------------------------------------------------------------------------------------


def backward(b, parts, n, *, scale):
    """The (n, batch) real signal whose half spectrum is ``parts``, (n // 2 + 1, batch) each."""
    batch = parts[0].type.shape[1]
    at, one, inner, m = tuple(b.reshape(p.value, (1, p.type.shape[0], 1, batch)) for p in parts), 1, 1, n
    for r in radices(n, FIXED):
        m //= r
        sequences = _backward_pass(b, at, r, m, n)
        if m == 1:
            values = [re * scale if scale != 1 else re for ((re, _),) in sequences]
            return b.reshape(b.concatenate([v.value for v in values], 0), (n, batch))
        # a block for each j: (frequencies, sequences)
        zero = b.expr(b.full(0, sequences[0][0][0].type))
        re = [b.concatenate([p[0].value for p in s], 0) for s in sequences]
        im = [b.concatenate([(p[1] if p[1] is not None else zero).value for p in s], 0) for s in sequences]
        one, inner = r, one * inner
        at = tuple(b.reshape(b.concatenate(p, 0), (r, m // 2 + 1, inner, batch)) for p in (re, im))
    only = b.expr(at[0])
    return b.reshape((only * scale if scale != 1 else only).value, (n, batch))


def _backward_pass(b, at, r, m, n):
    """For each of the r shorter sequences its pieces by ascending frequency."""
    between, even = (m - 1) // 2, m % 2 == 0
    _, _, inner, batch = at[0].shape
    one = at[0].shape[0]

    def column(part, start, stop, turn=False):
        part = b.transpose(b.slice_dim(part, 1, start, stop), (1, 0, 2, 3))
        part = b.reverse(part, (0,)) if turn else part
        return b.expr(part)

    def pair(start, stop, turn=False):
        return tuple(column(part, start, stop, turn) for part in at)

    edge = [pair(q * m, q * m + 1) for q in range(r // 2 + 1)]
    out = [[(v, None)] for v in _backward_first(edge, r, n)]
    if between:
        x = [pair(q * m + 1, q * m + 1 + between) for q in range((r + 1) // 2)]
        for q in range(r // 2, 0, -1):
            re, im = pair(q * m - between, q * m, turn=True)
            x.append((re, -im))
        y = _complex_columns(x, 1, n)
        for j in range(r):
            out[j].append(rotated(y[j], _roots(b, y[j][0], j, r * m, n), 1) if j else y[j])
    if even:
        middle = _backward_middle([pair(q * m + m // 2, q * m + m // 2 + 1) for q in range(r // 2)])
        for j in range(r):
            out[j].append((middle[j], None))
    shape = (one * inner, batch)
    return [[tuple(v if v is None else b.expr(b.reshape(v.value, (v.type.shape[0], *shape))) for v in piece) for piece in s]
            for s in out]


def _backward_first(x, r, n):
    if r == 2:
        return [x[0][0] + x[1][0], x[0][0] - x[1][0]]
    if r == 4:
        even, even_ = x[0][0] + x[2][0], x[0][0] - x[2][0]
        odd, odd_ = x[1][0] * 2.0, x[1][1] * 2.0
        return [even + odd, even_ - odd_, even - odd, even_ + odd_]
    half = range(1, (r + 1) // 2)
    lead, re, im = x[0][0], [x[j][0] * 2.0 for j in half], [x[j][1] * 2.0 for j in half]
    out = [None] * r
    out[0] = lead
    for v in re:
        out[0] = out[0] + v
    for k in half:
        cos, sin = roots([j * k for j in half], r, None if r <= IN_ORDER else n)
        even = _sum(list(zip(re, map(float, cos))), r, lead=lead)
        odd = _sum(list(zip(im, map(float, sin))), r)
        out[k], out[r - k] = even - odd, even + odd
    return out


def _backward_middle(x):
    if len(x) == 1:
        (re, im), = x
        return [re * 2.0, im * -2.0]
    (a, p), (c, d) = x
    s = sqrt(2)
    re, im, twice, turn = a - c, d + p, a + c, d - p
    return [twice * 2.0, (re - im) * s, turn * 2.0, (re + im) * -s]
