"""Programs out of JAX code: import and evaluate against jax.jit on the CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from frontend_oracle import imported, same_as_jax
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

RNG = np.random.default_rng(0)


def f32(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def mlp(params, x):
    for w, b in params[:-1]:
        x = jax.nn.gelu(x @ w + b)
    w, b = params[-1]
    return x @ w + b


def loss(params, x, y):
    return jnp.mean(optimised(jax.nn.log_softmax(mlp(params, x)), y))


def optimised(logits, y):
    return -jnp.take_along_axis(logits, y[:, None], 1)


PARAMS = [(f32(5, 7), f32(7)), (f32(7, 3), f32(3))]
LABELS = np.array([0, 2, 1, 1], np.int32)


def rnn(h, xs):
    def step(h, x):
        h = jnp.tanh(h @ W_RNN + x)
        return h, h.sum()
    return lax.scan(step, h, xs)


W_RNN = f32(4, 4)

PROGRAMS = {
    "mlp": lambda: (mlp, PARAMS, f32(4, 5)),
    "grad": lambda: (jax.grad(loss), PARAMS, f32(4, 5), LABELS),
    "hessian": lambda: (jax.hessian(lambda x: jnp.sum(jnp.sin(x) * x[0])), f32(4)),
    "jvp": lambda: (lambda x: jax.jvp(lambda v: jnp.cumsum(v) ** 2, (x,), (x,)), f32(6)),
    "vmap": lambda: (jax.vmap(lambda x, i: lax.dynamic_slice(x, (i,), (2,))), f32(3, 6), np.array([0, 3, 9], np.int32)),
    "scan": lambda: (rnn, f32(4), f32(6, 4)),
    "scan_grad": lambda: (jax.grad(lambda h, x: rnn(h, x)[1].sum()), f32(4), f32(6, 4)),
    "fori": lambda: (lambda x: lax.fori_loop(0, 10, lambda i, v: v * 0.9 + i, x), f32(3)),
    "while": lambda: (lambda x: lax.while_loop(lambda v: v[0] < 100, lambda v: (v[0] * 2 + 1, v[1] + 1), (x, 0)),
                      np.float32(1)),
    "cond": lambda: (lambda p, x: lax.cond(p, jnp.sin, jnp.cos, x), np.bool_(True), f32(3)),
    "cond_false": lambda: (lambda p, x: lax.cond(p, jnp.sin, jnp.cos, x), np.bool_(False), f32(3)),
    "switch": lambda: (lambda i, x: lax.switch(i, [jnp.sin, jnp.cos, jnp.tan], x), np.int32(7), f32(3)),
    "vmapped_while": lambda: (jax.vmap(lambda n: lax.while_loop(lambda v: v[0] < n, lambda v: (v[0] + 1, v[1] * 1.5),
                                                                (0, 1.0))), np.array([3, 0, 5], np.int32)),
    "sort": lambda: (lambda x: (jnp.sort(x), jnp.argsort(-x)),
                     np.array([3, np.nan, -0.0, 0.0, -1, 3, np.inf], np.float32)),
    "sort_pairs": lambda: (lambda a, b: lax.sort((a, b), num_keys=2), np.array([2, 1, 2, 1], np.int32), f32(4)),
    "argmax": lambda: (lambda x: (jnp.argmax(x, 1), jnp.argmin(x), jnp.max(x, 0)), f32(4, 5)),
    "top_k": lambda: (lambda x: lax.top_k(x, 3), f32(4, 9)),
    "gather": lambda: (lambda x, i: (x[i], x[:, i % 3], jnp.take(x, i, 1, mode="clip")), f32(4, 5),
                       np.array([[0, 3], [2, -1]], np.int32)),
    "scatter": lambda: (lambda x, i, u: (x.at[i].add(u), x.at[i].set(u[0]), x.at[:, 1].mul(2), x.at[i].max(u),
                                         x.at[i].apply(jnp.sin)),
                        f32(5, 3), np.array([0, 2, 0], np.int32), f32(3, 3)),
    "scatter_outside": lambda: (lambda x, i, u: x.at[i].add(u, mode="drop"), f32(5), np.array([0, 7, -9], np.int32),
                                f32(3)),
    "segment_sum": lambda: (lambda x, i: jax.ops.segment_sum(x, i, 4), f32(6, 2),
                            np.array([0, 1, 1, 3, 0, 3], np.int32)),
    "conv": lambda: (lambda x, k: lax.conv_general_dilated(x, k, (2, 1), "SAME", rhs_dilation=(1, 2),
                                                           dimension_numbers=("NHWC", "HWIO", "NHWC")),
                     f32(2, 8, 9, 3), f32(3, 3, 3, 4)),
    "conv_grad": lambda: (jax.grad(lambda k, x: (lax.conv(x, k, (2, 2), "VALID") ** 2).sum()), f32(4, 3, 3, 3),
                          f32(2, 3, 8, 8)),
    "conv_groups": lambda: (lambda x, k: lax.conv_general_dilated(x, k, (1,), [(2, 1)], lhs_dilation=(2,),
                                                                  feature_group_count=2), f32(2, 4, 7), f32(6, 2, 3)),
    "max_pool": lambda: (jax.grad(lambda x: (lax.reduce_window(x, -jnp.inf, lax.max, (2, 3), (2, 2), "SAME")
                                              ** 2).sum()),
                         f32(6, 7)),
    "avg_pool": lambda: (lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 3), (1, 2), "VALID"), f32(4, 9)),
    "cumulative": lambda: (lambda x: (jnp.cumsum(x), jnp.cumprod(x / 4), lax.cummax(x),
                                     lax.cumlogsumexp(x, reverse=True)),
                           f32(200)),
    "einsum": lambda: (lambda a, b: jnp.einsum("bij,bkj->bik", a, b), f32(2, 3, 4), f32(2, 5, 4)),
    "mixed_dot": lambda: (lambda a, b: lax.dot(a, b, preferred_element_type=jnp.float32),
                          f32(3, 4).astype(jnp.bfloat16), f32(4, 2).astype(jnp.bfloat16)),
    "int_dot": lambda: (lambda a, b: lax.dot(a, b, preferred_element_type=jnp.int32),
                        RNG.integers(-128, 127, (3, 40)).astype(np.int8),
                        RNG.integers(-128, 127, (40, 2)).astype(np.int8)),
    "attention": lambda: (lambda q, k, v: jax.nn.dot_product_attention(q, k, v, is_causal=True),
                          f32(2, 5, 2, 4), f32(2, 5, 2, 4), f32(2, 5, 2, 4)),
    "uniform": lambda: (lambda k: jax.random.uniform(jax.random.wrap_key_data(k), (7,)), np.array([1, 2], np.uint32)),
    "normal": lambda: (lambda k: jax.random.normal(jax.random.wrap_key_data(k), (3, 3)), np.array([1, 2], np.uint32)),
    "permutation": lambda: (lambda k: jax.random.permutation(jax.random.wrap_key_data(k), 17),
                            np.array([1, 2], np.uint32)),
    "fft": lambda: (lambda x: (jnp.fft.fft(x), jnp.fft.irfft(x), jnp.fft.fft2(x), jnp.fft.rfft(x.real)),
                    (f32(4, 30) + 1j * f32(4, 30)).astype(np.complex64)),
    "complex": lambda: (lambda z: (jnp.abs(z), jnp.angle(z), z * z.conj(), jnp.sqrt(z), jnp.exp(z)),
                        (f32(6) + 1j * f32(6)).astype(np.complex64)),
    "bits": lambda: (lambda x: (x << 3, x >> 2, ~x, lax.population_count(x), lax.clz(x),
                                lax.bitcast_convert_type(x, jnp.uint16), lax.bitcast_convert_type(x, jnp.float32)),
                     np.array([0, 1, -5, 2**31 - 1], np.int32)),
    "custom_vjp": lambda: (jax.grad(lambda x: jax.nn.relu(x).sum() + jax.nn.logsumexp(x)), f32(5)),
    "checkpoint": lambda: (jax.grad(jax.checkpoint(lambda x: jnp.sin(jnp.sin(x)).sum())), f32(5)),
    "pytree": lambda: (lambda t: {"a": t["x"] + 1, "b": (t["y"], t["x"] * t["y"])}, {"x": f32(2), "y": f32(2)}),
    "linspace": lambda: (lambda x: jnp.linspace(x, 10.0, 7), np.float32(3)),
    "where_pad_roll": lambda: (lambda x: jnp.roll(jnp.pad(jnp.where(x > 0, x, -1), 2, mode="reflect"), 3), f32(3, 4)),
    "searchsorted": lambda: (lambda a, v: jnp.searchsorted(a, v), np.sort(f32(20)), f32(5)),
    "interp": lambda: (lambda x: jnp.interp(x, jnp.arange(5.0), jnp.sin(jnp.arange(5.0))), f32(6)),
    "associative_scan": lambda: (lambda x: lax.associative_scan(jnp.maximum, x), f32(13)),
    "nextafter": lambda: (lambda x: jnp.nextafter(x, 0), f32(5)),
    "identity": lambda: (lambda x, y: (y, x, x), f32(2), f32(3)),
    "constant": lambda: (lambda: jnp.arange(4.0) * 2,),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    same_as_jax(*PROGRAMS[name](), rtol=2e-5, atol=2e-5)


def test_cholesky_and_solve_match_numpy():
    a = RNG.normal(size=(2, 5, 5))
    spd = (a @ a.swapaxes(1, 2) + 5 * np.eye(5)).astype(np.float32)
    y = f32(2, 5, 3)

    def solve(m, v):
        return lax.linalg.cholesky(m), lax.linalg.triangular_solve(m, v, left_side=True, lower=True, transpose_a=True)

    from kjax.frontend import import_module
    from kjax.runtime.reference import evaluate

    lowered = jax.jit(solve).trace(spd, y).lower(lowering_platforms=("tpu",))
    factor, x = evaluate(import_module(lowered), [spd, y])
    np.testing.assert_allclose(factor, np.linalg.cholesky(spd), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.tril(spd).swapaxes(1, 2) @ x, y, rtol=1e-4, atol=1e-4)


def test_cholesky_of_an_indefinite_matrix_is_nan():
    from kjax.frontend import import_module
    from kjax.runtime.reference import evaluate

    m = np.array([[1, 2], [2, 1]], np.float32)
    lowered = jax.jit(lax.linalg.cholesky).trace(m).lower(lowering_platforms=("tpu",))
    (factor,) = evaluate(import_module(lowered), [m])
    assert np.isnan(factor[np.tril_indices(2)]).all()


def test_static_trip_counts_are_found():
    def trips(f, *args):
        return [op.attributes["trips"] for op in imported(f, *args).ops if op.name == "while"]

    x = f32(6, 4)
    assert trips(rnn, f32(4), x) == [6]
    assert trips(lambda v: lax.fori_loop(3, 10, lambda i, s: s * 2, v), f32(2)) == [7]
    down = lambda v: lax.while_loop(lambda s: s[0] > 2, lambda s: (s[0] - 3, s[1] * 2), (20, v))[1]  # noqa: E731
    assert trips(down, f32(2)) == [6]
    assert trips(lambda n, v: lax.fori_loop(0, n, lambda i, s: s * 2, v), np.int32(4), f32(2)) == [None]
    assert trips(lambda v: lax.while_loop(lambda s: s[0] < 8, lambda s: s * 2, v), f32(2)) == [None]


def test_donation_becomes_an_alias():
    graph = imported(lambda s, g: (s.sum(), s - 0.1 * g), f32(4), f32(4), donate_argnums=0)
    assert graph.aliases == {1: 0}


def test_source_lines_and_constants():
    graph = imported(lambda x: jnp.sin(x) * 2.5 + x * 2.5, f32(3))
    (sine,) = [op for op in graph.ops if op.name == "sin"]
    assert sine.source.file == __file__ and sine.source.line > 100 and "sin" in sine.source.name
    constants = [op for op in graph.ops if op.name == "constant" and float(op.attributes["value"].flat[0]) == 2.5]
    assert len(constants) == 1


def test_source_inside_a_called_function_is_the_users_line():
    graph = imported(lambda x: jax.nn.relu(x) + lax.fori_loop(0, 3, lambda i, v: jnp.tanh(v), x), f32(3))
    loop = next(op for op in graph.ops if op.name == "while")
    inner = next(op for op in loop.regions[1].ops if op.name == "tanh")
    assert inner.source.file == __file__ and "while/body" in inner.source.name


SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@settings(max_examples=12, deadline=None)
@given(SHAPES, st.data())
def test_reductions_of_any_shape(shape, data):
    axes = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1))))
    x = f32(*shape)
    same_as_jax(lambda v: (v.sum(axes), v.max(axes), (v > 0).any(axes), v.prod(axes)), x, rtol=1e-4, atol=1e-5)


@settings(max_examples=12, deadline=None)
@given(SHAPES, st.data())
def test_slices_pads_and_reversals_of_any_shape(shape, data):
    k = data.draw(st.integers(0, len(shape) - 1))
    start = data.draw(st.integers(0, shape[k]))
    step = data.draw(st.integers(1, 3))
    low, high, inner = data.draw(st.tuples(st.integers(-1, 2), st.integers(0, 2), st.integers(0, 2)))

    def f(x):
        config = [(0, 0, 0)] * x.ndim
        config[k] = (low, high, inner)
        return lax.slice_in_dim(x, start, shape[k], step, k), lax.pad(x, jnp.float32(7), config), lax.rev(x, (k,))

    same_as_jax(f, f32(*shape))


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3), st.booleans())
def test_dot_general_of_any_shape(m, n, k, batch, swap):
    x, y = f32(batch, m, k), (f32(batch, k, n) if swap else f32(batch, n, k))
    dims = (((2,), (1 if swap else 2,)), ((0,), (0,)))
    same_as_jax(lambda a, b: lax.dot_general(a, b, dims), x, y, rtol=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.integers(0, 2), st.booleans())
def test_convolutions_of_any_shape(kernel, stride, base, dilation, pad, flip):
    def f(x, w):
        w = lax.rev(w, (2,)) if flip else w
        return lax.conv_general_dilated(x, w, (stride,), [(pad, pad)], lhs_dilation=(base,), rhs_dilation=(dilation,))

    same_as_jax(f, f32(2, 3, 8), f32(4, 3, kernel), rtol=1e-4, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 40), st.booleans())
def test_sort_is_stable_at_any_length(n, descending):
    keys = RNG.integers(0, 5, n).astype(np.int32)

    def f(k):
        return lax.sort((-k if descending else k, jnp.arange(n)), num_keys=1, is_stable=True)

    same_as_jax(f, keys)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(-3, 8), min_size=1, max_size=6), st.sampled_from(["fill", "clip", "promise_in_bounds"]))
def test_gather_at_any_index(indices, mode):
    if mode == "promise_in_bounds":
        indices = [min(max(i, 0), 4) for i in indices]
    same_as_jax(lambda x, i: x.at[i].get(mode=mode), f32(5, 2), np.array(indices, np.int32))
