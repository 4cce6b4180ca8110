"""Argument types as text: ``"f32[31,256],i32[]"``, the key under which a library finds a program."""

from kjax.errors import VerifyError
from kjax.isa import container, dtypes, status


def type_string(dtype, shape):
    """``("f32", (3, 4))`` -> ``"f32[3,4]"``; ``dtype`` is a name of ``isa/dtypes.py``."""
    return f"{dtype}[{','.join(map(str, shape))}]"


def arguments(image):
    """(lanes, inputs, outputs) of a program's bytes; inputs and outputs are lists of (dtype name, shape) of one lane.

    Reads the ARGS section only and trusts the rest: for programs that were verified, or are about to be.
    Raises VerifyError when the bytes are no program at all.
    """
    try:
        magic, _, _, _, n_sections, _, lanes = container.HEADER.unpack_from(image)[:7]
        if magic != container.MAGIC:
            raise VerifyError("not a kjax program", status=status.BY_NAME["bad_magic"])
        for i in range(n_sections):
            name, count, at, _, _ = container.SECTION.unpack_from(image, container.HEADER.size + i * container.SECTION.size)
            if name == b"ARGS":
                break
        else:
            raise VerifyError("no arguments in this program", status=status.BY_NAME["bad_section"])
        rows = []
        for _ in range((count >> 16) + (count & 0xFFFF)):
            _, dtype, rank, _, _ = container.ARGUMENT.unpack_from(image, at)
            at += container.ARGUMENT.size
            shape = tuple(int.from_bytes(image[at + 8 * d:at + 8 * d + 8], "little") for d in range(rank))
            at += 8 * rank
            rows.append((dtypes.BY_NUMBER[dtype].name, shape))
    except (KeyError, ValueError, IndexError, container.struct.error) as e:
        if isinstance(e, VerifyError):
            raise
        raise VerifyError(f"not a kjax program: {e}", status=status.BY_NAME["truncated"]) from None
    return lanes, rows[:count >> 16], rows[count >> 16:]


def signature_of(image):
    """What a caller passes to a program: its inputs' types; with lanes > 1 each has the lanes as its first dim."""
    lanes, inputs, _ = arguments(image)
    lead = (lanes,) if lanes > 1 else ()
    return ",".join(type_string(dtype, lead + shape) for dtype, shape in inputs) or "()"
