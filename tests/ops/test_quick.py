"""Sorting in vector registers (engine/quick.h), by each cpu table: the network, parting, and the heap that bounds them."""

import ctypes

import numpy as np
import pytest
import tables

SLACK, DEPTH = 1024, 64
FORMS = {np.int32: 0, np.int64: 1}


class Key(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("mask", "sign", "nan_above", "flip")] + [
        (name, ctypes.c_bool) for name in ("is_float", "total", "nan_is_sign")
    ]


class Segment(ctypes.Structure):
    _fields_ = [("first", ctypes.c_uint64), ("n", ctypes.c_uint64), ("flags", ctypes.c_uint32), ("zero", ctypes.c_uint32)]


class Quick(ctypes.Structure):
    _fields_ = (
        [(name, ctypes.c_uint64) for name in ("depth", "allowance", "read", "left", "right", "pivot")]
        + [(name, ctypes.c_uint32) for name in ("open", "least", "heap", "zero")]
        + [("zeros", ctypes.c_uint64), ("nans", ctypes.c_uint64), ("segment", Segment * DEPTH), ("pad", ctypes.c_uint8 * 1152)]
    )


class Row(ctypes.Structure):
    _fields_ = [
        ("key", ctypes.POINTER(Key)), ("a", ctypes.c_void_p), ("b", ctypes.c_void_p), ("ties", ctypes.c_void_p),
        ("n", ctypes.c_uint64), ("log2_size", ctypes.c_uint32), ("form", ctypes.c_uint32),
    ]


def _aligned(n):
    memory = np.zeros(n + 64, np.uint8)
    at = -memory.ctypes.data % 64
    return memory[at : at + n]


def _sort(cpu, x, allowance, budget, in_b=False):
    """``x`` sorted, the units that it took, and the most of one call."""
    n, bits = len(x), 8 * x.itemsize
    quick = Quick.from_buffer(_aligned(ctypes.sizeof(Quick)))
    arrays = [_aligned(n * x.itemsize + SLACK) for _ in range(2)]
    for array in arrays:
        array[n * x.itemsize :] = 0xA5
    arrays[in_b][: n * x.itemsize] = x.view(np.uint8)
    key = Key(mask=2**bits - 1, sign=1 << (bits - 1), nan_above=2**64 - 1)
    row = Row(ctypes.pointer(key), arrays[0].ctypes.data, arrays[1].ctypes.data, None, n, bits // 32 + 1, FORMS[x.dtype.type])
    sort = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.POINTER(Row), ctypes.c_uint64)(
        tables.table(cpu).quick[1]
    )
    quick.depth, quick.allowance = n > 0, allowance
    quick.segment[0] = Segment(0, n, in_b, 0)
    units = most = 0
    while quick.depth:
        done = sort(ctypes.addressof(quick), row, budget)
        units, most = units + done, max(most, done)
        assert done
    assert (arrays[0][n * x.itemsize :] == 0xA5).all()
    return arrays[0][: n * x.itemsize].view(x.dtype).copy(), units, most


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_network(cpu, dtype):
    """All lengths that one network may take and some more; few distinct keys, then many, the largest among them."""
    rng = np.random.default_rng(1)
    for n in range(1, 300):
        for high in (2, 5, np.iinfo(dtype).max):
            x = rng.integers(0, high, n, dtype, endpoint=True)
            np.testing.assert_array_equal(_sort(cpu, x, 10**9, 2**63, in_b=bool(n % 2))[0], np.sort(x))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("allowance", [0, 9000, 10**9])
@pytest.mark.parametrize("in_b", [False, True])
def test_heap_and_parting(cpu, dtype, allowance, in_b):
    """However much may be parted; a call does little more than it is told."""
    rng = np.random.default_rng(2)
    for x in (rng.integers(-(2**31), 2**31, 5000).astype(dtype), np.full(5000, np.iinfo(dtype).max, dtype),
              np.arange(5000)[::-1].astype(dtype), rng.integers(0, 3, 5000).astype(dtype)):
        for budget in (1, 1000, 2**63):
            got, units, most = _sort(cpu, x, allowance, budget, in_b)
            np.testing.assert_array_equal(got, np.sort(x))
            assert most < budget + 3000
            assert units <= 5000 * (4 + (13 + 8) // 6 + 2 * (13 + 2))
