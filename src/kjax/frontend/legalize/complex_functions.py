"""Functions of complex numbers that the engine has no micro-operation for, by their real and imaginary parts.

The inverse functions follow Kahan ("Branch cuts for complex elementary functions"): products of square
roots whose parts never cancel, with the sign of a zero imaginary part choosing the side of a cut.
Single precision is computed in double.
"""

from kjax.frontend.builder import PART


def evaluate(b, x, name):
    """Function ``name`` of this module on a complex value."""
    wide = b.expr(b.convert(x, "c128"))
    re, im = FUNCTIONS[name](wide.real(), wide.imag())
    if x.dtype == "c64":
        re, im = re.to(PART["c64"]), im.to(PART["c64"])
    return re.join(im).value


def _root(re, im):
    z = re.join(im).sqrt()
    return z.real(), z.imag()


def asin(x, y):
    from kjax.frontend.legalize import chlo

    (a, b), (c, d) = _root(1 - x, -y), _root(1 + x, y)
    return x.atan2(a * c - b * d), chlo.asinh(a * d - b * c)


def acos(x, y):
    from kjax.frontend.legalize import chlo

    (a, b), (c, d) = _root(1 - x, -y), _root(1 + x, y)
    return 2 * a.atan2(c), chlo.asinh(c * b - d * a)


def acosh(x, y):
    from kjax.frontend.legalize import chlo

    (a, b), (c, d) = _root(x - 1, y), _root(x + 1, y)
    return chlo.asinh(a * c + b * d), 2 * b.atan2(c)


def asinh(x, y):
    re, im = asin(-y, x)
    return im, -re


def atanh(x, y):
    """log1p of the ratio of the distances from -1 and 1."""
    distance = (1 - x) * (1 - x) + y * y
    re = ((4 * x) / distance).log1p() * 0.25
    far = (4 * x) / distance < -0.5  # near -1 the ratio cancels: use the mirrored point
    mirrored = ((-4 * x) / ((1 + x) * (1 + x) + y * y)).log1p() * -0.25
    return far.where(mirrored, re), (2 * y).atan2((1 - x) * (1 + x) - y * y) * 0.5


def atan(x, y):
    re, im = atanh(-y, x)
    return im, -re


def sinh(x, y):
    from kjax.frontend.legalize import chlo

    return chlo.sinh(x) * y.cos(), chlo.cosh(x) * y.sin()


def cosh(x, y):
    from kjax.frontend.legalize import chlo

    return chlo.cosh(x) * y.cos(), chlo.sinh(x) * y.sin()


def tan(x, y):
    z = x.join(y).tan()
    return z.real(), z.imag()


FUNCTIONS = {f.__name__: f for f in (asin, acos, acosh, asinh, atanh, atan, sinh, cosh, tan)}
