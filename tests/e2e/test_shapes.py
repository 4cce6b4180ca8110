"""Artifacts with symbolic dims: families of programs, against the exported function itself."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from jax import export, lax

import kjax
from kjax.cli import main

RNG = np.random.default_rng(3)


def f32(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def exported(function, *args, serialised=True, **kwargs):
    out = export.export(jax.jit(function), platforms=("cpu",))(*args, **kwargs)
    return out.serialize() if serialised else out


def symbolic(text, *, constraints=()):
    return export.symbolic_shape(text, constraints=constraints)


def spec(*shape, dtype=np.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def model(p, x, *, s):
    b, n = x.shape
    y = jnp.concatenate([x, x], 1)
    return {"dot": y @ jnp.repeat(p["w"][:1], 2 * n, 0), "mean": x.mean(), "scan": jnp.cumsum(y, 0), "top": lax.top_k(y, 2),
            "sort": jnp.sort(y), "pad": jnp.pad(x, ((1, 2), (0, 0))), "last": jnp.take(y, b - 1, axis=0), "size": s * b,
            "random": jax.random.normal(jax.random.key(0), x.shape), "slice": lax.dynamic_slice(x, (1, 0), (b - 1, n)),
            "flat": x.reshape(-1), "iota": jnp.arange(b * n), "loop": lax.fori_loop(0, b, lambda i, c: c + x[i], x[0])}


@pytest.fixture(scope="module")
def artifact():
    b, n = symbolic("b, n", constraints=["n >= 2", "mod(b, 2) == 0"])
    return exported(model, {"w": spec(5, 3)}, spec(b, n), s=spec())


def test_members_are_made_on_demand(artifact):
    family = kjax.compile(artifact)
    assert isinstance(family, kjax.Family) and family.symbols == ("b", "n") and "float32[b,n]" in repr(family)
    original = export.deserialize(bytearray(artifact))
    for b, n in ((4, 3), (2, 7), (4, 3)):
        args = {"w": f32(5, 3)}, f32(b, n)
        want = original.call(*args, s=jnp.float32(2))
        jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=2e-5, atol=1e-5), family(*args, s=2.0), want)
    assert len(family.members) == 2
    assert family.at(b=4, n=3) is family.specialize({"w": spec(5, 3)}, spec(4, 3), s=spec()) is family.members[-1]
    assert family.of_types([spec(5, 3), spec(2, 7), spec()]) is family.members[-1]


@pytest.mark.parametrize("shape, why", [
    ((3, 3), r"mod\(b, 2\).*args\[1\].shape\[0\] \(= 3\)|2\*floordiv.*args\[1\].shape\[0\] \(= 3\)"),
    ((4, 1), r"n >= 2.*args\[1\].shape\[1\] \(= 1\)"), ((4, 3, 2), r"Rank mismatch for args\[1\]")])
def test_constraints_name_argument_and_dim(artifact, shape, why):
    family = kjax.compile(artifact)
    with pytest.raises(ValueError, match=why) as caught:
        family({"w": f32(5, 3)}, f32(*shape), s=1.0)
    assert "https" not in str(caught.value) and not family.members
    family.at(b=2, n=2)


def test_wrong_types_trees_and_symbols(artifact):
    family = kjax.compile(artifact)
    with pytest.raises(ValueError, match=r"Dtype mismatch for args\[1\]"):
        family({"w": f32(5, 3)}, f32(4, 3).astype(np.int32), s=1.0)
    with pytest.raises(TypeError, match="pytree"):
        family({"w": f32(5, 3)}, f32(4, 3))
    with pytest.raises(TypeError, match="b, n"):
        family.at(b=4)
    with pytest.raises(ValueError, match=r"n >= 2"):
        family.at(b=4, n=1)
    with pytest.raises(ValueError, match="maxsize"):
        kjax.Family(export.deserialize(bytearray(artifact)), maxsize=0)


def test_equal_dims_and_divisibility():
    (a,) = symbolic("a")
    family = kjax.compile(exported(lambda x, y: x.reshape(2, -1) + y, spec(a * 2), spec(a), serialised=False))
    np.testing.assert_array_equal(family(np.float32([1, 2, 3, 4]), np.float32([10, 20])), [[11, 22], [13, 24]])
    for sizes, why in (((7, 3), "remainder 1"), ((8, 3), r"args\[1\].shape\[0\] \(= 3\)"), ((0, 0), "Expected value >= 1")):
        with pytest.raises(ValueError, match=why):
            family(*map(f32, sizes))


def test_least_recently_used_members_are_forgotten():
    (n,) = symbolic("n")
    family = kjax.Family(exported(lambda x: x * 2, spec(n), serialised=False), maxsize=2)
    first, second = family.at(n=1), family.at(n=2)
    assert family.at(n=1) is first
    family.at(n=3)
    assert family.at(n=1) is first and family.at(n=2) is not second and len(family.members) == 2


def test_one_compilation_for_each_shape_under_concurrency(monkeypatch):
    (n,) = symbolic("n")
    family = kjax.compile(exported(lambda x: jnp.sin(x).sum(), spec(n)))
    compiled, start = [], threading.Barrier(8)
    inner = family._compile
    monkeypatch.setattr(family, "_compile", lambda key: (compiled.append(key), inner(key))[1])
    results = [None] * 8

    def work(k):
        start.wait()
        results[k] = family(np.full(3 + k % 2, 1, np.float32))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(compiled) == 2
    np.testing.assert_allclose(results, [np.sin(1) * (3 + k % 2) for k in range(8)], rtol=1e-6)


def test_a_member_is_a_program_like_others(artifact, tmp_path):
    member = kjax.compile(artifact).at(b=2, n=3)
    member.save(tmp_path / "m.kjx")
    args = {"w": f32(5, 3)}, f32(2, 3)
    jax.tree.map(np.testing.assert_array_equal, kjax.load(tmp_path / "m.kjx")(*args, s=1.0), member(*args, s=1.0))
    assert b"dynamic" not in member.stablehlo or member.memory_analysis().peak_memory_in_bytes


def test_execute_jax_program_takes_artifacts_with_symbolic_dims():
    (n,) = symbolic("n")
    artifact = exported(lambda x: x * 2, spec(n))
    for source in (artifact, kjax.compile(artifact)):
        for device in (None, "pjrt:cpu:0"):
            np.testing.assert_array_equal(kjax.execute_jax_program(source, np.ones(3, np.float32), device=device), np.full(3, 2))


def test_static_artifacts_stay_programs():
    program = kjax.compile(exported(lambda x: x + 1, spec(3)))
    assert isinstance(program, kjax.Program)
    np.testing.assert_array_equal(program(np.zeros(3, np.float32)), np.ones(3))


def test_exported_functions_inside_of_functions(artifact):
    (n,) = symbolic("n")
    inner = exported(lambda x: x.reshape(-1, 2).sum(0), spec(2 * n), serialised=False)
    np.testing.assert_array_equal(kjax.jit(lambda x: inner.call(x) * 2)(np.arange(6, dtype=np.float32)), [12, 18])
    lowered = jax.jit(inner.call).lower(spec(4))
    np.testing.assert_array_equal(kjax.compile(lowered)(np.arange(4, dtype=np.float32)), [2, 4])


def test_convolution_gather_and_windows():
    b, h = symbolic("b, h", constraints=["h >= 4"])

    def f(x, k, i):
        y = lax.conv_general_dilated(x, k, (2, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        z = lax.reduce_window(y, 0.0, lax.add, (1, 2, 2, 1), (1, 1, 1, 1), "VALID")
        return z, jnp.take(x, i, axis=1), jax.nn.softmax(x, 1), x[:, ::2], jnp.flip(x, 1)

    family = kjax.compile(exported(f, spec(b, h, 6, 2), spec(3, 3, 2, 4), spec(b, dtype=np.int32)))
    args = f32(3, 5, 6, 2), f32(3, 3, 2, 4), np.int32([0, 4, 2])
    for g, w in zip(family(*args), jax.jit(f)(*args), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-5)


def test_command(artifact, tmp_path):
    (tmp_path / "model.bin").write_bytes(artifact)
    run = CliRunner()
    one = run.invoke(main, ["compile", str(tmp_path / "model.bin"), "-d", "b=2", "-d", "n=3", "-o", str(tmp_path / "one.kjx")])
    assert one.exit_code == 0, one.output
    types = [x for t in ("f32[5,3]", "f32[2,3]", "f32[]") for x in ("-a", t)]
    two = run.invoke(main, ["compile", str(tmp_path / "model.bin"), *types, "-o", str(tmp_path / "two.kjx")])
    assert two.exit_code == 0, two.output
    assert [str(x) for x in kjax.load(tmp_path / "one.kjx").signature.inputs] == [
        str(x) for x in kjax.load(tmp_path / "two.kjx").signature.inputs] == ["float32[5,3]", "float32[2,3]", "float32[]"]
    for wrong in ([], ["-d", "b=2"], ["-d", "b=x", "-d", "n=3"], ["-d", "b=3", "-d", "n=3"], ["-a", "f32[1]"]):
        assert run.invoke(main, ["compile", str(tmp_path / "model.bin"), *wrong]).exit_code
    assert "b, n" in run.invoke(main, ["compile", str(tmp_path / "model.bin")]).output
