"""Complex functions against 60 digits. StableHLO's own data has values of ``power``, ``sine`` and a product of eight
that are up to
9107, 3.5 and 2.9 units in the last place from the truth: there a better result counts as a difference."""

import mpmath
import numpy as np
import pytest
from jax import lax

import kjax

N = 60


def _numbers(seed, scale=5.0):
    rng = np.random.default_rng(seed)
    return ((rng.standard_normal(N) + 1j * rng.standard_normal(N)) * scale).astype(np.complex64)


def _units(got, true):
    """Distance in units in the last place of the larger part."""
    size = max(abs(float(true.real)), abs(float(true.imag)))
    return float(abs(mpmath.mpc(complex(got)) - true)) / float(np.spacing(np.float32(size)))


CASES = {
    "power": (lax.pow, (_numbers(0, 3.0), _numbers(1, 2.0)), lambda a, b: a**b, 1.0),
    "sine": (lax.sin, (_numbers(2),), mpmath.sin, 2.0),
    "cosine": (lax.cos, (_numbers(3),), mpmath.cos, 2.0),
    "exponential": (lax.exp, (_numbers(4),), mpmath.exp, 1.0),
    "log": (lax.log, (_numbers(5),), mpmath.log, 1.0),
    "square root": (lax.sqrt, (_numbers(6),), mpmath.sqrt, 1.0),
    "tanh": (lax.tanh, (_numbers(7, 1.0),), mpmath.tanh, 2.0),
}


@pytest.mark.parametrize("name", CASES)
def test_complex_functions(name):
    fn, args, truth, units = CASES[name]
    with mpmath.workdps(60):
        got = kjax.compile(fn, *args)(*args)
        worst = max(_units(g, truth(*(mpmath.mpc(complex(v)) for v in a))) for g, *a in zip(got, *args, strict=True))
    assert worst <= units


def test_a_product_of_eight():
    x = _numbers(8).reshape(-1, 6)[:8]
    got = kjax.compile(lambda x: lax.cumprod(x, 0), x)(x)
    with mpmath.workdps(60):
        for column in range(x.shape[1]):
            true = mpmath.mpc(1)
            for row in range(len(x)):
                true *= mpmath.mpc(complex(x[row, column]))
                assert _units(got[row, column], true) <= 0.75 * (row + 1)
