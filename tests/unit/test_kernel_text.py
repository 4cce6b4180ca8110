"""module/decimal.c and module/json.c, built for user space: numbers and arrays as text, without floating point."""

import ctypes
import json
import math
import struct
import subprocess
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kjax.isa import dtypes

ROOT = Path(__file__).parents[2]
FORMATS = {"f16": (np.float16, np.uint16), "bf16": (ml_dtypes.bfloat16, np.uint16), "f32": (np.float32, np.uint32),
           "f64": (np.float64, np.uint64)}  # fmt: skip


class Decimal(ctypes.Structure):
    _fields_ = [("exponent", ctypes.c_int32), ("n_digits", ctypes.c_uint32), ("negative", ctypes.c_bool),
                ("sticky", ctypes.c_bool), ("integral", ctypes.c_bool), ("digits", ctypes.c_uint8 * 64)]  # fmt: skip


class Shape(ctypes.Structure):
    _fields_ = [("dtype", ctypes.c_uint32), ("rank", ctypes.c_uint32), ("dims", ctypes.POINTER(ctypes.c_uint64))]


class Reader(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("end", ctypes.c_void_p)]


class Writer(ctypes.Structure):
    _fields_ = [("text", ctypes.c_void_p), ("capacity", ctypes.c_uint64), ("needed", ctypes.c_uint64)]


@pytest.fixture(scope="session")
def lib(tmp_path_factory):
    out = tmp_path_factory.mktemp("text") / "text.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined",
                    "-fsanitize-undefined-trap-on-error", "-mgeneral-regs-only", f"-I{ROOT}/host", f"-I{ROOT}/engine",
                    f"-I{ROOT}/module", f"{ROOT}/module/decimal.c", f"{ROOT}/module/json.c", "-o", out],
                   check=True)  # fmt: skip
    lib = ctypes.CDLL(str(out))
    lib.kjax_decimal_to_float.restype = ctypes.c_uint64
    lib.kjax_decimal_write.argtypes = [ctypes.c_uint64, ctypes.c_void_p, ctypes.c_char_p]
    for name in ("kjax_decimal_read", "kjax_json_read", "kjax_json_write", "kjax_json_has_text"):
        getattr(lib, name).restype = ctypes.c_bool
    return lib


def format_of(lib, name):
    return ctypes.byref((ctypes.c_char * 6).in_dll(lib, f"kjax_{name}"))


def parse(lib, text):
    """(accepted, length read, Decimal)."""
    data = ctypes.create_string_buffer(text.encode())
    base = ctypes.addressof(data)
    at, d = ctypes.c_void_p(base), Decimal()
    ok = lib.kjax_decimal_read(ctypes.byref(at), ctypes.c_void_p(base + len(text)), ctypes.byref(d))
    return ok, at.value - base, d


def to_bits(lib, text, name):
    ok, n, d = parse(lib, text)
    assert ok and n == len(text), text
    return lib.kjax_decimal_to_float(ctypes.byref(d), format_of(lib, name))


def to_text(lib, bits, name):
    text = ctypes.create_string_buffer(32)
    assert lib.kjax_decimal_write(bits, format_of(lib, name), text) == len(text.value)
    return text.value.decode()


def f64_bits(x):
    return struct.unpack("<Q", struct.pack("<d", x))[0]


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, (1 << 64) - 1))
@example(1 << 56)
def test_f64_of_any_bits_there_and_back_and_shortest(lib, bits):
    x = struct.unpack("<d", struct.pack("<Q", bits))[0]
    text = to_text(lib, bits, "f64")
    if math.isnan(x):
        assert text == "NaN"
        return
    assert json.loads(text) == x
    if math.isfinite(x):
        assert to_bits(lib, repr(x), "f64") == bits
        digits = [t.partition("e")[0].replace(".", "").replace("-", "").strip("0") for t in (text, repr(x))]
        assert digits[0] == digits[1]


@settings(max_examples=500, deadline=None)
@given(st.from_regex(r"-?(0|[1-9][0-9]{0,70})(\.[0-9]{1,60})?([eE][+-]?[0-9]{1,4})?", fullmatch=True))
def test_any_number_rounds_like_python(lib, text):
    assert to_bits(lib, text, "f64") == f64_bits(float(text)), text


