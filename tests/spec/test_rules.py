"""Each rule of the table, embedded: the same bits, NaN for NaN."""

import jax
import numpy as np
import pytest
from rules import RULES

import kjax

LOOSE = {"power", "atan2", "log", "abs", "divide"}  # transcendental or complex: within 2 units in the last place


def same(got, want, section):
    assert got.dtype == want.dtype and got.shape == want.shape, (got.dtype, got.shape, want.dtype, want.shape)
    if want.dtype.kind not in "fc":
        np.testing.assert_array_equal(got, want)
        return
    for g, w in ((got.real, want.real), (got.imag, want.imag)):
        if section in LOOSE:
            np.testing.assert_allclose(g, w, rtol=3e-7, atol=0)
        else:
            np.testing.assert_array_equal(g, w)
        if want.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(g[~np.isnan(w)]), np.signbit(w[~np.isnan(w)]))


@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.section}: {r.says}")
def test_rule(rule):
    with jax.enable_x64(True):
        program = kjax.compile(rule.fn) if isinstance(rule.fn, str) else kjax.compile(rule.fn, *rule.args)
        got = jax.tree.leaves(program(*rule.args))
    want = [np.asarray(w) for w in jax.tree.leaves(rule.want)]
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        same(np.asarray(g), w, rule.section)
