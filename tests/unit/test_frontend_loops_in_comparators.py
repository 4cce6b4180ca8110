"""Loops in a sort's comparator, a scatter's update, a select_and_scatter's two bodies and an all_reduce's: StableHLO's
order and rules for places outside, in plain Python (XLA:CPU does not take such bodies), and StableHLO's interpreter."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from frontend_oracle import interpreted, run_text
from jax import lax

import kjax
from kjax.errors import UnsupportedOpError

RNG = np.random.default_rng(5)
NUMPY = {"f32": np.float32, "f64": np.float64, "i8": np.int8, "i1": np.bool_, "complex<f32>": np.complex64}

# -- sort --------------------------------------------------------------------------------------------------------------
SORT = """func.func @main({arguments}) -> ({types}) {{
  {constants}
  %r:{n} = "stablehlo.sort"({names}) <{{dimension = {dim} : i64, is_stable = true}}> ({{
  ^bb0({scalars}):
    %one = stablehlo.constant dense<1> : tensor<i32>
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %w:4 = stablehlo.while(%p = %l0, %q = %r0, %c = %zero, %d = %zero)
      : tensor<i32>, tensor<i32>, tensor<i32>, tensor<i32>
    cond {{
      {more}
      stablehlo.return %more : tensor<i1>
    }} do {{
      %a = stablehlo.and %p, %one : tensor<i32>
      %b = stablehlo.and %q, %one : tensor<i32>
      %e = stablehlo.add %c, %a : tensor<i32>
      %f = stablehlo.add %d, %b : tensor<i32>
      %g = stablehlo.shift_right_logical %p, %one : tensor<i32>
      %h = stablehlo.shift_right_logical %q, %one : tensor<i32>
      stablehlo.return %g, %h, %e, %f : tensor<i32>, tensor<i32>, tensor<i32>, tensor<i32>
    }}
    %less = stablehlo.compare LT, %w#2, %w#3 : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %less : tensor<i1>
  }}) : ({types}) -> ({types})
  return {results} : {types} }}"""
ANY_BIT_LEFT = """%m = stablehlo.or %p, %q : tensor<i32>
      %more = stablehlo.compare NE, %m, %zero : (tensor<i32>, tensor<i32>) -> tensor<i1>"""
SAME_SO_FAR = "%more = stablehlo.compare EQ, %c, %d : (tensor<i32>, tensor<i32>) -> tensor<i1>"


def sort_by_bits(shape, dim, others=(), more=ANY_BIT_LEFT, values=None):
    """A stable sort of i32 by the number of ones among the bits that a loop looks at, from the lowest on, with tensors
    of the dtypes ``others``. ``values``: constants instead of the argument."""
    dtypes = ["i32", *others]
    types = ["tensor<" + "x".join([*map(str, shape), d]) + ">" for d in dtypes]
    n = len(dtypes)
    return SORT.format(
        n=n, dim=dim, more=more, types=", ".join(types), names=", ".join(f"%x{k}" for k in range(n)),
        arguments="" if values is not None else ", ".join(f"%x{k}: {t}" for k, t in enumerate(types)),
        constants="" if values is None else f"%x0 = stablehlo.constant dense<{values.tolist()}> : {types[0]}",
        results=", ".join(f"%r#{k}" for k in range(n)),
        scalars=", ".join(f"%{side}{k}: tensor<{d}>" for k, d in enumerate(dtypes) for side in "lr"))


def outputs(program, *arrays):
    got = kjax.compile(program)(*arrays)
    return list(got) if isinstance(got, tuple) else [got]


@pytest.mark.parametrize("others", [(), ("f32",), ("f64", "i8", "i1"), ("complex<f32>",)])
@pytest.mark.parametrize("shape, dim", [((1,), 0), ((2,), 0), ((3,), 0), ((64,), 0), ((67,), 0), ((3, 17), 1),
                                        ((17, 3), 0), ((2, 9, 3), 1), ((0,), 0), ((0, 4), 1), ((4, 0), 1)])
def test_sort(shape, dim, others):
    x = RNG.integers(0, 64, shape).astype(np.int32)
    arrays = [x, *((RNG.standard_normal(shape) * 9).astype(NUMPY[d]) for d in others)]
    ones = np.array([int(v).bit_count() for v in x.reshape(-1)], int).reshape(shape)
    order = np.argsort(ones, axis=dim, kind="stable")
    for a, g in zip(arrays, outputs(sort_by_bits(shape, dim, others), *arrays), strict=True):
        np.testing.assert_array_equal(g, np.take_along_axis(a, order, dim))
        assert g.dtype == a.dtype


@pytest.mark.parametrize("shape, dim", [((11,), 0), ((3, 7), 1), ((6, 2), 0)])
def test_sort_as_the_interpreter(shape, dim):
    values = RNG.integers(0, 1 << 20, shape)
    text = sort_by_bits(shape, dim, values=values)
    (want,) = interpreted(text)
    np.testing.assert_array_equal(run_text(text)[0], want)
    np.testing.assert_array_equal(outputs(text)[0], want)


def test_an_element_is_not_compared_with_itself():
    """A loop that ends at the first bit in which two numbers differ would not end for equal ones."""
    x = RNG.permutation(50).astype(np.int32)
    backwards = [int(f"{v:032b}"[::-1], 2) for v in range(50)]
    (got,) = outputs(sort_by_bits((50,), 0, more=SAME_SO_FAR), x)
    np.testing.assert_array_equal(got, sorted(range(50), key=backwards.__getitem__))


NANS_LAST = """func.func @main(%x: tensor<9xf32>, %t: tensor<9xi32>) -> (tensor<9xf32>, tensor<9xi32>) {
  %r:2 = "stablehlo.sort"(%x, %t) <{dimension = 0 : i64, is_stable = true}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>, %c: tensor<i32>, %d: tensor<i32>):
    %one = stablehlo.constant dense<1> : tensor<i32>
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %nan = stablehlo.compare NE, %a, %a : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %r = "stablehlo.if"(%nan) ({
      %no = stablehlo.constant dense<false> : tensor<i1>
      stablehlo.return %no : tensor<i1>
    }, {
      %bn = stablehlo.compare NE, %b, %b : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %w:2 = stablehlo.while(%i = %zero, %y = %bn) : tensor<i32>, tensor<i1>
      cond { %go = stablehlo.compare LT, %i, %one : (tensor<i32>, tensor<i32>) -> tensor<i1>
        stablehlo.return %go : tensor<i1> }
      do { %less = stablehlo.compare LT, %a, %b : (tensor<f32>, tensor<f32>) -> tensor<i1>
        %or = stablehlo.or %y, %less : tensor<i1>
        %j = stablehlo.add %i, %one : tensor<i32>
        stablehlo.return %j, %or : tensor<i32>, tensor<i1> }
      stablehlo.return %w#1 : tensor<i1>
    }) : (tensor<i1>) -> tensor<i1>
    stablehlo.return %r : tensor<i1>
  }) : (tensor<9xf32>, tensor<9xi32>) -> (tensor<9xf32>, tensor<9xi32>)
  return %r#0, %r#1 : tensor<9xf32>, tensor<9xi32> }"""


