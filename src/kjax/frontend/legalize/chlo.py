"""CHLO: hyperbolic and inverse functions of reals, operations with implicit broadcasting, top_k, small things."""

import math

from kjax.frontend.builder import BITS_OF, PART, SIGNED
from kjax.frontend.legalize import complex_functions
from kjax.frontend.legalize.largest import largest
from kjax.frontend.legalize.registry import RULES, rule

LOG_HALF = math.log(0.5)


def widened(b, x, formula):
    """``formula`` on an Expr of a type that the engine computes in; small floats go by f32 and are rounded once."""
    compute = x.type.info.compute
    return b.convert(formula(b.expr(b.convert(x, compute))).value, x.dtype)


def unary(name, formula):
    """Register a CHLO function of one operand; complex operands go to the formula of the same name for them."""
    @rule(name)
    def lower(b, node):
        (x,) = node.operands
        if x.dtype in PART:
            return complex_functions.evaluate(b, x, formula.__name__)
        return widened(b, x, formula)


def asin(x):
    return x.atan2(((1 - x) * (1 + x)).sqrt())


def acos(x):
    return ((1 - x) * (1 + x)).sqrt().atan2(x)


def atan(x):
    return x.atan2(1)


def tan(x):
    return x.tan()


def sinh(x):
    """Below 1 by expm1, which keeps what the difference of two exponentials loses. Halving inside the exponent, as
    CHLO's own expansion does, does not overflow before the result does."""
    e = abs(x).expm1()
    near = (e + e / (e + 1)) * 0.5
    near = (x < 0).where(-near, x.equals(0).where(x, near))
    return (abs(x) < 1).where(near, (x + LOG_HALF).exp() - (LOG_HALF - x).exp())


def cosh(x):
    return (x + LOG_HALF).exp() + (LOG_HALF - x).exp()


def asinh(x):
    """log1p of what is over 1; for large arguments the square would overflow."""
    size = abs(x)
    square = x * x
    near = (size + square / (1 + (square + 1).sqrt())).log1p()
    size = (size >= _large(x)).where(size.log() + math.log(2), near)
    return (x < 0).where(-size, (x.equals(0)).where(x, size))


def acosh(x):
    t = x - 1
    near = (t + (t * (t + 2)).sqrt()).log1p()
    out = (x >= _large(x)).where(x.log() + math.log(2), near)
    return (x < 1).where(math.nan, out)


def atanh(x):
    size = abs(x)
    out = (2 * size / (1 - size)).log1p() * 0.5
    return (x < 0).where(-out, (x.equals(0)).where(x, out))


def _large(x):
    """From here on x*x + 1 is x*x."""
    return 1e9 if x.dtype == "f32" else 1e18


for _name, _formula in (("asin", asin), ("acos", acos), ("atan", atan), ("tan", tan), ("sinh", sinh), ("cosh", cosh),
                        ("asinh", asinh), ("acosh", acosh), ("atanh", atanh)):
    unary("chlo." + _name, _formula)


@rule("chlo.square")
def square(b, node):
    (x,) = node.operands
    return b.map("mul", x, x)


@rule("chlo.conj")
def conj(b, node):
    (x,) = node.operands
    if x.dtype not in PART:
        return x
    return b.map("complex", b.map("real", x), b.map("neg", b.map("imag", x)))


@rule("chlo.is_inf")
def is_inf(b, node):
    return b.expr(node.operands[0]).abs().equals(math.inf).value


@rule("chlo.is_pos_inf")
def is_pos_inf(b, node):
    return b.expr(node.operands[0]).equals(math.inf).value


@rule("chlo.is_neg_inf")
def is_neg_inf(b, node):
    return b.expr(node.operands[0]).equals(-math.inf).value


@rule("chlo.constant_like")
def constant_like(b, node):
    raw = node.attr("value")
    return b.full(raw, node.type)


