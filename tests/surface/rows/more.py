"""The rest of jnp: aliases, NaN-aware reductions, statistics, polynomials, predicates, products."""

import jax.numpy as jnp
from table import rows

ROWS = [
    *rows("jnp", "x:3,5", "absolute asinh atan degrees rad2deg radians i0 angle".split(), grad=False),
    *rows("jnp", "u:3,5", "acos asin atanh".split()),
    *rows("jnp", "p:3,5", {"acosh": lambda x: jnp.acosh(1 + x)}),
    *rows("jnp", "x:3,5 x:3,5", ["atan2"], grad=False),
    *rows("jnp", "p:3,5 x:3,5", ["pow"]),
    *rows(
        "jnp",
        "x:4,6",
        {
            "amax": jnp.amax,
            "amin": jnp.amin,
            "argmax": jnp.argmax,
            "argmin": jnp.argmin,
            "argsort": jnp.argsort,
            "sort": jnp.sort,
            "cumprod": jnp.cumprod,
            "cumsum": jnp.cumsum,
            "cumulative_sum": lambda x: jnp.cumulative_sum(x, axis=1),
            "cumulative_prod": lambda x: jnp.cumulative_prod(x, axis=1),
            "cov": jnp.cov,
            "corrcoef": jnp.corrcoef,
            "argpartition": lambda x: jnp.sort(jnp.argpartition(x, 2, 1)[:, :3], 1),
            "quantile": lambda x: jnp.quantile(x, 0.3, axis=1),
            "median_odd": lambda x: jnp.median(x[:3], 0),
        },
        grad=False,
        tolerance=1e-4,
    ),
    *rows(
        "jnp",
        "x:4,6",
        [
            (n, lambda x, f=getattr(jnp, n): f(jnp.where(x > 1, jnp.nan, x), axis=1))
            for n in "nanargmax nanargmin nancumprod nancumsum nanmedian nanmin nanprod nanstd nanvar".split()
        ],
        grad=False,
        tolerance=1e-4,
    ),
    *rows(
        "jnp",
        "x:4,6",
        {
            "nanpercentile": lambda x: jnp.nanpercentile(jnp.where(x > 1, jnp.nan, x), 30.0),
            "nanquantile": lambda x: jnp.nanquantile(jnp.where(x > 1, jnp.nan, x), 0.6),
        },
        grad=False,
        tolerance=1e-4,
    ),
    *rows("jnp", "x:3,5 x:3,5", "allclose array_equal array_equiv".split(), grad=False),
    *rows("jnp", "x:3,5", "iscomplex isreal isposinf logical_not".split(), grad=False),
    *rows("jnp", "i:3,5", ["bitwise_invert"], grad=False, f64=False),
    *rows("jnp", "i:3,5 n:3,5", "bitwise_left_shift bitwise_right_shift".split(), grad=False, f64=False),
    *rows("jnp", "x:4 x:3", "polyadd polymul polysub polydiv".split(), grad=False, tolerance=2e-3),
    *rows(
        "jnp",
        "x:5",
        {"polyder": jnp.polyder, "polyint": jnp.polyint, "poly": lambda x: jnp.poly(x)},
        grad=False,
        tolerance=1e-3,
    ),
    *rows("jnp", "m:4 x:4", "matvec".split()),
    *rows("jnp", "x:4 m:4", "vecmat".split()),
    *rows("jnp", "x:3,4 x:3,4", ["vecdot"]),
]
