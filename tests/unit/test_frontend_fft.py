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


LANES = [2, 9, 20, 42, 60, 64, 100, 128, 243, 256]


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("n", LANES)
def test_same_bits_as_xla_in_lanes(n, dtype):
    """Several transforms at once, the instruction's: along the last dim and another."""
    def everything(*args):
        return [f(x) for (f, _), x in zip(_kinds(n).values(), args)] + [jnp.fft.fft(jnp.swapaxes(args[0], 0, 1), axis=0)]

    args = [_complex(length, dtype, (18,)) for _, length in _kinds(n).values()]
    with jax.enable_x64(True):
        want = jax.jit(everything)(*args)
        compiled = kjax.compile(everything, *args)
        got = compiled(*args)
    assert compiled.as_text().count(" transform.") == (5 if n % 7 else 3)  # real passes have no radix 7
    for name, g, w in zip([*_kinds(n), "columns"], got, want):
        np.testing.assert_array_equal(g, w, err_msg=name)


@pytest.mark.parametrize("shape", [(512,), (3, 1280), (4096,), (6000,), (2, 20480), (9, 8192), (1 << 17,)])
def test_long_ones_in_two(shape):
    x = _complex(shape[-1], np.complex64, shape[:-1])
    compiled = kjax.compile(lambda x: (jnp.fft.fft(x), jnp.fft.ifft(x), jnp.fft.fft(x.real)), x)
    assert shape[-1] % 256 or compiled.as_text().count(" transform.") == 6
    wide = x.astype(complex)
    for g, w in zip(compiled(x), (np.fft.fft(wide), np.fft.ifft(wide), np.fft.fft(wide.real))):
        assert np.abs(g - w).max() <= 4e-7 * np.abs(w).max()


def test_long_columns():
    x = _complex(9, np.complex64, (8192,))
    compiled = kjax.compile(lambda x: jnp.fft.fft(x, axis=0), x)
    assert compiled.as_text().count(" transform.") == 2
    want = np.fft.fft(x.astype(complex), axis=0)
    assert np.abs(compiled(x) - want).max() <= 4e-7 * np.abs(want).max()


@pytest.mark.parametrize("n, batch", [(4096, 1), (10000, 1), (65536, 1), (16384, 9), (16384, 3)])
def test_long_real_ones(n, batch):
    x = _complex(n, np.complex64, (batch,))
    half = _complex(n // 2 + 1, np.complex64, (batch,))
    got = kjax.compile(lambda x, y: (jnp.fft.rfft(x.real), jnp.fft.irfft(y)), x, half)(x, half)
    wide = half.astype(complex)
    wide[:, [0, -1]] = wide[:, [0, -1]].real
    for g, w in zip(got, (np.fft.rfft(x.real.astype(float)), np.fft.irfft(wide))):
        assert np.abs(g - w).max() <= 6e-7 * np.abs(w).max()


def test_transformations():
    """JAX differentiates and batches; the instruction is what comes out, within loops too."""
    def loss(x):
        y = jnp.fft.fft2(x)
        return jnp.sum(jnp.abs(jnp.fft.ifft(y * y, axis=-1)) ** 2) + jnp.sum(jnp.fft.irfft(jnp.fft.rfft(x) * 2) ** 2)

    def many(x):
        return jax.lax.fori_loop(0, 3, lambda k, x: jnp.fft.ifft(jnp.fft.fft(x) * 0.5), x)

    x = _complex(24, np.complex64, (5, 16)).real
    z = _complex(24, np.complex64, (16,))
    for f, a in ((jax.vmap(jax.grad(loss)), x), (jax.vmap(loss), x), (many, z)):
        compiled = kjax.compile(f, a)
        assert " transform." in compiled.as_text()
        got, want = np.asarray(compiled(a)), np.asarray(jax.jit(f)(a))
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * np.abs(want).max())
