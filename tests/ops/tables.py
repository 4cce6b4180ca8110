"""The cpu tables as Python callables: built from ``engine/cpu/*.c`` with the flags of ``engine/flags.mk``.

The build is kept under ``build/ops`` by the hash of what went into it, so only a changed ukernel is compiled again.
"""

import ctypes
import fcntl
import functools
import hashlib
import pathlib
import re
import subprocess
import tempfile

import numpy as np
import pytest

from kjax.isa import dtypes, ops

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENGINE = ROOT / "engine"
CPUS = ("scalar", "avx2", "avx512")
HAS = {
    "scalar": (),
    "avx2": ("avx2", "fma", "f16c", "bmi1", "bmi2"),
    "avx512": ("avx2", "fma", "f16c", "bmi1", "bmi2", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
}


def flags():
    """The variables of engine/flags.mk, as lists of words."""
    found = {}
    for line in (ENGINE / "flags.mk").read_text().splitlines():
        if match := re.match(r"(\w+)\s*([:+])=\s*(.*)", line):
            found[match[1]] = (found.get(match[1], []) if match[2] == "+" else []) + match[3].split()
    return found


def command(cpu, target):
    f = flags()
    return [
        "gcc",
        "-std=gnu11",
        *f["KJX_FP_FLAGS"],
        *f["KJX_FLAGS_" + cpu],
        "-Werror",
        "-Wall",
        "-Wextra",
        "-Wno-unused-const-variable",
        "-fPIC",
        "-c",
        f"-I{ROOT / 'host'}",
        f"-I{ENGINE}",
        str(ENGINE / "cpu" / f"{cpu}.c"),
        "-o",
        str(target),
    ]


@functools.cache
def objects():
    """Folder with scalar.o, avx2.o, avx512.o and uops.so."""
    digest = hashlib.sha256((ENGINE / "flags.mk").read_bytes())
    for cpu in CPUS:
        rule = subprocess.run([*command(cpu, "x")[:-2], "-MM"], check=True, capture_output=True, text=True).stdout
        for path in sorted(rule.replace("\\\n", " ").split()[1:]):
            digest.update(pathlib.Path(path).read_bytes())
    folder = ROOT / "build/ops" / digest.hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                out = pathlib.Path(scratch) / "out"
                out.mkdir()
                running = [subprocess.Popen(command(cpu, out / f"{cpu}.o")) for cpu in CPUS]
                if any([process.wait() for process in running]):
                    pytest.exit("a cpu table does not compile", 1)
                subprocess.run(
                    ["gcc", "-shared", "-o", out / "uops.so", *(out / f"{cpu}.o" for cpu in CPUS)], check=True
                )
                out.rename(folder)
    return folder


class Table(ctypes.Structure):
    """The first members of struct kjx_cpu."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("needs", ctypes.c_uint32),
        ("uops", ctypes.POINTER(ctypes.c_void_p)),
        ("cells", ctypes.POINTER(ctypes.c_void_p)),
        (
            "move",
            ctypes.CFUNCTYPE(
                None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64, ctypes.c_uint32
            ),
        ),
        ("runs", ctypes.c_void_p),
        ("spread", ctypes.c_void_p),
        ("copy", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64)),
        ("iota32", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint64)),
        ("iota64", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint64)),
        ("quick", ctypes.POINTER(ctypes.c_void_p)),
        ("pairs", ctypes.c_void_p),
        ("pair_cells", ctypes.c_void_p),
        ("carries", ctypes.c_void_p),
    ]


ROUTINE = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4, ctypes.c_uint64)


@functools.cache
def table(cpu):
    return Table.in_dll(ctypes.CDLL(str(objects() / "uops.so")), "kjx_cpu_" + cpu)


@functools.cache
def usable():
    """The tables that this processor can run."""
    present = set(re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)[1].split())
    return tuple(cpu for cpu in CPUS if present.issuperset(HAS[cpu]))


def code(op, dtype):
    return op.number << ops.DTYPE_BITS | dtypes.BY_NAME[dtype].number


def routine(cpu, op, dtype):
    return ROUTINE(table(cpu).uops[code(op, dtype)])


def operand_types(op, dtype):
    """NumPy types of the operands of a row."""
    own = dtypes.BY_NAME[dtype].numpy
    return (np.dtype(np.bool_), own, own) if op.form == "select" else (own,) * op.arity


def result_type(op, dtype):
    """NumPy type of the result of a row."""
    if op.form in ("compare", "test"):
        return np.dtype(np.bool_)
    if op.form == "convert":
        return dtypes.BY_NAME[op.converts_to].numpy
    if op.form == "part":
        return np.dtype({"c64": np.float32, "c128": np.float64}[dtype])
    if op.form == "join":
        return np.dtype({"f32": np.complex64, "f64": np.complex128}[dtype])
    return dtypes.BY_NAME[dtype].numpy


def run(cpu, op, dtype, *operands, strip=1024):
    """Result of a row on whole arrays, strip by strip."""
    operands = [np.ascontiguousarray(x) for x in operands]
    n = operands[0].size
    out = np.zeros(n, result_type(op, dtype))
    call = routine(cpu, op, dtype)
    for at in range(0, n, strip):
        pointers = [x.ctypes.data + at * x.itemsize for x in operands] + [0] * (3 - len(operands))
        call(out.ctypes.data + at * out.itemsize, *pointers, min(strip, n - at))
    return out
