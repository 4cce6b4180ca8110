"""What holds for every strip routine whatever it computes: which rows exist, lengths, in-place updates, no call out."""

import subprocess

import inputs
import numpy as np
import pytest
import tables

from kjax.isa import dtypes, ops

ROWS = [(op, dtype) for op in ops.OPS if op.form != "special" for dtype in op.dtypes]
LENGTHS = (0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 255, 256, 1000, 1023, 1024)
GUARD = 64  # bytes on both sides of a result that must stay as they are


def row_id(row):
    return f"{row[0].name}-{row[1]}"


def operands_of(row, n):
    """n elements for each operand, of everyday size."""
    op, dtype = row
    rng = np.random.default_rng(n)
    return [inputs.ordinary(dtypes.of(t), n, rng) for t in tables.operand_types(op, dtype)]


def test_the_table_has_the_rows_of_isa_and_no_other(cpu):
    wanted = {tables.code(op, dtype) for op, dtype in ROWS}
    codes = (max(op.number for op in ops.OPS) + 1) << ops.DTYPE_BITS
    assert {code for code in range(codes) if tables.table(cpu).uops[code]} == wanted
    assert tables.table(cpu).name.decode() == cpu


def test_nothing_is_called_but_memory_functions():
    for cpu in tables.CPUS:
        symbols = subprocess.run(
            ["nm", "-u", tables.objects() / f"{cpu}.o"], check=True, capture_output=True, text=True
        ).stdout
        assert set(symbols.replace("U", " ").split()) <= {
            "memcpy",
            "memmove",
            "memset",
            "memcmp",
            "_GLOBAL_OFFSET_TABLE_",
        }


def test_nothing_is_writable():
    for cpu in tables.CPUS:
        sections = subprocess.run(
            ["objdump", "-h", tables.objects() / f"{cpu}.o"], check=True, capture_output=True, text=True
        ).stdout
        sizes = {
            line.split()[1]: int(line.split()[2], 16) for line in sections.splitlines() if line[:4].strip().isdigit()
        }
        assert not any(size for name, size in sizes.items() if name in (".data", ".bss"))


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_lengths_and_places(cpu, row):
    """Any length at any element's address gives what one long strip gives, and no byte beside it changes."""
    op, dtype = row
    operands = operands_of(row, LENGTHS[-1] + 3)
    whole = tables.run(cpu, op, dtype, *operands, strip=1 << 20)
    call = tables.routine(cpu, op, dtype)
    for n in LENGTHS:
        shift = n % 3
        buffer = np.full(2 * GUARD + (n + shift) * whole.itemsize, 0xA5, np.uint8)
        at = GUARD + shift * whole.itemsize
        pointers = [x.ctypes.data + shift * x.itemsize for x in operands] + [0] * (3 - len(operands))
        call(buffer.ctypes.data + at, *pointers, n)
        end = at + n * whole.itemsize
        assert buffer[at:end].tobytes() == whole[shift : shift + n].tobytes(), n
        assert (buffer[:at] == 0xA5).all() and (buffer[end:] == 0xA5).all(), n


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_in_place(cpu, row):
    """dst may be any operand, or all of them, also where elements get wider or narrower."""
    op, dtype = row
    for n in (1, 64, 200, 1024):
        operands = operands_of(row, n)
        out = tables.result_type(op, dtype)
        for same in [{i} for i in range(len(operands))] + [set(range(len(operands)))]:
            if len({operands[i].dtype for i in same}) > 1:
                same = set(range(1, len(operands)))
            values = [operands[min(same)] if i in same else x for i, x in enumerate(operands)]
            wanted = tables.run(cpu, op, dtype, *values, strip=1 << 20)
            shared = np.zeros(n * 16, np.uint8)
            source = values[min(same)]
            shared[: source.nbytes] = source.view(np.uint8)
            pointers = [shared.ctypes.data if i in same else x.ctypes.data for i, x in enumerate(values)]
            tables.routine(cpu, op, dtype)(shared.ctypes.data, *pointers, *[0] * (3 - len(pointers)), n)
            assert shared[: n * out.itemsize].tobytes() == wanted.tobytes(), (n, same)


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_move(cpu, size):
    rng = np.random.default_rng(size)
    strides = (0, 1, 2, 5, -1, -3)
    move = tables.table(cpu).move
    for to in strides[1:]:
        for by in strides:
            for n in (0, 1, 5, 64, 65, 190):
                source = rng.integers(0, 256, (2000, size), np.uint8)
                target = np.zeros((2000, size), np.uint8)
                wanted = target.copy()
                for i in range(n):
                    wanted[1000 + to * i] = source[1000 + by * i]
                move(
                    target[1000:].ctypes.data, to * size, source[1000:].ctypes.data, by * size, n, size.bit_length() - 1
                )
                assert np.array_equal(target, wanted), (to, by, n)


def test_copy(cpu):
    rng = np.random.default_rng(0)
    source = rng.integers(1, 256, 9000, np.uint8)
    for n in (*range(0, 140), 255, 256, 257, 1023, 4095, 4096, 4097, 8000):
        for at in (0, 1, 63):
            target = np.zeros(9000, np.uint8)
            tables.table(cpu).copy(target[at:].ctypes.data, source[65:].ctypes.data, n)
            assert np.array_equal(target[at : at + n], source[65 : 65 + n]), (n, at)
            assert not target[:at].any() and not target[at + n :].any(), (n, at)


@pytest.mark.parametrize(
    "first, step", [(0, 1), (-5, 3), (7, 0), (2**31 - 3, 1), (2**63 - 3, 2), (-(2**63), -1), (10, -4)]
)
def test_iota(cpu, first, step):
    for n in (0, 1, 17, 1024):
        for bits in (32, 64):
            out = np.full(n + 1, -7, f"i{bits // 8}")
            getattr(tables.table(cpu), f"iota{bits}")(out.ctypes.data, first, step, n)
            mask = (1 << bits) - 1
            wanted = np.array([(first + i * step) & mask for i in range(n)], f"u{bits // 8}").view(out.dtype)
            assert np.array_equal(out[:n], wanted) and out[n] == -7
