"""kjax: JAX programs inside the Linux kernel.

Write and transform a function with JAX; kjax compiles it to a small verified tensor program, which one engine runs in ring 0,
in this process, or hands to an accelerator.

>>> import kjax, numpy as np
>>> kjax.execute_jax_transformation("grad", lambda x: x * x, (3.0,))
array(6., dtype=float32)
"""

import importlib as _importlib

from kjax.errors import CompileError as CompileError
from kjax.errors import DeadlineError as DeadlineError
from kjax.errors import DeviceError as DeviceError
from kjax.errors import KjaxError as KjaxError
from kjax.errors import LimitError as LimitError
from kjax.errors import UnsupportedOpError as UnsupportedOpError
from kjax.errors import VerifyError as VerifyError

__version__ = "0.1.0"

# imported when they are first asked for: a process that loads a program and runs it needs few of them
_WHERE = {
    "compile": "kjax.api.compile",
    "Family": "kjax.api.family",
    "jit": "kjax.api.jit",
    "library": "kjax.api.library", "Archive": "kjax.api.library", "Library": "kjax.api.library",
    "load": "kjax.api.program", "Program": "kjax.api.program",
    "execute_jax_program": "kjax.api.seed", "execute_jax_transformation": "kjax.api.seed", "load_jax_library": "kjax.api.seed",
    "close_all": "kjax.api.environments",
}
__all__ = sorted([*_WHERE, "CompileError", "DeadlineError", "DeviceError", "KjaxError", "LimitError", "UnsupportedOpError",
                  "VerifyError"])


def __getattr__(name):
    if name not in _WHERE:
        raise AttributeError(f"module 'kjax' has no attribute {name!r}")
    globals()[name] = found = getattr(_importlib.import_module(_WHERE[name]), name)
    return found


def __dir__():
    return sorted({*globals(), *__all__})
