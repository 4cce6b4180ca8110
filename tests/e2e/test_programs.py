"""Whole JAX functions through kjax in this process, held against JAX on the CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import kjax
from kjax.bytecode.disassembler import disassemble

RNG = np.random.default_rng(7)


def f32(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def close(got, want, tolerance=2e-5):
    got, want = jax.tree_util.tree_leaves(got), jax.tree_util.tree_leaves(want)
    assert len(got) == len(want)
    for g, w in zip(got, want):
        w = np.asarray(w)
        assert np.asarray(g).shape == w.shape and np.asarray(g).dtype == w.dtype
        np.testing.assert_allclose(np.asarray(g, np.float64), w.astype(np.float64), rtol=tolerance, atol=tolerance)


def mlp(p, x):
    for w, b in p[:-1]:
        x = jnp.tanh(x @ w + b)
    w, b = p[-1]
    return x @ w + b


PARAMS = [(f32(8, 16), f32(16)), (f32(16, 16), f32(16)), (f32(16, 4), f32(4))]


def lstm(wx, wh, b, xs):
    def step(hc, x):
        h, c = hc
        i, f, g, o = jnp.split(x @ wx + h @ wh + b, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    z = jnp.zeros((xs.shape[1], wh.shape[0]), xs.dtype)
    return lax.scan(step, (z, z), xs)


def conv(x, w):
    return lax.conv_general_dilated(x, w, (2, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def layer_norm(x, g):
    d = x - jnp.mean(x, -1, keepdims=True)
    return d * lax.rsqrt(jnp.mean(d * d, -1, keepdims=True) + 1e-6) * g + g


PROGRAMS = {
    "scalar": (lambda x: x + 1.0, (np.float32(2),)),
    "softmax": (lambda x: jax.nn.softmax(x, -1), (f32(5, 33),)),
    "layernorm": (lambda x: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5), (f32(6, 40),)),
    "mlp": (mlp, (PARAMS, f32(7, 8))),
    "mlp_grad": (jax.grad(lambda p, x: jnp.mean(mlp(p, x) ** 2)), (PARAMS, f32(7, 8))),
    "hessian": (jax.hessian(lambda x: jnp.sum(jnp.sin(x) * x[::-1])), (f32(6),)),
    "lstm": (lstm, (f32(5, 32), f32(8, 32), f32(32), f32(9, 2, 5))),
    "lstm_grad": (jax.grad(lambda *a: jnp.sum(lstm(*a)[1] ** 2), argnums=(0, 1)), (f32(5, 32), f32(8, 32), f32(32), f32(9, 2, 5))),
    "conv": (conv, (f32(2, 9, 8, 3), f32(3, 3, 3, 5))),
    "conv_grad": (jax.grad(lambda x, w: jnp.sum(conv(x, w) ** 2), argnums=(0, 1)), (f32(2, 9, 8, 3), f32(3, 3, 3, 5))),
    "max_pool_grad": (jax.grad(lambda x: jnp.sum(lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") ** 2)),
                      (f32(2, 6, 6, 3),)),
    "sort": (lambda x: (jnp.sort(x), jnp.argsort(-x), jnp.sort(x, axis=0)), (f32(7, 9),)),
    "top_k": (lambda x: lax.top_k(x, 3), (f32(5, 9),)),
    "rows": (lambda x, g: (jax.nn.softmax(x, -1), layer_norm(x, g), jnp.max(x, 1), jnp.argmax(x, 1), jnp.argmin(x, 0)),
             (f32(70, 205), f32(205))),
    "rows of a large matrix": (lambda x, g: layer_norm(jax.nn.softmax(x, -1), g), (f32(400, 400), f32(400))),
    "argmax": (lambda x: (jnp.argmax(x, 0), jnp.argmin(x, 1), jnp.argmax(x)), (f32(7, 9),)),
    "cumsum": (lambda x: (jnp.cumsum(x), jnp.cumprod(x, 1), lax.cummax(x, 0)), (f32(7, 9),)),
    "gather": (lambda t, i: t[i], (f32(11, 3), np.array([3, 0, 10, 7, -1, 40], np.int32))),
    "scatter_add": (lambda t, i, v: t.at[i].add(v), (f32(11, 3), np.array([3, 0, 3, 7, -1, 40], np.int32), f32(6, 3))),
    "scatter_set": (lambda t, i, v: t.at[i, 1].set(v), (f32(11, 3), np.array([3, 0, 5], np.int32), f32(3))),
    "dynamic": (lambda x, i: lax.dynamic_update_slice(x, 2 * lax.dynamic_slice(x, (i,), (4,)), (i + 2,)), (f32(10), np.int32(9))),
    "while": (lambda x: lax.while_loop(lambda c: c[0] < 100, lambda c: (c[0] + 1, c[1] * 0.97 + 1), (0, x)), (f32(4),)),
    "swap": (lambda a, b: lax.fori_loop(0, 7, lambda i, c: (c[1], c[0] + i), (a, b)), (f32(4), f32(4))),
    "shift": (lambda a, b, c: lax.fori_loop(0, 5, lambda i, s: (s[1], s[2], s[0] + s[1]), (a, b, c)), (f32(3), f32(3), f32(3))),
    "nested": (lambda x: lax.fori_loop(0, 4, lambda i, c: lax.fori_loop(0, 3, lambda j, d: d * 1.1 + i + j, c), x), (f32(5),)),
    "cond": (lambda i, x: lax.cond(i > 2, lambda y: y * 2, lambda y: y[::-1], x), (np.int32(3), f32(5))),
    "switch": (lambda i, x: lax.switch(i, [jnp.sin, jnp.cos, lambda y: y * i], x), (np.int32(9), f32(5))),
    "cond_in_loop": (lambda x: lax.fori_loop(0, 9, lambda i, c: lax.cond(i % 3 == 0, lambda y: y + 1, lambda y: y * 0.5, c), x),
                     (f32(5),)),
    "concatenate": (lambda x, y: jnp.concatenate([x * 2, y, x[::-1]], 1), (f32(3, 4), f32(3, 2))),
    "pad": (lambda x: lax.pad(x, 1.5, ((1, -1, 2), (-1, 3, 1))), (f32(4, 5),)),
    "einsum": (lambda a, b: jnp.einsum("bij,bkj->kbi", a, b), (f32(3, 4, 5), f32(3, 6, 5))),
    "outer": (lambda a, b: jnp.einsum("i,j->ij", a, b), (f32(4), f32(5))),
    "bool": (lambda x: (jnp.any(x > 1, 0), jnp.all(x > -1), ~(x > 0)), (f32(4, 5),)),
    "integers": (lambda a, b: (a // b, a % b, a << 3, a >> 1, a ^ b, jnp.clip(a, -2, 3)),
                 (RNG.integers(-50, 50, 20, np.int32), RNG.integers(1, 9, 20, np.int32))),
    "half": (lambda a: (a.astype(jnp.bfloat16) * 3 + 1, (a.astype(jnp.float16) @ a.T.astype(jnp.float16))), (f32(4, 5),)),
    "complex": (lambda a, b: jnp.abs(jnp.exp(lax.complex(a, b))) + jnp.real(lax.complex(a, b) ** 2), (f32(6), f32(6))),
    "random": (lambda s: jax.random.normal(jax.random.PRNGKey(s), (17,)), (np.uint32(3),)),
    "fft": (lambda x: jnp.abs(jnp.fft.rfft(x)), (f32(3, 12),)),
    "eigh": (lambda x: (lambda w, v: (w, (v * w) @ v.T))(*jnp.linalg.eigh(x @ x.T)), (f32(9, 20),)),
    "eig": (lambda x: jnp.sort(jnp.abs(jnp.linalg.eigvals(x))), (f32(8, 8),)),
    "svd_grad": (jax.grad(lambda x: jnp.linalg.norm(x, "nuc")), (f32(6, 9),)),
    "solve": (lambda a, b: (jnp.linalg.solve(a, b), jnp.linalg.lstsq(b, a)[0], jnp.linalg.qr(b.T, "r") ** 2), (f32(7, 7), f32(7, 3))),
    "empty": (lambda x: (jnp.sum(x, 0), jnp.concatenate([x, x + 1]), x @ jnp.ones((4, 2))), (np.zeros((0, 4), np.float32),)),
    "constants": (lambda: (jnp.arange(5), jnp.eye(3), jnp.float32(2)), ()),
    "same_twice": (lambda x: (x, x, x + 0, x), (f32(3),)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_matches_jax(name):
    fn, args = PROGRAMS[name]
    close(kjax.compile(fn, *args)(*args), jax.jit(fn)(*args), 2e-2 if name == "half" else 5e-5)


def test_donated_state_is_updated_in_place():
    def step(p, x):
        g = jax.grad(lambda p: jnp.mean(mlp(p, x) ** 2))(p)
        return jax.tree_util.tree_map(lambda a, b: a - 0.1 * b, p, g)

    x = f32(7, 8)
    state = jax.tree_util.tree_map(np.array, PARAMS)
    want = PARAMS
    train = kjax.jit(step, donate_argnums=0)
    for _ in range(5):
        new = train(state, x)
        assert all(a is b for a, b in zip(jax.tree_util.tree_leaves(new), jax.tree_util.tree_leaves(state)))
        want = jax.jit(step)(want, x)
    close(state, want)
    memory = train.program_for(state, x).memory_analysis()
    assert memory.alias_size_in_bytes == memory.output_size_in_bytes


def test_results_do_not_depend_on_donation():
    def f(a, b):
        return a[::-1] + b, b - a

    a, b = f32(6), f32(6)
    plain = kjax.compile(f, a, b)(a, b)
    donated = kjax.jit(f, donate_argnums=(0, 1))(a.copy(), b.copy())
    for x, y in zip(plain, donated):
        np.testing.assert_array_equal(x, y)


def test_a_loop_may_carry_an_iota_that_it_does_not_change():
    def f(x):
        return lax.fori_loop(0, 3, lambda i, c: (c[0], c[1] + c[0] * i), (jnp.arange(5, dtype=jnp.float32), x))

    x = f32(5)
    close(kjax.compile(f, x)(x), jax.jit(f)(x))


def test_bodies_may_use_constants():
    def smooth_max(x):  # a reduction and a comparator with constants in their bodies
        top = lax.reduce(x, -jnp.inf, lambda a, b: jnp.maximum(a, b) * jnp.float32(1.0) + jnp.float32(0.0), (0,))
        order = lax.sort((jnp.abs(x), x), num_keys=1)
        return top, order

    x = f32(40, 3)
    close(kjax.compile(smooth_max, x)(x), jax.jit(smooth_max)(x))


def test_a_nest_that_is_split_keeps_what_its_later_part_reads():
    def body(x, y):
        v = [y]
        for _ in range(68):  # alive all at once: more than one nest's registers
            v.append(v[-1] * x)
        new, total = v[1] * 0.5, v[-1]
        for u in v[-2::-1]:
            total = u + total
        return new, total * 0.01 + x  # the first may take the place of x only after this

    x = np.linspace(0.1, 0.5, 1000, dtype=np.float32)
    y = x[::-1].copy()
    want = jax.jit(body)(x, y)
    close(kjax.compile(body, x, y, donate_argnums=(0, 1))(x, y), want)

    def loop(x, y):
        return lax.fori_loop(0, 3, lambda i, c: body(*c), (x, y))

    close(kjax.compile(loop, x, y)(x, y), jax.jit(loop)(x, y))


def test_elementwise_results_take_the_place_of_what_dies():
    def f(x):
        for _ in range(4):
            x = jnp.sort(jnp.sin(jnp.sort(x)))
        return x

    x = f32(1000)
    program = kjax.compile(f, x)
    close(program(x), jax.jit(f)(x))
    assert disassemble(program.image).arena <= 2 * 4096


def test_a_temporary_does_not_take_the_place_of_a_loops_next_state():
    def f(x):
        return lax.fori_loop(0, 5, lambda i, c: jnp.sort(c * 2)[::-1] + 1, x)

    x = f32(100)
    program = kjax.compile(f, x)
    close(program(x), jax.jit(f)(x))
    inside = program.as_text().partition("while")[2]
    assert "regs 1" not in inside, "the state is copied to its place"
