#!/usr/bin/env python3
"""Write ``engine/ukernels/tables.inc``: constants and polynomial coefficients of the elementary functions.

Usage: ukernel_tables.py [--check]     (needs mpmath; --check: change nothing, exit 1 when the file is stale)

Polynomials are fitted here: interpolation at Chebyshev nodes of the weighted function, followed by a few
steps of iteratively reweighted least squares, gets within a few per cent of the minimax error. Each fit
prints its relative error to stderr with --verbose. ``dd`` means an unevaluated sum of two doubles.
"""

import argparse
import pathlib
import sys

import mpmath as mp

mp.mp.prec = 400
TARGET = pathlib.Path(__file__).resolve().parent.parent / "engine/ukernels/tables.inc"
VERBOSE = False


def d(x):
    """A C literal of the double nearest to ``x``."""
    return float(x).hex()


def dd(x):
    high = float(x)
    return f"{{ {high.hex()}, {float(x - mp.mpf(high)).hex()} }}"


def cut(x, bits):
    """``x`` rounded to ``bits`` significant bits."""
    m, e = mp.frexp(x)
    return mp.nint(m * mp.mpf(2) ** bits) * mp.mpf(2) ** (e - bits)


def fit(name, f, low, high, degree, weight=None, fixed=(), rounds=12, precision=53):
    """Coefficients c of a near-minimax polynomial of ``degree`` for f on [low, high].

    The error is measured as (p - f) * weight; ``fixed`` gives leading coefficients that must not move.
    Each coefficient is rounded to ``precision`` bits, the lowest first, and the rest fitted again.
    """
    weight = weight or (lambda x: 1 / f(x))
    count = 4 * (degree + 4)
    mid, half = (low + high) / mp.mpf(2), (high - low) / mp.mpf(2)
    xs = [mid + half * mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)]
    fs, ws = [f(x) for x in xs], [weight(x) for x in xs]
    done = [mp.mpf(c) for c in fixed]
    extra = [mp.mpf(1)] * count
    worst = None
    while len(done) <= degree:
        n = degree + 1 - len(done)
        first = len(done)
        for _ in range(rounds if first == len(fixed) else 1):
            points = list(zip(xs, ws, extra, strict=True))
            rows = [[w * mp.sqrt(e) * x ** (first + j) for j in range(n)] for x, w, e in points]
            rhs = [
                w * mp.sqrt(e) * (y - sum(c * x**j for j, c in enumerate(done)))
                for x, y, w, e in zip(xs, fs, ws, extra, strict=True)
            ]
            c = mp.lu_solve(mp.matrix(rows), mp.matrix(rhs))
            errors = [
                abs(
                    w * (sum(c[j] * x ** (first + j) for j in range(n)) + sum(k * x**j for j, k in enumerate(done)) - y)
                )
                for x, y, w in zip(xs, fs, ws, strict=True)
            ]
            if first == len(fixed):
                peak = max(errors)
                extra = [e * (r / peak + mp.mpf("0.02")) for e, r in zip(extra, errors, strict=True)]
                worst = peak
        done.append(mp.mpf(float(c[0])) if precision == 53 else cut(c[0], precision))
    if VERBOSE:
        print(
            f"{name}: degree {degree}, error 2^{float(mp.log(worst, 2)):.1f}, "
            f"rounded 2^{float(mp.log(max(errors), 2)):.1f}",
            file=sys.stderr,
        )
    return done


def safe(f, limit):
    """f with its limit at 0."""
    return lambda x: limit if x == 0 else f(x)


def array(name, values, kind="double", per_line=4):
    out = [f"static const {kind} {name}[{len(values)}] = {{"]
    for i in range(0, len(values), per_line):
        out.append("\t" + ", ".join(values[i : i + per_line]) + ",")
    return out + ["};", ""]


def polynomial(name, coefficients, single=False):
    literal = (lambda c: float(c).hex() + "f") if single else d
    return array(name, [literal(c) for c in coefficients], "float" if single else "double")


