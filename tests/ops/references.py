"""What each operation should give, computed by other means: NumPy where it is exact, x87 extended precision for the
real functions, mpmath for erf, erfc and the complex functions.

``EXACT[name](dtype, *operands)`` returns an array of the result's type. ``CLOSE[name](*operands)`` returns extended
precision; results are then compared in units of the last place of the result's type.
"""

import functools

import mpmath
import numpy as np

from kjax.isa import dtypes, ops

LONG, CLONG = np.longdouble, np.clongdouble


def _unsigned(x):
    return x.view(np.dtype(f"u{x.itemsize}"))


def _div(dtype, a, b):
    if not dtype.is_integer:
        return a / b
    magnitude = [abs(int(p)) // abs(int(q)) if q else None for p, q in zip(a, b, strict=True)]
    whole = [-1 if m is None else -m if (p < 0) != (q < 0) else m for m, p, q in zip(magnitude, a, b, strict=True)]
    return _wrap(whole, dtype)


def _wrap(values, dtype):
    mask = (1 << 8 * dtype.size) - 1
    return np.array([v & mask for v in values], np.dtype(f"u{dtype.size}")).view(dtype.numpy)


def _rem(dtype, a, b):
    if not dtype.is_integer:
        return np.fmod(a, b)
    values = [
        int(p) if not q else int(p) - int(q) * (abs(int(p)) // abs(int(q))) * (-1 if (p < 0) != (q < 0) else 1)
        for p, q in zip(a, b, strict=True)
    ]
    return _wrap(values, dtype)


def _extreme(sign):
    def choose(dtype, a, b):
        if dtype.kind == "bool":
            return a | b if sign > 0 else a & b
        if dtype.is_complex:
            first = (a.real * sign > b.real * sign) | ((a.real == b.real) & (a.imag * sign >= b.imag * sign))
            return np.where(np.isnan(a), a, np.where(np.isnan(b), b, np.where(first, a, b)))
        r = np.maximum(a, b) if sign > 0 else np.minimum(a, b)
        if dtype.is_float:
            zeros = (a == 0) & (b == 0)
            negative = np.signbit(a) & np.signbit(b) if sign > 0 else np.signbit(a) | np.signbit(b)
            r = np.where(zeros, np.where(negative, dtype.numpy.type(-0.0), dtype.numpy.type(0.0)), r)
        return r

    return choose


def _int_pow(dtype, a, b):
    def one(x, y):
        if y < 0:
            return x if x == 1 else (-1 if y & 1 else 1) if x == -1 else 0
        return pow(x, y, 1 << 64)

    return _wrap([one(int(x), int(y)) for x, y in zip(a, b, strict=True)], dtype)


def _shift(kind):
    def shift(dtype, a, b):
        count = _unsigned(b).astype(object)
        bits = 8 * dtype.size
        source = a.view(np.dtype(f"i{a.itemsize}")) if kind == "arithmetic" else _unsigned(a)

        def one(x, n):
            if kind == "arithmetic":
                return x >> min(n, bits)
            return 0 if n >= bits else x << n if kind == "left" else x >> n

        return _wrap([one(int(x), int(n)) for x, n in zip(source, count, strict=True)], dtype)

    return shift


def _sign(dtype, a):
    if dtype.kind == "uint":
        return (a != 0).astype(a.dtype)
    if dtype.kind == "int":
        return np.sign(a)
    return np.where((a == 0) | np.isnan(a), a, np.copysign(dtype.numpy.type(1), a))


def _count(dtype, a, what):
    bits = 8 * dtype.size
    return np.array([what(int(x), bits) for x in _unsigned(a)], np.uint8).astype(dtype.numpy)


def _round_afz(dtype, a):
    whole = np.floor(np.abs(a))
    return np.copysign(whole + (np.abs(a) - whole >= 0.5), a).astype(a.dtype)


def _convert(dtype, a, to):
    target = dtypes.BY_NAME[to]
    if target.kind == "bool":
        return a != 0
    if target.bits < 8 and dtype.is_integer:
        low = _unsigned(a) & ((1 << target.bits) - 1)
        if target.kind == "int":
            low = np.where(low >> (target.bits - 1) & 1, low | 0xFF << target.bits & 0xFF, low)
        return low.astype(np.uint8).view(target.numpy)
    if target.is_integer and dtype.is_float:
        info = np.iinfo(target.numpy)
        return np.array(
            [0 if np.isnan(x) else info.max if x >= info.max else info.min if x <= info.min else int(x) for x in a],
            target.numpy,
        )
    return a.astype(target.numpy)


def to_odd(a):
    """f32 of integers or doubles, rounded to odd, from the nearest float and the direction of its error."""
    near = a.astype(np.float32)
    exact = np.isnan(near.astype(float)) | np.array(
        [
            not np.isfinite(y) and not np.isfinite(float(x)) or np.isfinite(y) and int_or_float(x) == int_or_float(y)
            for x, y in zip(a, near, strict=True)
        ]
    )
    toward = np.array(
        [np.inf if int_or_float(x) > int_or_float(y) else -np.inf for x, y in zip(a, near, strict=True)], np.float32
    )
    other = np.nextafter(near, toward)
    odd = near.view(np.uint32) & 1 == 1
    return np.where(exact | odd, near, other)


def int_or_float(x):
    """A number that Python compares exactly."""
    return int(x) if isinstance(x, np.integer) else float(x)


EXACT = {
    "copy": lambda t, a: a,
    "select": lambda t, a, b, c: np.where(a, b, c),
    "add": lambda t, a, b: a + b,
    "sub": lambda t, a, b: a - b,
    "div": _div,
    "rem": _rem,
    "max": _extreme(1),
    "min": _extreme(-1),
    "and": lambda t, a, b: a & b,
    "or": lambda t, a, b: a | b,
    "xor": lambda t, a, b: a ^ b,
    "shl": _shift("left"),
    "shr_logical": _shift("logical"),
    "shr_arithmetic": _shift("arithmetic"),
    "nextafter": lambda t, a, b: np.nextafter(a, b),
    "neg": lambda t, a: (0 - _unsigned(a)).view(a.dtype) if t.is_integer else -a,
    "abs": lambda t, a: np.abs(a),
    "sign": _sign,
    "not": lambda t, a: ~a,
    "popcnt": lambda t, a: _count(t, a, lambda x, bits: x.bit_count()),
    "clz": lambda t, a: _count(t, a, lambda x, bits: bits - x.bit_length()),
    "ceil": lambda t, a: np.ceil(a),
    "floor": lambda t, a: np.floor(a),
    "round_even": lambda t, a: np.rint(a),
    "round_afz": _round_afz,
    "eq": lambda t, a, b: a == b,
    "ne": lambda t, a, b: a != b,
    "lt": lambda t, a, b: a < b,
    "le": lambda t, a, b: a <= b,
    "gt": lambda t, a, b: a > b,
    "ge": lambda t, a, b: a >= b,
    "is_finite": lambda t, a: np.isfinite(a),
    "real": lambda t, a: a.real,
    "imag": lambda t, a: a.imag,
    "to_f32_odd": lambda t, a: to_odd(a),
    **{
        op.name: functools.partial(_convert, to=op.converts_to)
        for op in ops.OPS
        if op.form == "convert" and op.name != "to_f32_odd"
    },
}


def _join(dtype, a, b):
    out = np.empty(a.shape, np.complex64 if dtype.name == "f32" else np.complex128)
    out.real, out.imag = a, b
    return out


EXACT["complex"] = _join


def extended(x):
    """An mpmath real as x87 extended: two doubles of the mantissa, scaled."""
    if not mpmath.isfinite(x) or x == 0:
        return LONG(float(x))
    mantissa, exponent = mpmath.frexp(x)
    high = float(mantissa)
    return np.ldexp(LONG(high) + LONG(float(mantissa - high)), max(min(int(exponent), 16000), -16400))


def by_mpmath(f, precision=250):
    """f over arrays, real or complex, evaluated with many digits; only for finite arguments."""

    def apply(*operands):
        complex_result = np.iscomplexobj(operands[0])
        out = np.empty(operands[0].shape, CLONG if complex_result else LONG)
        convert = (
            (lambda z: mpmath.mpc(float(z.real), float(z.imag))) if complex_result else (lambda x: mpmath.mpf(float(x)))
        )
        with mpmath.workprec(precision):
            for i, values in enumerate(zip(*operands, strict=True)):
                r = mpmath.mpmathify(f(*map(convert, values)))
                out[i] = CLONG(complex(0)) + extended(r.real) + 1j * extended(r.imag) if complex_result else extended(r)
        return out

    return apply


def _erf(x):
    out = np.empty(x.shape, LONG)
    finite = np.isfinite(x) & (np.abs(x) < 200) & (x != 0)
    out[~finite] = np.where(x[~finite] == 0, x[~finite], np.sign(x[~finite]))
    out[finite] = by_mpmath(mpmath.erf)(x[finite])
    return out


def _erfc(x):
    out = np.empty(x.shape, LONG)
    finite = np.isfinite(x) & (np.abs(x) < 200)
    out[~finite] = 1 - np.sign(x[~finite])
    out[finite] = by_mpmath(mpmath.erfc)(x[finite])
    return out


CLOSE = {
    "mul": lambda a, b: a.astype(LONG) * b,
    # glibc's powl(-inf, -2**63) is infinite
    "pow": lambda a, b: np.where(np.isinf(a), np.power(a.astype(float), b.astype(float)), np.power(a.astype(LONG), b)),
    "atan2": lambda a, b: np.arctan2(a.astype(LONG), b),
    "logistic": lambda a: 1 / (1 + np.exp(-a.astype(LONG))),
    "rsqrt": lambda a: 1 / np.sqrt(a.astype(LONG)),
    "erf": _erf,
    "erfc": _erfc,
    **{
        name: functools.partial(lambda f, a: f(a.astype(LONG)), getattr(np, name))
        for name in ("sqrt", "cbrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "tanh")
    },
}

CLOSE_COMPLEX = {
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: mpmath.exp(b * mpmath.log(a)),
    "atan2": lambda y, x: mpmath.chop(-1j * mpmath.log((x + 1j * y) / mpmath.sqrt(x * x + y * y)), 1e-50),
    "sign": lambda a: a / abs(a),
    "sqrt": mpmath.sqrt,
    "rsqrt": lambda a: 1 / mpmath.sqrt(a),
    "exp": mpmath.exp,
    "expm1": lambda a: mpmath.exp(a) - 1,
    "log": mpmath.log,
    "log1p": lambda a: mpmath.log(1 + a),
    "logistic": lambda a: 1 / (1 + mpmath.exp(-a)),
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "tanh": mpmath.tanh,
    "cabs": lambda a: mpmath.mpc(abs(a)),
}


def ulps(got, wanted):
    """Distance in units of the last place of ``got``'s type; ``wanted`` has extended precision. NaN equals NaN."""
    with np.errstate(all="ignore"):
        info = np.finfo(got.dtype)
        exponent = np.maximum(np.frexp(wanted)[1] - 1, info.minexp)
        distance = np.abs(got.astype(LONG) - wanted) / np.ldexp(LONG(1), exponent - info.nmant)
        overflown = np.isinf(got) & (np.abs(wanted) >= LONG(info.max)) & (np.signbit(got) == np.signbit(wanted))
        same = overflown | (np.isnan(got) & np.isnan(wanted)) | (got == wanted)
        return np.where(same, 0, np.where(np.isnan(distance), np.inf, distance)).astype(float)
