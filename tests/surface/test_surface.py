"""Each row of the table against JAX on the CPU, and every public function of JAX a row.

``make test`` runs each row plainly, under the deepest transformation that applies to it, and at one other size or dtype, a
different one from row to row; but for rows that take JAX long to compile. ``make exhaustive`` runs all of them.
"""

import importlib.util
import pathlib

import cases
import jax
import public
import pytest
from rows import ROWS

import kjax


def _parameters():
    for turn, row in enumerate(ROWS):
        for name in ("quick", *cases.tried(row)[1]):
            marks = () if name == "quick" and not row.slow else pytest.mark.exhaustive
            yield pytest.param(row, name, turn, id=f"{row.name}-{name}", marks=marks)


@pytest.mark.parametrize(("row", "name", "turn"), list(_parameters()))
def test_agrees_with_jax(row, name, turn):
    variant = cases.variant(row, name, turn)
    with jax.enable_x64(variant.x64):
        want = jax.jit(variant.fn)(variant.args)
        got = kjax.compile(variant.fn, variant.args)(variant.args)
    assert not {part: away for part in variant.parts if (away := cases.wrong(row, variant, part, got[part], want[part]))}


def test_names_are_unique():
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names)), sorted(n for n in set(names) if names.count(n) > 1)


@pytest.mark.parametrize("module", public.MODULES)
def test_every_public_function_has_a_row_or_a_reason(module):
    covered = {row.name for row in ROWS}
    missing = [n for n in public.functions(module) if f"{module}.{n}" not in covered and not public.reason(module, n)]
    assert not missing, "these need a row in rows/ or a reason in public.py"


@pytest.mark.parametrize("module", public.MODULES)
def test_no_reason_is_stale(module):
    covered = {row.name for row in ROWS}
    names = set(public.functions(module))
    for name in public.reasons(module):
        assert name in names, f"{module}.{name} is not there any more"
        assert f"{module}.{name}" not in covered, f"{module}.{name} has a row: drop the reason"


def test_the_page_is_fresh():
    root = pathlib.Path(__file__).resolve().parents[2]
    spec = importlib.util.spec_from_file_location("surface_table", root / "tools" / "surface_table.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.PAGE.read_text() == tool.page(), "docs/surface.md is stale: run python tools/surface_table.py"
