"""jnp's functions that move elements."""

import jax.numpy as jnp
from table import rows

ROWS = [
    *rows("jnp", "x:3,5", "ravel transpose flipud fliplr atleast_3d squeeze tril triu diag diagonal trace rot90".split()),
    *rows("jnp", "x:4,6", [("reshape", lambda x: x.reshape(3, 8)), ("roll", lambda x: jnp.roll(x, 2, 1)),
                           ("split", lambda x: jnp.split(x, 3, 1)), ("repeat", lambda x: jnp.repeat(x, 2, 0)),
                           ("tile", lambda x: jnp.tile(x, (2, 2))), ("pad", lambda x: jnp.pad(x, 2, mode="reflect")),
                           ("pad_edge", lambda x: jnp.pad(x, 1, mode="edge")), ("slice", lambda x: x[1:, ::2]),
                           ("negative_step", lambda x: x[::-1, ::-2]), ("newaxis", lambda x: x[:, None] * x[None]),
                           ("moveaxis", lambda x: jnp.moveaxis(x, 0, 1)), ("stack", lambda x: jnp.stack([x, x + 1], 1)),
                           ("broadcast_to", lambda x: jnp.broadcast_to(x, (2, 4, 6))), ("kron", lambda x: jnp.kron(x, x)),
                           ("diff", jnp.diff), ("gradient", jnp.gradient), ("where", lambda x: jnp.where(x > 0, x, -2 * x)),
                           ("clip", lambda x: jnp.clip(x, -0.5, 0.5)), ("take", lambda x: jnp.take(x, jnp.array([2, 0]), 1)),
                           ("boolean_select", lambda x: jnp.select([x > 1, x < -1], [x, -x], 0.0)),
                           ("meshgrid", lambda x: jnp.meshgrid(x[0], x[:, 0])), ("vander", lambda x: jnp.vander(x[0]))]),
]
