"""Elementwise operations: most are one core operation; booleans, narrow integers and comparisons need care."""

from kjax.frontend.builder import BITS_OF, PART, SIGNED, UNSIGNED
from kjax.frontend.legalize.registry import rule
from kjax.isa import dtypes, ops

# rows whose StableHLO operation means something else on some dtype: they have rules of their own below
_SPECIAL = ("add", "mul", "abs", "cabs", "real", "imag", "rem", "popcnt", "clz", "shr_logical", "shr_arithmetic",
            "cbrt")


def _plain(name):
    def lower(b, node):
        return b.map(name, *node.operands)
    return lower


for _op in ops.OPS:
    if _op.stablehlo and _op.form not in ("convert", "compare", "select") and _op.name not in _SPECIAL:
        rule(_op.stablehlo if "." in _op.stablehlo else "stablehlo." + _op.stablehlo)(_plain(_op.name))


@rule("stablehlo.add")
def add(b, node):
    """On booleans: or."""
    return b.map("or" if node.type.dtype == "i1" else "add", *node.operands)


@rule("stablehlo.multiply")
def multiply(b, node):
    """On booleans: and."""
    return b.map("and" if node.type.dtype == "i1" else "mul", *node.operands)


@rule("stablehlo.abs")
def absolute(b, node):
    (x,) = node.operands
    if x.dtype in PART:
        return b.map("cabs", x)
    return x if x.type.info.kind in ("uint", "bool") else b.map("abs", x)


@rule("stablehlo.real")
def real(b, node):
    (x,) = node.operands
    return b.map("real", x) if x.dtype in PART else x


@rule("stablehlo.imag")
def imag(b, node):
    (x,) = node.operands
    return b.map("imag", x) if x.dtype in PART else b.like(0, x)


@rule("stablehlo.remainder")
def remainder(b, node):
    x = node.operands[0]
    if x.type.info.is_complex:
        b.refuse("stablehlo.remainder", f"on {x.dtype} it has no meaning yet: StableHLO's specification of remainder leaves "
                 "the quotient of complex numbers to be determined (issue 997), and its interpreter does not compute it",
                 "Write x - q * y with the q that you mean")
    return b.map("rem", *node.operands)


@rule("stablehlo.cbrt")
def cbrt(b, node):
    """Complex: the principal root, by modulus and angle."""
    (x,) = node.operands
    if x.dtype not in PART:
        return b.map("cbrt", x)
    z = b.expr(x)
    modulus, angle = abs(z).cbrt(), z.imag().atan2(z.real()) * (1 / 3)
    return (modulus * angle.cos()).join(modulus * angle.sin()).value


@rule("stablehlo.convert")
def convert(b, node):
    (x,) = node.operands
    return b.convert(x, node.type.dtype)


@rule("stablehlo.select")
def select(b, node):
    """The predicate may be a scalar."""
    return b.select(*node.operands)


@rule("stablehlo.clamp")
def clamp(b, node):
    """max with the lower bound first: where the bounds cross, the upper one wins. Bounds may be scalars."""
    low, x, high = node.operands
    return b.map("min", b.map("max", x, b.broadcast(low, x.shape)), b.broadcast(high, x.shape))


@rule("stablehlo.compare")
def compare(b, node):
    lhs, rhs = node.operands
    direction = node.attr("comparison_direction").lower()
    if node.attr("compare_type") == "TOTALORDER" and lhs.type.info.is_float:
        lhs, rhs = total_order(b, lhs), total_order(b, rhs)
    if lhs.type.info.is_complex and direction not in ("eq", "ne"):
        return _lexicographic(b, direction, lhs, rhs)
    return b.map(direction, lhs, rhs)


def _lexicographic(b, direction, lhs, rhs):
    """Complex numbers by their real parts; equal ones by their imaginary parts."""
    (re, im), (other_re, other_im) = ([b.map(part, v) for part in ("real", "imag")] for v in (lhs, rhs))
    first = b.map(direction[0] + "t", re, other_re)
    second = b.map("and", b.map("eq", re, other_re), b.map(direction, im, other_im))
    return b.map("or", first, second)