@pytest.mark.parametrize("name", ["f16", "bf16"])
def test_16_bit_floats(lib, name):
    kind = FORMATS[name][0]
    for bits in range(0, 1 << 16, 3):  # all signs, exponents and classes of 16-bit values
        x = float(np.uint16(bits).view(kind))
        text = to_text(lib, bits, name)
        if math.isfinite(x):
            assert to_bits(lib, text, name) == bits, (bits, text)
        else:
            assert text == ("NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity")


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 0x7F7FFFFE))
def test_f32_ties_go_to_even(lib, bits):
    """The exact middle of two neighbours, and the least bit more."""
    low, high = (int(np.uint32(b).view(np.float32).astype(np.float64).view(np.uint64)) for b in (bits, bits + 1))
    middle = struct.unpack("<d", struct.pack("<Q", (low + high) // 2))[0]
    assert to_bits(lib, repr(middle), "f32") in (bits, bits + 1)
    scaled = f"{middle:.160f}".rstrip("0")
    scaled += "0" * scaled.endswith(".")
    if bits >= 0x20000000 and sum(c.isdigit() for c in scaled.lstrip("0.")) <= 64:  # further digits than these do not break ties
        assert to_bits(lib, scaled, "f32") == bits + (bits & 1)
        assert to_bits(lib, scaled + "0" * 80 + "1", "f32") == bits + 1


@pytest.mark.parametrize("text", ["", "-", "01", "-01", ".5", "1.", "1e", "1e+", "+1", "x", "--1", "e5"])
def test_what_is_no_number(lib, text):
    assert not parse(lib, text)[0]


# --- arrays


def read(lib, text, dtype, shape):
    """The array, or None when it is refused; with the number of bytes read."""
    row = dtypes.BY_NAME[dtype]
    out = np.zeros(shape, row.numpy)
    dims = (ctypes.c_uint64 * max(1, len(shape)))(*shape)
    data = ctypes.create_string_buffer(text.encode())
    base = ctypes.addressof(data)
    reader = Reader(base, base + len(text))
    ok = lib.kjax_json_read(ctypes.byref(reader), ctypes.byref(Shape(row.number, len(shape), dims)),
                            ctypes.c_void_p(out.ctypes.data))
    return (out if ok else None), reader.at - base


def write(lib, array, dtype):
    row = dtypes.BY_NAME[dtype]
    dims = (ctypes.c_uint64 * max(1, array.ndim))(*array.shape)
    shape = Shape(row.number, array.ndim, dims)
    count = Writer()
    if not lib.kjax_json_write(ctypes.byref(count), ctypes.byref(shape), ctypes.c_void_p(array.ctypes.data)):
        return None
    text = ctypes.create_string_buffer(count.needed + 8)
    full = Writer(ctypes.addressof(text), count.needed, 0)
    lib.kjax_json_write(ctypes.byref(full), ctypes.byref(shape), ctypes.c_void_p(array.ctypes.data))
    assert full.needed == count.needed == len(text.value)
    return text.value.decode()


INTEGERS = {name: (0, 1) if name == "i1" else (int(np.iinfo(dtypes.BY_NAME[name].numpy).min),
                                               int(np.iinfo(dtypes.BY_NAME[name].numpy).max))
            for name in ("i1", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")}  # fmt: skip


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_at_their_limits(lib, dtype):
    low, high = INTEGERS[dtype]
    array, n = read(lib, f"[{low}, {high}]", dtype, (2,))
    assert array.tolist() == [low, high]
    assert json.loads(write(lib, array, dtype)) == [low, high]
    for text in (f"[{low - 1}, 0]", f"[{high + 1}, 0]", "[1.0, 0]", "[1e0, 0]", "[NaN, 0]", f"[{10**30}, 0]"):
        assert read(lib, text, dtype, (2,))[0] is None
    assert (read(lib, "[true, false]", dtype, (2,))[0] is not None) == (dtype == "i1")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=4), st.sampled_from(["i32", "f32", "f64", "u8", "i1", "bf16"]), st.randoms())
def test_nested_lists_are_what_json_makes_of_them(lib, shape, dtype, random):
    row = dtypes.BY_NAME[dtype]
    size = math.prod(shape)
    array = np.array([random.randrange(2) if dtype == "i1" else random.randrange(200) for _ in range(size)])
    array = array.astype(row.numpy).reshape(shape)
    text = write(lib, array, dtype)
    assert json.loads(text) == array.tolist()
    loose = text.replace(",", " ,\n ").replace("[", "[ ").replace("]", "\t]")
    for spelling in (text, loose):
        again, n = read(lib, spelling, dtype, tuple(shape))
        assert again is not None and n == len(spelling)
        assert again.tobytes() == array.tobytes()
    for cut in range(0, len(text), 7):
        if shape:
            assert read(lib, text[:cut], dtype, tuple(shape))[0] is None
    if shape:
        assert read(lib, text, dtype, (*shape, 1))[0] is None or 0 in shape


@pytest.mark.parametrize("dtype", ["c64", "c128", "f8e4m3fn", "i4", "u2"])
def test_dtypes_without_text(lib, dtype):
    assert not lib.kjax_json_has_text(dtypes.BY_NAME[dtype].number)
    assert read(lib, "[1]", dtype, (1,))[0] is None
