"""JAX in ring 0: whole functions, transformations, training, lanes; bit for bit what the engine computes in this process."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kjax
from kjax.runtime.embedded import Embedded


def programs():
    import test_programs

    return test_programs.PROGRAMS


@pytest.fixture(scope="module")
def here():
    with Embedded() as environment:
        yield environment


@pytest.mark.parametrize("name", sorted(programs()))
def test_ring_0_computes_the_same_bits(name, environment, here):
    fn, args = programs()[name]
    program = kjax.compile(fn, *args)
    arrays = program.signature.flatten(args, {})
    there = program.load(environment)
    expected = here.load(program.image, cpu=there.cpu).run(arrays)
    for got, want in zip(there.run(arrays), expected, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", ["grad", "vmap", "jit(vmap(grad))", "hessian", "pmap"])
def test_transformations_run_in_ring_0(name, environment):
    def f(x):
        return jnp.sum(jnp.sin(x) * x)

    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    oracle = {"grad": jax.grad(f), "vmap": jax.vmap(f), "jit(vmap(grad))": jax.vmap(jax.grad(f)), "hessian": jax.hessian(f),
              "pmap": jax.vmap(f)}[name]
    got = kjax.execute_jax_transformation(name, f, (x,), environment=environment)
    np.testing.assert_allclose(got, oracle(x), rtol=1e-5, atol=1e-5)


def test_training_in_ring_0(environment):
    def step(w, x, y):
        return w - 0.1 * jax.grad(lambda w: jnp.mean((x @ w - y) ** 2))(w)

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((16, 3)).astype(np.float32), rng.standard_normal(16).astype(np.float32)
    w, want = np.zeros(3, np.float32), jnp.zeros(3)
    train = kjax.jit(step, donate_argnums=0, environment=environment)
    for _ in range(10):
        w, want = train(w, x, y), jax.jit(step)(want, x, y)
    np.testing.assert_allclose(w, want, rtol=1e-5, atol=1e-6)


def test_lanes_exchange_in_ring_0(environment):
    def f(r):
        return r / jax.lax.psum(jnp.sum(r), "i"), jax.lax.ppermute(r, "i", [(0, 1), (1, 0)])

    x = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
    got = kjax.execute_jax_transformation("pmap", f, (x,), axis_name="i", environment=environment)
    for g, w in zip(got, jax.vmap(f, axis_name="i")(x)):
        np.testing.assert_allclose(g, w, rtol=1e-6)


def test_an_endless_loop_ends_at_its_deadline_and_the_kernel_goes_on(environment):
    endless = kjax.compile(lambda x: jax.lax.while_loop(lambda c: c >= 0, lambda c: c * 0.5 + 1, x), np.float32(1))
    with pytest.raises(kjax.DeadlineError):
        endless(np.float32(1), environment=environment, deadline=0.5)
    double = kjax.compile(lambda x: x * 2, np.float32(1))
    assert double(np.float32(4), environment=environment) == 8


def test_collected_programs_free_their_files(environment):
    before = environment.memory()["used"]
    for k in range(5):
        kjax.compile(lambda x, k=k: x + k, np.zeros(1000, np.float32))(np.zeros(1000, np.float32), environment=environment)
    program = kjax.compile(lambda x: x, np.float32(0))
    program(np.float32(0), environment=environment)
    assert environment.memory()["used"] <= before + 2 * len(program.image) + 65536
