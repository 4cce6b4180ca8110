"""Transforms of all kinds and lengths: against XLA to the last bit where its plan is ours, against NumPy's float64
elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kjax

SAME_PLAN = [1, 2, 3, 5, 8, 14, 15, 16, 17, 22, 32, 33, 48, 210]  # lengths with every radix: 2, 3, 4, 5, 7, 8, 11, 17
OTHER = [47, 53, 97, 360, 1331, 1030, 2048]  # a large prime, a convolution, odd and even beyond the real passes


def _complex(n, dtype, lead=(3,)):
    rng = np.random.default_rng(n)
    return (rng.standard_normal((*lead, n)) + 1j * rng.standard_normal((*lead, n))).astype(dtype)


def _kinds(n):
    return {
        "fft": (jnp.fft.fft, n),
        "ifft": (jnp.fft.ifft, n),
        "rfft": (lambda x: jnp.fft.rfft(x.real), n),
        "irfft": (lambda x: jnp.fft.irfft(x, n), n // 2 + 1),
    }


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("n", SAME_PLAN)
def test_same_bits_as_xla(n, dtype):
    def everything(*args):
        return [f(x) for (f, _), x in zip(_kinds(n).values(), args)]

    args = [_complex(length, dtype) for _, length in _kinds(n).values()]
    with jax.enable_x64(True):
        want = jax.jit(everything)(*args)
        got = kjax.compile(everything, *args)(*args)
    for name, g, w in zip(_kinds(n), got, want):
        np.testing.assert_array_equal(g, w, err_msg=name)


@pytest.mark.parametrize("n", OTHER)
def test_accurate(n):
    def everything(*args):
        return [f(x) for (f, _), x in zip(_kinds(n).values(), args)]

    args = [_complex(length, np.complex64, (2,)) for _, length in _kinds(n).values()]
    got = kjax.compile(everything, *args)(*args)
    wide = [a.astype(complex) for a in args]
    want = np.fft.fft(wide[0]), np.fft.ifft(wide[1]), np.fft.rfft(wide[2].real), np.fft.irfft(wide[3], n)
    for name, g, w in zip(_kinds(n), got, want):
        assert np.abs(g - w).max() <= 1e-6 * np.abs(w).max(), name


@pytest.mark.parametrize("shape", [(4, 6, 10), (1, 1, 1), (2, 3, 64)])
def test_several_dims(shape):
    x = _complex(shape[-1], np.complex64, shape[:-1])
    got = kjax.compile(lambda x: (jnp.fft.fftn(x), jnp.fft.ifft2(x), jnp.fft.rfftn(x.real), jnp.fft.fft(x, axis=0)), x)(
        x
    )
    wide = x.astype(complex)
    want = np.fft.fftn(wide), np.fft.ifft2(wide), np.fft.rfftn(wide.real), np.fft.fft(wide, axis=0)
    for g, w in zip(got, want):
        assert np.abs(g - w).max() <= 1e-6 * np.abs(w).max()


def test_a_long_transform():
    n = 1 << 16
    x = _complex(n, np.complex64, ())
    got = kjax.compile(jnp.fft.fft, x)(x)
    want = np.fft.fft(x.astype(complex))
    assert np.abs(got - want).max() <= 1e-6 * np.abs(want).max()


def test_zeros_stay_zeros():
    """Rounding is symmetric: a constant signal has no other frequency at all."""
    for n in (12, 15, 16, 17, 30, 64):
        x = np.full((2, n), 0.1, np.float32)
        got = kjax.compile(jnp.fft.rfft, x)(x)
        assert np.array_equal(np.asarray(jax.jit(jnp.fft.rfft)(x)), got), n