def exact_tables():
    out = []
    n, ln2 = 32, mp.log(2)
    step = ln2 / n
    s1 = cut(step, 34)
    s2 = cut(step - s1, 34)
    out += [
        "/* ln2/32 in parts whose products with integers below 2^18 are exact; 2^(j/32) */",
        f"#define EXP_STEP_1 {d(s1)}",
        f"#define EXP_STEP_2 {d(s2)}",
        f"#define EXP_STEP_3 {d(step - s1 - s2)}",
        f"#define EXP_PER_STEP {d(n / ln2)}",
    ]
    out += array("exp_table", [dd(mp.mpf(2) ** (mp.mpf(j) / n)) for j in range(n)], "struct dd", 2)
    l1 = cut(ln2, 40)
    l2 = cut(ln2 - l1, 40)
    out += [
        "/* ln2 in parts whose products with exponents are exact; c = 128/j rounded, and -log(c) */",
        f"#define LN2_1 {d(l1)}",
        f"#define LN2_2 {d(l2)}",
        f"#define LN2_3 {d(ln2 - l1 - l2)}",
    ]
    rows = [mp.mpf(float(mp.mpf(128) / j)) for j in range(90, 183)]
    out += ["#define LOG_TABLE_FIRST 90"]
    out += array("log_inverse", [d(c) for c in rows])
    out += array("log_table", [dd(-mp.log(c)) for c in rows], "struct dd", 2)
    out += ["/* 1/k! and (-1)^(k+1)/k */"]
    out += array("inverse_factorial", [dd(1 / mp.factorial(k)) for k in range(33)], "struct dd", 2)
    out += array(
        "log_series", [dd(mp.mpf(0) if k == 0 else mp.mpf(-1) ** (k + 1) / k) for k in range(18)], "struct dd", 2
    )
    half_pi = mp.pi / 2
    parts, rest = [], half_pi
    for _ in range(4):
        part = cut(rest, 33)
        parts.append(part)
        rest -= part
    out += ["/* pi/2 in parts of 33 bits, and the rest; 2/pi: 128 zero bits, then the fraction's bits */"]
    out += [f"#define HALF_PI_{i + 1} {d(p)}" for i, p in enumerate(parts + [rest])]
    out += [f"#define TWO_OVER_PI {d(2 / mp.pi)}"]
    out += [
        f"static const struct dd dd_half_pi = {dd(half_pi)};",
        f"static const struct dd dd_pi = {dd(mp.pi)};",
        f"static const struct dd dd_ln2 = {dd(ln2)};",
        "",
    ]
    mp.mp.prec = 1800
    bits = int(mp.floor(mp.ldexp(2 / mp.pi, 64 * 22)))
    mp.mp.prec = 400
    words = [0, 0] + [(bits >> (64 * (21 - i))) & (2**64 - 1) for i in range(22)]
    out += array("two_over_pi", [f"0x{w:016x}ull" for w in words], "u64")
    return out


