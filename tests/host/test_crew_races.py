"""The crew of helper threads under the thread sanitizer: engine, host and several callers in one C program."""

import re
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kjax

ROOT = Path(__file__).parents[2]


def _words(name):
    found = []
    for line in (ROOT / "engine/engine.mk").read_text().splitlines() + (ROOT / "engine/flags.mk").read_text().splitlines():
        if match := re.match(rf"{name}\s*[:+]?=\s*(.*)", line):
            found += match[1].split()
    return found


@pytest.fixture(scope="module")
def stress(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stress")
    engine = [ROOT / f"engine/{name}.c" for name in _words("KJX_CORE")] + [ROOT / "engine/cpu/scalar.c"]
    host = [ROOT / f"host/{name}.c" for name in ("crew", "execute", "features", "lanes", "program")]
    base = ["gcc", "-std=gnu11", "-g", "-O0", "-fsanitize=thread", "-w", f"-I{ROOT / 'host'}", f"-I{ROOT / 'engine'}"]
    # the scalar table alone (select.c then knows no other), and small pieces
    build = [[*base, "-U__x86_64__", "-DKJX_PIECE_SHIFT=6", "-ffreestanding", "-fno-strict-aliasing", "-ffp-contract=off", "-c", *engine],
             [*base, *host, ROOT / "tests/host/crew_stress.c", *(folder / f"{source.stem}.o" for source in engine), "-lpthread", "-lm",
              "-o", folder / "stress"]]
    for command in build:
        made = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True)
        if "libtsan" in made.stderr:
            pytest.skip("no thread sanitizer here")
        assert made.returncode == 0, made.stderr
    return folder / "stress"


def test_no_races(stress, tmp_path):
    def f32(*shape):
        return np.ones(shape, np.float32)

    programs = {
        "map": (lambda x, y: jnp.exp(x) * y, (f32(9000), f32(9000))),
        "net": (lambda x, w: jax.nn.softmax(x @ w), (f32(60, 30), f32(30, 70))),
        "loop": (lambda x: jax.lax.fori_loop(0, 4, lambda i, c: jnp.tanh(c @ x), x), (f32(30, 30),)),
        "rest": (lambda x: (jnp.sort(x, 0), jnp.cumsum(x, 1), x.sum(1),
                            jnp.linalg.cholesky(jnp.eye(5) + 0 * x[:30, :25].reshape(30, 5, 5))),
                 (f32(40, 50),)),
    }
    paths = []
    for name, (fn, args) in programs.items():
        kjax.compile(fn, *args).save(tmp_path / f"{name}.kjx")
        paths.append(str(tmp_path / f"{name}.kjx"))
    done = subprocess.run([stress, "4", "200", *paths], capture_output=True, text=True, timeout=500,
                          env={"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1"})
    assert done.returncode == 0, done.stderr[-4000:]
