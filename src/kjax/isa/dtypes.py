"""Element types: number in a program, size in memory, NumPy and StableHLO spelling.

Numbers are part of the program format and never change. Types narrower than a byte occupy one byte
an element, sign- or zero-extended (the layout that ml_dtypes uses too); ``i1`` is a byte 0 or 1;
complex numbers are interleaved (real, imaginary).
"""

from dataclasses import dataclass

import ml_dtypes
import numpy as np


@dataclass(frozen=True)
class DType:
    """One element type.

    ``compute`` names the type in which arithmetic on it is carried out: itself for native types,
    ``f32`` for small floats (each operation rounds back), ``i8``/``u8`` for sub-byte integers.
    """

    number: int
    name: str
    size: int
    kind: str  # "bool", "int", "uint", "float", "complex"
    numpy: np.dtype
    stablehlo: str
    compute: str
    bits: int

    def __str__(self):
        return self.name

    @property
    def is_native(self):
        return self.compute == self.name

    @property
    def is_float(self):
        return self.kind == "float"

    @property
    def is_complex(self):
        return self.kind == "complex"

    @property
    def is_integer(self):
        return self.kind in ("int", "uint")

    @property
    def sign_is_stored(self):
        """Below a byte: the sign fills what the number leaves of its byte."""
        return self.kind == "int" and self.bits < 8


def _row(number, name, size, kind, numpy, stablehlo=None, compute=None, bits=None):
    return DType(number, name, size, kind, np.dtype(numpy), stablehlo or name, compute or name,
                 size * 8 if bits is None else bits)


DTYPES = (
    _row(1, "i1", 1, "bool", np.bool_, bits=1),
    _row(2, "i2", 1, "int", ml_dtypes.int2, compute="i8", bits=2),
    _row(3, "i4", 1, "int", ml_dtypes.int4, compute="i8", bits=4),
    _row(4, "i8", 1, "int", np.int8),
    _row(5, "i16", 2, "int", np.int16),
    _row(6, "i32", 4, "int", np.int32),
    _row(7, "i64", 8, "int", np.int64),
    _row(8, "u2", 1, "uint", ml_dtypes.uint2, "ui2", "u8", 2),
    _row(9, "u4", 1, "uint", ml_dtypes.uint4, "ui4", "u8", 4),
    _row(10, "u8", 1, "uint", np.uint8, "ui8"),
    _row(11, "u16", 2, "uint", np.uint16, "ui16"),
    _row(12, "u32", 4, "uint", np.uint32, "ui32"),
    _row(13, "u64", 8, "uint", np.uint64, "ui64"),
    _row(14, "f16", 2, "float", np.float16, compute="f32"),
    _row(15, "bf16", 2, "float", ml_dtypes.bfloat16, compute="f32"),
    _row(16, "f32", 4, "float", np.float32),
    _row(17, "f64", 8, "float", np.float64),
    _row(18, "c64", 8, "complex", np.complex64, "complex<f32>"),
    _row(19, "c128", 16, "complex", np.complex128, "complex<f64>"),
    _row(20, "f8e4m3fn", 1, "float", ml_dtypes.float8_e4m3fn, "f8E4M3FN", "f32"),
    _row(21, "f8e5m2", 1, "float", ml_dtypes.float8_e5m2, "f8E5M2", "f32"),
    _row(22, "f8e4m3b11fnuz", 1, "float", ml_dtypes.float8_e4m3b11fnuz, "f8E4M3B11FNUZ", "f32"),
    _row(23, "f8e4m3fnuz", 1, "float", ml_dtypes.float8_e4m3fnuz, "f8E4M3FNUZ", "f32"),
    _row(24, "f8e5m2fnuz", 1, "float", ml_dtypes.float8_e5m2fnuz, "f8E5M2FNUZ", "f32"),
    _row(25, "f8e4m3", 1, "float", ml_dtypes.float8_e4m3, "f8E4M3", "f32"),
    _row(26, "f8e3m4", 1, "float", ml_dtypes.float8_e3m4, "f8E3M4", "f32"),
    _row(27, "f8e8m0fnu", 1, "float", ml_dtypes.float8_e8m0fnu, "f8E8M0FNU", "f32"),
    _row(28, "f4e2m1fn", 1, "float", ml_dtypes.float4_e2m1fn, "f4E2M1FN", "f32", 4),
    _row(29, "f6e2m3fn", 1, "float", ml_dtypes.float6_e2m3fn, "f6E2M3FN", "f32", 6),
    _row(30, "f6e3m2fn", 1, "float", ml_dtypes.float6_e3m2fn, "f6E3M2FN", "f32", 6),
)

BY_NAME = {t.name: t for t in DTYPES}
BY_NUMBER = {t.number: t for t in DTYPES}
BY_NUMPY = {t.numpy: t for t in DTYPES}
BY_STABLEHLO = {t.stablehlo: t for t in DTYPES}


def of(numpy_dtype):
    """The element type of a NumPy dtype. Raises KeyError for one that kjax has no row for (float128, str...)."""
    return BY_NUMPY[np.dtype(numpy_dtype)]


SMALL_FLOATS = tuple(t.name for t in DTYPES if t.kind == "float" and not t.is_native)
NATIVE_INTS = ("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")
NATIVE_FLOATS = ("f32", "f64")
COMPLEX = ("c64", "c128")
# operands that a contraction takes beside those of its own type: as if they were converted to it
_NARROW = frozenset(("i2", "i4", "i8", "i16", "u2", "u4", "u8"))
WIDENED = {"i32": _NARROW, "u32": _NARROW}
ALL = tuple(t.name for t in DTYPES)