def fits_f64():
    out = []
    ln2 = mp.log(2)
    h = ln2 / 2 * mp.mpf("1.001")
    e = fit(
        "exp", safe(lambda x: (mp.expm1(x) - x) / x**2, mp.mpf(1) / 2), -h, h, 10, lambda x: mp.mpf(1), fixed=(0.5,)
    )
    out += ["/* exp(r) = 1 + r + r^2 * P(r), |r| <= ln2/2 */"] + polynomial("exp_poly", e)
    z = (3 - 2 * mp.sqrt(2)) ** 2 * mp.mpf("1.01")

    def log_tail(z):
        s = mp.sqrt(z)
        return (2 * mp.atanh(s) - 2 * s) / (s * z)

    c = fit("log", safe(log_tail, mp.mpf(2) / 3), mp.mpf(0), z, 7, lambda x: mp.mpf(1))
    out += ["/* log((1+s)/(1-s)) = 2s + s^3 * P(s^2), |s| <= 3 - 2 sqrt 2 */"] + polynomial("log_poly", c)
    edge = mp.mpf(1) / 256 / 90 * 128 * mp.mpf("1.001")

    def pair_tail(r):
        return (mp.log1p(r) - r + r * r / 2) / r**3

    out += ["/* log(1 + r) = r - r^2/2 + r^3 P(r), where log_inverse leaves r */"]
    out += polynomial(
        "log_pair_poly", fit("log pair", safe(pair_tail, mp.mpf(1) / 3), -edge, edge, 6, lambda x: mp.mpf(1))
    )
    q = (mp.pi / 4 * mp.mpf("1.001")) ** 2

    def sin_tail(z):
        s = mp.sqrt(z)
        return (mp.sin(s) - s) / (s * z)

    def cos_tail(z):
        return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2

    out += ["/* sin(r) = r + r^3 * P(r^2), cos(r) = 1 - r^2/2 + r^4 * P(r^2), |r| <= pi/4 */"]
    out += polynomial(
        "sin_poly", fit("sin", safe(sin_tail, -mp.mpf(1) / 6), mp.mpf(0), q, 6, lambda x: x + mp.mpf("0.05"))
    )
    out += polynomial(
        "cos_poly", fit("cos", safe(cos_tail, mp.mpf(1) / 24), mp.mpf(0), q, 6, lambda x: x * x + mp.mpf("0.05"))
    )
    t = (mp.sqrt(2) - 1) ** 2 * mp.mpf("1.01")

    def atan_tail(z):
        s = mp.sqrt(z)
        return (mp.atan(s) - s) / (s * z)

    out += ["/* atan(t) = t + t^3 * P(t^2), |t| <= sqrt 2 - 1 */"]
    out += polynomial(
        "atan_poly", fit("atan", safe(atan_tail, -mp.mpf(1) / 3), mp.mpf(0), t, 12, lambda x: x + mp.mpf("0.02"))
    )

    def erf_core(z):
        s = mp.sqrt(z)
        return mp.erf(s) / s

    two_over_root_pi = 2 / mp.sqrt(mp.pi)
    out += ["/* erf(x) = x * P(x^2), |x| <= 1 */"]
    out += polynomial("erf_poly", fit("erf", safe(erf_core, two_over_root_pi), mp.mpf(0), mp.mpf("1.01"), 12))
    out += ["/* (1 + 2x) exp(x^2) erfc(x) = P(t), t = (x - 4) / (x + 4), x >= 1/2 */"]

    def erfcx(t):
        if t >= 1:
            return 2 / mp.sqrt(mp.pi)
        x = 4 * (1 + t) / (1 - t)
        if x > 100:
            y, s, term = 1 / (2 * x * x), mp.mpf(1), mp.mpf(1)
            for k in range(1, 60):
                term *= -(2 * k - 1) * y
                s += term
            return (1 + 2 * x) * s / (x * mp.sqrt(mp.pi))
        return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)

    out += polynomial("erfcx_poly", fit("erfcx", erfcx, mp.mpf("-0.7785"), mp.mpf(1), 22, rounds=6))
    return out


