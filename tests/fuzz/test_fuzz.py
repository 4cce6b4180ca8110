"""A while of fuzzing: FUZZ_SECONDS for each of two drivers (8 in a plain test run). `make fuzz` gives them longer.

A failure prints the sanitizer's report. To look at the program: run the printed command with KJX_FUZZ_TRACE=file,
which keeps the last program that was tried.
"""

import os
import pathlib
import shutil
import subprocess

import pytest
import seeds

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = int(os.environ.get("FUZZ_SECONDS", "8"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
CLANG = next(filter(shutil.which, ["clang", *(f"clang-{v}" for v in range(19, 13, -1))]), None)
# large blocks come and go: keep few of them around
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=8:detect_leaks=1"}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    seeds.write(folder)
    return folder


def built(target, **variables):
    """Path of a fuzzer, built when something in it changed (a minute at first)."""
    words = [f"{k}={v}" for k, v in variables.items()]
    path = ROOT / "build" / "fuzz" / target
    made = subprocess.run(["make", "-s", "-j2", "-f", "tests/fuzz/Makefile", *words, f"build/fuzz/{target}"], cwd=ROOT,
                          capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-4000:]
    return path


def run(*words, cwd=None):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, env=ENVIRONMENT, cwd=cwd,
                          timeout=SECONDS + 300)
    assert done.returncode == 0, f"{' '.join(map(str, words))}\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    return done.stdout + done.stderr


@pytest.mark.slow
def test_mutants_are_refused_or_run_safely(programs):
    """Accepted mutants run in exactly the proven memory and cost; see fuzz_verify.c for all that is held."""
    said = run(built("fuzz_verify"), SECONDS, SEED, *sorted(programs.iterdir()))
    count = {name: int(n) for name, n in (part.strip().rsplit(" ", 1) for part in said.split(",")[1:])}
    # the fuzzer is worth its time only while it gets past the container and into everything behind it
    assert count["ok"] > 50
    for status in ("bad_tensor", "bad_argument", "bad_opcode", "bad_length", "bad_rank", "bad_operand", "out_of_bounds",
                   "bad_uop", "bad_register", "bad_dtype", "bad_body"):
        assert count.get(status, 0) > 0, said


@pytest.mark.slow
@pytest.mark.skipif(CLANG is None, reason="libFuzzer needs clang")
def test_libfuzzer_on_the_verifier(programs, tmp_path):
    """Coverage-guided, the verifier alone."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    said = run(built("fuzz_libfuzzer", CLANG=CLANG), f"-max_total_time={SECONDS}", f"-seed={SEED}", "-max_len=16384",
               corpus, programs, cwd=tmp_path)
    assert "DONE" in said or "Done" in said, said[-2000:]
