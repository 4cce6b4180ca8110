"""Random programs, on the engine with each cpu table, against the NumPy reference of the graph that JAX's lowering became.

FUZZ_PROGRAMS: how many (60 in a plain test run), from number FUZZ_SEED on. To look at one: random_programs.program(number).
"""

import os
import warnings

import jax
import numpy as np
import pytest
from random_programs import arguments, program

import kjax
from kjax import _engine
from kjax.frontend import import_module, platform
from kjax.runtime.embedded import Embedded
from kjax.runtime.reference import evaluate

COUNT = int(os.environ.get("FUZZ_PROGRAMS", "60"))
FIRST = int(os.environ.get("FUZZ_SEED", "1")) * 1000
WAYS = 3  # plainly, all arguments donated, for a batch


def made(number):
    """(function, arguments, numbers of donated ones)."""
    function, args = program(number), arguments(number)
    if number % WAYS == 1:
        return function, args, tuple(range(len(args)))
    if number % WAYS == 2:
        return jax.vmap(function), [np.stack(rows) for rows in zip(*(arguments(number + k) for k in range(3)))], ()
    return function, args, ()


def differing(number):
    """{where: positions of wrong results} of one program; empty when all is well."""
    function, args, donated = made(number)
    kept = [a.copy() for a in args]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Some donated buffers were not usable")
        compiled = kjax.compile(function, *args, donate_argnums=donated, strip=True)
    graph = import_module(platform.lower(jax.jit(function, keep_unused=True).trace(*args)))
    want = evaluate(graph, [a.copy() for a in args])
    found = {}
    for cpu in _engine.cpus():
        loaded = Embedded().load(compiled.image, cpu=cpu)
        got = loaded.run([a.copy() for a in args], in_place=bool(donated))
        wrong = [k for k, (g, w) in enumerate(zip(got, want, strict=True)) if not np.array_equal(g, w, equal_nan=w.dtype.kind == "f")]
        found |= {cpu: wrong} if wrong else {}
    compiled(*args)
    changed = [k for k, (a, b) in enumerate(zip(args, kept)) if not np.array_equal(a, b)]
    return found | ({"arguments": changed} if changed else {})


@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, 20))
def test_programs_give_what_the_reference_gives(first):
    numbers = range(first, min(first + 20, FIRST + COUNT))
    assert not {number: found for number in numbers if (found := differing(number))}
