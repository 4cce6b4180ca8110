"""jnp's functions of complex elements."""

import jax.numpy as jnp
from table import rows

ROWS = [
    *rows("jnp", "c:3,5", [(n + "_complex", getattr(jnp, n)) for n in
                           "sin cos tanh exp log sqrt abs angle conj real imag square sum".split()], grad=False),
    *rows("jnp", "c:3,5", {"prod_complex": jnp.prod}, grad=False, untried={"odd": "the product of so many is beyond the range"}),
]
