"""Whole models against JAX on the CPU: forward, gradient, a step of training; and what donation promises."""

import jax
import numpy as np
import pytest
import zoo

import kjax


def parameters():
    return [pytest.param(part, id=name, marks=pytest.mark.exhaustive if part.full else ())
            for name, part in zoo.PARTS.items()]


def distance(got, want):
    """Largest difference, relative to the largest element of the array that it is in."""
    worst = 0.0
    for g, w in zip(jax.tree_util.tree_leaves(got), jax.tree_util.tree_leaves(want), strict=True):
        g, w = np.asarray(g), np.asarray(w)
        assert g.shape == w.shape and g.dtype == w.dtype
        g, w = g.astype(np.float64), w.astype(np.float64)
        assert np.isfinite(w).all(), "the example itself is no good"
        if w.size and (g != w).any():
            worst = max(worst, np.abs(g - w).max() / (np.abs(w).max() or 1.0))
    return worst


@pytest.mark.parametrize("part", parameters())
def test_agrees_with_jax(part):
    fn, args = part.make()
    program = kjax.compile(fn, *args, donate_argnums=part.donate)
    assert distance(program(*args), jax.jit(fn)(*args)) <= part.tolerance


@pytest.mark.parametrize("name", ["mlp", "resnet18", "gpt"])
def test_a_step_updates_its_donated_state_in_place(name):
    part = zoo.PARTS[f"{name}-step"]
    fn, args = part.make()
    args = jax.tree_util.tree_map(np.array, args)
    state = [leaf for n in part.donate for leaf in jax.tree_util.tree_leaves(args[n])]
    plain = kjax.compile(fn, *args)
    want = args
    train = kjax.jit(fn, donate_argnums=part.donate)
    for _ in range(3):
        want = *plain(*want)[:len(part.donate)], *want[len(part.donate):]
        new = train(*args)[:len(part.donate)]
        assert all(a is b for a, b in zip(jax.tree_util.tree_leaves(new), state, strict=True))
    for got, expected in zip(state, jax.tree_util.tree_leaves(want[:len(part.donate)]), strict=True):
        np.testing.assert_array_equal(got, expected)
    memory = train.program_for(*args).memory_analysis()
    assert memory.alias_size_in_bytes == sum(x.nbytes for x in state)


def test_checks_of_equinox_raise_here_and_are_refused_in_the_kernel_with_the_way_out():
    import equinox as eqx

    from kjax.runtime.kernel import without_calls
    from kjax.runtime.trace import Host

    def f(x):
        return eqx.error_if(x, x < 0, "negative", on_error="raise")

    program = kjax.compile(f, np.float32(1))
    assert program(np.float32(1)) == 1
    with pytest.raises(Exception, match="negative"):
        program(np.float32(-1))
    with pytest.raises(kjax.UnsupportedOpError, match="EQX_ON_ERROR=nan"):
        without_calls(Host.of(program.image))
