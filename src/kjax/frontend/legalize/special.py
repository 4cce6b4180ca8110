"""Special functions: gamma and its relatives, the inverse error function, a Bessel function.

All are evaluated in f64 and rounded once, whatever the operand's type: series and recurrences cost a few
digits, and f32 results then stay within an ulp. The inverse error function of f32 is, for the most part, f32.
"""

import math

from kjax.frontend.legalize.registry import rule

# Lanczos' approximation of gamma, g = 7, nine terms
LANCZOS_G = 7.0
LANCZOS = (0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
           12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7)
# Bernoulli numbers B2, B4, ...
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330,
             854513 / 138, -236364091 / 2730)


def in_f64(formula):
    """A rule that evaluates ``formula`` on Exprs of f64 and converts the outcome to the result's type."""
    def lower(b, node):
        out = formula(*(b.expr(b.convert(v, "f64")) for v in node.operands))
        return b.convert(out.value, node.type.dtype)
    return lower


def _is_whole(x):
    return x.floor().equals(x)


def _sin_pi(x):
    """|sin(pi x)|, exact zeros at the integers."""
    size = abs(x)
    part = size - size.floor()
    return (part.min(1 - part) * math.pi).sin()


def lgamma(x):
    """log |gamma(x)|: Lanczos for x >= 1/2, by reflection below; infinite at the poles."""
    reflect = x < 0.5
    z = reflect.where(-x, x - 1)
    total = x.like(LANCZOS[0])
    for k, c in enumerate(LANCZOS[1:], 1):
        total = total + c / (z + k)
    base = LANCZOS_G + 0.5
    log_t = (z * (1 / base)).log1p() + math.log(base)
    t = z + base
    value = (z + 0.5 - t / log_t) * log_t + total.log() + 0.5 * math.log(2 * math.pi)
    sine = _sin_pi(x)
    mirrored = math.log(math.pi) - sine.log() - value
    out = reflect.where(sine.equals(0).where(math.inf, mirrored), value)
    out = (x.equals(1) | x.equals(2)).where(0, out)
    out = abs(x).equals(math.inf).where(math.inf, out)
    return x.differs(x).where(x, out)


def digamma(x):
    """Recurrence up to 10, then the asymptotic series; by reflection below 1/2; NaN at the poles."""
    reflect = x < 0.5
    z = reflect.where(1 - x, x)
    down = z.like(0)
    for _ in range(10):
        small = z < 10
        down = small.where(down + 1 / z, down)
        z = small.where(z + 1, z)
    square = 1 / (z * z)
    series = square.polynomial([*(b / (2 * k) for k, b in reversed(list(enumerate(BERNOULLI[:8], 1)))), 0])
    value = z.log() - 0.5 / z - series - down
    part = x - x.round_even()  # exact, in [-1/2, 1/2]: tan(pi x) has that period
    cotangent = abs(part).equals(0.5).where(0, math.pi / (part * math.pi).tan())
    out = reflect.where(value - cotangent, value)
    out = (reflect & _is_whole(x)).where(math.nan, out)
    return x.equals(math.inf).where(math.inf, out)


def zeta(s, q):
    """Hurwitz' zeta function by Euler-Maclaurin summation from q + 9."""
    total, n = s.like(0), q
    for _ in range(9):
        total = total + n.pow(-s)
        n = n + 1
    tail = n.pow(-s)
    total = total + tail * n / (s - 1) + 0.5 * tail
    factor, power, factorial = s, tail / n, 2.0
    square = n * n
    for k, b in enumerate(BERNOULLI, 1):
        total = total + factor * power * (b / factorial)
        factor = factor * (s + (2 * k - 1)) * (s + 2 * k)
        power = power / square
        factorial *= (2 * k + 1) * (2 * k + 2)
    pole = (q <= 0) & _is_whole(q)
    total = pole.where(math.inf, total)
    total = ((q <= 0) & ~_is_whole(s)).where(math.nan, total)
    total = s.equals(1).where(math.inf, total)
    return (s < 1).where(math.nan, total)


def polygamma(n, x):
    """(-1)^(n+1) n! zeta(n+1, x); n = 0 is digamma."""
    odd = (n * 0.5).floor().differs(n * 0.5)
    size = lgamma(n + 1).exp() * zeta(n + 1, x)
    out = n.equals(0).where(digamma(x), odd.where(size, -size))
    return ((n < 0) | ~_is_whole(n)).where(math.nan, out)


