"""Dispatch: trees of arrays to programs; whatever it does not know exactly goes to the fallback."""

import gc
import threading
import weakref

import handmade as images
import numpy as np
import pytest

from kjax import _engine

LEAVES = ["tuple", "*", "*"]


@pytest.fixture
def calls():
    return []


def make(calls, **options):
    def fallback(*args, **keywords):
        calls.append((args, keywords))
        return "fallback"

    return _engine.Dispatch(fallback, **options)


def f32(*x):
    return np.asarray(x, np.float32)


def test_without_programs_everything_falls_back(calls):
    d = make(calls)
    assert d(1, x=2) == "fallback" and calls == [((1,), {"x": 2})] and d.known == 0


@pytest.mark.parametrize("spec, args", [
    (LEAVES, (f32(1, 2), f32(3, 4))),
    (["tuple", ["tuple", "*", "*"]], ((f32(1, 2), f32(3, 4)),)),
    (["tuple", ["list", "*", ["list"], "*"]], ([f32(1, 2), [], f32(3, 4)],)),
    (["tuple", ["dict", {"a": "*", "b": "*"}]], ({"b": f32(3, 4), "a": f32(1, 2)},)),
    (["tuple", None, ["dict", {"w": ["tuple", "*", None]}], "*", ["tuple"]], (None, {"w": (f32(1, 2), None)}, f32(3, 4), ())),
])
def test_trees_in(spec, args, calls):
    d = make(calls)
    d.add(_engine.Program(images.elementwise("sub", (2,))), spec, "*")
    np.testing.assert_array_equal(d(*args), [-2, -2])
    assert not calls


@pytest.mark.parametrize("spec, shape", [
    ("*", lambda x: x), (["tuple", "*"], lambda x: x[0]), (["list", None, "*"], lambda x: x[1]),
    (["dict", {"a": ["tuple"], "b": ["list", "*"]}], lambda x: x["b"][0])])
def test_trees_out(spec, shape, calls):
    d = make(calls)
    d.add(_engine.Program(images.elementwise("add", (2,))), LEAVES, spec)
    out = d(f32(1, 2), f32(3, 4))
    np.testing.assert_array_equal(shape(out), [4, 6])
    if spec[0] == "dict":
        assert out["a"] == () and list(out) == ["a", "b"]
    if spec[0] == "list":
        assert out[0] is None and type(out) is list


@pytest.mark.parametrize("args", [
    (f32(1, 2),), (f32(1, 2), f32(1, 2), f32(1, 2)), (f32(1, 2), f32(1, 2, 3)), (f32(1, 2), np.zeros(2)),
    ([f32(1, 2)], f32(1, 2)), (f32(1, 2), None), (f32(1, 2), 1.0), (f32(1, 2), f32(1, 2).astype(">f4")),
    (f32(1, 2), np.ma.masked_array(f32(1, 2)))])
def test_what_does_not_fit_falls_back(args, calls):
    d = make(calls)
    d.add(_engine.Program(images.elementwise("add", (2,))), LEAVES, "*")
    assert d(*args) == "fallback" and calls[0][0] is not None
    assert d(f32(1, 2), b=f32(1, 2)) == "fallback"


def test_the_program_that_fits_is_chosen(calls):
    d = make(calls)
    for shape in ((), (2,), (3,)):
        d.add(_engine.Program(images.elementwise("add", shape)), LEAVES, "*")
    d.add(_engine.Program(images.elementwise("mul", ())), LEAVES, "*", weak=[float, None])
    assert d.known == 4
    np.testing.assert_array_equal(d(f32(1, 2, 3), f32(1, 1, 1)), [2, 3, 4])
    assert d(3.0, np.array(4, np.float32)) == 12 and d(np.array(3, np.float32), np.array(4, np.float32)) == 7
    assert d(np.float32(3), np.float32(4)) == 7
    assert d(3, np.array(4, np.float32)) == "fallback" and d(np.float64(3), np.float32(4)) == "fallback"
    d.forget()
    assert d(f32(1, 2), f32(3, 4)) == "fallback"