def test_sort_with_a_branch_around_a_loop():
    keys = np.float32([3, np.nan, 1, -0.0, 0.0, np.inf, np.nan, 1, -np.inf])
    values, tags = outputs(NANS_LAST, keys, np.arange(9, dtype=np.int32))
    want = np.argsort(keys, kind="stable")
    np.testing.assert_array_equal(tags, want)
    np.testing.assert_array_equal(values, keys[want])


# -- scatter -----------------------------------------------------------------------------------------------------------
HALVED = """{{
  ^bb0(%a: tensor<{d}>, %b: tensor<{d}>):
    %one = stablehlo.constant dense<1.0> : tensor<{d}>
    %half = stablehlo.constant dense<0.5> : tensor<{d}>
    %s = stablehlo.add %a, %b : tensor<{d}>
    %w = stablehlo.while(%v = %s) : tensor<{d}>
    cond {{ %m = stablehlo.abs %v : tensor<{d}>
      %c = stablehlo.compare GT, %m, %one : (tensor<{d}>, tensor<{d}>) -> tensor<i1>
      stablehlo.return %c : tensor<i1> }}
    do {{ %h = stablehlo.multiply %v, %half : tensor<{d}>
      stablehlo.return %h : tensor<{d}> }}
    stablehlo.return %w : tensor<{d}> }}"""
