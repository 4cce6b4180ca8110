"""Helpers of the frontend's tests: run a function or a module through import and the NumPy reference, and hold the
outcome against JAX on the CPU or StableHLO's own interpreter."""

import jax
import numpy as np
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import stablehlo

from kjax.frontend import import_module
from kjax.frontend.parse import make_context
from kjax.runtime.reference import evaluate


def imported(function, *args, **jit):
    """Graph of a JAX function at these example arguments."""
    return import_module(jax.jit(function, **jit).trace(*args).lower(lowering_platforms=("cpu",)))


def same_as_jax(function, *args, rtol=2e-6, atol=1e-6):
    """Assert that the graph of ``function`` gives what ``jax.jit(function)`` gives. Returns the graph."""
    leaves = [np.asarray(a) for a in jax.tree.leaves(args)]
    lowered = jax.jit(function, keep_unused=True).trace(*args).lower(lowering_platforms=("cpu",))
    graph = import_module(lowered)
    expected = jax.tree.leaves(jax.jit(function)(*args))
    for have, want in zip(evaluate(graph, leaves), expected, strict=True):
        close(have, np.asarray(want), rtol, atol)
    return graph


def close(have, want, rtol=0.0, atol=0.0):
    """Equal dtype and shape; integers and booleans equal, floats within the tolerance, NaN where NaN is."""
    assert have.dtype == want.dtype and have.shape == want.shape, (have.dtype, have.shape, want.dtype, want.shape)
    if want.dtype.kind in "biu" or want.dtype.name.startswith(("int", "uint")):
        np.testing.assert_array_equal(have, want)
    else:
        wide = np.complex128 if want.dtype.kind == "c" else np.float64
        np.testing.assert_allclose(have.astype(wide), want.astype(wide), rtol=rtol, atol=atol)


def interpreted(text):
    """Outputs of a module without arguments by StableHLO's reference interpreter."""
    with make_context() as context, ir.Location.unknown(context):
        return [np.array(a) for a in stablehlo.eval_module(ir.Module.parse(text), [])]


def run_text(text, *inputs):
    """Outputs of a module's text by import and reference."""
    return evaluate(import_module(text), list(inputs))


def same_as_interpreter(text, rtol=1e-6, atol=1e-6):
    for have, want in zip(run_text(text), interpreted(text), strict=True):
        close(have, want, rtol, atol)
