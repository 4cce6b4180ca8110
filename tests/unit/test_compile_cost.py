"""The compiler's work grows with the length of a program and no faster: calls of functions are counted, not time."""

import cProfile
import gc

import pytest

from kjax.compiler import pipeline
from kjax.frontend.stablehlo import import_module

T = "tensor<8x8xf32>"


def module(lines, result):
    return f"func.func @main(%x: {T}, %w: {T}) -> {T} {{\n" + "\n".join(lines) + f"\nreturn {result} : {T}\n}}"


def elementwise(n):
    lines = [f"%{k} = stablehlo.{'add' if k % 3 else 'multiply'} %{k - 1 if k else 'x'}, %w : {T}" for k in range(n)]
    return module(lines, f"%{n - 1}")


def products(n):
    """Products, each with an elementwise operation on it and on what the whole chain began with."""
    lines, last = [f"%t = stablehlo.tanh %x : {T}"], "%t"
    for k in range(n):
        lines += [f"%d{k} = stablehlo.dot_general {last}, %w, contracting_dims = [1] x [0] : ({T}, {T}) -> {T}",
                  f"%s{k} = stablehlo.tanh %d{k} : {T}", f"%a{k} = stablehlo.add %s{k}, %t : {T}"]
        last = f"%a{k}"
    return module(lines, last)


def loops(n):
    """Loops one after the other; each reads what was computed before all of them."""
    lines = [f"%c{k} = stablehlo.constant dense<{k}> : tensor<i32>" for k in (0, 1, 9)]
    lines, last = [*lines, f"%e = stablehlo.exponential %x : {T}"], "%x"
    for k in range(n):
        lines.append(f"""%l{k}:2 = stablehlo.while(%i = %c0, %v = {last}) : tensor<i32>, {T} cond {{
            %p = stablehlo.compare LT, %i, %c9 : (tensor<i32>, tensor<i32>) -> tensor<i1>
            stablehlo.return %p : tensor<i1>
        }} do {{
            %j = stablehlo.add %i, %c1 : tensor<i32>
            %m = stablehlo.multiply %v, %e : {T}
            stablehlo.return %j, %m : tensor<i32>, {T}
        }}""")
        last = f"%l{k}#1"
    return module(lines, last)


def reductions(n):
    lines, last = ["%z = stablehlo.constant dense<0.0> : tensor<f32>"], "%x"
    for k in range(n):
        lines += [f"%r{k} = stablehlo.reduce({last} init: %z) applies stablehlo.add across dimensions = [1] : "
                  f"({T}, tensor<f32>) -> tensor<8xf32>",
                  f"%b{k} = stablehlo.broadcast_in_dim %r{k}, dims = [0] : (tensor<8xf32>) -> {T}",
                  f"%a{k} = stablehlo.divide {last}, %b{k} : {T}"]
        last = f"%a{k}"
    return module(lines, last)


def calls(text):
    gc.collect()
    profile = cProfile.Profile()
    profile.enable()
    graph = import_module(text)
    image = pipeline.build(graph)
    profile.disable()
    assert image.code
    return sum(row.callcount for row in profile.getstats())


@pytest.mark.parametrize("make", [elementwise, products, loops, reductions])
def test_work_is_linear(make):
    calls(make(10))  # what is done once
    # searches for what fuses reach further in a longer program, up to a bound that these programs go beyond
    short, long = calls(make(400)), calls(make(1200))
    assert long <= 3 * short * 1.2


def test_work_is_the_same_each_time():
    calls(products(10))
    assert calls(products(100)) == calls(products(100))