def fits_f32():
    out, ln2 = [], mp.log(2)
    h = ln2 / 2 * mp.mpf("1.002")
    def one(x):
        return mp.mpf(1)
    high = cut(ln2, 15)
    out += [
        "/* f32: ln2 and pi/2 in parts whose products with the quotients of a reduction are exact or fused */",
        f"#define LN2_HIGH32 {float(high).hex()}f",
        f"#define LN2_LOW32 {float(cut(ln2 - high, 24)).hex()}f",
    ]
    p1 = cut(mp.pi / 2, 24)
    p2 = cut(mp.pi / 2 - p1, 24)
    out += [
        f"#define HALF_PI32_{i + 1} {float(p).hex()}f" for i, p in enumerate([p1, p2, cut(mp.pi / 2 - p1 - p2, 24)])
    ]
    e = fit("exp32", safe(lambda x: (mp.expm1(x) - x) / x**2, mp.mpf(1) / 2), -h, h, 4, one, precision=24)
    out += polynomial("exp_poly32", e, True)

    def log_tail(f):
        return (mp.log1p(f) - f + f * f / 2) / f**3

    low, top = 1 / mp.sqrt(2) - 1, mp.sqrt(2) - 1
    c = fit(
        "log32",
        safe(log_tail, mp.mpf(1) / 3),
        low * mp.mpf("1.001"),
        top * mp.mpf("1.001"),
        7,
        lambda f: abs(f) ** 2 + mp.mpf("0.01"),
        precision=24,
    )
    out += ["/* log(1 + f) = f - f^2/2 + f^3 P(f), sqrt(1/2) <= 1 + f <= sqrt 2 */"] + polynomial("log_poly32", c, True)
    q = (mp.pi / 4 * mp.mpf("1.001")) ** 2

    def sin_tail(z):
        s = mp.sqrt(z)
        return (mp.sin(s) - s) / (s * z)

    def cos_tail(z):
        return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2

    def weight(x):
        return x + mp.mpf("0.05")
    out += polynomial(
        "sin_poly32", fit("sin32", safe(sin_tail, -mp.mpf(1) / 6), mp.mpf(0), q, 2, weight, precision=24), True
    )
    out += polynomial(
        "cos_poly32", fit("cos32", safe(cos_tail, mp.mpf(1) / 24), mp.mpf(0), q, 2, weight, precision=24), True
    )

    def erf_tail(z):
        s = mp.sqrt(z)
        return mp.erf(s) / s - 1

    out += ["/* atan(t) = t + t^3 P(t^2), |t| <= 1 */"]
    out += polynomial(
        "atan_poly32",
        fit(
            "atan32",
            safe(lambda z: (mp.atan(mp.sqrt(z)) - mp.sqrt(z)) / (mp.sqrt(z) * z), -mp.mpf(1) / 3),
            mp.mpf(0),
            mp.mpf(1),
            8,
            weight,
            precision=24,
        ),
        True,
    )
    small = 2 / mp.sqrt(mp.pi) - 1
    out += ["/* erf(x) = x + x P(x^2), |x| <= 1; erfc(x) = exp(-Q(x)), 1 <= x <= 4 */"]
    out += polynomial(
        "erf_poly32", fit("erf32", safe(erf_tail, small), mp.mpf(0), mp.mpf("1.002"), 6, one, precision=24), True
    )
    out += polynomial(
        "erfc_poly32",
        fit("erfc32", lambda x: -mp.log(mp.erfc(x)), mp.mpf("0.998"), mp.mpf("4.01"), 8, mp.erfc, precision=24),
        True,
    )

    def erfcx_over_u(t):
        u = (t + mp.mpf("1.5")) / mp.mpf("6.25")
        x = 1 / u - 2
        return mp.exp(x * x) * mp.erfc(x) / u

    out += ["/* (x + 2) exp(x^2) erfc(x) = P(t), t = 6.25 / (x + 2) - 1.5, 1/2 <= x <= 10.1 */"]
    c = fit("erfcx32", erfcx_over_u, mp.mpf("-0.984"), mp.mpf("1.0001"), 9, rounds=6, precision=24)
    out += polynomial("erfcx_poly32", c, True)
    return out


def text():
    lines = [
        "/* SPDX-License-Identifier: MIT OR GPL-2.0 */",
        "/* Generated by tools/ukernel_tables.py: do not edit. */",
        "",
    ]
    return "\n".join(lines + exact_tables() + fits_f64() + fits_f32())


def main():
    global VERBOSE
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    VERBOSE = arguments.verbose
    new = text()
    if arguments.check:
        if not TARGET.exists() or TARGET.read_text() != new:
            sys.exit(f"stale, run tools/ukernel_tables.py: {TARGET.name}")
        return
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(new)


if __name__ == "__main__":
    main()
