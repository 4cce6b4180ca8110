"""jax.random."""

import jax.numpy as jnp
from jax import random
from table import rows

ROWS = [
    *rows("random", "k", [(n, lambda k, f=getattr(random, n): f(k, (5, 3))) for n in
                          "uniform normal exponential laplace logistic gumbel cauchy rademacher bits".split()],
          grad=False, f64=False, tolerance=2e-4),
    *rows("random", "k", [("randint", lambda k: random.randint(k, (7,), 0, 100)), ("bernoulli", lambda k: random.bernoulli(k, 0.3, (9,))),
                          ("permutation", lambda k: random.permutation(k, 9)),
                          ("categorical", lambda k: random.categorical(k, jnp.ones(5), shape=(8,))),
                          ("split", lambda k: random.key_data(random.split(k, 3))), ("choice", lambda k: random.choice(k, 9, (4,))),
                          ("gamma", lambda k: random.gamma(k, 2.0, (4,))), ("dirichlet", lambda k: random.dirichlet(k, jnp.ones(3))),
                          ("multivariate_normal", lambda k: jnp.abs(random.multivariate_normal(
                              k, jnp.zeros(3), jnp.diag(jnp.array([1.0, 2.0, 3.0])), (4,), method="svd"))),
                          ("orthogonal", lambda k: (lambda q: q.T @ q)(random.orthogonal(k, 3))),
                          ("truncated_normal", lambda k: random.truncated_normal(k, -1.0, 1.0, (5,))),
                          ("fold_in", lambda k: random.key_data(random.fold_in(k, 7)))], grad=False, vmap=False, f64=False, tolerance=1e-3),
]
