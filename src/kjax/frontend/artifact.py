"""The portable StableHLO artifact that travels in a program, and running it through JAX's PJRT client."""

import numpy as np
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import stablehlo

from kjax.errors import DeviceError
from kjax.frontend import parse, refine
from kjax.frontend.stablehlo import import_module


def import_with_artifact(source):
    """(graph, portable artifact bytes) of whatever ``import_module`` takes."""
    module = refine.refined(parse.module_of(source))
    with module.context:
        return import_module(module), portable(module)


def portable(module):
    """VHLO bytecode of a module, at a version that consumers of the last 12 weeks and later ones can read; for a module with
    operations that are younger, today's.

    A copy is serialized: given a module itself, jaxlib turns it into VHLO in place. Empty for a module with an operation that
    has no portable form (chlo.scan).
    """
    from jax._src.interpreters import mlir

    whole = mlir.module_to_bytecode(module)
    for age in (stablehlo.StablehloCompatibilityRequirement.WEEK_12, stablehlo.StablehloCompatibilityRequirement.NONE):
        version = stablehlo.get_version_from_compatibility_requirement(age)
        quiet = module.context.attach_diagnostic_handler(lambda diagnostic: True)  # not to stderr: the next one may do
        try:
            return stablehlo.serialize_portable_artifact(ir.Module.parse(whole, module.context), version, True)
        except ValueError as error:
            reason = error
        finally:
            quiet.detach()
    if "chlo.scan" not in str(module):
        raise reason
    return b""


def find_device(name):
    """The JAX device that "gpu:0", "tpu:0" or "pjrt:cpu:0" names. Raises DeviceError."""
    import jax

    platform, _, number = name.removeprefix("pjrt:").rpartition(":")
    try:
        devices = jax.devices(platform)
        return devices[int(number)]
    except (RuntimeError, IndexError, ValueError) as error:
        raise DeviceError(f"device {name!r} is not there: {str(error).splitlines()[0]}. JAX sees "
                          f"{', '.join(f'{d.platform}:{d.id}' for d in jax.devices())}") from error


def run_on(artifact, arrays, device):
    """Compile ``artifact`` with the PJRT client of ``device`` and run it on a list of NumPy arrays."""
    import jax
    from jaxlib import _jax

    target = find_device(device)
    module = parse.module_of(artifact)
    with module.context:
        text = str(module).encode()
    executable = target.client.compile_and_load(text, _jax.DeviceList((target,)), _jax.CompileOptions())
    placed = [jax.device_put(np.asarray(a), target) for a in arrays]
    results = executable.execute_sharded(placed).disassemble_into_single_device_arrays()
    return [np.asarray(r[0]) for r in results]
