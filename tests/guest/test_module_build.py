"""The objects of kjax.ko: vector registers in the cpu tables and nowhere else, nothing of the compiler's run time."""

import re
import subprocess

import pytest

from kjax.runtime.guest import kernels, module


@pytest.fixture(scope="module")
def tree():
    tree = module.ensure(kernels.ensure()).parent.parent / ".tree"
    assert (tree / "kjax.o").is_file()
    return tree


def disassembly(path):
    return subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], check=True, capture_output=True, text=True).stdout


def test_only_cpu_tables_touch_vector_registers(tree):
    checked = 0
    for path in sorted([*tree.glob("module/*.o"), *tree.glob("engine/*.o")]):
        found = re.search(r"%([xyz]mm|st\()", disassembly(path))
        assert not found, f"{path.name} uses {found.group()}"
        checked += 1
    assert checked > 30


@pytest.mark.parametrize("table, register", [("scalar", "xmm"), ("avx2", "ymm"), ("avx512", "zmm")])
def test_cpu_tables_use_their_registers(tree, table, register):
    text = disassembly(tree / f"engine/cpu/{table}.o")
    assert f"%{register}" in text
    wider = {"scalar": r"%[yz]mm", "avx2": r"%zmm"}.get(table)
    assert not (wider and re.search(wider, text))


@pytest.mark.parametrize("table", ["scalar", "avx2", "avx512"])
def test_steps_of_tiles_are_as_in_a_process(tree, table):
    """No tracer's call in a step, nor the aligned stack that comes with one."""
    code = disassembly(tree / f"engine/cpu/{table}.o")
    step = re.search(r"<tile_end>:\n(.*?)\n\n", code, re.S)[1]
    assert "jmp" in step
    assert "call" not in step
    assert "%rsp" not in step


def test_nothing_of_libgcc_is_needed(tree):
    names = subprocess.run(["nm", "-u", tree / "kjax.o"], check=True, capture_output=True, text=True).stdout.split()
    own = [n for n in names if n.startswith("kjx_")]
    assert not own
    helpers = [n for n in names if re.fullmatch(r"__(\w*(di|ti|sf|df|tf)[234]|float\w+|fix\w+)", n)]
    assert not helpers
