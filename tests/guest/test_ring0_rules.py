"""Edge semantics in ring 0: rules of StableHLO, transforms and scatters, bit for bit what this process computes on the same cpu table."""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kjax
from kjax.runtime.embedded import Embedded

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "spec"))

from rules import RULES  # noqa: E402

GROUPS = 8  # rules that share a program are few enough for one to be found


@pytest.fixture(scope="module")
def here():
    with Embedded() as environment:
        yield environment


def same_bits(program, args, environment, here):
    arrays = program.signature.flatten(args, {})
    there = program.load(environment)
    expected = here.load(program.image, cpu=there.cpu).run(arrays)
    for k, (got, want) in enumerate(zip(there.run(arrays), expected, strict=True)):
        assert np.asarray(got).tobytes() == np.asarray(want).tobytes(), f"result {k}: {got} here {want}"


@pytest.mark.parametrize("group", range(GROUPS))
def test_rules(group, environment, here):
    rules = [r for r in RULES if callable(r.fn)][group::GROUPS]
    with jax.enable_x64(True):
        args = [r.args for r in rules]
        program = kjax.compile(lambda *args: [r.fn(*a) for r, a in zip(rules, args)], *args)
        same_bits(program, args, environment, here)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_transforms(dtype, environment, here):
    rng = np.random.default_rng(0)
    args = [(rng.standard_normal((3, n)) + 1j * rng.standard_normal((3, n))).astype(dtype) for n in (12, 17, 53, 250)]
    with jax.enable_x64(True):
        program = kjax.compile(lambda *xs: [(jnp.fft.fft(x), jnp.fft.rfft(x.real), jnp.fft.irfft(x)) for x in xs], *args)
        same_bits(program, args, environment, here)


def test_scatters_with_splats(environment, here):
    x = np.random.default_rng(1).standard_normal((9, 5)).astype(np.float32)
    i = np.int32([3, 3, 20, -1, 0])
    program = kjax.compile(lambda x: (x.at[i].apply(lambda v: jnp.exp(v) * 0.3 + 1), x.at[i, 2].multiply(3.0)), x)
    same_bits(program, [x], environment, here)
