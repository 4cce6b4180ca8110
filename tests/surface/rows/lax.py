"""jax.lax."""

import jax.numpy as jnp
from jax import lax
from table import rows

ROWS = [
    *rows("lax", "x:4,6", [("top_k", lambda x: lax.top_k(x, 3)), ("cummax", lax.cummax), ("cumlogsumexp", lax.cumlogsumexp),
                           ("reduce_precision", lambda x: lax.reduce_precision(x, 5, 10)),
                           ("associative_scan", lambda x: lax.associative_scan(jnp.multiply, x)),
                           ("map", lambda x: lax.map(jnp.sin, x)),
                           ("scan", lambda x: lax.scan(lambda c, r: (c * 0.5 + r, c.sum()), x[0], x)),
                           ("while", lambda x: lax.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, jnp.abs(s[1]) * 2 + 1), (0, x))[1]),
                           ("cond", lambda x: lax.cond(x[0, 0] > 0, jnp.sin, jnp.cos, x)),
                           ("approx_max_k", lambda x: lax.approx_max_k(x, 3)),
                           ("dynamic_slice", lambda x: lax.dynamic_slice(x, (1, 5), (2, 3))),
                           ("conv", lambda x: lax.conv(x[None, None], jnp.ones((2, 1, 2, 2), x.dtype), (1, 1), "SAME")),
                           ("avg_pool", lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (2, 2), "VALID")),
                           ("max_pool", lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (3, 3), (1, 1), "SAME"))], grad=False),
    *rows("lax", "x:4,6", [("scan_grad", lambda x: lax.scan(lambda c, r: (jnp.tanh(c + r), c), x[0], x)[0]),
                           ("fori_grad", lambda x: lax.fori_loop(0, 3, lambda i, c: jnp.sin(c) + i, x)),
                           ("max_pool_grad", lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (2, 2), "VALID")),
                           ("conv_grad", lambda x: lax.conv(x[None, None], jnp.ones((2, 1, 2, 2), x.dtype), (2, 1), "SAME")),
                           ("at_add", lambda x: x.at[jnp.array([0, 2, 0])].add(1.0)), ("at_set", lambda x: x.at[1, ::2].set(0.0)),
                           ("at_mul", lambda x: x.at[jnp.array([1, 1])].multiply(2.0)), ("at_max", lambda x: x.at[0].max(0.5)),
                           ("gather2", lambda x: x[jnp.array([0, 3]), jnp.array([5, 1])])]),
]
