"""For all tests: no example of a property has a time limit, since machines that run tests are shared and slow at times; and what JAX
compiles to compare with runs once or twice, so XLA does not optimise its machine code, which takes most of its time.
"""

import os

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0".strip()  # before jax is imported

from hypothesis import settings

settings.register_profile("kjax", deadline=None)
settings.load_profile("kjax")
