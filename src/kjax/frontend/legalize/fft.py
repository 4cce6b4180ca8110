"""fft: discrete Fourier transforms as small dense ones (dot_general) joined by twiddle factors.

A length n = n1 * n2 is split (Cooley-Tukey) until its parts are at most ``DENSE``; a prime length above
``LARGEST_DENSE`` becomes a convolution of a power of two (Bluestein). Operands: (..., n), transformed last dim first.
"""

import numpy as np

from kjax.frontend.builder import JOIN
from kjax.frontend.legalize.registry import rule

DENSE = 32
LARGEST_DENSE = 128


@rule("stablehlo.fft")
def fft(b, node):
    (x,), type, kind = node.operands, node.type, node.attr("fft_type")
    lengths = node.attr("fft_length")
    if 0 in type.shape:
        return b.full(0, type)
    rank = x.type.rank
    dims = list(range(rank - len(lengths), rank))
    if kind == "RFFT":
        x = b.convert(x, JOIN[x.dtype])
    order = dims[::-1] if kind == "RFFT" else dims
    for dim in order:
        last = dim == rank - 1
        if kind == "IRFFT" and last:
            x = _hermitian(b, x, lengths[-1])
        x = _along(b, x, dim, inverse=kind in ("IFFT", "IRFFT"))
        if kind == "RFFT" and last:
            x = b.slice_dim(x, -1, 0, type.shape[-1])
    return b.map("real", x) if kind == "IRFFT" else x


def _hermitian(b, x, n):
    """The full spectrum of a real signal of length ``n`` from its first n // 2 + 1 bins."""
    have = n // 2 + 1
    tail = b.reverse(b.slice_dim(x, -1, 1, n - have + 1), (x.type.rank - 1,))
    mirrored = b.map("complex", b.map("real", tail), b.map("neg", b.map("imag", tail)))
    return b.concatenate([x, mirrored], -1) if n > have else x


def _along(b, x, dim, *, inverse):
    rank, n = x.type.rank, x.shape[dim]
    swap = list(range(rank))
    swap[dim], swap[-1] = swap[-1], swap[dim]
    x = _transform(b, b.transpose(x, swap), inverse)
    if inverse:  # by parts: the product of two complex numbers would round twice
        scale = 1 / n
        x = b.map("complex", *((b.expr(b.map(p, x)) * scale).value for p in ("real", "imag")))
    return b.transpose(x, swap)


def _roots(exponents, n, inverse):
    """exp(-+2 pi i k / n), with k reduced first so that it stays exact."""
    angle = 2 * np.pi * (np.asarray(exponents) % n) / n
    return np.cos(angle) + (1j if inverse else -1j) * np.sin(angle)


def _times(b, x, factors):
    """Multiply by a constant that broadcasts."""
    return b.map("mul", x, b.constant(np.broadcast_to(factors, x.shape), x.dtype))


def _transform(b, x, inverse):
    """Unscaled transform of the last dim."""
    n = x.shape[-1]
    n1 = max((d for d in range(1, DENSE + 1) if n % d == 0), default=1)
    if n <= DENSE or (n1 == 1 and n <= LARGEST_DENSE):
        matrix = _roots(np.outer(np.arange(n), np.arange(n)), n, inverse)
        return b.dot(x, b.constant(matrix, x.dtype), contract=((x.type.rank - 1,), (0,)))
    if n1 == 1 and n > LARGEST_DENSE:
        return _bluestein(b, x, inverse)
    n2, lead = n // n1, x.shape[:-1]
    k = len(lead)
    flip = (*range(k), k + 1, k)
    x = b.transpose(b.reshape(x, (*lead, n1, n2)), flip)  # (j2, j1)
    x = _transform(b, x, inverse)  # (j2, k1)
    x = _times(b, x, _roots(np.outer(np.arange(n2), np.arange(n1)), n, inverse))
    x = _transform(b, b.transpose(x, flip), inverse)  # (k1, k2)
    return b.reshape(b.transpose(x, flip), (*lead, n))  # k = k1 + n1 * k2


def _bluestein(b, x, inverse):
    """jk = (j^2 + k^2 - (k-j)^2) / 2 turns the transform into a convolution with a chirp."""
    n = x.shape[-1]
    m = 1 << (2 * n - 2).bit_length()
    chirp = _roots(np.arange(n) ** 2, 2 * n, inverse)
    kernel = np.zeros(m, np.complex128)
    kernel[:n] = chirp.conj()
    kernel[m - n + 1:] = chirp.conj()[:0:-1]
    low, high = [0] * x.type.rank, [0] * x.type.rank
    high[-1] = m - n
    a = _transform(b, b.pad(_times(b, x, chirp), 0, low, high), False)
    a = _transform(b, _times(b, a, np.fft.fft(kernel) / m), True)
    return _times(b, b.slice_dim(a, -1, 0, n), chirp)
