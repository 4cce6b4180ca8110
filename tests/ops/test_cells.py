"""The rows that threaded code runs on one element: each gives what the strip routine gives."""

import ctypes
import re
import subprocess

import inputs
import numpy as np
import pytest
import tables

from kjax.isa import dtypes, ops

ROWS = [(op, dtype) for op in ops.OPS if op.form != "special" for dtype in op.dtypes]
# types that loops count and iterate in; what is a strip routine alone is left to it
LISTED = ("i1", "i32", "i64", "u32", "f32", "f64")
CELLS = 4


class Op(ctypes.Structure):
    """struct kjx_op"""

    _fields_ = [("fn", ctypes.c_void_p), ("data", ctypes.c_void_p), ("n", ctypes.c_uint64), ("jump", ctypes.c_int32),
                ("region", ctypes.c_uint32)]


FUNCTION = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


def test_only_listed_types_have_cells(cpu):
    table = tables.table(cpu)
    have = {(op.name, dtype) for op, dtype in ROWS if table.cells[tables.code(op, dtype)]}
    assert {dtype for _, dtype in have} == set(LISTED)
    basic = {(name, dtype) for name in ("add", "mul", "copy", "select", "lt", "eq") for dtype in ("i32", "f32", "f64")}
    assert have >= basic | {("and", "i1"), ("div", "f32"), ("sqrt", "f32"), ("to_f32", "i32"), ("shl", "u32")}


@pytest.mark.parametrize("row", [r for r in ROWS if r[1] in LISTED], ids=lambda row: f"{row[0].name}-{row[1]}")
def test_a_cell_gives_what_the_strip_gives(cpu, row):
    """A chain of operations, one for each element, that ends in a function which stops."""
    op, dtype = row
    fn = tables.table(cpu).cells[tables.code(op, dtype)]
    if not fn:
        return
    rng = np.random.default_rng(inputs.SEED)
    operands = []
    for t in tables.operand_types(op, dtype):
        name = dtypes.of(t).name
        hard = inputs.hard_floats(name) if name in ("f32", "f64") else inputs.operands((name,))[0]
        operands.append(np.ascontiguousarray(rng.permutation(hard)[:700]))
    n = min(x.size for x in operands)
    with np.errstate(all="ignore"):
        wanted = tables.run(cpu, op, dtype, *(x[:n] for x in operands))
    out = np.full(n + 1, 0x5A, np.uint8).astype(wanted.dtype)
    guard = out[n].tobytes()
    chain, cells = (Op * (n + 1))(), np.zeros((n + 1, CELLS), np.uint64)
    for k, x in enumerate([out[:n], *operands]):
        cells[:n, k] = x.ctypes.data + np.arange(n, dtype=np.uint64) * x.itemsize
    stop = FUNCTION(lambda op, cells, slice: None)
    for k in range(n):
        chain[k].fn = fn
    chain[n].fn = ctypes.cast(stop, ctypes.c_void_p).value
    at = ctypes.addressof(chain)
    while at:  # a build without sibling calls returns after each operation
        k = (at - ctypes.addressof(chain)) // ctypes.sizeof(Op)
        at = FUNCTION(chain[k].fn)(at, cells.ctypes.data + k * CELLS * 8, None)
    got = out[:n]
    same = (got == wanted) & (np.signbit(got) == np.signbit(wanted)) if got.dtype.kind == "f" else got == wanted
    same |= (got != got) & (wanted != wanted)
    wrong = np.flatnonzero(~same)
    assert not wrong.size, f"op({[x[wrong[0]] for x in operands]}) = {got[wrong[0]]}, the strip gives {wanted[wrong[0]]}"
    assert out[n].tobytes() == guard


def test_cells_go_on_by_sibling_calls():
    """A loop's stack must not grow: no cell calls its successor."""
    for cpu in tables.CPUS:
        code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", tables.objects() / f"{cpu}.o"], check=True,
                              capture_output=True, text=True).stdout
        functions = re.findall(r"^\w+ <((?:cell|carry\d|take|put|count|begin)_\w+)>:\n((?:.+\n)*)", code, re.M)
        functions = [(name, text) for name, text in functions if ".part" not in name]
        assert len(functions) > 600
        for name, text in functions:
            assert re.search(r"jmp +\*", text) and not re.search(r"call +\*", text), (cpu, name)
