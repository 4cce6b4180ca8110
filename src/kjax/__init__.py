"""kjax: JAX programs inside the Linux kernel.

Write and transform a function with JAX; kjax compiles it to a small verified tensor program, which one engine runs in ring 0,
in this process, or hands to an accelerator.

>>> import kjax, numpy as np
>>> kjax.execute_jax_transformation("grad", lambda x: x * x, (3.0,))
array(6., dtype=float32)
"""

from kjax.api.compile import compile as compile
from kjax.api.environments import close_all as close_all
from kjax.api.jit import jit as jit
from kjax.api.library import Archive as Archive
from kjax.api.library import Library as Library
from kjax.api.library import library as library
from kjax.api.program import Program as Program
from kjax.api.program import load as load
from kjax.api.seed import execute_jax_program as execute_jax_program
from kjax.api.seed import execute_jax_transformation as execute_jax_transformation
from kjax.api.seed import load_jax_library as load_jax_library
from kjax.errors import CompileError as CompileError
from kjax.errors import DeadlineError as DeadlineError
from kjax.errors import DeviceError as DeviceError
from kjax.errors import KjaxError as KjaxError
from kjax.errors import LimitError as LimitError
from kjax.errors import UnsupportedOpError as UnsupportedOpError
from kjax.errors import VerifyError as VerifyError

__version__ = "0.1.0"
