"""libkjax as a C programmer meets it: the header, the exported names, what it needs, the sample."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kjax import config

ROOT = Path(__file__).parents[2]
HEADER = config.include() / "kjax" / "kjax.h"


def _run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


def _flags():
    return _run(sys.executable, "-m", "kjax.config", "--cflags", "--libs").split()


def test_exports_what_the_header_declares():
    declared = set(re.findall(r"^KJAX_API .*?(\w+)\(", HEADER.read_text(), re.M))
    exported = set(re.findall(r" [TDBR] (\S+)", _run("nm", "-D", "--defined-only", config.library())))
    assert declared == exported and {"load_jax_library", "execute_jax_transformation", "execute_jax_program"} <= exported


def test_needs_libc_only():
    needed = re.findall(r"NEEDED.*\[(.*)\]", _run("readelf", "-d", config.library()))
    assert set(needed) <= {"libc.so.6", "ld-linux-x86-64.so.2"}


@pytest.mark.parametrize("language", [["-x", "c", "-std=c99"], ["-x", "c++", "-std=c++11"]])
def test_the_header_stands_alone(language, tmp_path):
    source = tmp_path / "alone.h"
    source.write_text("#include <kjax/kjax.h>\n")
    _run("gcc", *language, "-fsyntax-only", "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{config.include()}", source)


def test_every_function_is_documented():
    text = HEADER.read_text()
    sections = "".join(re.findall(r"/\*.*?\*/", text, re.S))
    for name in re.findall(r"^KJAX_API .*?(\w+)\(", text, re.M):
        if not re.match(r"kjax_(buffer|values)_", name):  # accessors whose name says all
            assert name in sections, name


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """The library that samples/c/policy.c asks for, as its comment says."""
    jnp = pytest.importorskip("jax.numpy")
    import kjax

    def loss(w, x, y):
        return jnp.mean((x @ w - y) ** 2)

    example = (np.zeros(2, np.float32), np.zeros((3, 2), np.float32), np.zeros(3, np.float32))
    path = tmp_path_factory.mktemp("policy") / "policy.kjl"
    kjax.library({"loss": (loss, example)}, transformations=["jit", "grad"]).save(str(path))
    return path


def test_the_sample(policy, tmp_path):
    program = tmp_path / "policy"
    _run("gcc", "-Wall", "-Wextra", "-Werror", "-O2", ROOT / "samples" / "c" / "policy.c", *_flags(), "-o", program)
    lines = _run(program, policy).splitlines()
    assert lines[0].startswith("gradient at 0: [[")
    np.testing.assert_allclose(np.array(eval(lines[0].split(": ")[1]))[0], [-2, 0], atol=1e-6)
    np.testing.assert_allclose([float(x) for x in lines[1].split(": ")[1].split()], [2, -1], atol=1e-3)
    missing = subprocess.run([program, tmp_path / "none.kjl"], capture_output=True, text=True)
    assert missing.returncode == 1 and "No such file" in missing.stderr
