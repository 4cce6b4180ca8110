"""Functions that are decomposed: against SciPy and NumPy over wide ranges and at the edges."""

import jax
import numpy as np
import pytest
import scipy.special
from jax import lax

from kjax.frontend import import_module
from kjax.runtime.reference import evaluate

RNG = np.random.default_rng(0)
EDGES = np.array([0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 1e-8, -1e-8, 1e-30, 30, -30, 100, -100, np.inf, -np.inf, np.nan,
                  0.9999999, -0.9999999, -1.5, -2.5])
X = np.concatenate([EDGES, RNG.normal(size=300) * 3, RNG.uniform(-1, 1, 300), RNG.uniform(-40, 40, 300)])


def ours(function, *args):
    with jax.enable_x64(True):
        (out,) = evaluate(import_module(jax.jit(function).trace(*args).lower(lowering_platforms=("cpu",))), list(args))
    return out


def ulps(have, want):
    """Distance in ulps of the type of ``have``; where both are NaN or the same infinity, none."""
    with np.errstate(all="ignore"):
        want = want.astype(have.dtype)
        distance = np.abs(have.astype(np.float64) - want.astype(np.float64)) / np.spacing(np.abs(want))
    same = (have == want) | (np.isnan(have) & np.isnan(want))
    return np.where(same, 0, np.where(np.isfinite(have) & np.isfinite(want), distance, np.inf))


REAL = {  # function, oracle in f64, ulps in f64, ulps in f32
    "asin": (lax.asin, np.arcsin, 2, 3), "acos": (lax.acos, np.arccos, 2, 3), "atan": (lax.atan, np.arctan, 2, 3),
    "sinh": (lax.sinh, np.sinh, 30, 30), "cosh": (lax.cosh, np.cosh, 30, 30), "tan": (lax.tan, np.tan, 2, 3),
    "asinh": (lax.asinh, np.arcsinh, 4, 4), "acosh": (lax.acosh, np.arccosh, 4, 4),
    "atanh": (lax.atanh, np.arctanh, 4, 4), "i1e": (lax.bessel_i1e, scipy.special.i1e, 20, 1),
    "erf_inv": (lax.erf_inv, scipy.special.erfinv, 50, 1), "digamma": (lax.digamma, scipy.special.digamma, 200, 1),
}


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_real(name, dtype):
    function, oracle, wide, single = REAL[name]
    x = X.astype(dtype)
    with np.errstate(all="ignore"):
        want = oracle(x.astype(np.float64))
    if name == "digamma":  # SciPy gives -inf and inf at 0 and NaN at the other poles; JAX and CHLO give NaN at all
        want = np.where((x <= 0) & (np.floor(x) == x), np.nan, want)
        near_pole = np.isfinite(x) & (np.abs(np.nan_to_num(x, posinf=0.5, neginf=0.5) % 1 - 0.5) > 0.499)
        sane = ~((x < 0) & near_pole & np.isfinite(want))  # SciPy loses digits near the poles
        x, want = x[sane], want[sane]
        near_zero = np.abs(want) < 0.05
        np.testing.assert_allclose(ours(function, x)[near_zero], want[near_zero], rtol=1e-6, atol=1e-9)
        x, want = x[~near_zero], want[~near_zero]
    worst = ulps(ours(function, x), want).max()
    assert worst <= (wide if dtype == "float64" else single), worst


def test_erf_inv_of_singles_up_to_the_last_one_below_1():
    """Evaluated in f32 for the most part: still within an ulp everywhere, with the operand's sign; ends, and nothing beyond."""
    bits = np.concatenate([np.arange(0, 0x3F800000, 40009), np.arange(0x3F700000, 0x3F800000, 101), np.arange(0x3F7FFC00, 0x3F800001)])
    x = bits.astype(np.uint32).view(np.float32)
    x = np.concatenate([x, -x, np.float32([1.0000001, -2, np.inf, -np.inf, np.nan])])
    have, want = ours(lax.erf_inv, x), scipy.special.erfinv(x.astype(np.float64))
    assert ulps(have, want).max() <= 1
    assert np.array_equal(np.signbit(have)[:-5], np.signbit(x)[:-5])


def test_lgamma():
    x = X[X != -np.inf]  # JAX and CHLO give inf there, SciPy -inf
    np.testing.assert_allclose(ours(lax.lgamma, x), scipy.special.gammaln(x), rtol=1e-12, atol=1e-13)
    assert ours(lax.lgamma, np.array([1.0, 2.0])).tolist() == [0.0, 0.0]


def test_zeta_and_polygamma():
    s, q = np.abs(RNG.normal(size=100)) * 4 + 1.05, np.abs(RNG.normal(size=100)) * 5 + 0.1
    np.testing.assert_allclose(ours(jax.scipy.special.zeta, s, q), scipy.special.zeta(s, q), rtol=1e-13)
    n = RNG.integers(0, 6, 100)
    np.testing.assert_allclose(ours(jax.scipy.special.polygamma, n, q), scipy.special.polygamma(n, q), rtol=1e-10)


@pytest.mark.parametrize("name", ["asin", "acos", "atan", "sinh", "cosh", "tan", "asinh", "acosh", "atanh"])
@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
def test_complex_on_both_sides_of_the_cuts(name, dtype):
    cuts = [complex(a, b) for a in (0.0, -0.0, 1, -1, 0.5, -2, 2, 1e-9) for b in (0.0, -0.0, 1, -1, 0.5, -2, 1e-9)]
    z = np.concatenate([np.array(cuts), RNG.normal(size=200) * 3 + 1j * RNG.normal(size=200) * 3]).astype(dtype)
    with np.errstate(all="ignore"):
        want = getattr(np, "arc" + name[1:] if name[0] == "a" else name)(z.astype(np.complex128)).astype(dtype)
    have = ours(getattr(lax, name), z)
    assert max(ulps(have.real, want.real).max(), ulps(have.imag, want.imag).max()) <= 8


@pytest.mark.parametrize("n", [1, 2, 7, 16, 30, 97, 128, 131, 360])
def test_transforms_of_any_length(n):
    z = RNG.normal(size=(2, n)) + 1j * RNG.normal(size=(2, n))
    np.testing.assert_allclose(ours(jax.numpy.fft.fft, z), np.fft.fft(z), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(ours(jax.numpy.fft.ifft, z), np.fft.ifft(z), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(ours(jax.numpy.fft.rfft, z.real.copy()), np.fft.rfft(z.real), rtol=1e-11, atol=1e-11)
    if n > 1:
        np.testing.assert_allclose(ours(jax.numpy.fft.irfft, z), np.fft.irfft(z), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("name", "oracle"), [("zeta", scipy.special.zeta), ("polygamma", scipy.special.polygamma)])
def test_functions_of_two_operands_broadcast_them(name, oracle):
    text = (f"module {{ func.func @main(%s: tensor<3x1xf64>, %q: tensor<4xf64>) -> tensor<3x4xf64> {{ %0 = chlo.broadcast_{name} "
            "%s, %q : (tensor<3x1xf64>, tensor<4xf64>) -> tensor<3x4xf64>\nreturn %0 : tensor<3x4xf64> } }")
    s, q = np.array([[2.0], [3.0], [7.0]]), np.array([0.5, 1.0, 2.5, 30.0])
    (have,) = evaluate(import_module(text), [s, q])
    np.testing.assert_allclose(have, oracle(s, q), rtol=1e-12)
