"""Every form in which a module may come gives the same graph."""

import jax
import numpy as np
import pytest
from jax import export
from jaxlib.mlir.dialects import stablehlo

from kjax.frontend import import_module
from kjax.ir.printer import to_text
from kjax.runtime.reference import evaluate

X = np.arange(3, dtype=np.float32)


@jax.jit
def f(x):
    return jax.numpy.sin(x) * 3


def portable():
    module = f.lower(X).compiler_ir("stablehlo")
    return stablehlo.serialize_portable_artifact_str(str(module), stablehlo.get_minimum_version())


FORMS = {
    "text": lambda: f.lower(X).as_text(),
    "text bytes": lambda: f.lower(X).as_text().encode(),
    "lowered": lambda: f.lower(X),
    "module": lambda: f.lower(X).compiler_ir("stablehlo"),
    "exported": lambda: export.export(f)(X),
    "serialized export": lambda: export.export(f)(X).serialize(),
    "portable artifact": portable,
}


@pytest.mark.parametrize("form", FORMS)
def test_form(form):
    source = FORMS[form]()
    graph = import_module(source)
    np.testing.assert_allclose(evaluate(graph, [X])[0], np.sin(X) * 3, rtol=1e-6)
    assert "sin" in to_text(graph)
