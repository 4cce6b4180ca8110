"""Random bits are XLA's, bit for bit."""

import jax
import numpy as np
import pytest
from frontend_oracle import close
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from kjax.frontend import import_module
from kjax.runtime.reference import evaluate

ALGORITHMS = {"three_fry": lax.RandomAlgorithm.RNG_THREE_FRY, "philox": lax.RandomAlgorithm.RNG_PHILOX,
              "default": lax.RandomAlgorithm.RNG_DEFAULT}


def same_bits(algorithm, state, shape, dtype):
    with jax.enable_x64(True):
        f = jax.jit(lambda s: lax.rng_bit_generator(s, shape, dtype=dtype, algorithm=ALGORITHMS[algorithm]))
        state = np.array(state, np.uint64)
        expected = [np.asarray(a) for a in f(state)]
        for have, want in zip(evaluate(import_module(f.lower(state)), [state]), expected, strict=True):
            close(have, want)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_every_width(algorithm, dtype):
    same_bits(algorithm, (7, 2**64 - 2), (3, 5), dtype)


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(sorted(ALGORITHMS)), st.lists(st.integers(1, 5), max_size=3), st.integers(0, 2**64 - 1),
       st.integers(0, 2**64 - 1))
def test_any_shape_and_state(algorithm, shape, key, counter):
    same_bits(algorithm, (key, counter), tuple(shape), "uint32")
