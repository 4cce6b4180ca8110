"""jax.random and jax.nn.initializers in each type that they give; and lax.rng_bit_generator."""

import jax.numpy as jnp
from jax import lax, nn, random
from table import rows

_HALVES = ("bfloat16", "float16")


def gram(q):
    """What does not depend on the signs that a factorization leaves open."""
    return q @ q.T


ROWS = [
    *rows("random", "k", {f"{name}_{t}": lambda k, f=getattr(random, name), t=t: f(k, (5, 13), t)
                          for name in ("uniform", "normal", "exponential", "laplace", "logistic", "gumbel", "cauchy")
                          for t in _HALVES}, grad=False, tolerance=1e-2),
    *rows("random", "k", {f"bits_{t}": lambda k, t=t: random.bits(k, (5, 13), t) for t in ("uint8", "uint16")}, grad=False),
    *rows("random", "k", {f"randint_{t}": lambda k, t=t: random.randint(k, (5, 13), 3, 100, t)
                          for t in ("int8", "uint8", "int16", "uint16", "uint32")}, grad=False),
    *rows("random", "k", {
        "randint_whole_range": lambda k: random.randint(k, (70,), -128, 128, jnp.int8),
        "permutation_rows": lambda k: random.permutation(k, jnp.arange(70).reshape(14, 5), axis=0),
        "permutation_independent": lambda k: random.permutation(k, jnp.arange(70).reshape(14, 5), axis=1, independent=True),
        "choice_weighted": lambda k: random.choice(k, 9, (20,), p=jnp.arange(9) / 36.0),
        "choice_without_replacement": lambda k: random.choice(k, 9, (5,), replace=False, p=jnp.arange(1, 10) / 45.0),
        "categorical_axis": lambda k: random.categorical(k, jnp.arange(12.0).reshape(3, 4), axis=0),
        "rademacher_int8": lambda k: random.rademacher(k, (9,), jnp.int8),
        "rbg": lambda k: random.bits(random.wrap_key_data(jnp.concatenate([k, k]), impl="rbg"), (67,)),
        "rbg_split": lambda k: random.key_data(random.split(random.wrap_key_data(jnp.concatenate([k, k]), impl="rbg"), 3)),
        "unsafe_rbg": lambda k: random.normal(random.wrap_key_data(jnp.concatenate([k, k]), impl="unsafe_rbg"), (67,))},
          grad=False, vmap=False, tolerance=1e-4),
    *rows("lax", "k", {f"rng_bit_generator_{t}_{a.name.lower()}": lambda k, t=t, a=a: lax.rng_bit_generator(
        jnp.concatenate([k, k]), (67,), t, a) for t in ("uint8", "uint16", "uint32", "uint64") for a in list(lax.RandomAlgorithm)[1:]},
          grad=False, vmap=False),
    *rows("nn", "k", {f"initializers.{name}": lambda k, make=make: make(k, (6, 10))
                      for name, make in {
                          "zeros": nn.initializers.zeros, "ones": nn.initializers.ones, "constant": nn.initializers.constant(3),
                          "uniform": nn.initializers.uniform(), "normal": nn.initializers.normal(),
                          "truncated_normal": nn.initializers.truncated_normal(), "glorot_uniform": nn.initializers.glorot_uniform(),
                          "glorot_normal": nn.initializers.glorot_normal(), "he_uniform": nn.initializers.he_uniform(),
                          "he_normal": nn.initializers.he_normal(), "lecun_uniform": nn.initializers.lecun_uniform(),
                          "lecun_normal": nn.initializers.lecun_normal(),
                          "variance_scaling": nn.initializers.variance_scaling(2.0, "fan_avg", "truncated_normal")}.items()},
          grad=False, vmap=False, tolerance=1e-4),
    *rows("nn", "k", {"initializers.orthogonal": lambda k: gram(nn.initializers.orthogonal()(k, (6, 10))),
                      "initializers.delta_orthogonal": lambda k: gram(nn.initializers.delta_orthogonal()(k, (3, 5, 5))[1])},
          grad=False, vmap=False, tolerance=1e-4),
]
