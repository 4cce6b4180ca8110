"""One rule per operation of StableHLO and CHLO, by family. A rule appends core operations to a builder."""

from kjax.frontend.legalize import (  # noqa: E402,F401  (each module registers its rules)
    chlo,
    collective,
    complex_functions,
    contraction,
    control,
    effects,
    elementwise,
    fft,
    indexing,
    linalg,
    linalg_calls,
    normalization,
    ragged,
    random,
    reduction,
    scan,
    shape,
    sharding,
    sparse_calls,
    special,
    window,
)
from kjax.frontend.legalize.registry import RULES

__all__ = ["RULES"]
