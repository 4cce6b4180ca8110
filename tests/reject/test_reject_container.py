"""Refusals of the container: header, section table, hashes, padding (statuses 16 to 21, and sizes over the limits)."""

import struct

import pytest
from images import PROGRAMS, assembled, map_nest, poke, rehash, section

from kjax.bytecode.assembler import assemble
from kjax.isa import container

ROW = container.SECTION.size
FIRST = container.HEADER.size


@pytest.fixture
def good():
    return assemble(map_nest())


def rows(data):
    n = struct.unpack_from("<I", data, 16)[0]
    return [data[FIRST + k * ROW:FIRST + (k + 1) * ROW] for k in range(n)]


def with_rows(data, rows):
    """The table replaced, same room, hashes matching."""
    data = bytearray(data)
    room = section(data, "TENS")[1] - FIRST
    table = b"".join(rows)
    data[FIRST:FIRST + room] = table + bytes(room - len(table))
    struct.pack_into("<I", data, 16, len(rows))
    return rehash(data)


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_right_passes(verify, name):
    facts = verify(assemble(PROGRAMS[name]()))
    assert facts["n_instructions"] == len(PROGRAMS[name]().code)


@pytest.mark.parametrize("n", [0, 1, 4, 63])
def test_no_header(refuses, good, n):
    refuses(good[:n], "truncated")


def test_truncated(refuses, good):
    refuses(good[:-64], "truncated")
    refuses(poke(good, "Q", 8, len(good) + 64), "truncated")
    refuses(poke(good[:64], "Q", 8, 64), "truncated")


def test_bad_magic(refuses, good):
    refuses(b"\x7fELF" + good[4:], "bad_magic")


@pytest.mark.parametrize("major, minor", [(0, 0), (2, 0), (1, 1), (1, 0xFFFF)])
def test_bad_version(refuses, good, major, minor):
    refuses(poke(good, "HH", 4, major, minor), "bad_version")


def test_bytes_after_the_end(refuses, good):
    refuses(good + bytes(64), "bad_section")
    refuses(poke(good + bytes(3), "Q", 8, len(good) + 3), "bad_section")
    refuses(poke(good + bytes(64), "Q", 8, len(good) + 64), "bad_section")


@pytest.mark.parametrize("n", [0, 4, 9, 0xFFFFFFFF])
def test_number_of_sections(refuses, good, n):
    refuses(poke(good, "I", 16, n), "bad_section")


@pytest.mark.parametrize("gone", range(5))
def test_missing_section(refuses, good, gone):
    table = rows(good)
    refuses(with_rows(good, table[:gone] + table[gone + 1:]), "bad_section")


def test_repeated_swapped_unknown_section(refuses):
    good = assembled(map_nest(), meta={})  # room for a sixth row
    table = rows(good)
    refuses(with_rows(good, table[:1] + table), "bad_section")
    refuses(with_rows(good, [table[1], table[0]] + table[2:]), "bad_section")
    refuses(with_rows(good, table[:-1] + [b"WHAT" + table[-1][4:]]), "bad_section")
    refuses(with_rows(good, table + [table[-1]]), "bad_section")


@pytest.mark.parametrize("delta", [1, 8, -64, 64, 1 << 63])
def test_misplaced_section(refuses, good, delta):
    for name in ("TENS", "CODE", "META"):
        at, offset, _ = section(good, name)
        refuses(poke(good, "Q", at + 8, (offset + delta) % 2**64), "bad_section")


@pytest.mark.parametrize("name, size", [
    ("CNST", 1 << 63), ("CNST", 2**64 - 1), ("TENS", 2**64 - 64), ("META", 1 << 20)])
def test_section_reaches_past_the_end(refuses, good, name, size):
    refuses(poke(good, "Q", section(good, name)[0] + 16, size), "bad_section")


