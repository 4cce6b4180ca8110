"""Whole models in ring 0: bit for bit what the engine computes in this process."""

import jax
import numpy as np
import pytest
import zoo

import kjax
from kjax.runtime.embedded import Embedded


@pytest.fixture(scope="module")
def here():
    with Embedded() as environment:
        yield environment


@pytest.mark.parametrize("name", [name for name, part in zoo.PARTS.items() if not part.full])
def test_ring_0_computes_the_same_bits(name, environment, here):
    part = zoo.PARTS[name]
    fn, args = part.make()
    program = kjax.compile(fn, *args, donate_argnums=part.donate)
    arrays = program.signature.flatten(args, {})
    there = program.load(environment)
    expected = here.load(program.image, cpu=there.cpu).run(arrays)
    for got, want in zip(there.run(arrays), expected, strict=True):
        assert got.dtype == want.dtype and got.tobytes() == want.tobytes()


def test_training_goes_on_in_ring_0(environment, here):
    part = zoo.PARTS["mlp-step"]
    fn, args = part.make()
    steps = kjax.jit(fn, donate_argnums=part.donate, environment=environment)
    params, state, x, y = jax.tree_util.tree_map(np.array, args)  # these are updated in place
    program = steps.program_for(*args)
    expected = here.load(program.image, cpu=program.load(environment).cpu)
    arrays = program.signature.flatten(args, {})
    n = len(arrays) - 2
    for _ in range(5):
        params, state, loss = steps(params, state, x, y)
        *kept, want = expected.run(arrays)
        arrays[:n] = kept
        np.testing.assert_array_equal(loss, want)
