"""The three functions, libraries, artifacts, devices; each transformation against JAX's own."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kjax
from kjax.api import transform

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)


def f(x):
    return jnp.sum(jnp.sin(x) * x)


def close(got, want):
    for g, w in zip(jax.tree_util.tree_leaves(got), jax.tree_util.tree_leaves(want), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-5)


NESTINGS = {
    "jit": jax.jit(f), "grad": jax.grad(f), "value_and_grad": jax.value_and_grad(f), "vmap": jax.vmap(f), "pmap": jax.vmap(f),
    "jacfwd": jax.jacfwd(f), "jacrev": jax.jacrev(f), "hessian": jax.hessian(f), "checkpoint": f,
    "jit(vmap(grad))": jax.vmap(jax.grad(f)), "pmap(grad)": jax.vmap(jax.grad(f)), "vmap(hessian)": jax.vmap(jax.hessian(f)),
    "grad(checkpoint)": jax.grad(f), "jit(pmap(vmap))": jax.vmap(jax.vmap(f)), "vmap(value_and_grad(jit))": jax.vmap(jax.value_and_grad(f)),
    "jacfwd(grad)": jax.jacfwd(jax.grad(f)),
}


@pytest.mark.parametrize("name", NESTINGS)
def test_transformation(name):
    close(kjax.execute_jax_transformation(name, f, (X,)), NESTINGS[name](X))


def test_jvp_and_vjp():
    close(kjax.execute_jax_transformation("jvp", f, ((X,), (X,))), jax.jvp(f, (X,), (X,)))
    value, pull = jax.vjp(f, X)
    close(kjax.execute_jax_transformation("vjp", f, ((X,), np.float32(2))), (value, pull(jnp.float32(2))))


def test_options_reach_the_transformation_that_takes_them():
    def g(a, b):
        return jnp.sum(a * b ** 2)

    close(kjax.execute_jax_transformation("vmap(grad)", g, (X, X), argnums=1), jax.vmap(jax.grad(g, 1))(X, X))
    close(kjax.execute_jax_transformation("vmap", g, (X, X[0]), in_axes=(0, None)), jax.vmap(g, (0, None))(X, X[0]))


def test_lanes_exchange_for_real():
    def g(r):
        i = jax.lax.axis_index("lane")
        return (r / jax.lax.psum(jnp.sum(r), "lane") + i, jax.lax.pmax(r, "lane"), jax.lax.pmean(r, "lane"),
                jax.lax.all_gather(r, "lane"), jax.lax.ppermute(r, "lane", [(0, 1), (1, 2), (2, 3), (3, 0)]))

    close(kjax.execute_jax_transformation("pmap", g, (X,), axis_name="lane"), jax.vmap(g, axis_name="lane")(X))


def test_functions_by_name_and_by_source():
    close(kjax.execute_jax_transformation("jit", "jax.numpy:tanh", (X,)), np.tanh(X))
    close(kjax.execute_jax_transformation("grad", "def loss(x):\n    return jnp.sum(x ** 3)\n", (X,)), 3 * X ** 2)
    close(kjax.execute_jax_transformation("jit", "lambda x: x + 1", (X,)), X + 1)


@pytest.mark.parametrize("text", ["grad", "jit(vmap(grad))", " jit ( vmap( grad ) ) "])
def test_transformation_strings(text):
    assert transform.normalize(text).count("(") == text.count("(")


@pytest.mark.parametrize("text", ["", "jit(", "jit)", "jit(grad))", "grad vmap", "sin", "jit(()"])
def test_bad_transformation_strings(text):
    with pytest.raises(ValueError):
        transform.parse(text)


def test_a_library_saved_loaded_and_called(tmp_path):
    def loss(w, x):
        return jnp.mean((x @ w) ** 2)

    w, x = np.ones((3, 2), np.float32), X
    kjax.library({"loss": (loss, (w, x)), "f": (f, (X,))}, ["jit", "grad", "jit(vmap(grad))", "jvp", "vjp"],
                 batch_size=4).save(tmp_path / "policy.kjl")
    with kjax.load_jax_library(tmp_path / "policy.kjl") as lib:
        assert ("loss", "vmap(grad)", "f32[4,3,2],f32[4,4,3]") in lib.programs
        close(lib.execute_jax_transformation("grad", "loss", (w, x)), jax.grad(loss)(w, x))
        close(kjax.execute_jax_transformation("vmap(grad)", "f", (np.stack([X] * 4),)), jax.vmap(jax.grad(f))(np.stack([X] * 4)))
        assert lib.memory["used"] > 0 and lib.version == kjax.__version__
        assert any(d.kind == "cpu" and d.usable for d in lib.devices)
    with pytest.raises(LookupError):
        kjax.execute_jax_transformation("grad", "loss", (w, x))


def test_every_form_of_a_program(tmp_path):
    exported = jax.export.export(jax.jit(f))(X)
    program = kjax.compile(f, X)
    program.save(tmp_path / "f.kjx")
    text = jax.jit(f).lower(X).as_text()
    for form in (program, str(tmp_path / "f.kjx"), tmp_path / "f.kjx", program.image, exported, bytes(exported.serialize()), text):
        close(kjax.execute_jax_program(form, X), f(X))
    close(kjax.execute_jax_program(program, X, device="pjrt:cpu:0"), f(X))


def test_analysis_is_exact():
    x = np.ones((4, 30), np.float32)
    program = kjax.compile(lambda x: jnp.sin(x) @ x.T, x)
    memory, cost = program.memory_analysis(), program.cost_analysis()
    assert memory.argument_size_in_bytes == x.nbytes and memory.output_size_in_bytes == 4 * 4 * 4
    assert cost["flops"] >= 2 * 4 * 4 * 30 and cost["bounded"]
    assert "dot" in program.as_text()


def test_jit_keywords():
    g = kjax.jit(lambda x, n, scale=1.0: x * n * scale, static_argnums=1)
    close(g(X, 3), X * 3)
    close(g(X, 4, scale=2.0), X * 8)
    close(kjax.jit(lambda *args: args[0] * args[-1], static_argnums=(-1,))(X, 3), X * 3)
    close(kjax.jit(lambda x, /, y, *, n: x + y * n, static_argnames="n", donate_argnums=(0, 1))(X.copy(), X.copy(), n=2), X * 3)
    close(kjax.jit(lambda *args: sum(args), donate_argnums=(0,))(X.copy(), X, X), X * 3)
    tree = kjax.jit(lambda t: {"out": [t["a"] + 1, None, (t["b"],)]})({"a": X, "b": X})
    assert tree["out"][1] is None
    close(tree, {"out": [X + 1, None, (X,)]})


def test_static_arguments_that_are_equal_and_of_different_types():
    f = kjax.jit(lambda x, n, k=0: x * n + k, static_argnums=1, static_argnames="k")
    for n in (1, True, 1.0, np.int8(1)) * 2:
        assert f(np.int8(3), n).dtype == jax.jit(lambda x, n=n: x * n)(np.int8(3)).dtype
        assert f(np.int8(3), 1, k=n).dtype == jax.jit(lambda x, n=n: x + n)(np.int8(3)).dtype


def test_static_arguments_by_position_alone_or_by_name_alone():
    def which(x, y):
        return jnp.asarray([isinstance(v, jax.core.Tracer) for v in (x, y)])

    for options, args, kwargs, traced in [({"static_argnums": 1, "static_argnames": ()}, (1, 2), {}, [True, False]),
                                          ({"static_argnums": 1, "static_argnames": ()}, (1,), {"y": 2}, [True, True]),
                                          ({"static_argnums": (), "static_argnames": "y"}, (1, 2), {}, [True, True]),
                                          ({"static_argnums": (), "static_argnames": "y"}, (1,), {"y": 2}, [True, False]),
                                          ({"static_argnums": 1}, (1,), {"y": 2}, [True, False])]:
        f = kjax.jit(which, **options)
        for _ in range(3):
            np.testing.assert_array_equal(f(*args, **kwargs), traced)


def test_a_saved_program_needs_no_jax(tmp_path):
    kjax.compile(lambda p, x: p["w"] @ x, {"w": X}, X[0]).save(tmp_path / "p.kjx")
    code = f"""
import sys, numpy as np, kjax
x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
out = kjax.load({str(tmp_path / 'p.kjx')!r})({{"w": x}}, x[0])
assert np.allclose(out, x @ x[0]) and "jax" not in sys.modules, sorted(m for m in sys.modules if m.startswith("jax"))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
