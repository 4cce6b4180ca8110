"""StableHLO in, tensor IR out. jax and jaxlib are imported here only (and in pjrt/ and the daemon).

Reading order: ``parse`` (whatever the caller has -> an MLIR module), ``stablehlo`` (walk the module),
``builder`` (what a rule writes its result with), ``legalize/`` (one rule per operation).
"""

from kjax.frontend.artifact import find_device, import_with_artifact, run_on
from kjax.frontend.effects import callbacks_of
from kjax.frontend.stablehlo import import_module

__all__ = ["callbacks_of", "find_device", "import_module", "import_with_artifact", "run_on"]
