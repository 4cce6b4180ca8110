"""jnp.fft."""

import jax.numpy as jnp
from table import rows

ROWS = [
    *rows("fft", "x:3,8", [(n, lambda x, f=getattr(jnp.fft, n): f(x)) for n in "fft rfft ifft fft2 rfft2 fftshift hfft".split()],
          grad=False, tolerance=1e-4),
    *rows("fft", "c:3,7", [(n + "_odd", lambda x, f=getattr(jnp.fft, n): f(x)) for n in "fft ifft fft2 irfft".split()],
          grad=False, tolerance=1e-4),
]