# Giles' single-precision approximation of the inverse error function ("Approximating the erfinv function")
_CENTRAL = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
            -0.00417768164, 0.246640727, 1.50140941)
_TAIL = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
         0.00943887047, 1.00167406, 2.83297682)


def erf_inv(x):
    """A guess to single precision, then three steps of Halley's method on erf, or on erfc where erf is near 1."""
    size = abs(x)
    w = -(((1 - size) * (1 + size)).log())
    y = size * (w < 5).where((w - 2.5).polynomial(_CENTRAL), (w.max(5).sqrt() - 3).polynomial(_TAIL))
    slope = 2 / math.sqrt(math.pi)
    central = size < 0.5
    for _ in range(3):
        over = central.where(y.erf() - size, (1 - size) - y.erfc())
        u = over / ((-(y * y)).exp() * slope)
        y = y - u / (1 + y * u)
    y = size.equals(0).where(size, y)
    y = size.equals(1).where(math.inf, y)
    y = (size <= 1).where(y, math.nan)
    return (x < 0).where(-y, x.equals(0).where(x, y))


# erf_inv(x) / x by powers of w - 2.5, w = -log(1 - x^2) <= 5, and of sqrt(w) - 3 up to the w of f32's largest number below 1; near-
# minimax fits, off by less than 2^-28
_NEAR = (3.36306819e-10, -8.77201041e-09, 1.80255821e-08, 4.65880812e-07, -3.43455064e-06, -4.96185982e-06, 0.000218282502,
         -0.00125274475, -0.00417733931, 0.24664028767571014, 1.5014093535045128)
_FAR = (-2.9262878e-05, 0.000160392128, -0.000277949233, -0.000119834455, 0.001475415, -0.00356717499, 0.00568761392,
        -0.0076427542, 0.00944531141, 1.0016752365070798, 2.8329768013359344)


def erf_inv_single(x):
    """f64 where rounding would weigh: the square root and the last two steps of the polynomials; for an operand and a result of f32."""
    size = abs(x)
    w = -(((1 - size) * (1 + size)).log())
    near, wide = w < 5, w.to("f64")
    root = wide.max(5).sqrt() - 3
    q = near.where((w - 2.5).polynomial(_NEAR[:-2]), root.to("f32").polynomial(_FAR[:-2])).to("f64")
    t, one = near.where(wide - 2.5, root), root.like(1)
    y = (q * t + near.where(one * _NEAR[-2], one * _FAR[-2])) * t + near.where(one * _NEAR[-1], one * _FAR[-1])
    y = (y * x.to("f64")).to("f32")
    return size.equals(1).where(x * math.inf, y)


def bessel_i1e(x):
    """exp(-|x|) I1(x): the power series, whose terms are all positive, up to 30; the asymptotic one beyond."""
    size = abs(x)
    near = size.min(30)
    quarter = near * near * 0.25
    series = quarter.polynomial([1 / (math.factorial(k) * math.factorial(k + 1)) for k in range(60, -1, -1)])
    small = series * near * 0.5 * (-near).exp()
    terms = [1.0]  # of the series in 1/(8x): products of (4 - (2k-1)^2) over k!
    for k in range(1, 16):
        terms.append(-terms[-1] * (4 - (2 * k - 1) ** 2) / k)
    far = size.max(30)
    large = (1 / (8 * far)).polynomial(terms[::-1]) / (far * (2 * math.pi)).sqrt()
    out = (size > 30).where(large, small)
    out = size.equals(math.inf).where(0, out)
    return (x < 0).where(-out, out)


for _function in (lgamma, digamma, bessel_i1e, polygamma, zeta):
    rule("chlo." + _function.__name__)(in_f64(_function))


@rule("chlo.erf_inv")
def _erf_inv(b, node):
    """Types up to f32 do with f32, and f64 in a few places."""
    if node.type.dtype == "f64":
        return in_f64(erf_inv)(b, node)
    out = erf_inv_single(b.expr(b.convert(node.operands[0], "f32")))
    return b.convert(out.value, node.type.dtype)
