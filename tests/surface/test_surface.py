"""Each row of the table against JAX on the CPU.

``make test`` runs each row plainly and under the deepest transformation that applies to it, ``make exhaustive`` all variants.
"""

import cases
import jax
import pytest
from rows import ROWS

import kjax


def _parameters():
    for row in ROWS:
        variants = list(cases.variants(row))
        quick = {"f32", variants[-1][0]}
        for variant in variants:
            marks = () if variant[0] in quick else pytest.mark.exhaustive
            yield pytest.param(row, variant, id=f"{row.name}-{variant[0]}", marks=marks)


@pytest.mark.parametrize(("row", "variant"), list(_parameters()))
def test_agrees_with_jax(row, variant):
    _, fn, args, tolerance, x64 = variant
    with jax.enable_x64(x64):
        want = jax.jit(fn)(*args)
        got = kjax.compile(fn, *args)(*args)
    assert cases.difference(got, want) <= tolerance
