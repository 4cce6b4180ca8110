"""Operands for the rows: every special value against every other, random bit patterns, and where functions are hard."""

import functools
import itertools

import numpy as np

from kjax.isa import dtypes

SEED = 20240611


def specials(dtype):
    """Values at which something changes, as an array of the NumPy type."""
    kind, numpy = dtype.kind, dtype.numpy
    if kind == "bool":
        return np.array([False, True])
    if dtype.bits <= 8:
        return patterns(dtype)
    if dtype.is_integer:
        info = np.iinfo(numpy)
        values = {
            0,
            1,
            2,
            3,
            7,
            8,
            10,
            dtype.bits - 1,
            dtype.bits,
            dtype.bits + 1,
            info.max,
            info.max - 1,
            info.min,
            info.min + 1,
            info.max // 2,
            info.max // 2 + 1,
        }
        if kind == "int":
            values |= {-1, -2, -3, -10}
        return np.array(sorted(values), numpy)
    if dtype.is_complex:
        parts = specials(dtypes.of(np.empty(0, numpy).real.dtype))[:16]
        return np.array([complex(a, b) for a, b in itertools.product(parts, parts)], numpy)
    if dtype.bits == 16:
        return patterns(dtype)
    info = np.finfo(numpy)
    with np.errstate(all="ignore"):
        values = [
            0.0,
            np.inf,
            np.nan,
            1.0,
            0.5,
            1.5,
            info.tiny,
            info.max,
            2.5,
            2.0,
            3.0,
            info.smallest_subnormal,
            1 + info.eps,
            1 - info.epsneg,
            0.49999999999999994,
            0.7,
            10.0,
            1e-3,
            2.0**31,
            2.0**32,
            2.0**63,
            2.0**64,
            127.5,
            255.5,
            65535.5,
            4194304.5,
            8388607.5,
            8388608,
            4503599627370495.5,
            4503599627370496.0,
            info.tiny * 1.5,
            info.max / 2,
            88.72283,
            88.7229,
            87.33655,
            103.97,
            709.782712893384,
            709.79,
            745.1332,
            745.14,
            0.785398163,
            1.570796326794897,
        ]
        values = np.array(values, numpy)
        return np.stack([values, -values], 1).ravel()


def patterns(dtype):
    """All values of a type of at most 16 bits, as its storage holds them."""
    if dtype.bits == 1:
        return np.array([False, True])
    bits = np.arange(1 << dtype.bits, dtype=np.uint16 if dtype.size == 2 else np.uint8)
    if dtype.kind == "int" and dtype.bits < 8:
        bits = np.where(bits >> (dtype.bits - 1) & 1, bits | 0xFF << dtype.bits & 0xFF, bits).astype(np.uint8)
    return bits.view(dtype.numpy)


def random_bits(dtype, n, rng):
    if dtype.bits <= 16:
        return rng.choice(patterns(dtype), n)
    return rng.integers(0, 256, n * dtype.size, np.uint8).view(dtype.numpy)


def ordinary(dtype, n, rng):
    """Values of everyday size: around 1, and spread over exponents."""
    if dtype.is_complex:
        part = dtypes.of(np.empty(0, dtype.numpy).real.dtype)
        return (ordinary(part, n, rng) + 1j * ordinary(part, n, rng)).astype(dtype.numpy)
    if not dtype.is_float or not dtype.is_native:
        return random_bits(dtype, n, rng)
    sizes = [
        rng.normal(size=n),
        rng.normal(size=n) * 30,
        rng.normal(size=n) * 700,
        1 + rng.normal(size=n) * 1e-3,
        np.exp(-rng.uniform(0, 40, n)) * rng.choice([-1, 1], n),
        rng.integers(-9, 9, n) * 0.5,
    ]
    return np.concatenate(sizes)[rng.permutation(6 * n)[:n]].astype(dtype.numpy)


@functools.cache
def operands(types, n=4000):
    """Tuple of equally long operand arrays of these kjax types (names)."""
    rows = [dtypes.BY_NAME[t] for t in types]
    rng = np.random.default_rng(SEED)
    special = [specials(t) for t in rows]
    if len(rows) == 1:
        grid = special
    else:
        special = [s if s.size <= 256 else rng.choice(s, 256, replace=False) for s in special]
        if len(rows) == 3:
            special = [s if s.size <= 24 else rng.choice(s, 24, replace=False) for s in special]
        grid = [np.ravel(g) for g in np.meshgrid(*(np.arange(s.size) for s in special), indexing="ij")]
        grid = [s[g] for s, g in zip(special, grid, strict=True)]
        # the same value twice
        grid = (
            [np.concatenate([g, s]) for g, s in zip(grid, [special[-1]] * len(rows), strict=True)]
            if len({t.name for t in rows}) == 1
            else grid
        )
    with np.errstate(all="ignore"):
        return tuple(
            np.concatenate([g, random_bits(t, n, rng), ordinary(t, n, rng)]) for g, t in zip(grid, rows, strict=True)
        )


@functools.cache
def hard_floats(name):
    """Arguments of one-operand functions: near multiples of pi/2 up to the largest, near 0 and 1, random."""
    dtype = dtypes.BY_NAME[name]
    rng = np.random.default_rng(SEED + 1)
    quarter_turns = (
        np.concatenate([rng.integers(1, 1000, 1000), rng.integers(1, 2**40, 1000)]) * np.longdouble(np.pi) / 2
    )
    turns = quarter_turns.astype(dtype.numpy)
    dense = [
        rng.uniform(-1, 1, 3000),
        rng.uniform(-10, 10, 6000),
        rng.uniform(0.5, 2, 3000),
        rng.uniform(-110, 110, 3000),
        1 + rng.normal(size=1000) * 1e-6,
        rng.normal(size=1000) * 1e-6,
    ]
    dense = np.concatenate(dense).astype(dtype.numpy)
    values = np.concatenate([operands((name,))[0], turns, np.nextafter(turns, np.inf, dtype=dtype.numpy), dense])
    # by size: a strip that holds a large number takes another path
    return values[np.argsort(np.abs(values))]


@functools.cache
def hard_complex(name):
    """Finite arguments: around the unit circle, around 0, -1 and the imaginary axis, near i pi, small and large."""
    dtype = dtypes.BY_NAME[name]
    rng = np.random.default_rng(SEED + 2)
    n = 64
    angle = rng.uniform(-np.pi, np.pi, n)
    size = 10.0 ** rng.uniform(-12, 12, (2, n)) * rng.choice([-1, 1], (2, n))
    tiny = rng.normal(size=n) * 1e-5
    values = [
        np.exp(1j * angle),
        np.exp(1j * angle) * (1 + tiny),
        np.exp(1j * angle) * rng.uniform(0, 3, n),
        size[0] + 1j * size[1],
        -1 + tiny + 1j * rng.normal(size=n) * 1e-5,
        -(tiny**2) / 2 + 1j * tiny,
        rng.normal(size=n) * 1e-3 + 1j * (np.pi + tiny),
        rng.normal(size=n) * 20 + 1j * rng.normal(size=n) * 20,
        rng.integers(-4, 5, n) * np.pi / 2 + 1j * tiny,
        rng.normal(size=n) + 0j,
        1j * rng.normal(size=n),
    ]
    # mpmath has no signed zero, on which a branch cut would depend
    values = np.concatenate(values).astype(dtype.numpy) + 0
    return values[np.argsort(np.maximum(np.abs(values.real), np.abs(values.imag)))]
