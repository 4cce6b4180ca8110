"""Layout of a program file (``.kjx``): fixed header, section table, sections. Little-endian, 64-byte aligned.

==========  =====================================================================================
header      64 bytes, then ``n_sections`` rows of 32 bytes; zero padding up to the first section
``TENS``    tensors: where each buffer lives (32 bytes each)
``ARGS``    inputs, then outputs: tensor, dtype, shape, donation (``ARGUMENT`` + dims)
``CODE``    instructions, each a multiple of 8 bytes (``engine/format.h``)
``BODY``    micro-operations, 8 bytes each
``CNST``    bytes of the constants, 64-byte aligned each
``META``    UTF-8 JSON: names, pytrees, source lines; never read by the vm
``SHLO``    portable StableHLO artifact; never read by the engine
``SIGN``    signature over all bytes before it; never read by the vm
==========  =====================================================================================

Every section starts at a multiple of 64; the bytes between sections are zero; the file ends with
the last section, padded to 64. Each section and the header carry an XXH64 hash (seed 0), so a
flipped bit anywhere is found before anything is believed.
"""

import struct

MAGIC = b"KJX\x1a"
VERSION_MAJOR = 1
VERSION_MINOR = 0
ALIGNMENT = 64

# magic, major, minor, total bytes, number of sections, flags (0), lanes, 0, arena bytes, hash of header+table
# with this field zero; reserved
HEADER = struct.Struct("<4sHHQIIIIQQ16x")
SECTION = struct.Struct("<4sIQQQ")  # id, number of records, offset, bytes, hash
TENSOR = struct.Struct("<BBHIQQQ")  # dtype, storage, 0, index of input/output or 0, byte offset, bytes, 0
ARGUMENT = struct.Struct("<IBBHI4x")  # tensor, dtype, rank, flags, alias; followed by rank u64 dims
NO_ALIAS = 0xFFFFFFFF  # for outputs: else the input whose buffer this output is updated in

SECTIONS = ("TENS", "ARGS", "CODE", "BODY", "CNST", "META", "SHLO", "SIGN")  # in this order
REQUIRED = ("TENS", "ARGS", "CODE", "BODY", "CNST")

STORAGE = {"input": 1, "output": 2, "constant": 3, "arena": 4}