def total_order(b, value):
    """Signed integers that are ordered as -NaN < -inf < ... < -0 < +0 < ... < inf < NaN."""
    if value.type.info.bits < 8:
        value = b.convert(value, "f32")
    signed = SIGNED[BITS_OF[value.type.info.size]]
    bits = b.expr(b.bitcast(value, signed))
    top = (1 << (value.type.info.size * 8 - 1)) - 1
    return (bits < 0).where(bits ^ top, bits).value


def _byte(b, x):
    """An integer narrower than a byte as the u8 with the same low bits and zeros above."""
    return b.convert(b.bitcast(x, UNSIGNED.get(x.dtype, x.dtype)), "u8")


def _narrow(x):
    return x.type.info.bits < 8 and x.type.info.is_integer


@rule("stablehlo.popcnt")
def popcnt(b, node):
    (x,) = node.operands
    return b.convert(b.map("popcnt", _byte(b, x)), x.dtype) if _narrow(x) else b.map("popcnt", x)


@rule("stablehlo.count_leading_zeros")
def count_leading_zeros(b, node):
    (x,) = node.operands
    if not _narrow(x):
        return b.map("clz", x)
    return b.convert((b.expr(b.map("clz", _byte(b, x))) - (8 - x.type.info.bits)).value, x.dtype)


@rule("stablehlo.shift_right_logical")
def shift_right_logical(b, node):
    """Narrow signed integers are kept sign-extended: shift their bits as unsigned ones."""
    x, count = node.operands
    if not (_narrow(x) and x.dtype in UNSIGNED):
        return b.map("shr_logical", x, count)
    u = UNSIGNED[x.dtype]
    return b.bitcast(b.map("shr_logical", b.bitcast(x, u), b.bitcast(count, u)), x.dtype)


@rule("stablehlo.shift_right_arithmetic")
def shift_right_arithmetic(b, node):
    """Narrow unsigned integers are kept zero-extended: their top bit is a sign only as a signed type."""
    x, count = node.operands
    if not (_narrow(x) and x.dtype in SIGNED):
        return b.map("shr_arithmetic", x, count)
    s = SIGNED[x.dtype]
    return b.bitcast(b.map("shr_arithmetic", b.bitcast(x, s), b.bitcast(count, s)), x.dtype)


@rule("stablehlo.reduce_precision")
def reduce_precision(b, node):
    """Round the mantissa to nearest even, overflow to infinity, flush what is below the smallest normal to zero."""
    (x,) = node.operands
    exponent, mantissa = node.attr("exponent_bits"), node.attr("mantissa_bits")
    info = x.type.info
    if info.bits < 16:
        return b.convert(_reduce_precision(b, b.convert(x, "f32"), exponent, mantissa), x.dtype)
    return _reduce_precision(b, x, exponent, mantissa)


def _reduce_precision(b, x, exponent, mantissa):
    info = dtypes.BY_NAME[x.dtype]
    have_mantissa = {"f16": 10, "bf16": 7, "f32": 23, "f64": 52}[x.dtype]
    have_exponent = info.bits - 1 - have_mantissa
    unsigned = BITS_OF[info.size]
    bits = b.expr(b.bitcast(x, unsigned))
    out = bits
    if mantissa < have_mantissa:
        drop = have_mantissa - mantissa
        last = (out >> drop) & 1  # rounds half to even: add just under half, and one more where the last bit is odd
        out = (out + (last + ((1 << (drop - 1)) - 1))) & ~((1 << drop) - 1)
    if exponent < have_exponent:
        bias, new_bias = (1 << (have_exponent - 1)) - 1, (1 << (exponent - 1)) - 1
        exponent_mask = ((1 << have_exponent) - 1) << have_mantissa
        magnitude, sign_bit = out & exponent_mask, bits & (1 << (info.bits - 1))
        most = (bias + new_bias) << have_mantissa
        least = (bias - new_bias + 1) << have_mantissa
        out = (magnitude > most).where(sign_bit | exponent_mask, out)
        out = (magnitude < least).where(sign_bit, out)
    is_nan = b.expr(b.map("ne", x, x))
    return is_nan.where(b.expr(x), b.expr(b.bitcast(out.value, x.dtype))).value
