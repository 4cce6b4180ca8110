"""Operations of threaded code that take an operand from the register of the one before: each gives what its cell gives."""

import ctypes
import itertools

import inputs
import numpy as np
import pytest
import tables
from test_cells import CELLS, FUNCTION, Op

SCALARS = {4: (ctypes.c_float, np.float32, "f32"), 8: (ctypes.c_double, np.float64, "f64")}


class Carry(ctypes.Structure):
    """struct kjx_carry"""

    _fields_ = [("cell", ctypes.c_void_p), ("forms", ctypes.c_void_p * 3), ("bytes", ctypes.c_uint64)]


def rows(cpu):
    carries = ctypes.cast(tables.table(cpu).carries, ctypes.POINTER(Carry))
    return list(itertools.takewhile(lambda row: row.cell, (carries[k] for k in itertools.count())))


def run(fn, operands, places, register):
    """(the result, what is handed on) of one operation; operand ``register`` in its register, rubbish where it would be in memory."""
    scalar, numpy, _ = SCALARS[operands.itemsize]
    out, memory, handed = np.zeros(1, numpy), operands.copy(), []
    given = operands[register - 1] if register else numpy(0)
    if register:
        memory[register - 1] = 7
    cells = np.zeros((2, CELLS), np.uint64)
    cells[0] = [out.ctypes.data, *(memory.ctypes.data + k * memory.itemsize for k in places)]
    kind = ctypes.CFUNCTYPE(ctypes.c_void_p, *[ctypes.c_void_p] * 3, scalar)

    @kind
    def stop(op, cells, slice, value):
        handed.append(value)

    chain = (Op * 2)()
    chain[1].fn = ctypes.cast(stop, ctypes.c_void_p).value
    if register:
        kind(fn)(ctypes.addressof(chain), cells.ctypes.data, None, scalar(given))
    else:
        FUNCTION(fn)(ctypes.addressof(chain), cells.ctypes.data, None)
    return out[0], numpy(handed[0])


def same(a, b):
    return a.tobytes() == b.tobytes() or (a != a and b != b)


def test_there_are_rows(cpu):
    listed = [row.cell for row in rows(cpu)]
    assert len(set(listed)) == len(listed) > 50
    assert {tables.table(cpu).cells[tables.code(tables.ops.BY_NAME[name], "f32")] for name in ("add", "div", "neg")} <= set(listed)


@pytest.mark.parametrize("size", sorted(SCALARS))
def test_forms_give_what_their_cell_gives(cpu, size):
    rng = np.random.default_rng(inputs.SEED)
    numpy, name = SCALARS[size][1:]
    edges = np.array([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 3e-39, 1e30], numpy)
    draw = [rng.choice(inputs.hard_floats(name), (6, 3)), rng.choice(edges, (30, 3))]
    for row in (r for r in rows(cpu) if r.bytes == size):
        forms = [form for form in row.forms if form]
        for operands in np.concatenate(draw).astype(numpy):
            want, handed = run(row.cell, operands, range(3), 0)
            assert same(want, handed)
            for k, form in enumerate(forms, 1):
                got, handed = run(form, operands, range(3), k)
                assert same(got, want) and same(handed, want), (operands, k)