ELEMENTS = """func.func @main(%x: tensor<6x{d}>, %i: tensor<{n}x1xi32>, %u: tensor<{n}x{d}>) -> tensor<6x{d}> {{
  %r = "stablehlo.scatter"(%x, %i, %u) <{{scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0],
    scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}}> ({body}) :
    (tensor<6x{d}>, tensor<{n}x1xi32>, tensor<{n}x{d}>) -> tensor<6x{d}>
  return %r : tensor<6x{d}> }}"""


def halved(old, new):
    """What HALVED makes of a pair: the sum, halved until it is not above one."""
    total = type(old)(old + new)
    while abs(total) > 1:
        total = type(old)(total / 2)
    return total


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("count", [0, 1, 9])
def test_scatter_of_elements(count, dtype):
    """Updates in their order; places outside are left out, and the body does not run for them: it would not end."""
    x, u = (3 * RNG.standard_normal(n).astype(NUMPY[dtype]) for n in (6, count))
    places = np.resize(np.int32([2, 0, 2, -1, 5, 6, 5, 2, 100]), count)
    u[(places < 0) | (places > 5)] = np.inf
    (got,) = outputs(ELEMENTS.format(d=dtype, n=count, body=HALVED.format(d=dtype)), x, places[:, None], u)
    for i, v in zip(places, u):
        if 0 <= i < 6:
            x[i] = halved(x[i], v)
    np.testing.assert_array_equal(got, x)


WINDOWS = """func.func @main(%x: tensor<4x5xf32>, %k: tensor<4x5xi32>, %i: tensor<{n}x2xi32>, %u: tensor<{n}x2x{w}xf32>,
    %v: tensor<{n}x2x{w}xi32>) -> (tensor<4x5xf32>, tensor<4x5xi32>) {{
  %r:2 = "stablehlo.scatter"(%x, %k, %i, %u, %v) <{{scatter_dimension_numbers = #stablehlo.scatter<
    update_window_dims = [1, 2], scatter_dims_to_operand_dims = [0, 1], index_vector_dim = 1>}}> ({{
  ^bb0(%a: tensor<f32>, %b: tensor<i32>, %c: tensor<f32>, %d: tensor<i32>):
    %one = stablehlo.constant dense<1> : tensor<i32>
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %w:2 = stablehlo.while(%p = %d, %q = %a) : tensor<i32>, tensor<f32>
    cond {{ %m = stablehlo.compare GT, %p, %zero : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %m : tensor<i1> }}
    do {{ %g = stablehlo.subtract %p, %one : tensor<i32>
      %h = stablehlo.add %q, %c : tensor<f32>
      stablehlo.return %g, %h : tensor<i32>, tensor<f32> }}
    %s = stablehlo.add %b, %d : tensor<i32>
    stablehlo.return %w#1, %s : tensor<f32>, tensor<i32>
  }}) : (tensor<4x5xf32>, tensor<4x5xi32>, tensor<{n}x2xi32>, tensor<{n}x2x{w}xf32>, tensor<{n}x2x{w}xi32>)
    -> (tensor<4x5xf32>, tensor<4x5xi32>)
  return %r#0, %r#1 : tensor<4x5xf32>, tensor<4x5xi32> }}"""