@rule("chlo.next_after", "chlo.broadcast_next_after")
def next_after(b, node):
    """For types that the engine does not step in: one up or down in the integers that have the same order."""
    x, y = implicit(b, *node.operands)
    if x.dtype in ("f32", "f64"):
        return b.map("nextafter", x, y)
    signed = SIGNED[BITS_OF[x.type.info.size]]
    bits, goal = b.expr(b.bitcast(x, signed)), b.expr(b.bitcast(y, signed))
    top = 1 << (x.type.info.bits - 1)
    size = bits & (top - 1)
    toward_zero = (b.expr(x) < 0).where(b.expr(y) > b.expr(x), b.expr(y) < b.expr(x))
    stepped = toward_zero.where(bits - 1, bits + 1)
    out = size.equals(0).where((goal & top) | 1, stepped)
    out = b.expr(b.map("eq", x, y)).where(goal, out)
    nan = b.map("or", b.map("ne", x, x), b.map("ne", y, y))
    return b.select(nan, b.map("add", x, y), b.bitcast(out.value, x.dtype))


@rule("chlo.mulhi")
def mulhi(b, node):
    """The upper half of a product of integers."""
    x, y = node.operands
    info = x.type.info
    if info.bits < 64:
        wide = ("i" if info.kind == "int" else "u") + str(max(16, 2 * info.bits))
        product = b.expr(b.convert(x, wide)) * b.convert(y, wide)
        shift = product.shr_arithmetic if info.kind == "int" else product.shr_logical
        return b.convert(shift(info.bits).value, x.dtype)
    u, v = b.expr(b.bitcast(x, "u64")), b.expr(b.bitcast(y, "u64"))
    low = 0xFFFFFFFF
    u0, u1, v0, v1 = u & low, u >> 32, v & low, v >> 32
    middle = u1 * v0 + ((u0 * v0) >> 32)
    other = u0 * v1 + (middle & low)
    high = u1 * v1 + (middle >> 32) + (other >> 32)
    if info.kind == "int":  # the signed product differs by the other factor for each negative one
        sx, sy = b.expr(x).shr_arithmetic(63).bits("u64"), b.expr(y).shr_arithmetic(63).bits("u64")
        high = high - (sx & v) - (sy & u)
    return b.bitcast(high.value, x.dtype)


@rule("chlo.top_k")
def top_k(b, node):
    """Largest first along the last dim; of equal ones the first; NaN is above infinity."""
    (x,) = node.operands
    values, indices = largest(b, x, node.attr("k"))
    return [values, b.convert(indices, node.types[1].dtype)]


# -- implicit broadcasting ------------------------------------------------------------------------------------------
def implicit(b, *values):
    """NumPy's broadcasting."""
    rank = max(v.type.rank for v in values)
    shapes = [(1,) * (rank - v.type.rank) + v.shape for v in values]
    shape = tuple(next((n for n in sizes if n != 1), 1) for sizes in zip(*shapes, strict=True))
    return [b.broadcast(v, shape) for v in values]


class _Broadcast:
    """A node whose operands have been brought to one shape."""

    def __init__(self, b, node):
        self.node, self.operands = node, implicit(b, *node.operands)
        self.name = node.name

    def __getattr__(self, name):
        return getattr(self.node, name)


def _broadcasting(name, target):
    @rule("chlo." + name)
    def lower(b, node):
        return RULES[target](b, _Broadcast(b, node))


for _name, _target in (("add", "add"), ("subtract", "subtract"), ("multiply", "multiply"), ("divide", "divide"),
                       ("maximum", "maximum"), ("minimum", "minimum"), ("power", "power"), ("remainder", "remainder"),
                       ("and", "and"), ("or", "or"), ("xor", "xor"), ("atan2", "atan2"), ("complex", "complex"),
                       ("compare", "compare"), ("select", "select"), ("shift_left", "shift_left"),
                       ("shift_right_logical", "shift_right_logical"),
                       ("shift_right_arithmetic", "shift_right_arithmetic")):
    _broadcasting("broadcast_" + _name, "stablehlo." + _target)
for _name in ("polygamma", "zeta"):
    _broadcasting("broadcast_" + _name, "chlo." + _name)
