"""The engine's objects: what they may call, that they hold no floating point and no state, and the layouts of the format."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kjax.bytecode import library
from kjax.isa import container

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "engine"
# what the compiler may make of the memory builtins of port.h
MAY_CALL = {"memcpy", "memmove", "memset", "memcmp"}


def _words(name):
    """A list of engine/engine.mk or flags.mk."""
    text = (ENGINE / "engine.mk").read_text() + (ENGINE / "flags.mk").read_text()
    return [w for line in re.findall(rf"^{name} [:+]= (.*)$", text, re.M) for w in line.split()]


def _run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """The core's objects, built as the module builds them but for the port; frames are bounded by the compiler."""
    folder = tmp_path_factory.mktemp("core")
    _run("gcc", "-c", "-std=gnu11", "-O2", "-ffreestanding", "-fno-pic", "-mgeneral-regs-only", "-Werror=vla",
         "-Werror=frame-larger-than=1024", "-Wframe-larger-than=1024", f"-I{ROOT / 'host'}", f"-I{ENGINE}",
         *(ENGINE / f"{name}.c" for name in _words("KJX_CORE")), cwd=folder)
    return sorted(folder.glob("*.o"))


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The cpu tables' objects at -O1: what they call and hold does not depend on the level."""
    folder = tmp_path_factory.mktemp("tables")
    for name in _words("KJX_CPUS"):
        flags = [f for f in _words("KJX_FP_FLAGS") if f != "-O3"]
        _run("gcc", "-c", "-std=gnu11", "-O1", "-fno-pic", *flags, *_words(f"KJX_FLAGS_{name}"), f"-I{ROOT / 'host'}",
             f"-I{ENGINE}", ENGINE / "cpu" / f"{name}.c", cwd=folder)
    return sorted(folder.glob("*.o"))


def test_every_source_is_listed():
    assert sorted(_words("KJX_CORE")) == sorted(f.stem for f in ENGINE.glob("*.c"))
    assert sorted(_words("KJX_CPUS")) == sorted(f.stem for f in (ENGINE / "cpu").glob("*.c"))


def test_the_engine_calls_only_itself(core, tables):
    symbols = [line.split()[-2:] for line in _run("nm", *core, *tables).splitlines() if len(line.split()) >= 2]
    defined = {name for kind, name in symbols if kind != "U"}
    wanted = {name for kind, name in symbols if kind == "U"}
    assert wanted - defined <= MAY_CALL


def test_the_core_has_no_floating_point(core):
    for obj in core:
        code = _run("objdump", "-d", "--no-show-raw-insn", obj)
        assert not re.search(r"%[xyz]mm\d|%st\b|%mm\d|%k\d", code), obj.name


def test_threaded_code_goes_on_by_sibling_calls(core):
    """A loop's stack must not grow (engine/thread.h)."""
    (obj,) = (o for o in core if o.name == "thread.o")
    code = _run("objdump", "-d", "--no-show-raw-insn", obj)
    operations = re.findall(r"^\w+ <(kjx_op_\w+)>:\n((?:.+\n)*)", code, re.M)
    assert len(operations) > 8
    for name, text in operations:
        if name not in ("kjx_op_finish", "kjx_op_call.part.0"):
            assert re.search(r"jmp +\*", text), name
    (obj,) = (o for o in core if o.name == "thread_again.o")
    ends = re.findall(r"^\w+ <(again_\w+)>:\n((?:.+\n)*)", _run("objdump", "-d", "--no-show-raw-insn", obj), re.M)
    assert len(ends) > 8
    for name, text in ends:
        assert re.search(r"jmp +\*", text), name


def test_nothing_is_mutable(core, tables):
    for obj in [*core, *tables]:
        state = [line for line in _run("nm", obj).splitlines() if re.search(r" [bBdDC] ", line)]
        assert not state, (obj.name, state)


def test_external_names_begin_with_kjx(core, tables):
    names = re.findall(r" [TRVW] (\S+)", _run("nm", *core, *tables))
    assert names and all(n.startswith("kjx_") for n in names)


def test_layouts_are_those_of_the_tables(tmp_path):
    expressions = {
        "sizeof(struct kjx_header)": container.HEADER.size, "sizeof(struct kjx_section)": container.SECTION.size,
        "sizeof(struct kjx_tensor)": container.TENSOR.size, "sizeof(struct kjx_argument)": container.ARGUMENT.size,
        "sizeof(struct kjx_library_header)": library.HEADER.size, "sizeof(struct kjx_library_entry)": library.ENTRY.size,
        "sizeof(struct kjx_uop)": 8, "sizeof(struct kjx_operand)": 16, "sizeof(struct kjx_nest)": 32,
        "sizeof(struct kjx_dot)": 24, "sizeof(struct kjx_gather)": 24, "sizeof(struct kjx_index)": 32,
        "sizeof(struct kjx_sort)": 32, "sizeof(struct kjx_while)": 24, "sizeof(struct kjx_do)": 24,
        "sizeof(struct kjx_exchange)": 32, "sizeof(struct kjx_linalg)": 40,
        "offsetof(struct kjx_header, total)": 8, "offsetof(struct kjx_header, lanes)": 24,
        "offsetof(struct kjx_header, arena)": 32, "offsetof(struct kjx_header, hash)": 40,
        "offsetof(struct kjx_section, hash)": 24, "offsetof(struct kjx_tensor, bytes)": 16,
        "offsetof(struct kjx_argument, alias)": 8, "offsetof(struct kjx_library_header, hash)": 32,
        "KJX_LIBRARY_NAME_MAX": library.NAME_MAX + 1, "KJX_LIBRARY_SIGNATURE_MAX": library.SIGNATURE_MAX + 1,
        "KJX_LIBRARY_MAX_ENTRIES": library.MAX_ENTRIES,
    }
    checks = "\n".join(f"_Static_assert({e} == {v}, \"{e}\");" for e, v in expressions.items())
    source = tmp_path / "layout.c"
    source.write_text(f'#include <stddef.h>\n#include "library.h"\n{checks}\n')
    _run("gcc", "-fsyntax-only", "-std=gnu11", f"-I{ROOT / 'host'}", f"-I{ENGINE}", source)


def test_generated_files_are_fresh():
    _run(sys.executable, ROOT / "tools" / "generate.py", "--check")
