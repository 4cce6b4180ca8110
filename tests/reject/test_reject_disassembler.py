"""The disassembler gives back what was assembled, and an error of ours for whatever else it is fed."""

import pathlib
import random
from dataclasses import replace

import pytest
from images import PROGRAMS, assembled, map_nest

from kjax import errors
from kjax.bytecode import disassembler, outline
from kjax.bytecode.assembler import assemble
from kjax.isa import status


@pytest.mark.parametrize("name", PROGRAMS)
def test_round_trip(name):
    image = PROGRAMS[name]()
    data = assemble(image)
    again = disassembler.disassemble(data)
    assert again == image
    assert assemble(again) == data


def test_sections_that_the_vm_does_not_read():
    data = assembled(map_nest(), meta={"name": "f", "sources": ["model.py:7"]}, stablehlo=b"ML\xefR")
    again = disassembler.disassemble(data)
    assert again.meta["name"] == "f" and again.stablehlo == b"ML\xefR"
    assert list(outline.sections(data)) == ["TENS", "ARGS", "CODE", "BODY", "CNST", "META", "SHLO"]


def test_listing():
    image = map_nest()
    image.meta = {"sources": ["model.py:7"]}
    image.code[0] = replace(image.code[0], source=1)
    text = disassembler.as_text(assemble(image))
    for line in ("nest 2x3 strip 256 regs 4    ; model.py:7", "v0 = t0 f32 [3*i0 + i1]", "v1 = t1 f32 [i1]",
                 "v3 = iota i1",
                 "r2 = add.f32 r0, r1", "r3 = to_i32.f32 r2", "store.i32 v2, r3", "r1 = iota.i32 v3"):
        assert any(found.strip().endswith(line) for found in text.splitlines()), (line, text)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_instruction_has_a_line(name):
    image = PROGRAMS[name]()
    text = disassembler.as_text(assemble(image))
    numbered = [line for line in text.splitlines() if line[:5].strip().isdigit()]
    assert len(numbered) == len(image.code)
    assert sum(line.strip().startswith("end") or " end" in line[:40] for line in numbered) == sum(
        type(i).__name__ == "End" for i in image.code)


def test_damaged_bytes_are_an_error_of_ours():
    good = assemble(PROGRAMS["loop"]())
    dice = random.Random(1)
    for n in range(0, 256, 7):  # within the table
        with pytest.raises(errors.VerifyError):
            disassembler.disassemble(good[:n])
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(dice.randint(1, 3)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            disassembler.as_text(bytes(data))
        except errors.VerifyError:
            pass


def test_every_status_of_the_verifier_has_a_test():
    said = "".join(p.read_text() for p in pathlib.Path(__file__).parent.glob("test_*.py"))
    for row in status.STATUSES:
        if 16 <= row.number <= 81:
            assert f'"{row.name}"' in said, row.name
