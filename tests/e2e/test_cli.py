"""The command: every verb, its JSON and its exit status."""

import json

import jax
import numpy as np
import pytest
from click.testing import CliRunner

from kjax.cli import main

X = np.arange(6, dtype=np.float32)


def call(*args, status=0):
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "f.mlir"
    path.write_text(jax.jit(lambda x: x * 2 + 1).lower(X).as_text())
    return path


def test_compile_verify_inspect_run(module, tmp_path):
    program = tmp_path / "f.kjx"
    assert json.loads(call("compile", module, "-o", program, "--json"))["bytes"] == program.stat().st_size
    assert json.loads(call("verify", program, "--json"))["n_inputs"] == 1
    assert "nest" in call("inspect", program)
    assert json.loads(call("inspect", program, "--json"))["cost"]["bounded"] is True
    np.save(tmp_path / "x.npy", X)
    assert json.loads(call("run", program, tmp_path / "x.npy", "--json"))["[0]"] == (X * 2 + 1).tolist()
    call("run", program, "--random", 1, "-o", tmp_path / "out.npz")
    assert np.load(tmp_path / "out.npz")["arr_0"].shape == (6,)


def test_compile_a_function(tmp_path):
    out = call("compile", "jax.numpy:tanh", "-a", "f32[2,3]", "-t", "vmap", "-o", tmp_path / "t.kjx")
    assert "float32[2,3]" in out


def test_failures_have_a_message_and_status_1(module, tmp_path):
    bad = tmp_path / "bad.kjx"
    bad.write_bytes(b"nothing of the kind")
    assert json.loads(call("verify", bad, "--json", status=1))["status"]
    call("run", bad, status=1)
    call("compile", "nowhere.mlir", status=1)
    call("nonsense", status=2)


def test_doctor():
    rows = json.loads(call("doctor", "--json"))["checks"]
    assert {"engine", "jax", "/dev/kjax"} <= {r["check"] for r in rows}
    assert next(r for r in rows if r["check"] == "engine")["ok"]
