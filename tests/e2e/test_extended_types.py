"""Arguments and results that NumPy does not have: typed random keys, float0, refs; and donated arrays of JAX's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

import kjax

KEY = jax.random.key(3)
IMPLEMENTATIONS = ("threefry2x32", "rbg", "unsafe_rbg")


def draw(key):
    return jax.random.normal(key, (3,))


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_a_key_is_an_argument_and_a_result(impl):
    def step(key):
        key, other = jax.random.split(key)
        return {"key": key, "drawn": draw(other)}

    jitted, key = kjax.jit(step), jax.random.key(3, impl=impl)
    for _ in range(3):
        got, want = jitted(key), jax.jit(step)(key)
        np.testing.assert_allclose(got["drawn"], want["drawn"], rtol=1e-5)
        assert got["key"].dtype == want["key"].dtype and got["key"].shape == ()
        np.testing.assert_array_equal(jax.random.key_data(got["key"]), jax.random.key_data(want["key"]))
        key = got["key"]


@pytest.mark.parametrize("shape", [(0,), (4,), (2, 3)])
def test_arrays_of_keys(shape):
    keys = jax.random.split(KEY, shape)
    flat = kjax.jit(lambda keys: keys.reshape(-1)[::-1])(keys)
    np.testing.assert_array_equal(jax.random.key_data(flat), jax.random.key_data(keys.reshape(-1)[::-1]))
    drawn = kjax.jit(lambda keys: lax.map(draw, keys.reshape(-1)))(keys)
    np.testing.assert_allclose(drawn, lax.map(draw, keys.reshape(-1)), rtol=1e-5)


def test_a_program_takes_keys_of_its_type_only(tmp_path):
    program = kjax.compile(draw, KEY)
    assert str(program.signature.inputs[0]) == "key<fry>[]"
    words = np.asarray(jax.random.key_data(KEY))
    for bad, said in ((words, r"uint32\[2\]"), (jax.random.split(KEY), r"key<fry>\[2\]"), (3, "int"),
                      (jax.random.key(3, impl="rbg"), r"key<rbg>\[\]")):
        with pytest.raises(TypeError, match=r"args\[0\]' compiled with key<fry>\[\] and called with " + said):
            program(bad)
    program.save(tmp_path / "draw.kjx")  # whoever reads it needs no jax: a key is its words
    np.testing.assert_array_equal(kjax.load(tmp_path / "draw.kjx")(words), program(KEY))


def test_keys_of_artifacts_with_symbolic_dims():
    (n,) = export.symbolic_shape("n")
    exported = export.export(jax.jit(lambda key, x: x + draw(key)), platforms=("cpu",))(KEY, jax.ShapeDtypeStruct((n, 3), jnp.float32))
    family = kjax.compile(exported)
    for size in (1, 4):
        np.testing.assert_allclose(family(KEY, np.zeros((size, 3), np.float32)), np.broadcast_to(draw(KEY), (size, 3)), rtol=1e-5)
    assert family.at(n=4) is family.members[-1] and len(family.members) == 2


def test_float0_comes_and_goes():
    value_and_grad = jax.value_and_grad(lambda i, x: i * x, (0, 1), allow_int=True)
    value, (none, slope) = kjax.jit(value_and_grad)(np.arange(2)[1], np.float32(2))
    assert (value, slope) == (2, 1) and none.dtype == jax.dtypes.float0 and none.shape == ()
    pulled = kjax.jit(lambda x, nothing: (x * 2, nothing))
    for _ in range(2):
        double, nothing = pulled(np.ones(3, np.float32), np.zeros((4, 2), jax.dtypes.float0))
        assert nothing.dtype == jax.dtypes.float0 and nothing.shape == (4, 2)
        np.testing.assert_array_equal(double, np.full(3, 2))
    with pytest.raises(TypeError, match=r"float0\[2\].*called with bool\[2\]"):
        kjax.compile(lambda nothing: 1, np.zeros(2, jax.dtypes.float0))(np.zeros(2, bool))


def test_donated_arrays_of_jax_are_left_alone():
    x, key = jnp.arange(5.0), jax.random.key(1)
    step = kjax.jit(lambda x, key: (x + 1, jax.random.split(key)[0]), donate_argnums=(0, 1))
    for start in (x, np.asarray(step(x, key)[0]).copy()):
        first = np.array(start)
        got, _ = step(start, key)
        np.testing.assert_array_equal(got, first + 1)
    np.testing.assert_array_equal(x, np.arange(5.0))
    np.testing.assert_array_equal(start, got)  # NumPy's are updated in place


def test_refs_hold_what_the_function_left_in_them():
    count = jax.new_ref(jnp.zeros((), jnp.int32))

    def step(state, x):
        """State is updated, and a ref that is no argument."""
        state["sum"][...] += x
        state["sum"][0] *= 2
        count[...] += 1
        return state["scale"] * state["sum"][...]

    got, want = ({"sum": jax.new_ref(jnp.ones(3)), "scale": np.float32(2)} for _ in range(2))
    jitted = kjax.jit(step)
    for k in range(3):
        np.testing.assert_array_equal(jitted(got, np.float32(k)), step(want, np.float32(k)))
        np.testing.assert_array_equal(got["sum"][...], want["sum"][...])
    assert count[...] == 6
    program = kjax.compile(step, got, np.float32(1))
    assert [str(leaf) for leaf in program.signature.inputs][1:] == ["Ref{float32}[3]", "float32[]", "Ref{int32}[]"]
    np.testing.assert_array_equal(program(got, np.float32(1)), step(want, np.float32(1)))
    np.testing.assert_array_equal(got["sum"][...], want["sum"][...])


def test_a_ref_holds_keys():
    def draw_next(state):
        state[...], key = jax.random.split(state[...])
        return draw(key)

    got, want = jax.new_ref(KEY), jax.new_ref(KEY)
    for _ in range(2):
        np.testing.assert_allclose(kjax.jit(draw_next)(got), draw_next(want), rtol=1e-5)


def test_a_ref_is_neither_an_array_nor_there_twice():
    def copy(a, b):
        a[...] = b[...]

    first, second = jax.new_ref(jnp.zeros(3)), jax.new_ref(jnp.ones(3))
    program = kjax.compile(copy, first, second)
    assert program(first, second) is None and first[...].sum() == 3
    with pytest.raises(ValueError, match="twice"):
        program(first, first)
    with pytest.raises(TypeError, match=r"args\[1\]' compiled with Ref{float32}\[3\] and called with float32\[3\]"):
        program(first, np.ones(3, np.float32))
    plain = kjax.jit(lambda a: a[0])
    assert plain(np.arange(3)[1:]) == 1 and plain(jax.new_ref(jnp.full(2, 7))) == 7  # two programs
