"""Bad input: a clear error, and everything usable afterwards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import kjax


def double(x):
    return x * 2


X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(scope="module")
def program():
    return kjax.compile(double, X)


def test_wrong_shape_and_dtype_speak_jax(program):
    with pytest.raises(TypeError, match=r"Argument 'args\[0\]' compiled with float32\[2,3\] and called with float32\[3,2\]"):
        program(X.T.copy())
    with pytest.raises(TypeError, match=r"called with int32\[2,3\]"):
        program(X.astype(np.int32))
    np.testing.assert_array_equal(program(X), 2 * X)


def test_wrong_count_and_tree_name_the_paths():
    program = kjax.compile(lambda p: p["w"] + p["b"], {"w": X, "b": X})
    with pytest.raises(TypeError, match="pytree"):
        program({"w": X})
    with pytest.raises(TypeError, match="pytree"):
        program(X, X)
    with pytest.raises(TypeError, match=r"args\[0\]\['b'\]"):
        program({"w": X, "b": X[0]})


def test_every_flipped_byte_of_a_program_is_refused(program):
    image = bytearray(kjax.compile(double, X, strip=True).image)
    for at in range(len(image)):
        image[at] ^= 0x10
        with pytest.raises(kjax.VerifyError) as caught:
            kjax.execute_jax_program(bytes(image), X) if at >= 4 else kjax.Program(bytes(image))
        assert caught.value.status.number >= 16
        image[at] ^= 0x10


def test_truncated_and_foreign_files(program, tmp_path):
    for n in (0, 3, 63, 64, len(program.image) // 2, len(program.image) - 1):
        path = tmp_path / "short.kjx"
        path.write_bytes(program.image[:n])
        with pytest.raises(kjax.VerifyError):
            kjax.load(path)
    path.write_bytes(b"\x7fELF" + bytes(200))
    with pytest.raises(kjax.VerifyError, match="bad_magic"):
        kjax.load(path)


def test_a_program_over_the_limit_takes_no_memory():
    from kjax.runtime.embedded import Embedded

    environment = Embedded(memory_limit=1 << 20)
    big = kjax.compile(lambda x: jnp.cumsum(x) @ jnp.sort(x), np.zeros(1 << 20, np.float32))
    with pytest.raises(kjax.LimitError):
        environment.load(big.image)
    assert environment.memory()["used"] == 0


def test_an_endless_loop_meets_its_deadline_and_its_fuel():
    endless = kjax.compile(lambda x: jax.lax.while_loop(lambda c: c >= 0, lambda c: c * 0.5 + 1, x), np.float32(1))
    assert not endless.cost_analysis()["bounded"]
    with pytest.raises(kjax.DeadlineError, match="deadline"):
        endless(np.float32(1), deadline=0.05)
    with pytest.raises(kjax.DeadlineError, match="fuel"):
        endless(np.float32(1), fuel=10_000)
    np.testing.assert_array_equal(kjax.compile(double, X)(X), 2 * X)


def test_an_unsupported_operation_names_itself_and_its_line():
    from jax.extend.core import Primitive

    unheard_of = Primitive("unheard_of")
    unheard_of.def_abstract_eval(lambda x: x)
    with pytest.raises(kjax.UnsupportedOpError, match=r"unheard_of at .*test_errors.py:\d+") as caught:
        kjax.compile(lambda x: unheard_of.bind(x @ x.T), X)
    assert isinstance(caught.value, NotImplementedError)


def test_a_choice_by_platform_without_one_for_the_cpu_is_refused():
    with pytest.raises(kjax.UnsupportedOpError, match=r"platform_index at .*test_errors.py:\d+.*neither"):
        kjax.jit(lambda x: lax.platform_dependent(x, cuda=jnp.sin, tpu=jnp.cos))(1.0)


def test_stablehlo_that_is_none():
    for bad in ("module {", b"\x00\x01garbage", "func.func @main() { return 1 }"):
        with pytest.raises(kjax.CompileError):
            kjax.compile(bad)


def test_absent_devices_say_so(program):
    with pytest.raises(kjax.DeviceError, match="JAX sees"):
        kjax.execute_jax_program(program, X, device="gpu:0")
    with pytest.raises(ValueError, match="embedded"):
        program(X, environment="moon")
    with pytest.raises(kjax.DeviceError, match="kjax"):
        kjax.load_jax_library(environment="device").memory  # noqa: B018


def test_a_variant_that_no_library_has():
    with pytest.raises(LookupError, match="no loaded library"):
        kjax.execute_jax_transformation("grad", "nobody", (X,))
    with pytest.raises(ValueError, match="not one of"):
        kjax.execute_jax_transformation("gard", double, (X,))
    with pytest.raises(TypeError, match="argnumz"):
        kjax.execute_jax_transformation("grad", double, (X,), argnumz=1)


@pytest.mark.parametrize("how", [{"static_argnums": 1}, {"static_argnames": "n"}])
def test_static_arguments_must_be_hashable(how):
    function = kjax.jit(lambda x, n: x * len(n), **how)
    with pytest.raises(ValueError, match="Non-hashable static arguments.*unhashable type: 'list'"):
        function(X, n=[1, 2]) if "static_argnames" in how else function(X, [1, 2])
    np.testing.assert_array_equal(function(X, (1, 2)), X * 2)
