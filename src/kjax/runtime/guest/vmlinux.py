"""The uncompressed kernel out of a bzImage.

QEMU starts an uncompressed x86-64 kernel directly (PVH), which saves the decompression: 3 of 5 seconds under TCG.
The boot protocol's header (Documentation/arch/x86/boot.rst) says where the compressed payload lies.
"""

import bz2
import lzma
import shutil
import struct
import subprocess
import zlib

_SETUP_SECTORS = 0x1F1
_MAGIC = 0x202  # "HdrS"
_PAYLOAD = 0x248  # offset from the protected-mode code, length


def _zstd(data):
    try:
        from compression import zstd  # Python 3.14

        return zstd.decompress(data)
    except ImportError:
        pass
    if not shutil.which("zstd"):
        return None
    # the payload is followed by its unpacked size, which zstd takes for a second, broken frame
    done = subprocess.run(["zstd", "-dcq"], input=data, capture_output=True)
    return done.stdout or None


_DECOMPRESSORS = (
    (b"\xfd7zXZ\x00", lambda data: lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data)),
    (b"\x5d\x00\x00", lambda data: lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(data)),
    (b"\x1f\x8b\x08", lambda data: zlib.decompressobj(31).decompress(data)),
    (b"BZh", lambda data: bz2.BZ2Decompressor().decompress(data)),
    (b"\x28\xb5\x2f\xfd", _zstd),
)


def decompress(data):
    """``data`` unpacked by whichever format it is in; as it is when it is in none; None without a decompressor."""
    for magic, unpack in _DECOMPRESSORS:
        if data.startswith(magic):
            return unpack(data)
    return data


def extract(image):
    """The ELF file inside ``image`` (the bytes of a bzImage), or None when its compression is not known here.

    A kernel that cannot be unpacked still boots from its bzImage, only later.
    """
    if image[_MAGIC:_MAGIC + 4] != b"HdrS":
        return None
    code = (max(image[_SETUP_SECTORS], 1) + 1) * 512
    offset, length = struct.unpack_from("<II", image, _PAYLOAD)
    elf = decompress(image[code + offset:code + offset + length])
    return elf if elf and elf.startswith(b"\x7fELF") else None