@pytest.mark.parametrize("x", [f32(1, 0, 2, 0)[::2], f32(2, 1)[::-1], np.frombuffer(b"." + f32(1, 2).tobytes(), np.float32, 2, 1)])
def test_other_layouts_are_copied(x, calls):
    d = make(calls)
    d.add(_engine.Program(images.elementwise("sub", (2,))), LEAVES, "*")
    np.testing.assert_array_equal(d(x, f32(3, 4)), [-2, -2])
    assert not calls


@pytest.mark.parametrize("dtype, wide", [("f32", np.float64), ("i32", np.int64), ("u32", np.uint64), ("c64", np.complex128)])
def test_64_bits_for_32_where_told(dtype, wide, calls):
    exact, narrow = make(calls), make(calls)
    for shape in ((), (2,)):
        program = _engine.Program(images.elementwise("add", shape, dtype, size=np.dtype(wide).itemsize // 2))
        exact.add(program, LEAVES, "*")
        narrow.add(program, LEAVES, "*", narrow=True)
    for x, y in (np.array([1, 2], wide), np.array([[3, 0], [4, 0]], wide)[:, 0]), (wide(1), np.array(3, wide)):
        got = narrow(x, y)
        np.testing.assert_array_equal(got, x + y)
        assert got.dtype.itemsize * 2 == np.dtype(wide).itemsize
        assert exact(x, y) == "fallback"
    calls.clear()
    for other in (np.zeros(3, wide), np.zeros(2, ">f8"), np.zeros(2, "i8" if dtype == "u32" else "u8"), np.bool_(True), 1, 1.0, "x"):
        assert narrow(np.zeros(2, wide), other) == "fallback"


KEYWORDS = {"keywords": ["dict", {"a": "*", "b": ["tuple", "*"]}]}


def test_keywords_in_any_order(calls):
    d = make(calls)
    d.add(_engine.Program(images.elementwise("sub", (2,))), ["tuple"], "*", **KEYWORDS)
    a, b = f32(1, 2), (f32(3, 4),)
    np.testing.assert_array_equal(d(a=a, b=b), [-2, -2])
    np.testing.assert_array_equal(d(b=b, a=a), [-2, -2])
    np.testing.assert_array_equal(d(**{"".join("a"): a, "".join(["", "b"]): b}), [-2, -2])
    for args, named in [((), {"a": a}), ((), {"a": a, "b": b, "c": a}), ((), {"a": a, "c": b}), ((a, b), {}), ((a,), {"b": b}),
                        ((), {"a": a, "b": b[0]})]:
        assert d(*args, **named) == "fallback"


def test_positions_and_keywords(calls):
    d = make(calls)
    d.add(_engine.Program(images.elementwise("sub", (2,))), ["tuple", "*"], "*", keywords=["dict", {"y": "*"}])
    np.testing.assert_array_equal(d(f32(1, 2), y=f32(3, 4)), [-2, -2])
    assert d(f32(1, 2), f32(3, 4)) == "fallback" and d(f32(1, 2)) == "fallback"


@pytest.mark.parametrize("keywords", ["*", ["tuple", "*"], ["dict", {"x": "*", "y": "*"}], 3])
def test_wrong_keywords(keywords, calls):
    with pytest.raises(ValueError):
        make(calls).add(_engine.Program(images.elementwise("add", (2,))), ["tuple", "*"], "*", keywords=keywords)


class Registered:
    """A class that JAX's registry knows."""

    def __init__(self, x, note):
        self.x, self.note = x, note


@pytest.fixture(scope="module")
def registered():
    import jax

    jax.tree_util.register_pytree_node(Registered, lambda r: ((r.x,), r.note), lambda note, children: Registered(*children, note))
    return jax.tree_util


def test_registered_classes(registered, calls):
    d = make(calls)
    x, y = f32(1, 2), f32(3, 4)
    tree = registered.tree_structure(((Registered(0, "n"),), {"y": 0}))
    d.add(_engine.Program(images.elementwise("sub", (2,))), tree, registered.tree_structure(Registered(0, "out")))
    assert d(Registered(x, "n"), y=y) == "fallback"  # nobody has said how to take it apart
    d.flatten = registered.tree_flatten
    out = d(Registered(x, "n"), y=y)
    np.testing.assert_array_equal(out.x, [-2, -2])
    assert out.note == "out"
    for args, named in [((Registered(x, "other"),), {"y": y}), ((x,), {"y": y}), ((Registered(x, "n"), y), {}),
                        ((Registered(f32(1), "n"),), {"y": y}), ((Registered(None, "n"),), {"y": y})]:
        assert d(*args, **named) == "fallback"
    for flatten in (lambda both: 1 / 0, lambda both: None, lambda both: ([], tree), lambda both: (1, tree), None):
        d.flatten = flatten
        assert d(Registered(x, "n"), y=y) == "fallback"


def test_a_tree_that_compares_badly(registered, calls):
    d = make(calls)
    d.flatten = registered.tree_flatten
    note = np.zeros(2)  # the truth of a comparison of these is an error
    tree = registered.tree_structure(((Registered(0, note), 0), {}))
    d.add(_engine.Program(images.elementwise("sub", (2,))), tree, "*")
    assert d(Registered(f32(1, 2), np.ones(2)), f32(1, 2)) == "fallback"


def test_arrays_of_jax(calls):
    import jax.numpy as jnp

    d = make(calls)
    d.add(_engine.Program(images.elementwise("sub", (2,))), LEAVES, "*")
    x, y = jnp.asarray(f32(1, 2)), f32(3, 4)
    assert d(x, y) == "fallback"
    d.array = type(x)
    np.testing.assert_array_equal(d(x, y), [-2, -2])
    np.testing.assert_array_equal(d(y, x), [2, 2])
    gone = x + 1
    gone.delete()
    weak = jnp.full((2,), 1.0)
    assert weak.weak_type
    for wrong in (gone, weak, jnp.ones(3), jnp.ones(2, int)):
        assert d(wrong, y) == "fallback"
    with pytest.raises(TypeError):
        d.array = 3
    d.array = None
    assert d(x, y) == "fallback"


def test_weakly_typed_arrays_of_jax_have_programs_of_their_own(calls):
    import jax.numpy as jnp

    d = make(calls)
    strong, weak, y = jnp.ones(2), jnp.full((2,), 1.0), f32(3, 4)
    d.array = type(strong)
    d.add(_engine.Program(images.elementwise("sub", (2,))), LEAVES, "*")
    d.add(_engine.Program(images.elementwise("add", (2,))), LEAVES, "*", weak=[type(weak), None])
    np.testing.assert_array_equal(d(weak, y), [4, 5])
    np.testing.assert_array_equal(d(strong, y), [-2, -3])
    assert d(y, weak) == "fallback" and d(jnp.full((3,), 1.0), y) == "fallback"


def test_the_guard_separates_conditions(calls):
    state = ["x32"]
    d = make(calls, guard=lambda: state[0])
    d.add(_engine.Program(images.elementwise("add", (2,))), LEAVES, "*", condition="x32")
    d.add(_engine.Program(images.elementwise("sub", (2,))), LEAVES, "*", condition="x64")
    np.testing.assert_array_equal(d(f32(1, 2), f32(3, 4)), [4, 6])
    state[0] = "".join(["x", "64"])
    np.testing.assert_array_equal(d(f32(1, 2), f32(3, 4)), [-2, -2])
    state[0] = None
    assert d(f32(1, 2), f32(3, 4)) == "fallback"


def test_a_guard_that_comes_later(calls):
    d = make(calls)
    assert d.guard is None
    d.guard = lambda: 1
    d.add(_engine.Program(images.elementwise("add", (2,))), LEAVES, "*", condition=1)
    np.testing.assert_array_equal(d(f32(1, 2), f32(3, 4)), [4, 6])
    d.guard = None
    assert d.guard is None and d(f32(1, 2), f32(3, 4)) == "fallback"


def test_a_failing_guard_is_heard(calls):
    d = make(calls, guard=lambda: 1 / 0)
    d.add(_engine.Program(images.elementwise("add", (2,))), LEAVES, "*")
    with pytest.raises(ZeroDivisionError):
        d(f32(1, 2), f32(3, 4))


def test_a_closed_program_is_not_used(calls):
    d, program = make(calls), _engine.Program(images.elementwise("add", (2,)))
    d.add(program, LEAVES, "*")
    program.close()
    assert d(f32(1, 2), f32(3, 4)) == "fallback"


@pytest.mark.parametrize("spec", ["x", ["tuple", "x"], ["set", "*"], [], ["dict", []], 3, ["tuple", "*"], ["list", "*", "*"],
                                  ["tuple", "*", "*", "*"]])
def test_wrong_trees(spec, calls):
    with pytest.raises(ValueError):
        make(calls).add(_engine.Program(images.elementwise("add", (2,))), spec, "*")


def test_behaves_like_a_function(calls):
    class Thing:
        method = make(calls)

    thing = Thing()
    assert thing.method(1) == "fallback" and calls == [((thing, 1), {})]
    d = make(calls)
    d.__name__ = "f"
    assert d.__name__ == "f"

    class Sub(_engine.Dispatch):
        pass

    s = Sub(lambda *a: "sub")
    s.add(_engine.Program(images.elementwise("add", (2,))), LEAVES, "*")
    np.testing.assert_array_equal(s(f32(1, 2), f32(3, 4)), [4, 6])
    assert s(1) == "sub"


def test_cycles_are_collected():
    d = _engine.Dispatch(lambda: None)
    d.me = d
    gone = weakref.ref(d)
    del d
    gc.collect()
    assert gone() is None


def test_forgetting_and_changing_arguments_during_a_long_run(calls):
    """The fallback's list changes, and so does the caller's: what runs keeps what it needs."""
    n = 3_000_000
    d = make(calls)
    d.add(_engine.Program(images.elementwise("add", (n,))), ["tuple", ["list", "*", "*"]], ["tuple", "*"])
    for _ in range(5):
        args = [np.full(n, 1, np.float32), np.full(n, 2, np.float32)]
        thread = threading.Thread(target=lambda a=args: (d.forget(), a.clear()))
        thread.start()
        out = d(args)
        thread.join()
        if out != "fallback":
            assert (out[0] == 3).all()
        d.add(_engine.Program(images.elementwise("add", (n,))), ["tuple", ["list", "*", "*"]], ["tuple", "*"])


def test_jit_learns_what_it_has_seen():
    import jax

    import kjax

    @kjax.jit
    def f(params, x):
        return {"y": params["w"] * x, "n": None}

    params = {"w": f32(1, 2)}
    for _ in range(3):
        np.testing.assert_array_equal(f(params, f32(3, 4))["y"], [3, 8])
    assert f.known == 1 and f.__name__ == "f"
    np.testing.assert_array_equal(f(params, 2)["y"], [2, 4])
    np.testing.assert_array_equal(f(params, 2)["y"], [2, 4])
    assert f.known == 2
    for _ in range(2):
        np.testing.assert_array_equal(f(params, x=f32(3, 4))["y"], [3, 8])
    assert f.known == 3
    with jax.enable_x64(True):
        assert f({"w": np.float64([1, 2])}, 1.0)["y"].dtype == np.float64
    assert f({"w": np.float64([1, 2])}, 1.0)["y"].dtype == np.float32
    kjax.close_all()
    np.testing.assert_array_equal(f(params, f32(3, 4))["y"], [3, 8])
    assert f.known > 3


def count(calls, monkeypatch):
    """Count the calls that compiled functions take the long way."""
    from kjax.api import jit

    plain = jit.Jitted._call

    def counted(self, *args, **kwargs):
        calls.append(args)
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(jit.Jitted, "_call", counted)


def test_jit_takes_registered_classes_and_named_tuples_directly(registered, calls, monkeypatch):
    from collections import namedtuple

    import jax.numpy as jnp

    import kjax

    Pair = namedtuple("Pair", "w b")
    count(calls, monkeypatch)
    f = kjax.jit(lambda p, r, *, s: (Pair(p.w * r.x, p.b), Registered(s["t"], r.note)))
    for k in range(4):
        out, other = f(Pair(f32(1, 2), jnp.asarray(f32(k))), Registered(f32(3, 4), "n"), s={"t": f32(5)})
        assert type(out) is Pair and out.w.tolist() == [3, 8] and out.b.tolist() == [k] and other.note == "n"
    assert len(calls) == 1 and f.known == 1
    assert f(Pair(f32(1, 2), f32(1)), Registered(f32(3, 4), "m"), s={"t": f32(5)})[1].note == "m"
    assert len(calls) == 2


def test_jit_with_static_arguments_learns(calls):
    import kjax

    traced = []

    def scaled(x, n, *, kind="mul"):
        traced.append((n, kind))
        return x * n if kind == "mul" else x + n

    f = kjax.jit(scaled, static_argnums=1, static_argnames="kind")
    for _ in range(3):
        assert f(f32(1, 2), 3).tolist() == [3, 6] and f(f32(1, 2), 4).tolist() == [4, 8]
        assert f(f32(1, 2), 3, kind="add").tolist() == [4, 5]
    assert traced == [(3, "mul"), (4, "mul"), (3, "add")]
    assert [d.known for d in f._direct.values()] == [1, 1, 1] and f.known == 0
    assert f(f32(1, 2, 3), 3).tolist() == [3, 6, 9]
    with pytest.raises(ValueError, match="Non-hashable"):
        f(f32(1), np.ones(2))


def test_a_program_takes_keywords_and_classes_directly(registered):
    import kjax

    program = kjax.compile(lambda r, *, y: r.x - y, Registered(f32(1, 2), 0), y=f32(3, 4))
    for _ in range(3):
        assert program(Registered(f32(1, 2), 0), y=f32(3, 4)).tolist() == [-2, -2]
    assert program._direct.known == 1
    with pytest.raises(TypeError):
        program(Registered(f32(1, 2), 1), y=f32(3, 4))
    with pytest.raises(TypeError):
        program(Registered(f32(1, 2), 0), f32(3, 4))


def test_updates_in_place(calls):
    d = make(calls)
    d.add(_engine.Program(images.elementwise("sub", (2,), alias=0)), LEAVES, "*", in_place=True)
    x, y = f32(1, 2), f32(3, 4)
    assert d(x, y) is x
    np.testing.assert_array_equal(x, [-2, -2])
    np.testing.assert_array_equal(d(x, y[::-1]), [-6, -5])
    frozen = f32(1, 2)
    frozen.flags.writeable = False
    for args in ((frozen, y), (f32(1, 0, 2)[::2], y), (np.ones(2), y), ([1.0, 2.0], y)):
        assert d(*args) == "fallback"
    with pytest.raises(ValueError, match="same buffer twice"):
        d(x, x)
    assert d(y, x) is y
    copies = make(calls)
    copies.add(_engine.Program(images.elementwise("sub", (2,), alias=0)), LEAVES, "*")
    np.testing.assert_array_equal(copies(x, x), [0, 0])
    np.testing.assert_array_equal(x, [-6, -5])