@pytest.mark.parametrize("width", [0, 1, 3])
def test_scatter_of_windows_into_two_tensors(width):
    """Added as often as the other tensor's update says; windows that stick out are left out whole."""
    at = np.int32([[0, 0], [1, 2], [2, 2], [3, 0], [-1, 1], [0, 3], [1, 1]])
    x, u = RNG.standard_normal((4, 5)).astype(np.float32), RNG.standard_normal((len(at), 2, width)).astype(np.float32)
    k, v = np.arange(20, dtype=np.int32).reshape(4, 5), RNG.integers(0, 4, u.shape).astype(np.int32)
    got = outputs(WINDOWS.format(n=len(at), w=width), x, k, at, u, v)
    for (row, col), values, times in zip(at, u, v):
        if 0 <= row <= 2 and 0 <= col <= 5 - width:
            for r, c in np.ndindex(2, width):
                for _ in range(times[r, c]):
                    x[row + r, col + c] += values[r, c]
                k[row + r, col + c] += times[r, c]
    np.testing.assert_array_equal(got[0], x)
    np.testing.assert_array_equal(got[1], k)


def test_apply_as_jax_spells_it():
    def body(v):
        return lax.while_loop(lambda v: jnp.abs(v) > 1, lambda v: v * 0.5, v)

    x, places = 9 * RNG.standard_normal(8).astype(np.float32), np.int32([1, 7, 1, -3, 20])
    got = kjax.jit(lambda x, i: x.at[i].apply(body))(x, places)
    for i in (1, 7, 5):
        x[i] = halved(x[i], np.float32(0))
    np.testing.assert_array_equal(got, x)


# -- select_and_scatter ------------------------------------------------------------------------------------------------
SELECT = """{{
  ^bb0(%a: tensor<{d}>, %b: tensor<{d}>):
    %one = stablehlo.constant dense<1> : tensor<i32>
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %w:2 = stablehlo.while(%i = %zero, %y = %a) : tensor<i32>, tensor<{d}>
    cond {{ %go = stablehlo.compare LT, %i, %one : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %go : tensor<i1> }}
    do {{ %j = stablehlo.add %i, %one : tensor<i32>
      %n = stablehlo.negate %y : tensor<{d}>
      stablehlo.return %j, %n : tensor<i32>, tensor<{d}> }}
    %o = stablehlo.negate %b : tensor<{d}>
    %r = stablehlo.compare LE, %w#1, %o : (tensor<{d}>, tensor<{d}>) -> tensor<i1>
    stablehlo.return %r : tensor<i1> }}"""
PLAIN_SELECT = """{{ ^bb0(%a: tensor<{d}>, %b: tensor<{d}>):
    %r = stablehlo.compare GE, %a, %b : (tensor<{d}>, tensor<{d}>) -> tensor<i1>
    stablehlo.return %r : tensor<i1> }}"""
PLAIN_SUM = """{{ ^bb0(%a: tensor<{d}>, %b: tensor<{d}>):
    %r = stablehlo.add %a, %b : tensor<{d}>
    stablehlo.return %r : tensor<{d}> }}"""
SELECT_AND_SCATTER = """func.func @main({arguments}) -> {x} {{
  {constants}
  %z = stablehlo.constant dense<{initial}> : tensor<{d}>
  %r = "stablehlo.select_and_scatter"(%x, %u, %z) <{{window_dimensions = array<i64: {window}>,
    window_strides = array<i64: {strides}>, padding = dense<{padding}> : tensor<2x2xi64>}}> ({select}, {scatter})
    : ({x}, {s}, tensor<{d}>) -> {x}
  return %r : {x} }}"""


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("select, scatter", [(SELECT, HALVED), (SELECT, PLAIN_SUM), (PLAIN_SELECT, HALVED)])
@pytest.mark.parametrize("shape, window, strides, padding", [
    ((5, 6), (2, 3), (1, 1), ((0, 0), (0, 0))), ((6, 4), (2, 2), (2, 2), ((0, 0), (0, 0))),
    ((5, 6), (3, 2), (2, 1), ((1, 1), (2, 0))), ((4, 4), (1, 1), (3, 1), ((0, 0), (0, 0))),
    ((2, 3), (3, 3), (1, 1), ((0, 0), (0, 0))), ((0, 3), (2, 3), (1, 1), ((1, 1), (0, 0))),
    ((3, 2), (2, 2), (2, 2), ((3, 0), (0, 0)))])
