"""Algebra that changes no bit of a result: what gradients leave behind (times one, minus a negation), and arithmetic on
constants. Float rules hold for every value, signed zeros, infinities and NaN included; none reorders or drops a rounding."""

import numpy as np

from kjax.ir.graph import Type
from kjax.ir.scalar import splat

# operations on two constants that NumPy rounds (or wraps) as the engine does
_FOLDED = {"neg": np.negative, "add": np.add, "sub": np.subtract, "mul": np.multiply, "eq": np.equal, "ne": np.not_equal, "lt": np.less,
           "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}
_FOLDED_DTYPES = {"f32", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"}
_FLOATS = {"f32", "f64", "f16", "bf16"}
_SIGNED = {"i8", "i16", "i32", "i64"}
INTEGERS = {"i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"}


def constant_of(value):
    """The one number that ``value`` holds everywhere, as a NumPy scalar, or None where it is not known to."""
    op = value.op
    while op is not None and op.name in ("broadcast_in_dim", "reshape"):
        op = op.operands[0].op
    if op is None or op.name != "constant":
        return None
    array = np.asarray(op.attributes["value"])
    if array.size == 1 or (array.size and not any(array.strides)):
        return array.reshape(-1)[0]
    return None


def _is(value, number):
    """Whether ``value`` is ``number`` everywhere; zeros with the same sign."""
    known = constant_of(value)
    return known is not None and known == number and np.signbit(known) == np.signbit(number)


def _negated(value):
    return value.op.operands[0] if value.op is not None and value.op.name == "neg" else None


def _fold(region, op):
    if op.name not in _FOLDED or op.operands[0].dtype not in _FOLDED_DTYPES or not op.result.type.size:
        return None
    numbers = [constant_of(v) for v in op.operands]
    if any(n is None for n in numbers):
        return None
    with np.errstate(all="ignore"):
        number = _FOLDED[op.name](*(np.asarray(n).reshape(1) for n in numbers)).reshape(())
    return _constant(region, op, number)


def _constant(region, op, number):
    """``number`` in the shape of the result of ``op``."""
    scalar = region.add("constant", [], Type(op.result.dtype), source=op.source, value=number)
    return scalar if not op.result.shape else splat(region, scalar, op.result.shape, op.source)


def _converted(region, op):
    """A constant of another type; to integers only from integers: floats out of their range are a matter of each processor."""
    x = op.operands[0]
    number = constant_of(x)
    if number is None or not {x.dtype, op.result.dtype} <= _FOLDED_DTYPES or not op.result.type.size:
        return None
    if x.type.info.kind == "float" and op.result.type.info.kind != "float":
        return None
    with np.errstate(all="ignore"):
        return _constant(region, op, np.asarray(number).astype(op.result.type.info.numpy))


def _shifted(region, op, x, number, name):
    """Unsigned integers divided by a power of two."""
    if number is None or op.result.type.info.kind != "uint" or number <= 0 or int(number) & (int(number) - 1):
        return None
    bits = int(number).bit_length() - 1 if name == "shr_logical" else int(number) - 1
    return region.add(name, [x, _constant(region, op, np.asarray(bits, number.dtype))], op.result.type, source=op.source)


def _product(region, op, x, y):
    for a, b in ((x, y), (y, x)):
        if _is(b, 1):
            return a
        if op.result.dtype in _FLOATS and _is(b, -1):
            return region.add("neg", [a], op.result.type, source=op.source)
    a, b = _negated(x), _negated(y)
    if a is not None and b is not None:
        return region.add("mul", [a, b], op.result.type, source=op.source)
    return None


def _sum(region, op, x, y):
    zero = -0.0 if op.result.dtype in _FLOATS else 0
    for a, b in ((x, y), (y, x)):
        if _is(b, zero):
            return a
        if _negated(b) is not None:
            return region.add("sub", [a, _negated(b)], op.result.type, source=op.source)
    return None


def _difference(region, op, x, y):
    if _is(y, 0):
        return x
    if _negated(y) is not None:
        return region.add("add", [x, _negated(y)], op.result.type, source=op.source)
    return None


def _quotient(region, op, x, y):
    if _is(y, 1):
        return x
    number = constant_of(y)
    if number is None or op.result.dtype not in ("f32", "f64"):
        return _shifted(region, op, x, number, "shr_logical")
    mantissa, exponent = np.frexp(number)
    if abs(mantissa) != 0.5 or abs(exponent) > 100:  # a power of two: its reciprocal is exact
        return None
    factor = _constant(region, op, np.asarray(1 / number, number.dtype))
    return region.add("mul", [x, factor], op.result.type, source=op.source)


def _remainder(region, op, x, y):
    if op.result.dtype in INTEGERS and _is(y, 1) and op.result.type.size:
        return _constant(region, op, np.zeros((), constant_of(y).dtype))
    return _shifted(region, op, x, constant_of(y), "and")


def _sign(region, op, x):
    number = constant_of(x)
    return None if number is None or x.dtype not in INTEGERS or not x.type.size else _constant(region, op, np.asarray(np.sign(number)))


def _chosen(region, op, predicate, x, y):
    if x is y:
        return x
    if predicate.shape != op.result.shape:
        return None
    known = constant_of(predicate)
    if known is not None:
        return x if known else y
    if op.result.dtype == "i1":
        return _chosen_truth(region, op, predicate, x, y)
    if op.result.dtype in _SIGNED:
        return _floor_quotient(region, op, predicate, x, y) or _floor_remainder(region, op, predicate, x, y)
    return None


def _chosen_truth(region, op, predicate, x, y):
    """A choice between truths of which one is a constant (a mask made from a mask)."""
    yes, no = constant_of(x), constant_of(y)
    if yes is not None and no is not None:
        return predicate if yes else _not(region, op, predicate) or region.add("not", [predicate], op.result.type, source=op.source)
    if no is not None and not no:
        return region.add("and", [predicate, x], op.result.type, source=op.source)
    if yes is not None and yes:
        return region.add("or", [predicate, y], op.result.type, source=op.source)
    return None


def made_by(value, name, arity=2):
    """The operands of the operation ``name`` that makes ``value``; Nones where another one does, or ``value`` is None."""
    return value.op.operands if value is not None and value.op is not None and value.op.name == name else (None,) * arity


def _alike(a, b):
    """Whether both are one value, or the same constant."""
    return a is b or constant_of(a) is not None and constant_of(a) == constant_of(b)


def _remainder_of(value):
    """(x, y) where ``value`` is what the division of x by y leaves; Nones where it is something else."""
    x, y = made_by(value, "rem")
    if x is not None:
        return x, y
    x, product = made_by(value, "sub")
    a, b = made_by(product, "mul")
    for quotient, y in ((a, b), (b, a)):
        if quotient is not None:
            of, by = made_by(quotient, "div")
            if of is not None and of is x and _alike(by, y):
                return x, y
    return None, None


def _is_below(value, x, *limits):
    a, limit = made_by(value, "lt")
    return a is not None and a is x and any(_is(limit, number) for number in limits)


def _floor_quotient(region, op, predicate, below, quotient):
    """``x // d`` as JAX writes it, d > 0: ``x < 1 and x rem d != 0 ? x div d - 1 : x div d``.

    With s = -1 where x < 0, else 0: x ^ s is x or -x - 1, which is not negative, and the quotient of that ^ s is rounded down.
    """
    x, d = made_by(quotient, "div")
    divisor = None if d is None else constant_of(d)
    if divisor is None or divisor <= 1:
        return None
    a, one = made_by(below, "sub")
    if a is not quotient or not _is(one, 1):
        return None
    first, second = made_by(predicate, "and")
    for negative, rest in ((first, second), (second, first)):
        left, zero = made_by(rest, "ne")
        of, by = _remainder_of(left)
        if of is not None and of is x and _alike(by, d) and _is(zero, 0) and _is_below(negative, x, 0, 1):
            break
    else:
        return None

    def add(name, *operands):
        return region.add(name, operands, op.result.type, source=op.source)

    if not int(divisor) & (int(divisor) - 1):
        return add("shr_arithmetic", x, _constant(region, op, np.asarray(int(divisor).bit_length() - 1, divisor.dtype)))
    sign = add("shr_arithmetic", x, _constant(region, op, np.asarray(8 * divisor.dtype.itemsize - 1, divisor.dtype)))
    return add("xor", add("div", add("xor", x, sign), d), sign)


def _floor_remainder(region, op, predicate, above, remainder):
    """``x % d`` as JAX writes it, d a power of two: ``x rem d < 0 ? x rem d + d : x rem d``."""
    x, d = _remainder_of(remainder)
    divisor = None if d is None else constant_of(d)
    if divisor is None or divisor <= 0 or int(divisor) & (int(divisor) - 1):
        return None
    a, b = made_by(above, "add")
    if a is not remainder or not _alike(b, d) or not _is_below(predicate, remainder, 0):
        return None
    return region.add("and", [x, _constant(region, op, np.asarray(divisor - 1, divisor.dtype))], op.result.type, source=op.source)


_OPPOSITE = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}


def _not(region, op, x):
    if x.op is not None and x.op.name in _OPPOSITE and x.op.operands[0].dtype in INTEGERS:
        return region.add(_OPPOSITE[x.op.name], x.op.operands, x.type, source=op.source)
    return None


def _differ(region, op, x, y):
    """A truth and a constant; the sign of an integer, which is not 1, say: it is below 1."""
    for a, b in ((x, y), (y, x)):
        known = constant_of(b)
        if known is None:
            continue
        if b.dtype == "i1":
            if bool(known) != (op.name == "ne"):
                return a
            return _not(region, op, a) or region.add("not", [a], op.result.type, source=op.source)
        if op.name == "ne" and b.dtype in _SIGNED and a.op is not None and a.op.name == "sign" and known in (1, -1):
            limit = region.add("constant", [], Type(b.dtype), source=op.source, value=np.asarray(max(known, 0), known.dtype))
            limit = limit if not b.shape else splat(region, limit, b.shape, op.source)
            return region.add("lt" if known > 0 else "ge", [a.op.operands[0], limit], op.result.type, source=op.source)
    return None


def _both(region, op, x, y):
    """What is below (above) a number differs from it."""
    for a, b in ((x, y), (y, x)):
        if b.dtype == "i1" and constant_of(b) is not None:
            return a if constant_of(b) else b
        if a.op is None or b.op is None or a.op.name not in ("lt", "gt") or b.op.name != "ne":
            continue
        of, numbers = a.op.operands[0] is b.op.operands[0], [constant_of(v.op.operands[1]) for v in (a, b)]
        if of and None not in numbers and numbers[0] == numbers[1]:
            return a
    return None


_RULES = {"mul": _product, "add": _sum, "sub": _difference, "div": _quotient, "rem": _remainder, "sign": _sign,
          "select": _chosen, "eq": _differ, "ne": _differ, "and": _both, "not": _not}


def simpler(region, op):
    """A value with the same bits as the result of ``op`` that costs less, appended to ``region`` as needed, or None."""
    if op.name == "neg":
        return _negated(op.operands[0]) if _negated(op.operands[0]) is not None else _fold(region, op)
    if op.name == "convert":
        return _converted(region, op)
    if op.name not in _RULES and op.name not in _FOLDED or op.result.dtype not in _FLOATS | INTEGERS | {"i1"}:
        return None
    folded = _fold(region, op)
    if folded is not None or op.name not in _RULES:
        return folded
    return _RULES[op.name](region, op, *op.operands)
