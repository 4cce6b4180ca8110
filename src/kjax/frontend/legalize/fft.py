"""fft: discrete Fourier transforms of any length: by instructions (fft_lanes.py) or as passes of small radices, each one nest (ADR 10).

Real input and real output have passes of their own while they pay; a long real transform of even length is a complex
one of half
the length, and lengths with a large prime factor become a convolution (Bluestein 1970). Arrays lie as (transformed dim,
batch), so that short transforms of many sequences run along the batch.
"""

from math import prod

import numpy as np

from kjax.frontend.builder import JOIN
from kjax.frontend.legalize import fft_complex, fft_lanes, fft_real
from kjax.frontend.legalize.fft_parts import LARGEST_RADIX, convolution_length, radices, roots, rotated
from kjax.frontend.legalize.registry import rule

REAL_PASSES = 1024  # longest transform by real passes; above, even lengths go by halves


@rule("stablehlo.fft")
def fft(b, node):
    (x,), type, kind = node.operands, node.type, node.attr("fft_type")
    lengths = node.attr("fft_length")
    if 0 in type.shape:
        return b.full(0, type)
    last = x.type.rank - 1
    dims = list(range(x.type.rank - len(lengths), x.type.rank))
    scale = 1 / prod(lengths)
    if kind == "RFFT":
        x = _along(b, x, last, "forward", 1, lambda v: _forward(b, v))
        return _complex_dims(b, x, dims[:-1], -1, 1)
    if kind == "IRFFT":
        x = _complex_dims(b, x, dims[:-1], 1, 1)
        return _along(b, x, last, "backward", scale, lambda v: _backward(b, v, lengths[-1], scale), lengths[-1])
    sign = -1 if kind == "FFT" else 1
    return _complex_dims(b, x, dims, sign, scale if sign > 0 else 1)


def _complex_dims(b, x, dims, sign, scale):
    """Transforms along ``dims``; the first one also scales."""
    for dim in dims:
        kind = "complex" if sign < 0 else "inverse"
        x = _along(b, x, dim, kind, scale, lambda v, s=scale: _complex(b, v, sign, s))
        scale = 1
    return x


def _along(b, x, dim, kind, scale, transform, n=None):
    """Along ``dim`` what ``transform`` makes of (a, n, c), as (n', a, c); by instructions where that pays. ``n``: the length, where
    that of ``x`` is another."""
    before, after = x.shape[:dim], x.shape[dim + 1:]
    y = fft_lanes.along(b, x, (prod(before), n or x.shape[dim], prod(after)), kind, scale)
    if y is not None:
        return b.reshape(y, (*before, y.shape[1], *after))
    y = transform(b.reshape(x, (prod(before), x.shape[dim], prod(after))))
    y = b.reshape(y, (y.shape[0], *before, *after))
    return b.transpose(y, [*range(1, dim + 1), 0, *range(dim + 1, x.type.rank)])


def _columns(b, x):
    """(a, n, c) as (n, a c)."""
    a, n, c = x.shape
    return b.reshape(b.transpose(x, (1, 0, 2)), (n, a * c))


def _parts(b, x):
    return fft_complex.split(b, [x])


def _join(b):
    return lambda parts: b.map("complex", *(p.value for p in parts))


def _largest(n):
    return max(radices(n, (8, 4)), default=1)


def _complex(b, x, sign, scale):
    a, n, c = x.shape
    if _largest(n) > LARGEST_RADIX:
        return b.reshape(_join(b)(_bluestein(b, _parts(b, _columns(b, x)), sign, scale)), (n, a, c))
    return fft_complex.transform(b, [x], sign=sign, scale=scale, finish=_join(b))


def _pair(b, parts, sign):
    """The transform as a pair of parts, not joined."""
    out = []
    n, batch = shape = parts[0].type.shape
    if fft_lanes.pays("complex", (1, n, batch)):
        whole = b.reshape(_join(b)(parts), (1, n, batch))
        return fft_complex.split(b, [b.reshape(fft_lanes.along(b, whole, (1, n, batch), "complex" if sign < 0 else "inverse", 1), shape)])
    parts = [b.reshape(p.value, (1, n, batch)) for p in parts]
    fft_complex.transform(b, parts, sign=sign, scale=1, finish=lambda p: out.append(p) or p[0].value)
    return tuple(b.expr(b.reshape(b.concatenate([p[k].value for p in out], 0), (n, batch))) for k in (0, 1))


def _bluestein(b, parts, sign, scale):
    """jk = (j^2 + k^2 - (k-j)^2) / 2 turns the transform into a convolution with a chirp."""
    n, batch = parts[0].type.shape
    m, dtype = convolution_length(n), parts[0].dtype
    chirp = roots(np.arange(n, dtype=np.int64) ** 2 % (2 * n), 2 * n)
    kernel = np.zeros((2, m), np.longdouble)
    for part in (0, 1):
        kernel[part][:n] = chirp[part]
        kernel[part][m - n + 1:] = chirp[part][:0:-1]
    spectrum = np.fft.fft(kernel[0].astype(float) + 1j * kernel[1].astype(float)) / m

    def constant(re, im, rows):
        return tuple(b.expr(b.broadcast(b.constant(np.asarray(p, float), dtype), (rows, batch), (0,))) for p in (re, im))

    factor = constant(*chirp, n)
    a = rotated(parts, factor, sign)
    a = tuple(b.expr(b.pad(p.value, 0, (0, 0), (m - n, 0))) for p in a)
    a = _pair(b, a, -1)
    a = _pair(b, rotated(a, constant(spectrum.real, spectrum.imag, m), -sign), 1)
    a = tuple(b.expr(b.slice_dim(p.value, 0, 0, n)) for p in a)
    a = rotated(a, factor, sign)
    return a if scale == 1 else tuple(p * scale for p in a)


