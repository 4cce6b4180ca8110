"""Algebra on the graph: what is removed, and that no bit changes for any value."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import kjax

EDGES = np.array([0.0, -0.0, 1.5, -2.25, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3e38], np.float32)
RULES = {  # function, the arithmetic that is left of it
    "times one": (lambda x: x * 1.0, ()), "one times": (lambda x: 1.0 * x, ()), "over one": (lambda x: x / 1.0, ()),
    "times minus one": (lambda x: x * -1.0, ("neg",)), "minus zero added": (lambda x: x + -0.0, ()),
    "zero taken away": (lambda x: x - 0.0, ()), "negated twice": (lambda x: -(-x), ()),
    "minus a negation": (lambda x: (x * x) - (-x), ("mul", "add")), "plus a negation": (lambda x: x * x + -x, ("mul", "sub")),
    "two negations": (lambda x: -x * -abs(x), ("abs", "mul")), "over four": (lambda x: x / 4.0, ("mul",)),
    # these would change a bit, or a zero's sign
    "zero added": (lambda x: x + 0.0, ("add",)), "zero minus": (lambda x: 0.0 - x, ("sub",)),
    "times zero": (lambda x: x * 0.0, ("mul",)), "over three": (lambda x: x / 3.0, ("div",)), "minus itself": (lambda x: x - x, ("sub",)),
}


def arithmetic(program):
    lines = (line.split("=") for line in program.as_text().splitlines() if " = " in line and "f32" in line)
    ops = [right.split()[0].removesuffix(".f32") for left, right in lines if left.strip().startswith("r")]
    return sorted(op for op in ops if op not in ("load", "store"))


@pytest.mark.parametrize("name", RULES)
def test_rule(name):
    function, left = RULES[name]
    program = kjax.compile(function, EDGES)
    assert arithmetic(program) == sorted(left)
    with np.errstate(all="ignore"):
        got, want = np.asarray(program(EDGES)), function(EDGES)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    there = ~np.isnan(want)
    np.testing.assert_array_equal(got[there].view(np.uint32), want[there].view(np.uint32))


def test_constants_are_folded():
    program = kjax.compile(lambda x: x * (jnp.full((), 3.0) * 2 - 1) + -jnp.full((10,), 2.0), EDGES)
    assert arithmetic(program) == ["add", "mul"]
    x = EDGES[:-1]
    np.testing.assert_array_equal(program(EDGES)[:-1], x * np.float32(5) + np.float32(-2))


def test_integers():
    x = np.array([0, 1, -1, 2**31 - 1, -2**31], np.int32)
    program = kjax.compile(lambda x: (x * 1 + 0) - (-x), x)
    np.testing.assert_array_equal(program(x), x + x)


INTEGERS = np.array([0, 1, -1, 5, -5, 7, -7, 14, -14, 2**31 - 1, -2**31], np.int32)
#: function, what is left of its operations on integers and truths
INTEGER_RULES = {
    "floor division": (lambda x: x // 7, ["div", "shr_arithmetic", "xor", "xor"]),
    "floor division by a power of two": (lambda x: x // 4, ["shr_arithmetic"]),
    "floor division by one": (lambda x: x // 1, []), "floor division by the largest number": (lambda x: x // (2**31 - 1),
                                                                                            ["div", "shr_arithmetic", "xor", "xor"]),
    "modulo of a power of two": (lambda x: x % 8, ["and"]), "modulo of one": (lambda x: x % 1, []),
    "floor division and modulo": (lambda x: jnp.stack(jnp.divmod(x, 5)), None),
    "truth chosen": (lambda x: jnp.where(jnp.where(x > 3, True, False), x, 0), ["gt", "select"]),
    "falsehood chosen": (lambda x: jnp.where(jnp.where(x > 3, False, True), x, 0), ["le", "select"]),
    "truth or another": (lambda x: jnp.where(jnp.where(x > 3, True, x < 1), x, 0), ["gt", "lt", "or", "select"]),
    "another or falsehood": (lambda x: jnp.where(jnp.where(x > 3, x < 9, False), x, 0), ["and", "gt", "lt", "select"]),
    "another or truth": (lambda x: jnp.where(jnp.where(x > 3, x < 9, True), x, 0), ["gt", "lt", "select", "select"]),
    "floor division by a negative number": (lambda x: x // -7, ["and", "div", "ge", "mul", "ne", "select", "sub", "sub"]),
    "modulo": (lambda x: x % 7, ["add", "lt", "rem", "select"]),
    "modulo of a negative number": (lambda x: x % -7, ["add", "and", "ge", "ne", "rem", "select"]),
    "constants compared": (lambda x: jnp.where(jnp.full(x.shape, 3) > 2, x, x * 5), []),
    "converted constant": (lambda x: x * jnp.full(x.shape, -300).astype(jnp.uint32).astype(jnp.int32), ["mul"]),
    "truth and a constant": (lambda x: jnp.where((x > 3) == jnp.full(x.shape, True), x, 0), ["gt", "select"]),
    "falsehood": (lambda x: jnp.where((x > 3) == jnp.full(x.shape, False), x, 0), ["le", "select"]),
    "sign and 0": (lambda x: jnp.sign(x) != 0, ["ne", "sign"]),
    "quotient and remainder of arrays": (lambda x: jnp.stack([lax.div(x, x[::-1]), lax.rem(x, x[::-1])]), ["div", "mul", "sub"]),
}


@pytest.mark.parametrize("name", INTEGER_RULES)
def test_rule_of_integers(name):
    function, left = INTEGER_RULES[name]
    program = kjax.compile(function, INTEGERS)
    lines = (line.split("=", 1)[1].split()[0] for line in program.as_text().splitlines() if re.match(r"\s*r\d+ = ", line))
    ops = sorted(op.split(".")[0] for op in lines if op.split(".")[0] not in ("load", "store", "iota"))
    assert left is None or ops == left
    np.testing.assert_array_equal(program(INTEGERS), function(jnp.asarray(INTEGERS)))


def test_modulo_of_floats():
    for d in (1.0, -1.5, 0.0, np.inf):
        x = EDGES[abs(EDGES) != np.float32(1e-45)]  # XLA takes denormals for zeros
        program = kjax.compile(lambda x, d=d: x % d, x)
        got, want = np.asarray(program(x)), np.asarray(jnp.asarray(x) % d)
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(want) & ~np.isnan(got) | np.signbit(got) & np.isnan(got))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_unsigned_division_by_a_power_of_two(dtype):
    x = np.array([0, 1, 7, 8, 9, 200, np.iinfo(dtype).max], dtype)
    for by in (1, 2, 8, 128):
        program = kjax.compile(lambda x, by=by: (lax.div(x, x.dtype.type(by)), lax.rem(x, x.dtype.type(by))), x)
        assert not {"div", "rem"} & {word.split(".")[0] for word in program.as_text().split()}
        for got, want in zip(program(x), (x // np.array(by, dtype), x % np.array(by, dtype)), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("value, to", [(np.int32(-7), "float32"), (np.int32(2**31 - 1), "float32"), (np.int32(-1), "uint32"),
                                       (np.uint32(2**32 - 1), "int32"), (np.float32(2.75), "int32")])
def test_constants_are_converted(value, to):
    """Beforehand; but floats to integers by the engine."""
    program = kjax.compile(lambda x: x + jax.jit(lambda v: v.astype(to))(value), np.zeros(3, to))
    assert ("to_" in program.as_text()) == (value.dtype.kind == "f")
    np.testing.assert_array_equal(program(np.zeros(3, to)), np.full(3, value.astype(to)))


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
@pytest.mark.parametrize("by", [1, 2, 3, 7, 64, 100, 127])
def test_floor_division_of_signed_integers(dtype, by):
    info = np.iinfo(dtype)
    x = np.unique(np.clip(np.arange(-300, 300) * (info.max // 127), info.min, info.max)).astype(dtype)
    x = np.concatenate([x, np.arange(-300, 300).clip(info.min, info.max).astype(dtype), np.array([info.min, info.max], dtype)])
    program = kjax.compile(lambda x: (x // by, x % by, jnp.divmod(x, by)), x)
    assert by & (by - 1) or not {"select", "div", "rem"} & {word.split(".")[0] for word in program.as_text().split()}
    quotient, rest, both = program(x)
    for got, want in zip((quotient, rest, *both), (x // np.array(by, dtype), x % np.array(by, dtype)) * 2, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_sigmoid_is_one_operation_with_the_same_bits():
    x = np.concatenate([np.linspace(-90, 90, 5000), [np.nan, np.inf, -np.inf, -0.0, 1e-45, -87, 87, 104, -104]]).astype(np.float32)
    one = np.ones((), np.float32)
    with np.errstate(over="ignore"):
        want = kjax.compile(lambda x, one: one / (one + jnp.exp(-x)), x, one)(x, one)  # an argument may be another number
    for function in (jax.nn.sigmoid, lambda x: 1 / (jnp.exp(-x) + 1)):
        program = kjax.compile(function, x)
        assert arithmetic(program) == ["logistic"]
        got = program(x)
        there = (x >= -87) & ~np.isnan(x)
        np.testing.assert_array_equal(got[there].view(np.uint32), want[there].view(np.uint32))
        np.testing.assert_array_less(got[x < -87], 1.7e-38)
        assert np.isnan(got[np.isnan(x)]).all()
    assert arithmetic(kjax.compile(lambda x: 1 / (1 + jnp.exp(x)), x)) == ["add", "div", "exp"]
    assert arithmetic(kjax.compile(lambda x: 2 / (1 + jnp.exp(-x)), x)) == ["add", "div", "exp", "neg"]
