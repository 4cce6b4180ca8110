"""Prints and Python callbacks in programs of this process, against JAX."""

import contextlib
import dataclasses
import io
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify, io_callback

import kjax

X = np.array([0.5, -1.25, 3.0], np.float32)


def printed(function, *args):
    """(text, results) of a call."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        results = function(*args)
        jax.effects_barrier()
    return out.getvalue(), results


def same_text(function, *args):
    """The program prints what JAX does, and gives what JAX gives; twice, the second time by the shortest way."""
    want, results = printed(jax.jit(function), *args)
    compiled = kjax.jit(function)
    for _ in range(2):
        got, found = printed(compiled, *args)
        assert got == want
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, results)
    assert want
    return want


def formats(x):
    jax.debug.print("plain", ordered=True)
    jax.debug.print("no placeholders", x, x[0], ordered=True, skip_format_check=True)
    jax.debug.print("{} {x} {name!r} {{}}", x[0], x=x, name="a name", ordered=True)
    jax.debug.print("{:.3f} {y:>10} {z:e}", x[0], y=x[1], z=x[2], ordered=True)
    jax.debug.print("{x!r} {y!r} {t}", x=x, y=x > 0, t={"a": [x[0], (x[1], None)], "b": x.astype(jnp.bfloat16)}, ordered=True)
    jax.debug.print("{} {}", jnp.arange(2000), jnp.ones((3, 40)) / 3, ordered=True)
    jax.debug.print("{} {!r} {}", x + 1j, jnp.zeros((0, 2)), jnp.int8(-3), ordered=True)
    jax.debug.print("{t[1]} {d[k]}", t=(1, 2.5), d={"k": True}, ordered=True)
    return x


def test_formats():
    assert "bfloat16" in same_text(formats, X)


def test_print_options_are_those_of_the_trace():
    def f(x):
        jax.debug.print("{}", x)
        return x

    with np.printoptions(precision=2, suppress=True):
        want, _ = printed(jax.jit(f), X / 3)
        compiled = kjax.jit(f)
        got, _ = printed(compiled, X / 3)
    assert got == want == "[ 0.17 -0.42  1.  ]\n"
    assert printed(compiled, X / 3)[0] == want


def test_loops_and_branches_keep_their_order():
    def f(x):
        def step(c, y):
            jax.debug.print("step {c} {}", y, c=c, ordered=True)
            c = jax.lax.cond(y > 0, lambda: (jax.debug.print("up", ordered=True), c + y)[1],
                             lambda: (jax.debug.print("down {}", c, ordered=True), c - y)[1])
            return c, jax.lax.fori_loop(0, 2, lambda i, z: (jax.debug.print("inner {}", i, ordered=True), z * 2)[1], c)

        total, rows = jax.lax.scan(step, jnp.float32(0), x)
        jax.debug.print("total {}", total, ordered=True)
        _, k = jax.lax.while_loop(lambda s: (jax.debug.print("? {}", s[1], ordered=True), s[0] > 1)[1],
                                  lambda s: (s[0] / 2, s[1] + 1), (total, 0))
        return total, rows, k

    assert same_text(f, X).count("inner") == 6


def test_effects_whose_results_nobody_uses_stay():
    def f(x):
        jax.lax.fori_loop(0, 3, lambda i, c: (jax.debug.print("{}", i + c), c)[1], 0)
        jax.lax.cond(x[0] > 0, lambda: jax.debug.print("yes"), lambda: None)
        return x * 2

    assert printed(kjax.jit(f), X)[0] == "0\n1\n2\nyes\n"
    assert "trace.print" in kjax.compile(f, X).as_text()


def test_vmap_and_grad():
    def f(x):
        jax.debug.print("x {}", x)
        return jnp.sin(x) * x

    text, out = printed(kjax.jit(jax.vmap(f)), X)
    assert text == "x 0.5\nx -1.25\nx 3.0\n"
    np.testing.assert_allclose(out, np.sin(X) * X, rtol=1e-6)
    text, out = printed(kjax.jit(jax.grad(lambda x: f(x).sum())), X)
    assert text == printed(jax.jit(jax.grad(lambda x: f(x).sum())), X)[0]
    same_text(jax.vmap(jax.value_and_grad(f)), X)


class Tag:
    def __repr__(self):
        return "<tag>"

    def __str__(self):
        return "tag"


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Point:
    x: object
    y: object


def test_static_objects_and_registered_classes(tmp_path):
    def tagged(x):
        jax.debug.print("{} {!r} {:>5} {t}", Tag(), Tag(), x[0], t=[Tag(), x[1]])
        return x

    same_text(tagged, X)
    kjax.compile(tagged, X).save(tmp_path / "tagged.kjx")
    assert printed(kjax.load(tmp_path / "tagged.kjx"), X)[0] == printed(jax.jit(tagged), X)[0]

    def point(x):
        jax.debug.print("{p} {p.x}", p=Point(x[0], x[1]))
        return x

    same_text(point, X)
    with pytest.raises(kjax.CompileError, match="jax.debug.print.*test_effects.py"):
        kjax.compile(point, X).save(tmp_path / "point.kjx")


def test_logging(caplog):
    def f(x):
        jax.debug.print("x is {}", x, _use_logging=True)
        return x

    with caplog.at_level("DEBUG", logger="jax._src.debugging"):
        compiled = kjax.jit(f)
        assert printed(compiled, X)[0] == ""
    assert [r.getMessage() for r in caplog.records if r.getMessage().startswith("x is")] == [f"x is {X}"]


def test_a_saved_program_prints_without_jax(tmp_path):
    kjax.compile(formats, X).save(tmp_path / "f.kjx")
    want, _ = printed(jax.jit(formats), X)
    code = (f"import sys, numpy as np, kjax; kjax.load({str(tmp_path / 'f.kjx')!r})(np.array({X.tolist()}, np.float32)); "
            "assert 'jax' not in sys.modules")
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert got == want


def test_lanes_print_their_parts():
    def f(x):
        jax.debug.print("lane {}: {}", jax.lax.axis_index("i"), x, partitioned=True)
        return jax.lax.psum(x, "i")

    rows = np.arange(4, dtype=np.float32).reshape(4, 1)
    text, out = printed(lambda: kjax.execute_jax_transformation("pmap", f, (rows,), axis_name="i"))
    assert sorted(text.splitlines()) == [f"lane {k}: [{k}.]" for k in range(4)]
    np.testing.assert_array_equal(out, np.full((4, 1), 6, np.float32))


def test_the_command_prints(tmp_path):
    from click.testing import CliRunner

    from kjax.cli import main

    kjax.compile(lambda x: (jax.debug.print("x is {}", x[0]), x)[1], X).save(tmp_path / "f.kjx")
    np.save(tmp_path / "x.npy", X)
    words = ["run", str(tmp_path / "f.kjx"), str(tmp_path / "x.npy")]
    assert "x is 0.5" in CliRunner().invoke(main, words).output
    code = "import sys; from kjax.cli import main; main(sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, *words, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["[0]"] == X.tolist() and "x is 0.5" in done.stderr


def test_accelerators_do_not_print():
    program = kjax.compile(lambda x: (jax.debug.print("{}", x), x)[1], X)
    with pytest.raises(kjax.DeviceError, match=r"jax.debug.print\(\) at .*test_effects.py:\d+.*compile it without"):
        kjax.execute_jax_program(program, X, device="pjrt:cpu:0")


# -- callbacks -----------------------------------------------------------------------------------------------------

def on_host(x):
    assert isinstance(x, jax.Array)
    return np.sin(x).astype(np.float32) * 2


def host(x, **options):
    return jax.pure_callback(on_host, jax.ShapeDtypeStruct(x.shape, x.dtype), x, **options)


def test_pure_callback():
    def f(x):
        total, rows = jax.lax.scan(lambda c, y: (c + host(y), c), jnp.float32(0), x)
        return host(x) + 1, total, rows

    want = jax.jit(f)(X)
    compiled = kjax.jit(f)
    for _ in range(2):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), compiled(X), want)


@pytest.mark.parametrize("method", ["sequential", "sequential_unrolled", "expand_dims", "broadcast_all"])
def test_pure_callback_under_vmap(method):
    f = jax.vmap(lambda x: host(x, vmap_method=method))
    x = np.stack([X, X + 1])
    np.testing.assert_allclose(kjax.jit(f)(x), jax.jit(f)(x), rtol=1e-6)


def test_custom_derivative_of_a_callback():
    @jax.custom_jvp
    def f(x):
        return host(x)

    f.defjvp(lambda primals, tangents: (f(*primals), 2 * jnp.cos(primals[0]) * tangents[0]))
    g = jax.grad(lambda x: f(x).sum())
    np.testing.assert_allclose(kjax.jit(g)(X), 2 * np.cos(X), rtol=1e-6)


def test_unused_pure_callback_is_left_out():
    def f(x):
        host(x)
        return x + 1

    assert "trace" not in kjax.compile(f, X).as_text()


def test_several_results_and_trees():
    def function(a, *, b):
        return {"sum": np.asarray(a["x"] + b), "shape": np.int32(len(b))}

    def f(x):
        types = {"sum": jax.ShapeDtypeStruct(x.shape, x.dtype), "shape": jax.ShapeDtypeStruct((), jnp.int32)}
        return jax.pure_callback(function, types, {"x": x}, b=x * 2)

    out = kjax.jit(f)(X)
    np.testing.assert_array_equal(out["sum"], 3 * X)
    assert out["shape"] == 3


def test_ordered_io_callback_in_a_loop():
    seen = []

    def note(x):
        seen.append(float(x))
        return np.float32(len(seen))

    def f(x):
        def step(c, y):
            n = io_callback(note, jax.ShapeDtypeStruct((), jnp.float32), y, ordered=True)
            return c + n, n

        return jax.lax.scan(step, jnp.float32(0), x)

    total, numbers = kjax.jit(f)(X)
    assert seen == X.tolist() and total == 6
    np.testing.assert_array_equal(numbers, [1, 2, 3])


def test_unordered_io_callback_under_vmap():
    seen = []
    f = jax.vmap(lambda x: io_callback(lambda y: seen.append(float(y)), None, x))
    kjax.jit(lambda x: (f(x), x)[1])(X)
    assert sorted(seen) == sorted(X.tolist())


def test_debug_callback():
    seen = []

    def f(x):
        jax.debug.callback(lambda tag, y, *, z: seen.append((tag, y.tolist(), float(z))), "tag", x, z=x[0], ordered=True)
        return x

    compiled = kjax.jit(f)
    compiled(X), compiled(X)
    assert seen == [("tag", X.tolist(), 0.5)] * 2


def test_an_exception_reaches_the_caller_and_the_program_stays_usable():
    class Mine(Exception):
        pass

    def picky(x):
        if x.max() > 5:
            raise Mine("too large")
        return np.asarray(x)

    def f(x):
        return jax.lax.fori_loop(0, 3, lambda i, c: jax.pure_callback(picky, jax.ShapeDtypeStruct((3,), jnp.float32), c) + 1, x)

    program = kjax.compile(f, X)
    for _ in range(2):
        np.testing.assert_array_equal(program(X), X + 3)
        with pytest.raises(Mine, match="too large") as caught:
            program(X + 3)
        assert caught.traceback[-1].name == "picky"


@pytest.mark.parametrize("wrong, why", [
    (lambda x: np.zeros(4, np.float32), r"float32\[4\], declared was float32\[3\]"),
    (lambda x: np.zeros(3, np.int32), r"int32\[3\], declared"), (lambda x: (x, x), "returned 2 arrays"), (lambda x: (), "returned 0")])
def test_results_of_another_type_are_refused(wrong, why):
    program = kjax.compile(lambda x: jax.pure_callback(wrong, jax.ShapeDtypeStruct((3,), jnp.float32), x), X)
    with pytest.raises(TypeError, match=why):
        program(X)


def test_a_callback_may_run_programs():
    double = kjax.jit(lambda x: x * 2)

    def f(x):
        return jax.pure_callback(lambda y: double(np.asarray(y)), jax.ShapeDtypeStruct((3,), jnp.float32), x) + 1

    np.testing.assert_array_equal(kjax.jit(f)(X), 2 * X + 1)


def test_python_does_not_travel(tmp_path):
    program = kjax.compile(lambda x: host(x), X)
    with pytest.raises(kjax.CompileError, match=r"jax.pure_callback\(on_host\) at .*test_effects.py:\d+.*lives in the process"):
        program.save(tmp_path / "f.kjx")
    with pytest.raises(kjax.CompileError, match="on_host"):
        kjax.library({"f": (lambda x: host(x), (X,))})
    with pytest.raises(kjax.CompileError, match="compile the function here"):
        kjax.Program(program.image)


def test_callbacks_from_other_lowerings_say_what_to_do():
    with pytest.raises(kjax.UnsupportedOpError, match=r"callback.*give kjax.jit or kjax.compile the function"):
        kjax.compile(jax.jit(lambda x: host(x)).lower(X))


# -- what JAX makes pure -------------------------------------------------------------------------------------------

def test_checkify():
    def f(x):
        checkify.check(x[0] > 0, "first is {}", x[0])
        return jnp.log(x)

    for errors in (checkify.user_checks, checkify.user_checks | checkify.float_checks):
        checked = kjax.jit(checkify.checkify(f, errors=errors))
        for x in (np.abs(X), -np.abs(X)):
            error, out = checked(x)
            want, _ = jax.jit(checkify.checkify(f, errors=errors))(x)
            assert error.get() == want.get()
    assert "first is -0.5" in error.get()


def test_checkify_in_a_loop_names_the_index():
    def f(x, i):
        return jax.lax.fori_loop(0, 3, lambda k, c: c + x[i + k], 0.0)

    checked = kjax.jit(checkify.checkify(f, errors=checkify.index_checks))
    assert checked(X, 0)[0].get() is None
    assert "out-of-bounds" in checked(X, 2)[0].get()


def test_named_scope_and_compile_time_evaluation():
    def f(x):
        with jax.ensure_compile_time_eval():
            table = jnp.arange(3) ** 2
            assert int(table.sum()) == 5
        with jax.named_scope("mine"):
            y = x * table
            jax.debug.print("{}", y)
        return y

    text, out = printed(kjax.jit(f), X)
    np.testing.assert_array_equal(out, X * np.array([0, 1, 4], np.float32))
    assert text == f"{X * np.array([0, 1, 4], np.float32)}\n"


def test_callbacks_on_lanes():
    """Each lane calls for itself, some of them from other threads; the first exception is the caller's."""
    def f(x):
        def step(i, c):
            c = jax.pure_callback(lambda y: np.asarray(y) + 1, jax.ShapeDtypeStruct(c.shape, c.dtype), c)
            return (c + jax.lax.psum(c, "i") * 0) @ jnp.eye(c.shape[-1])

        return jax.lax.fori_loop(0, 5, step, x)

    def one_fails(x):
        def picky(y):
            if y.max() > 9000:
                raise KeyError("a lane's")
            return np.asarray(y)

        return jax.lax.psum(jax.pure_callback(picky, jax.ShapeDtypeStruct(x.shape, x.dtype), x), "i")

    rows = np.arange(4 * 50 * 50, dtype=np.float32).reshape(4, 50, 50)
    np.testing.assert_array_equal(kjax.execute_jax_transformation("pmap", f, (rows,), axis_name="i"), rows + 5)
    for _ in range(2):
        with pytest.raises(KeyError, match="a lane's"):
            kjax.execute_jax_transformation("pmap", one_fails, (rows,), axis_name="i")
        np.testing.assert_array_equal(
            kjax.execute_jax_transformation("pmap", one_fails, (rows * 0,), axis_name="i"), rows * 0)