def _forward(b, x):
    """Half spectrum of a real (a, n, c) array."""
    a, n, c = x.shape
    if _largest(n) > LARGEST_RADIX or (n > REAL_PASSES and n % 2):
        full = _complex(b, b.convert(x, JOIN[x.dtype]), -1, 1)
        return b.slice_dim(full, 0, 0, n // 2 + 1)
    return b.reshape(_forward_columns(b, _columns(b, x)), (n // 2 + 1, a, c))


def _forward_columns(b, x):
    n, batch = x.shape
    if n <= REAL_PASSES:
        return fft_real.forward(b, b.expr(x), finish=_join(b))
    half = n // 2
    z = tuple(b.expr(b.slice_dim(x, 0, k, n, 2)) for k in (0, 1))
    z = _pair(b, z, -1)
    # Z[k] and conj Z[half - k] are the sum and the difference of the halves' spectra
    z, mirrored = (tuple(b.expr(b.concatenate(order(p.value), 0)) for p in z) for order in
                   (lambda p: [p, b.slice_dim(p, 0, 0, 1)], lambda p: [b.slice_dim(p, 0, 0, 1), b.reverse(p, (0,))]))
    even = (z[0] + mirrored[0]) * 0.5, (z[1] - mirrored[1]) * 0.5
    odd = (z[1] + mirrored[1]) * 0.5, (mirrored[0] - z[0]) * 0.5
    root = _column(b, roots(np.arange(half + 1), n), x.dtype, batch)
    odd = rotated(odd, root, -1)
    return _join(b)((even[0] + odd[0], even[1] + odd[1]))


def _column(b, parts, dtype, batch):
    rows = len(parts[0])
    return tuple(b.expr(b.broadcast(b.constant(np.asarray(p, float), dtype), (rows, batch), (0,))) for p in parts)


def _backward(b, x, n, scale):
    """Real (n, a, c) signal of an (a, n // 2 + 1, c) half spectrum; imaginary parts of frequencies 0 and n / 2 are not
    looked at."""
    a, _, c = x.shape
    return b.reshape(_backward_columns(b, _parts(b, _columns(b, x)), n, scale), (n, a, c))


def _backward_columns(b, parts, n, scale):
    if n > REAL_PASSES and n % 2 == 0 and _largest(n // 2) <= LARGEST_RADIX:
        return _backward_by_halves(b, parts, n, scale)
    if n <= REAL_PASSES and _largest(n) <= LARGEST_RADIX:
        return fft_real.backward(b, parts, n, scale=scale)
    zero = b.full(0, b.slice_dim(parts[0].value, 0, 0, 1).type)
    re, im = (p.value for p in parts)
    have = n // 2 + 1
    tail = n - have
    im = b.concatenate([zero, b.slice_dim(im, 0, 1, (n + 1) // 2)] + ([zero] if n % 2 == 0 else []), 0)
    full = (b.expr(b.concatenate([re, b.reverse(b.slice_dim(re, 0, 1, tail + 1), (0,))], 0)),
            b.expr(b.concatenate([im, b.map("neg", b.reverse(b.slice_dim(im, 0, 1, tail + 1), (0,)))], 0)))
    if _largest(n) > LARGEST_RADIX:
        return _bluestein(b, full, 1, scale)[0].value
    full = [b.reshape(p.value, (1, *p.type.shape)) for p in full]
    return b.reshape(fft_complex.transform(b, full, sign=1, scale=scale, finish=lambda p: p[0].value), (n, full[0].shape[2]))


def _backward_by_halves(b, parts, n, scale):
    half, batch = n // 2, parts[0].type.shape[1]
    zero = b.full(0, b.slice_dim(parts[0].value, 0, 0, 1).type)
    re = parts[0].value
    im = b.concatenate([zero, b.slice_dim(parts[1].value, 0, 1, half), zero], 0)
    low = tuple(b.expr(b.slice_dim(p, 0, 0, half)) for p in (re, im))
    high = tuple(b.expr(b.reverse(b.slice_dim(p, 0, 1, half + 1), (0,))) for p in (re, im))  # conjugated below
    even = low[0] + high[0], low[1] - high[1]
    odd = rotated((low[0] - high[0], low[1] + high[1]), _column(b, roots(np.arange(half), n), re.dtype, batch), 1)
    z = _pair(b, (even[0] - odd[1], even[1] + odd[0]), 1)
    both = [b.reshape((p * scale).value, (half, 1, batch)) for p in z]
    return b.reshape(b.concatenate(both, 1), (n, batch))
