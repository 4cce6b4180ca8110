"""The rest of jax.random."""

import jax.numpy as jnp
from jax import random
from table import rows

ROWS = [
    *rows(
        "random",
        "k",
        {
            "PRNGKey": lambda k: random.PRNGKey(k[0]),
            "key": lambda k: random.key_data(random.key(k[0].astype(jnp.int32))),
            "key_data": lambda k: random.key_data(random.wrap_key_data(k)),
            "wrap_key_data": lambda k: random.bits(random.wrap_key_data(k), (3,)),
            "clone": lambda k: random.bits(random.clone(k), (3,)),
            "ball": lambda k: random.ball(k, 3, shape=(4,)),
            "beta": lambda k: random.beta(k, 2.0, 3.0, (4,)),
            "binomial": lambda k: random.binomial(k, 10.0, 0.3, (4,)),
            "chisquare": lambda k: random.chisquare(k, 3.0, shape=(4,)),
            "double_sided_maxwell": lambda k: random.double_sided_maxwell(k, 0.0, 1.0, (4,)),
            "f": lambda k: random.f(k, 3.0, 4.0, (4,)),
            "generalized_normal": lambda k: random.generalized_normal(k, 2.0, (4,)),
            "geometric": lambda k: random.geometric(k, 0.3, (4,)),
            "loggamma": lambda k: random.loggamma(k, 2.0, (4,)),
            "lognormal": lambda k: random.lognormal(k, 1.0, (4,)),
            "maxwell": lambda k: random.maxwell(k, (4,)),
            "multinomial": lambda k: random.multinomial(k, 10.0, jnp.ones(3) / 3),
            "pareto": lambda k: random.pareto(k, 2.0, (4,)),
            "poisson": lambda k: random.poisson(k, 3.0, (6,)),
            "rayleigh": lambda k: random.rayleigh(k, 1.0, (4,)),
            "t": lambda k: random.t(k, 3.0, (4,)),
            "triangular": lambda k: random.triangular(k, 0.0, 0.5, 1.0, (4,)),
            "wald": lambda k: random.wald(k, 1.0, (4,)),
            "weibull_min": lambda k: random.weibull_min(k, 1.0, 2.0, (4,)),
        },
        grad=False,
        vmap=False,
        f64=False,
        tolerance=1e-3,
    ),
]
