"""JAX's surface, a row a function: what plain ``jit`` lowers must compile and agree with JAX on the CPU."""

from rows import complex, elementwise, fft, lax, linalg, nn, random, reductions, shape, special

ROWS = [row for module in (elementwise, shape, reductions, lax, nn, linalg, fft, special, random, complex) for row in module.ROWS]
