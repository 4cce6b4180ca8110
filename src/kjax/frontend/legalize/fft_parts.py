"""What the passes of complex and of real transforms share: lengths, roots of unity, arithmetic on parts.

Parts are ``Expr``s: a complex array is a pair of them (real, imaginary), so that a pass is additions and
multiplications in a
fixed order and fuses into one nest. The order of operations within a pass is that of FFTPACK's descendants
(Swarztrauber
1982; pocketfft, ducc), as far as it can be seen in the last bit: results near zero are then zero where theirs are.
"""

import numpy as np

LARGEST_RADIX = 47  # a prime factor above it: the whole length goes through a convolution (Bluestein)


def radices(n, fixed):
    """The factors of ``n`` in the order of the passes: powers of two first (each of ``fixed`` as often as it divides),
    one 2
    in front of them where it is left, then odd primes ascending."""
    found = []
    for r in fixed:
        while n % r == 0:
            found.append(r)
            n //= r
    if n % 2 == 0:
        found.append(2)
        found[0], found[-1] = found[-1], found[0]
        n //= 2
    divisor = 3
    while divisor * divisor <= n:
        while n % divisor == 0:
            found.append(divisor)
            n //= divisor
        divisor += 2
    return [*found, n] if n > 1 else found


def convolution_length(n):
    """A length of at least 2 n - 1 that has small factors only."""
    need, best = 2 * n - 1, 1 << (2 * n - 2).bit_length()
    for odd in (3, 5, 9, 15, 27, 45):
        length = odd
        while length < need:
            length *= 2
        best = min(best, length)
    return best


def roots(exponents, n, whole=None):
    """(cos, sin) of 2 pi k / n as float64. ``whole``: a multiple of ``n``, the length of the transform whose roots
    these are:
    they are then rounded as ducc rounds them, the product of a coarse and a fine root in float64."""
    k = np.asarray(exponents, np.int64) % n
    if whole is None:
        return tuple(part.astype(float) for part in _exact(k, n))
    k = k * (whole // n)
    mirrored = 2 * k > whole
    k = np.where(mirrored, whole - k, k)
    shift = 1
    while 1 << 2 * shift < (whole + 2) // 2:
        shift += 1
    mask = (1 << shift) - 1
    fine, coarse = _octants(k & mask, whole), _octants(k & ~mask, whole)
    sin = fine[0] * coarse[1] + fine[1] * coarse[0]
    return fine[0] * coarse[0] - fine[1] * coarse[1], np.where(mirrored, -sin, sin)


_PI = np.longdouble(np.pi) + np.longdouble(1.2246467991473531772e-16)


def _folded(k, n):
    """Bring angles 2 pi k / n, k up to n, into the first octant: angle pi e / (4 n) there, and how to come back."""
    mirrored = 2 * k > n  # sin(-a) = -sin(a)
    k = np.where(mirrored, n - k, k)
    behind = 4 * k > n  # cos(pi - a) = -cos(a)
    eighths = np.where(behind, 4 * n - 8 * k, 8 * k)
    steep = np.where(behind, eighths > n, eighths >= n)  # cos(pi / 2 - a) = sin(a); at 45 degrees as ducc has it
    return np.where(steep, 2 * n - eighths, eighths), mirrored, behind, steep


def _unfolded(cos, sin, mirrored, behind, steep):
    cos, sin = np.where(steep, sin, cos), np.where(steep, cos, sin)
    return np.where(behind, -cos, cos), np.where(mirrored, -sin, sin)


def _exact(k, n):
    """In extended precision: rounds correctly but for rare ties."""
    eighths, *back = _folded(k, n)
    angle = np.longdouble(eighths) * _PI / (4 * n)
    return _unfolded(np.cos(angle), np.sin(angle), *back)


def _octants(k, n):
    """In float64, angle and all."""
    eighths, *back = _folded(k, n)
    unit = float(_PI / 4 / n)
    return _unfolded(np.cos(eighths * unit), np.sin(eighths * unit), *back)


def plus(a, b):
    return a[0] + b[0], a[1] + b[1]


def minus(a, b):
    return a[0] - b[0], a[1] - b[1]


def turned(a, sign):
    """a times i (sign 1) or -i (sign -1)."""
    return (-a[1], a[0]) if sign > 0 else (a[1], -a[0])


def rotated(a, root, sign):
    """a times root (sign 1) or its conjugate (sign -1)."""
    if sign > 0:
        return a[0] * root[0] - a[1] * root[1], a[0] * root[1] + a[1] * root[0]
    return a[0] * root[0] + a[1] * root[1], a[1] * root[0] - a[0] * root[1]


def weighted(terms, groups):
    """The sum of ``terms`` (value, weight): the first group with the weightless values, the others each summed by
    itself
    before it is added. ``groups``: how many terms each takes; what is left over comes one by one."""
    total, at = None, 0
    for size in groups:
        part = None
        for value, weight in terms[at:at + size]:
            term = value if weight is None else value * weight
            part = term if part is None else part + term
        total = part if total is None else total + part
        at += size
    assert at == len(terms)
    return total
