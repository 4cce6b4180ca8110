"""Parts of the compiler alone: registers, arena, fusion, places."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kjax
from kjax.bytecode import program as p
from kjax.compiler import arena, pipeline
from kjax.compiler.body import Body, Register, RegisterPressure, finish
from kjax.compiler.views import Buffer
from kjax.ir.graph import Graph, Region, Type


def interpret(uops, registers):
    """Run integer adds and copies on a register file."""
    for u in uops:
        registers[u.dst] = registers[u.a] + registers[u.b] if u.op == "add" else registers[u.a]
    return registers


@given(st.data())
def test_registers_hold_what_the_virtual_ones_would(data):
    n = data.draw(st.integers(1, 4))
    body = Body()
    inputs = [Register("i32") for _ in range(n)]
    values = {r: 10 ** k for k, r in enumerate(inputs)}
    known = list(inputs)
    for _ in range(data.draw(st.integers(0, 12))):
        a, b = (data.draw(st.sampled_from(known)) for _ in range(2))
        r = body.emit("add", "i32", "i32", (a, b))
        values[r] = values[a] + values[b]
        if r not in known:
            known.append(r)
    results = [data.draw(st.sampled_from(known)) for _ in range(data.draw(st.integers(1, n)))]
    uops, top = finish(body, inputs=inputs, results=results)
    file = interpret(uops, dict(enumerate(10 ** k for k in range(n))))
    assert [file[k] for k in range(len(results))] == [values[r] for r in results]
    assert all(u.dst < top for u in uops)


def test_too_many_live_registers_are_refused():
    body = Body()
    inputs = [Register("i32")]
    alive = [body.emit("add", "i32", "i32", (inputs[0], inputs[0]), k) for k in range(70)]
    total = alive[0]
    for r in alive[1:]:
        total = body.emit("add", "i32", "i32", (total, r))
    with pytest.raises(RegisterPressure):
        finish(body, inputs=inputs, results=[total])


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8), st.integers(1, 500)), min_size=1, max_size=30))
def test_arena_buffers_that_live_together_do_not_overlap(rows):
    buffers = [(Buffer("u8", size), first, first + length) for first, length, size in rows]
    code = [p.Nest((1,), tuple(p.Operand(b, 0, (1,)) for b, first, last in buffers if at in (first, last)), ())
            for at in range(24)]
    offsets, size = arena.assign(code)
    for i, (a, first, last) in enumerate(buffers):
        assert offsets[a] % 64 == 0 and offsets[a] + a.bytes <= size
        for b, start, end in buffers[:i]:
            apart = offsets[a] + a.bytes <= offsets[b] or offsets[b] + b.bytes <= offsets[a]
            assert apart or last < start or end < first


def test_a_buffer_used_across_a_loop_lives_through_it():
    carried, inner = Buffer("u8", 64), Buffer("u8", 64)

    def touch(b):
        return p.Nest((1,), (p.Operand(b, 0, (1,)),), ())

    code = [touch(carried), p.While(), touch(inner), p.Do(inner), touch(inner), p.End(), touch(carried)]
    spans = arena.lifetimes(code)
    assert spans[carried] == (0, 6) and spans[inner] == (2, 4)
    code = [touch(carried), p.While(), touch(carried), p.Do(inner), touch(inner), p.End()]
    assert arena.lifetimes(code)[carried] == (0, 5)


def test_plans_of_an_arena_keep_what_lives_together_apart():
    rng = np.random.default_rng(3)
    spans = {}
    for size in rng.integers(1, 2000, 60):
        first = int(rng.integers(0, 100))
        spans[Buffer("u8", int(size))] = (first, first + int(rng.integers(0, 30)))
    for offsets in (arena._first_first(spans), arena._largest_first(spans, arena._neighbours(spans))):
        for a, (first, last) in spans.items():
            for b, (begin, end) in spans.items():
                if a is not b and first <= end and begin <= last:
                    assert offsets[a] + a.bytes <= offsets[b] or offsets[b] + b.bytes <= offsets[a]


def nested(data, depth=0):
    """Instructions with loops and cases in loops and cases, and buffers touched anywhere."""
    code = []
    for _ in range(data.draw(st.integers(0, 4))):
        kind = data.draw(st.sampled_from(["touch", "touch", "while", "case"] if depth < 3 else ["touch"]))
        if kind == "touch":
            code.append(p.Nest((1,), (p.Operand(data.draw(st.sampled_from(BUFFERS)), 0, (1,)),), ()))
        else:
            head = p.While() if kind == "while" else p.Case(Buffer("i32", 1, "input"), 1)
            code += [head, *nested(data, depth + 1), p.End()]
    return code


BUFFERS = [Buffer("u8", 1) for _ in range(3)]


@given(st.data())
def test_lifetimes_are_whole_loops_where_a_loop_holds_some_uses_but_not_all(data):
    code = nested(data)
    loops, opened = [], []
    for at, i in enumerate(code):
        if isinstance(i, (p.While, p.Case)):
            opened.append((at, isinstance(i, p.While)))
        elif isinstance(i, p.End):
            start, loop = opened.pop()
            loops += [(start, at)] * loop
    spans = arena.lifetimes(code)
    for buffer in BUFFERS:
        uses = [at for at, i in enumerate(code) if buffer in arena.touched(i)]
        assert (buffer in spans) == bool(uses)
        if uses:
            first, last = uses[0], uses[-1]
            for _ in loops:  # until nothing grows
                for start, end in loops:
                    if first <= end and last >= start and not (start <= first and last <= end):
                        first, last = min(first, start), max(last, end)
            assert spans[buffer] == (first, last)


def scalar_add(dtype="f32"):
    region = Region()
    a, b = (region.argument(Type(dtype)) for _ in range(2))
    region.results = [region.add("add", [a, b], Type(dtype))]
    return region


def softmax():
    g = Graph()
    x = g.argument(Type("f32", (8, 64)))
    zero = g.add("constant", [], Type("f32"), value=np.float32(0))
    e = g.add("exp", [x], x.type)
    (s,) = g.add("reduce", [e, zero], [Type("f32", (8,))], regions=[scalar_add()], dims=(1,))
    g.results = [g.add("div", [e, g.add("broadcast_in_dim", [s], x.type, dims=(0,))], x.type)]
    return g


def test_a_reduction_is_fused_with_what_it_reduces():
    nests = pipeline.build(softmax()).code
    assert [n.n_acc for n in nests] == [1, 0]
    assert [u.op for u in nests[0].map] == ["load", "exp", "store"]


def test_parts_that_depend_on_each_other_through_a_third_stay_apart():
    g = Graph()
    x = g.argument(Type("f32", (4, 4)))
    a = g.add("exp", [x], x.type)
    t = g.add("transpose", [a], x.type, permutation=(1, 0))
    g.results = [g.add("add", [a, t], x.type)]
    assert len(pipeline.build(g).code) == 2


def product(m, k, n):
    g = Graph()
    a, b = g.argument(Type("f32", (m, k))), g.argument(Type("f32", (k, n)))
    g.results = [g.add("dot_general", [a, b], Type("f32", (m, n)), lhs_batch=(), rhs_batch=(), lhs_contract=(1,),
                       rhs_contract=(0,))]
    return pipeline.build(g).code


@pytest.mark.parametrize("shape, kind", [((4, 4, 4), p.Dot), ((2, 3, 8), p.Dot), ((4, 1, 4), p.Nest), ((32, 4, 4), p.Nest),
                                         ((4, 16, 4), p.Dot)])
def test_products_that_fit_registers_stay_products(shape, kind):
    """Of the short ones, those that do not are written out: multiplications and additions that fuse."""
    assert [type(i) for i in product(*shape)] == [kind]


def test_a_result_is_computed_in_its_output():
    image = pipeline.build(softmax())
    last = image.code[-1]
    assert image.tensors[last.operands[-1].tensor].storage == "output"


@pytest.mark.parametrize("name,function,joined", [
    ("softmax", lambda x: jax.nn.softmax(x, -1), 2), ("layernorm", lambda x: (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True), 2),
    ("along columns", lambda x: jax.nn.softmax(x, 0), 0), ("both ways", lambda x: x / x.sum(1)[:, None] / x.sum(0), None),
    ("transposed", lambda x: (x / x.sum(1)[:, None]).T + x, 1), ("shifted", lambda x: jnp.roll(x / x.sum(1)[:, None], 1, 0), None)])
def test_nests_over_large_tensors_run_by_rows(name, function, joined):
    x = np.random.default_rng(0).uniform(0.5, 1.5, (512, 512)).astype(np.float32)
    program = kjax.compile(function, x)
    nests = [line for line in program.as_text().splitlines() if "with the one before" in line]
    if joined is not None:
        assert (len(nests) >= joined) if joined else not nests
    np.testing.assert_allclose(program(x), jax.jit(function)(x), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("shape,extra", [((512, 512), 0), ((8, 64, 256), 0), ((512, 48), 1)])
def test_what_is_done_with_the_fold_of_a_long_row_joins_it(shape, extra):
    """A softmax is a maximum, a sum and a quotient; along short rows the maximum with -inf is a nest of its own."""
    program = kjax.compile(lambda x: jax.nn.softmax(x, -1), np.ones(shape, np.float32))
    assert sum(" nest " in line for line in program.as_text().splitlines()) == 3 + extra


def test_what_a_large_result_is_computed_from_lies_in_its_output():
    """The exponentials of a softmax; not what is read again after the result, nor what leaves the program itself."""
    x = np.linspace(-3, 3, 256 * 512, dtype=np.float32).reshape(256, 512)
    large = x.nbytes

    def temporaries(function):
        program = kjax.compile(function, x)
        for got, want in zip(jax.tree.leaves(program(x)), jax.tree.leaves(jax.jit(function)(x)), strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-5)
        return program.memory_analysis().temp_size_in_bytes

    assert temporaries(lambda x: jax.nn.softmax(x, axis=-1)) < large
    e = lambda x: jnp.exp(x - x.max(1, keepdims=True))  # noqa: E731
    assert temporaries(lambda x: (e(x), e(x) / e(x).sum(1, keepdims=True))) < large

    def again(x):
        y = e(x)
        z = y / y.sum(1, keepdims=True)
        return z, (y * z.sum(0)).sum(1)

    assert temporaries(again) >= large


def test_cheap_large_results_are_computed_again():
    x = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
    program = kjax.compile(lambda x: (x - x.mean()) * jnp.square(x - x.mean()).sum(), x)
    assert program.memory_analysis().temp_size_in_bytes < 1 << 20


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_sorts_of_any_float_are_by_key(dtype):
    x = jnp.asarray(np.random.default_rng(1).standard_normal(40).astype(np.float32)).astype(dtype).at[3].set(jnp.nan)
    program = kjax.compile(jnp.sort, x)
    assert "by comparator" not in program.as_text()
    np.testing.assert_array_equal(np.asarray(program(np.asarray(x))).astype(np.float32), np.asarray(jnp.sort(x)).astype(np.float32))


def _integers(*shape, dtype=jnp.int8):
    return jax.ShapeDtypeStruct(shape, dtype)


@pytest.mark.parametrize("function, operands, sides", [
    (lambda x, w: jax.lax.dot(x, w, preferred_element_type=jnp.int32), (_integers(9, 40), _integers(40, 8)), ["i8", "i8"]),
    (lambda x, w: x.astype(jnp.int32) @ w.astype(jnp.int32), (_integers(9, 40, dtype=jnp.uint8), _integers(40, 8)), ["u8", "i8"]),
    (lambda x, w: x.T.astype(jnp.int32) @ w.astype(jnp.int32), (_integers(40, 9, dtype=jnp.int16), _integers(40, 8)), ["i16", "i8"]),
    (lambda x, w: x @ w, (_integers(9, 40), _integers(40, 8)), ["i8", "i8"]),
    (lambda x, w: jax.lax.conv_general_dilated(x.astype(jnp.int32), w.astype(jnp.int32), (1, 1), "SAME"),
     (_integers(1, 3, 9, 9), _integers(4, 3, 3, 3)), ["i8", "i8"]),
    (lambda x, w: x.astype(jnp.int32) @ w, (_integers(9, 40), _integers(40, 8, dtype=jnp.int32)), ["i32", "i32"]),
    (lambda x, w: (x.astype(jnp.int8)) @ w, (_integers(9, 40, dtype=jnp.int16), _integers(40, 8)), ["i8", "i8"]),
])
def test_narrow_integers_are_contracted_as_they_lie(function, operands, sides):
    text = kjax.compile(function, *operands).as_text()
    assert text.count("dot.i32") == 1
    assert re.findall(r"[lr]hs = t\d+ (\w+)", text) == sides
    rng = np.random.default_rng(0)
    arrays = [rng.integers(np.iinfo(o.dtype).min, np.iinfo(o.dtype).max + 1, o.shape).astype(o.dtype) for o in operands]
    np.testing.assert_array_equal(kjax.jit(function)(*arrays), jax.jit(function)(*arrays))


@pytest.mark.parametrize("function", [
    lambda x, y: (x[:, None] == y[None]).any(1), lambda x, y: (x[:, None] < y[None]).sum(1), lambda x, y: (x[:, None] ^ y[None]).min(1),
    lambda x, y: jnp.maximum(x[:, None] * 2, y[None]).max(1), lambda x, y: (x[None] * y[:, None]).max(0),
])
def test_all_of_one_array_with_all_of_another_has_strips_along_the_result(function):
    x, y = (np.random.default_rng(n).integers(0, 60, n).astype(np.int32) for n in (3000, 50))
    program = kjax.compile(function, x, y)
    assert "x3000 strip" in program.as_text()
    np.testing.assert_array_equal(program(x, y), function(jnp.asarray(x), jnp.asarray(y)))


def test_long_sums_of_floats_are_not_one_rounding_after_the_other():
    """One array with another: strips along the result would add up 20,000 numbers in a row."""
    x, y = (np.random.default_rng(n).random(n).astype(np.float32) for n in (300, 20000))
    program = kjax.compile(lambda x, y: (x[:, None] + y[None]).sum(1), x, y)
    want = x.astype(np.float64) * y.size + y.astype(np.float64).sum()
    assert np.abs(program(x, y) - want).max() < 3e-6 * want.max()
