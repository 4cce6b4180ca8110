"""NumPy meaning of every elementwise operation, conversion and bit cast: one function of arrays each.

Transcendental functions are evaluated in double precision and rounded once, so that the outcome is an
oracle for single precision. Small floats are computed in f32 and rounded, as the engine does.
"""

import math

import numpy as np

from kjax.isa import dtypes, ops

_WIDER = {"f32": np.float64, "c64": np.complex128}
_EXACT = ("add", "sub", "mul", "neg", "abs", "max", "min", "select", "copy", "ceil", "floor", "round_even", "round_afz",
          "rem", "sign", "real", "imag", "complex", "nextafter")
_TABLE = {o.name: eval(f"lambda a, b=None, c=None: {o.numpy}", {"np": np}) for o in ops.OPS if o.numpy}


def elementwise(name, *operands, dtype=None):
    """Result of operation ``name`` on arrays that broadcast; ``dtype``: the result's NumPy dtype (default: by form)."""
    row = ops.BY_NAME[name]
    info = dtypes.of(operands[-1].dtype)
    with np.errstate(all="ignore"):
        if row.form == "select":
            return np.where(*operands)
        if row.form in ("compare", "test") or info.kind == "bool":
            return np.asarray(_function(name)(*operands), np.bool_)
        compute = dtypes.BY_NAME[info.compute]
        arrays = [a.astype(compute.numpy, copy=False) for a in operands]
        if name not in _EXACT and compute.name in _WIDER:
            arrays = [a.astype(_WIDER[compute.name]) for a in arrays]
        out = np.asarray(_function(name)(*arrays))
        if row.form == "part":
            return out.astype(np.float32 if info.name == "c64" else np.float64)
        if row.form == "join":
            return out.astype(np.complex64 if info.name == "f32" else np.complex128)
        return convert(out.astype(compute.numpy, copy=False), info.numpy)


def _function(name):
    return globals().get("_" + name) or _TABLE[name]


def _is_int(a):
    return a.dtype.kind in "iu"


def _divide_ints(a, b):
    """Quotient truncated and remainder with the dividend's sign, for divisors that are not 0; MIN/-1 wraps."""
    safe = np.where(b == 0, 1, b).astype(a.dtype)
    if a.dtype.kind == "i":
        overflow = (a == np.iinfo(a.dtype).min) & (safe == -1)
        safe = np.where(overflow, 1, safe).astype(a.dtype)
        q = a // safe
        r = a - q * safe
        q = np.where((r != 0) & ((r < 0) != (a < 0)), q + 1, q).astype(a.dtype)
        r = (a - q * safe).astype(a.dtype)
        return q, r
    return a // safe, a % safe


def _div(a, b):
    if not _is_int(a):
        return a / b
    return np.where(b == 0, np.array(-1).astype(a.dtype), _divide_ints(a, b)[0])


def _rem(a, b):
    if not _is_int(a):
        return np.fmod(a, b)
    return np.where(b == 0, a, _divide_ints(a, b)[1])


def _ordered(a, b, pick):
    if a.dtype.kind == "c":
        first = (a.real < b.real) | ((a.real == b.real) & (a.imag < b.imag))
        out = np.where(first, a, b) if pick is np.minimum else np.where(first, b, a)
        return np.where(np.isnan(a), a, np.where(np.isnan(b), b, out))
    out = pick(a, b)
    if a.dtype.kind == "f":  # -0 is below +0
        negative = np.signbit(a) | np.signbit(b) if pick is np.minimum else np.signbit(a) & np.signbit(b)
        out = np.where((a == 0) & (b == 0), np.where(negative, -0.0, 0.0).astype(a.dtype), out)
    return out


def _max(a, b):
    return _ordered(a, b, np.maximum)


def _min(a, b):
    return _ordered(a, b, np.minimum)


def _pow(a, b):
    if not _is_int(a):
        return np.power(a, b)
    a, b = np.broadcast_arrays(a, b)
    one = np.ones((), a.dtype)
    out, base, left = np.ones_like(a), a.copy(), np.where(b < 0, 0, b).astype(np.uint64)
    while left.any():
        out = np.where(left & np.uint64(1), out * base, out)
        base, left = base * base, left >> np.uint64(1)
    odd = (b & 1).astype(bool)
    minus = (0 - one).astype(a.dtype)
    negative = np.where(a == 1, one, np.where(a == minus, np.where(odd, minus, one), 0))
    negative = np.where(a == 0, minus, negative)  # 1/0 as integer division has it
    return np.where(b < 0, negative, out).astype(a.dtype)


def _atan2(a, b):
    if a.dtype.kind != "c":
        return np.arctan2(a, b)
    return -1j * np.log((b + 1j * a) / np.sqrt(b * b + a * a))


def _sign(a):
    if a.dtype.kind == "c":
        return np.where(a == 0, 0, a / np.abs(a))
    return np.where(np.isnan(a), a, np.where(a == 0, a, np.sign(a))) if a.dtype.kind == "f" else np.sign(a)


def _bits(a):
    return a.dtype.itemsize * 8


def _shifted(a, b):
    u = np.dtype(f"u{a.dtype.itemsize}")
    count = np.asarray(b).astype(u) if b.dtype.kind == "u" else np.asarray(b).view(u)
    wide = count >= _bits(a)
    return wide, np.where(wide, 0, count).astype(a.dtype)


def _shl(a, b):
    wide, count = _shifted(a, b)
    return np.where(wide, 0, a << count).astype(a.dtype)