@pytest.mark.parametrize("name, delta", [("TENS", 1), ("TENS", -1), ("BODY", 1), ("BODY", -1)])
def test_records_do_not_fill_the_section(refuses, good, name, delta):
    at = section(good, name)[0] + 4
    refuses(poke(good, "I", at, struct.unpack_from("<I", good, at)[0] + delta), "bad_section")


@pytest.mark.parametrize("inputs, outputs, status", [
    (1, 0, "bad_section"), (2, 1, "bad_argument"), (1, 2, "bad_section"), (0, 0, "bad_section"),
    (2, 0, "bad_argument")])
def test_arguments_do_not_fill_their_section(refuses, good, inputs, outputs, status):
    refuses(poke(good, "I", section(good, "ARGS")[0] + 4, inputs << 16 | outputs), status)


def test_number_of_instructions(refuses, good):
    at = section(good, "CODE")[0] + 4
    refuses(poke(good, "I", at, 0), "bad_section")
    refuses(poke(good, "I", at, 2), "bad_section")


def test_bad_hash(refuses, good):
    for name in ("TENS", "ARGS", "CODE", "BODY", "CNST", "META"):
        _, offset, size = section(good, name)
        for at in (offset, offset + size - 1):
            refuses(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:], "bad_hash")
    for at in (20, 24, 32, 40, 48, 63, FIRST, FIRST + 5 * ROW):
        refuses(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:], "bad_hash")


@pytest.mark.parametrize("at", [20, 28, 48, 56])
def test_reserved_field_of_the_header(refuses, good, at):
    refuses(poke(good, "I", at, 1), "reserved_set")


def test_padding(refuses, good):
    for name in ("BODY", "CNST", "META"):
        _, offset, size = section(good, name)
        refuses(poke(good, "B", offset + size, 1), "reserved_set")
    image = map_nest()
    image.meta = {}
    data = assemble(image)  # five rows: half a line of padding after the table
    refuses(poke(data, "B", FIRST + 5 * ROW, 1), "reserved_set")


@pytest.mark.parametrize("name", ["CNST", "META"])
def test_count_where_there_are_no_records(refuses, good, name):
    refuses(poke(good, "I", section(good, name)[0] + 4, 1), "reserved_set")


def test_header_over_the_limits(refuses, good):
    for lanes in (0, 65, 0xFFFFFFFF):
        refuses(poke(good, "I", 24, lanes), "too_large")
    refuses(poke(good, "Q", 32, (1 << 40) + 1), "too_large")
    refuses(poke(good, "Q", 8, (1 << 40) + 64), "truncated")
    refuses(poke(good, "I", section(good, "TENS")[0] + 4, (1 << 20) + 1), "too_large")
    refuses(poke(good, "I", section(good, "ARGS")[0] + 4, 4097 << 16), "too_large")
    refuses(poke(good, "I", section(good, "ARGS")[0] + 4, 4097), "too_large")


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_byte_flipped(verify, refuses, name):
    """Whatever byte is damaged, and however, the program is refused before it is believed."""
    from kjax import errors

    good = assemble(PROGRAMS[name]())
    for at in range(len(good)):
        for change in (0x01, 0x80, 0xFF):
            with pytest.raises(errors.KjaxError) as caught:
                verify(good[:at] + bytes([good[at] ^ change]) + good[at + 1:])
            assert caught.value.status.number in range(16, 82)


@pytest.mark.parametrize("name", ["map_nest", "loop", "exchange"])
def test_every_length(verify, name):
    from kjax import errors

    good = assemble(PROGRAMS[name]())
    for n in range(len(good)):
        with pytest.raises(errors.VerifyError):
            verify(good[:n])


@pytest.mark.parametrize("n", [0, 1, 3, 4, 7, 8, 12, 31, 32, 33, 63, 64, 95, 96, 97, 1000])
def test_hash_of_any_length(verify, n):
    """The assembler hashes with the xxhash package, the engine with its own code."""
    verify(assembled(map_nest(), constants=bytes(12) + bytes(range(256)) * 4 + b"x" * n))