def test_select_and_scatter(shape, window, strides, padding, select, scatter, dtype):
    """Of several equal elements the first is selected; a window that lies wholly in the padding selects none."""
    x = np.round(2 * RNG.standard_normal(shape)).astype(NUMPY[dtype])
    count = tuple(max(0, (n + sum(p) - w) // s + 1) for n, p, w, s in zip(shape, padding, window, strides))
    source = (4 * RNG.standard_normal(count)).astype(NUMPY[dtype])
    want = np.full(shape, 0.25, x.dtype)
    for at in np.ndindex(count):
        first = [a * s - lo for a, s, (lo, _) in zip(at, strides, padding)]
        inside = [p for p in itertools.product(*(range(f, f + w) for f, w in zip(first, window)))
                  if all(0 <= k < n for k, n in zip(p, shape))]
        if inside:
            best = max(inside, key=lambda p: x[p])  # the first of the largest
            want[best] = halved(want[best], source[at]) if scatter == HALVED else want[best] + source[at]
    types = [f"tensor<{a}x{b}x{dtype}>" for a, b in (shape, count)]
    names = {"x": types[0], "s": types[1], "d": dtype, "window": str(window)[1:-1], "strides": str(strides)[1:-1],
             "padding": [*map(list, padding)], "select": select.format(d=dtype), "scatter": scatter.format(d=dtype)}
    text = SELECT_AND_SCATTER.format(arguments=f"%x: {types[0]}, %u: {types[1]}", constants="", initial=0.25, **names)
    (got,) = outputs(text, x, source)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    if 0 not in shape + count and scatter == PLAIN_SUM:  # the interpreter adds the initial value at each step
        arrays = zip("xu", (x, source), types)
        given = "\n".join(f"%{n} = stablehlo.constant dense<{v.tolist()}> : {t}" for n, v, t in arrays)
        text = SELECT_AND_SCATTER.format(arguments="", constants=given, initial=0.0, **names)
        np.testing.assert_allclose(outputs(text)[0], interpreted(text)[0], rtol=1e-6)


# -- between lanes -----------------------------------------------------------------------------------------------------
def test_all_reduce():
    text = """module attributes {{mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 3 : i32}} {{
  func.func @main(%x: tensor<2x2xf32>) -> tensor<2x2xf32> {{
    %r = "stablehlo.all_reduce"(%x) <{{replica_groups = dense<[[0, 1, 2]]> : tensor<1x3xi64>}}> ({body})
      : (tensor<2x2xf32>) -> tensor<2x2xf32>
    return %r : tensor<2x2xf32> }} }}""".format(body=HALVED.format(d="f32"))
    x = 3 * RNG.standard_normal((3, 2, 2)).astype(np.float32)
    want = x[0].copy()
    for row in x[1:]:
        for at in np.ndindex(2, 2):
            want[at] = halved(want[at], row[at])
    for (got,) in run_text(text, *([v] for v in x)):
        np.testing.assert_array_equal(got, want)


def test_the_remainder_of_complex_numbers_is_refused():
    text = """func.func @main(%a: tensor<2xcomplex<f32>>) -> tensor<2xcomplex<f32>> {
      %0 = stablehlo.remainder %a, %a : tensor<2xcomplex<f32>>
      return %0 : tensor<2xcomplex<f32>> }"""
    with pytest.raises(UnsupportedOpError, match="specification of remainder"):
        kjax.compile(text)
