"""What a program takes, gives and says of itself, without its code: all that is needed to call it.

A process that only runs programs imports this and not the records of every instruction.
"""

import json
import struct
from dataclasses import dataclass
from typing import NamedTuple

from kjax import errors
from kjax.isa import container, dtypes

NONE = 0xFFFFFFFF


@dataclass(frozen=True)
class Argument:
    """An input or output. ``tensor`` is None when it has no elements; ``alias`` is the input that an output updates."""

    tensor: int | None
    dtype: str
    shape: tuple
    alias: int | None = None


class Outline(NamedTuple):
    """``inputs`` and ``outputs`` of each lane; ``meta`` and ``stablehlo`` as in ``program.Image``."""

    inputs: list
    outputs: list
    lanes: int
    meta: dict
    stablehlo: bytes


def _table(data):
    """The rows of the section table. Raises VerifyError when the header or the table cannot be read."""
    try:
        magic, major, minor, _, n, *_ = container.HEADER.unpack_from(data)
        if magic != container.MAGIC:
            raise errors.VerifyError("not a kjax program: it does not begin with KJX", status=17)
        if major != container.VERSION_MAJOR:
            raise errors.VerifyError(f"written for version {major}.{minor} of the program format", status=18)
        first, step = container.HEADER.size, container.SECTION.size
        return [container.SECTION.unpack_from(data, first + k * step) for k in range(n)]
    except struct.error as e:
        raise errors.VerifyError(f"not a whole program: {e}", status=16) from None


def sections(data):
    """The section table of a program: ``{name: (record count, bytes)}``, in the file's order.

    Raises VerifyError when the header or the table cannot be read.
    """
    return {name.decode("latin-1"): (count, bytes(data[offset:offset + size]))
            for name, count, offset, size, _ in _table(data)}


def meta(data):
    """The META record of a program's bytes, {} where there is none. Raises VerifyError, ValueError."""
    for name, _, offset, size, _ in _table(data):
        if name == b"META":
            return json.loads(bytes(data[offset:offset + size]))
    return {}


def arguments(section):
    """(inputs, outputs) of the ARGS section, as ``sections`` gives it."""
    count, data = section
    found, at = [], 0
    for _ in range((count >> 16) + (count & 0xFFFF)):
        tensor, dtype, rank, _, alias = container.ARGUMENT.unpack_from(data, at)
        at += container.ARGUMENT.size
        found.append(Argument(None if tensor == NONE else tensor, dtypes.BY_NUMBER[dtype].name,
                              struct.unpack_from(f"<{rank}Q", data, at), None if alias == container.NO_ALIAS else alias))
        at += 8 * rank
    return found[:count >> 16], found[count >> 16:]


def outline(data):
    """The ``Outline`` of a ``.kjx``'s bytes. Raises VerifyError when they cannot be read as a program."""
    parts = sections(data)
    try:
        *_, lanes, _, _, _ = container.HEADER.unpack_from(data)
        inputs, outputs = arguments(parts["ARGS"])
        return Outline(inputs, outputs, lanes, json.loads(parts["META"][1]) if "META" in parts else {},
                       parts.get("SHLO", (0, b""))[1])
    except (struct.error, KeyError, ValueError) as e:
        raise errors.VerifyError(f"the program cannot be read: {e}") from None