def _shr_logical(a, b):
    wide, count = _shifted(a, b)
    u = np.dtype(f"u{a.dtype.itemsize}")
    return np.where(wide, 0, np.asarray(a).view(u) >> count.view(u)).astype(u).view(a.dtype)


def _shr_arithmetic(a, b):
    wide, count = _shifted(a, b)
    s = np.dtype(f"i{a.dtype.itemsize}")
    signed = np.asarray(a).view(s)
    return np.where(wide, signed >> (_bits(a) - 1), signed >> count.view(s)).astype(s).view(a.dtype)


def _popcnt(a):
    u = np.ascontiguousarray(a).view(f"u{a.dtype.itemsize}")
    return sum(((u >> np.array(k, u.dtype)) & np.array(1, u.dtype)) for k in range(_bits(a))).astype(a.dtype)


def _clz(a):
    u = np.ascontiguousarray(a).view(f"u{a.dtype.itemsize}")
    count = np.full(u.shape, _bits(a), np.int64)
    for k in range(_bits(a)):
        count = np.where((u >> np.array(k, u.dtype)) & np.array(1, u.dtype), _bits(a) - 1 - k, count)
    return count.astype(a.dtype)


def _round_afz(a):
    whole = np.trunc(a)
    return np.where(np.abs(a - whole) >= 0.5, whole + np.copysign(1, a), whole).astype(a.dtype)


def _logistic(a):
    if a.dtype.kind == "c":
        return 1 / (1 + np.exp(-a))
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1 / (1 + e), e / (1 + e))


def _rsqrt(a):
    return 1 / np.sqrt(a)


_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _complex(a, b):
    a, b = np.broadcast_arrays(a, b)
    out = np.empty(a.shape, np.complex64 if a.dtype == np.float32 else np.complex128)
    out.real, out.imag = a, b
    return out


# -- conversion -----------------------------------------------------------------------------------------------------
def convert(a, dtype):
    """To another element type: integers wrap, floats truncate into integers and saturate, NaN gives 0."""
    a, to = np.asarray(a), dtypes.of(dtype)
    have = dtypes.of(a.dtype)
    if have is to:
        return a
    with np.errstate(all="ignore"):
        if have.is_complex:
            return a.astype(to.numpy) if to.is_complex else convert(a.real, dtype)
        if to.is_complex:
            return a.astype(np.float64 if have.is_integer else have.numpy).astype(to.numpy)
        if to.kind == "bool":
            return a.astype(np.float32) != 0 if not have.is_native else a != 0
        if to.is_integer:
            return _narrow_int(_to_int(a, have, dtypes.BY_NAME[to.compute]), to)
        return _to_float(a, have, to)


def _to_int(a, have, to):
    if have.is_float:
        a = a.astype(np.float64)
        low, high = np.iinfo(to.numpy).min, np.iinfo(to.numpy).max
        inside = (a > float(low)) & (a < float(high))
        out = np.where(inside, a, 0).astype(to.numpy)
        out = np.where(a >= float(high), high, out).astype(to.numpy)
        return np.where(a <= float(low), low, out).astype(to.numpy)
    if have.is_integer and not have.is_native:
        a = a.astype(np.int8 if have.kind == "int" else np.uint8)
    return a.astype(to.numpy)


def _narrow_int(a, to):
    if to.is_native:
        return a
    low = a.astype(np.int16) & ((1 << to.bits) - 1)
    if to.kind == "int":
        low = np.where(low >> (to.bits - 1), low - (1 << to.bits), low)
    return low.astype(np.int8 if to.kind == "int" else np.uint8).astype(to.numpy)


def _to_float(a, have, to):
    if not have.is_native and have.is_integer:
        a = a.astype(np.int32)
    if to.is_native:
        return a.astype(np.float32).astype(to.numpy) if have.is_float and not have.is_native else a.astype(to.numpy)
    if have.is_integer and a.dtype.itemsize == 8:  # keep what a later rounding needs in 53 bits
        low = a & np.array(2047, a.dtype)
        big = (a > (1 << 53)) | ((a < -(1 << 53)) if have.kind == "int" else False)
        a = np.where(big, (a - low) | np.where(low != 0, np.array(2048, a.dtype), 0).astype(a.dtype), a)
    return to_odd(a.astype(np.float64)).astype(to.numpy) if a.dtype != np.float32 else a.astype(to.numpy)


def to_odd(a):
    """f64 -> f32 rounded to odd: towards zero, with the last bit set where anything was lost."""
    single = a.astype(np.float32)
    bits = single.view(np.uint32).copy()
    bits = np.where(np.abs(single.astype(np.float64)) > np.abs(a), bits - np.uint32(1), bits)
    inexact = (bits.view(np.float32).astype(np.float64) != a) & ~np.isnan(a)
    return np.where(inexact, bits | np.uint32(1), bits).astype(np.uint32).view(np.float32)


def bitcast(a, dtype, shape):
    """Same bits; a last dim appears or goes where the widths differ."""
    a, to = np.ascontiguousarray(a), dtypes.of(dtype)
    have = dtypes.of(a.dtype)
    if have.bits == to.bits and have.bits < 8:
        raw = a.view(np.uint8)
        return _narrow_int(raw, to) if to.is_integer else (raw & ((1 << to.bits) - 1)).view(to.numpy)
    return np.frombuffer(a.tobytes(), to.numpy).reshape(shape)
