"""jnp's reductions, sorts and products."""

import jax.numpy as jnp
from jax import nn
from table import rows

ROWS = [
    # reductions
    *rows("jnp", "x:4,6", "sum mean max min var std prod ptp nansum nanmean nanmax median".split()),
    *rows("jnp", "x:4,6", [(f"{n}_axis", lambda x, f=getattr(jnp, n): f(x, axis=-1)) for n in
                           "sum mean max min var prod argmax argmin cumsum cumprod sort argsort".split()], grad=False),
    *rows("jnp", "x:4,6", [("cumsum_grad", lambda x: jnp.cumsum(x, 0)), ("sort_grad", lambda x: jnp.sort(x, 1)),
                           ("percentile", lambda x: jnp.percentile(x, 30.0)), ("average", lambda x: jnp.average(x, 1)),
                           ("logsumexp", lambda x: nn.logsumexp(x, 1)), ("norm", lambda x: jnp.linalg.norm(x, axis=1))]),
    *rows("jnp", "b:4,6", "any all count_nonzero".split(), grad=False, f64=False),
    *rows("jnp", "i:30", [("bincount", lambda i: jnp.bincount(jnp.abs(i), length=12)), ("histogram", lambda i: jnp.histogram(i, 5)[0]),
                          ("unique", lambda i: jnp.unique(i, size=12, fill_value=0)), ("flip", jnp.flip),
                          ("searchsorted", lambda i: jnp.searchsorted(jnp.sort(i), i)), ("sort_int", jnp.sort)],
          grad=False, f64=False),
    # products
    *rows("jnp", "x:4,6 x:6,3", "matmul dot".split()),
    *rows("jnp", "x:4,6 x:4,6", "inner outer vdot".split()),
    *rows("jnp", "x:3 x:3", ["cross", "convolve", "correlate", "polyval"]),
    *rows("jnp", "x:2,3,4 x:2,4,5", [("batched_matmul", jnp.matmul), ("einsum", lambda a, b: jnp.einsum("bij,bjk->ikb", a, b)),
                                     ("tensordot", lambda a, b: jnp.tensordot(a, b, ((2,), (1,))))]),
]
