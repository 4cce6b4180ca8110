"""What cannot be compiled says what, where and what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from frontend_oracle import imported

from kjax.errors import CompileError, UnsupportedOpError
from kjax.frontend import import_module


def body(line, argument="tensor<4xf32>", result="tensor<4xf32>"):
    return f"func.func @main(%x: {argument}) -> {result} {{\n{line}\n return %0 : {result} }}"


def test_an_unknown_operation_names_itself_and_the_line():
    with pytest.raises(UnsupportedOpError, match=r"stablehlo\.rng at <module>:3.*Use jax\.random") as info:
        import_module(body(' %s = stablehlo.constant dense<4> : tensor<1xi64>\n'
                           ' %0 = stablehlo.rng %c, %c, %s, distribution = UNIFORM : '
                           '(tensor<f32>, tensor<f32>, tensor<1xi64>) -> tensor<4xf32>').replace(
            '{\n', '{ %c = stablehlo.constant dense<1.0> : tensor<f32>\n', 1))
    assert isinstance(info.value, NotImplementedError)


def test_a_callback_names_the_users_line_and_what_to_do():
    def f(x):
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct((3,), jnp.float32), x)

    with pytest.raises(UnsupportedOpError, match=rf"custom_call.*{__file__}:\d+.*give kjax.jit or kjax.compile the function"):
        imported(f, np.ones(3, np.float32))


def test_linear_algebra_of_another_device_says_how_to_lower():
    text = body("%0 = stablehlo.custom_call @cusolver_potrf_ffi(%x) : (tensor<4xf32>) -> tensor<4xf32>")
    with pytest.raises(UnsupportedOpError, match="cusolver.*export it for the CPU"):
        import_module(text)


@pytest.mark.parametrize("text, error, message", [
    ("this is not MLIR", CompileError, "cannot be read"),
    ("module {}", CompileError, "no function @main"),
    (b"\x00\x01\x02\xff", CompileError, "neither StableHLO"),
    (b"ML\xefR" + bytes(40), CompileError, "cannot be read"),
    (body("%0 = stablehlo.negate %x : tensor<?xf32>", "tensor<?xf32>", "tensor<?xf32>"), CompileError, "dynamic dims"),
    (body("%0 = stablehlo.custom_call @mine(%x) : (tensor<4xf32>) -> tensor<4xf32>"), UnsupportedOpError, "@mine"),
    (body("%0 = func.call @main(%x) : (tensor<4xf32>) -> tensor<4xf32>"), CompileError, "calls itself"),
    (body("%0 = stablehlo.uniform_quantize %x : (tensor<4xf32>) -> tensor<4x!quant.uniform<i8:f32, 2.0:0>>",
          result="tensor<4x!quant.uniform<i8:f32, 2.0:0>>"), (CompileError, UnsupportedOpError), "quantized"),
])
def test_bad_modules(text, error, message):
    with pytest.raises(error, match=message):
        import_module(text)


def test_an_ordered_effect_is_refused():
    def f(x):
        jax.debug.print("{}", x, ordered=True)
        return x

    with pytest.raises((CompileError, UnsupportedOpError)):
        imported(f, np.float32(1))


def test_a_wrong_kind_of_source_is_a_type_error():
    with pytest.raises(TypeError, match="StableHLO from a int"):
        import_module(3)


def test_symbolic_shapes_are_refused():
    from jax import export

    x = jax.ShapeDtypeStruct(export.symbolic_shape("n"), jnp.float32)
    exported = export.export(jax.jit(lambda v: v * 2))(x)
    with pytest.raises(CompileError, match="dynamic|symbolic|shapes"):
        import_module(exported)
