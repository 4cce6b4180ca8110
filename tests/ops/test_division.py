"""Division and remainder where strip routines take another way: one divisor in a whole strip, quotients of all sizes, rare lanes."""

import inputs
import numpy as np
import pytest
import references
import scipy.special
import tables

from kjax.isa import dtypes, ops

INTEGERS = ("i8", "i16", "i32", "u8", "u16", "u32")


@pytest.mark.parametrize("name", ["div", "rem"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_one_divisor_in_a_whole_strip(cpu, dtype, name):
    """Every special divisor, zero and -1 among them, and dividends about its multiples."""
    info = np.iinfo(dtypes.BY_NAME[dtype].numpy)
    rng = np.random.default_rng(inputs.SEED)
    divisors = inputs.specials(dtypes.BY_NAME[dtype])
    divisors = divisors if divisors.size < 300 else rng.permutation(divisors)[:60]
    for divisor in np.concatenate([divisors, rng.integers(info.min, info.max, 20, info.dtype, endpoint=True)]):
        some = np.concatenate([inputs.specials(dtypes.BY_NAME[dtype])[:200],
                               rng.integers(info.min, info.max, 300, info.dtype, endpoint=True)])
        with np.errstate(all="ignore"):
            near = some // divisor * divisor if divisor else some
        a = np.concatenate([some, near, near - 1, near + 1]).astype(info.dtype)
        b = np.full_like(a, divisor)
        with np.errstate(all="ignore"):
            wanted = references.EXACT[name](dtypes.BY_NAME[dtype], a, b)
        for n in (1, 15, 16, 17, 200, a.size):
            got = tables.run(cpu, ops.BY_NAME[name], dtype, a[:n], b[:n], strip=n)
            wrong = np.flatnonzero(got != wanted[:n])
            assert not wrong.size, (a[wrong[0]], divisor, got[wrong[0]], wanted[wrong[0]])


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_remainders_of_floats_are_exact(cpu, dtype):
    """Quotients about integers and about the limit of the quick way, divisors of all sizes, and what is rare in single lanes."""
    kind = np.dtype(dtypes.BY_NAME[dtype].numpy).type
    info, rng = np.finfo(kind), np.random.default_rng(inputs.SEED)
    low, high = info.minexp - info.nmant, info.maxexp - 60
    y = np.ldexp(rng.uniform(1, 2, 6000), rng.integers(low, high, 6000)).astype(kind)
    y = np.where(y == 0, info.smallest_subnormal, y).astype(kind)
    quotient = np.floor(np.exp2(rng.uniform(0, info.nmant + 4, 6000)))
    with np.errstate(all="ignore"):
        x = (quotient * y.astype(np.float64)).astype(kind)
    towards = np.where(rng.integers(0, 2, 6000), kind(np.inf), kind(0)).astype(kind)
    x = np.where(rng.integers(0, 3, 6000) > 0, np.nextafter(x, towards), x)
    x = (x * rng.choice([-1, 1], 6000)).astype(kind)
    y = (y * rng.choice([-1, 1], 6000)).astype(kind)
    small = np.where(np.abs(x) < np.abs(y) * kind(1000), x, y / kind(3)).astype(kind)  # a strip with few rare lanes
    rare = rng.integers(0, 40, 6000)
    values = np.array([np.inf, np.nan, 0, -0.0, -np.inf], kind)
    few_x, few_y = np.where(rare == 0, rng.choice(values, 6000), small), np.where(rare == 1, rng.choice(values, 6000), y)
    for a, b in ((x, y), (small, y), (few_x, few_y)):
        for strip in (7, 64, 1000):
            got = tables.run(cpu, ops.BY_NAME["rem"], dtype, a, b, strip=strip)
            with np.errstate(all="ignore"):
                wanted = np.fmod(a, b)
            same = (got == wanted) & (np.signbit(got) == np.signbit(wanted)) | (np.isnan(got) & np.isnan(wanted))
            wrong = np.flatnonzero(~same)
            assert not wrong.size, (a[wrong[0]], b[wrong[0]], got[wrong[0]], wanted[wrong[0]])


def test_erfc_of_f32_over_its_range(cpu):
    """From where it leaves 1 - erf to where it underflows."""
    x = np.concatenate([np.linspace(-5, 10.3, 60001), np.linspace(0.9, 1.1, 20001), np.linspace(9, 10.2, 20001)]).astype(np.float32)
    got = tables.run(cpu, ops.BY_NAME["erfc"], "f32", x)
    error = references.ulps(got, scipy.special.erfc(x.astype(np.float64)))
    at = int(np.argmax(error))
    assert error[at] <= ops.BY_NAME["erfc"].ulp, (x[at], got[at], error[at])
