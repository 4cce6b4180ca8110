"""The rest of jax.lax."""

import jax
import jax.numpy as jnp
from jax import lax
from table import rows

ROWS = [
    *rows(
        "lax",
        "x:3,5",
        "asinh atan bessel_i0e bessel_i1e cbrt ceil cos cosh erf erfc exp exp2 expm1 floor logistic neg "
        "round sign sin sinh square tan tanh abs stop_gradient is_finite".split(),
        tolerance=1e-4,
        grad=False,
    ),
    *rows("lax", "u:3,5", "acos asin atanh erf_inv".split(), tolerance=1e-4),
    *rows("lax", "p:3,5", "log log1p sqrt rsqrt lgamma digamma reciprocal".split(), tolerance=1e-4),
    *rows("lax", "p:3,5", {"acosh": lambda x: lax.acosh(1 + x)}),
    *rows("lax", "x:3,5 x:3,5", "add sub mul div max min rem atan2 nextafter eq ne lt le gt ge".split(), grad=False),
    *rows("lax", "p:3,5 x:3,5", "pow".split()),
    *rows("lax", "p:3,5 p:3,5", "igamma igammac igamma_grad_a random_gamma_grad".split(), grad=False, tolerance=5e-3),
    *rows(
        "lax",
        "p:3,5 p:3,5",
        {"zeta": lambda a, b: lax.zeta(1.5 + a, b), "polygamma": lambda a, b: lax.polygamma(jnp.round(a), b)},
        grad=False,
        tolerance=1e-3,
    ),
    *rows(
        "lax", "p:3,5 p:3,5 p:3,5", {"betainc": lambda a, b, x: lax.betainc(a, b, x / 5)}, grad=False, tolerance=1e-3
    ),
    *rows(
        "lax",
        "x:3,5",
        {
            "integer_pow": lambda x: lax.integer_pow(x, 3),
            "clamp": lambda x: lax.clamp(-0.5, x, 0.7),
            "complex": lambda x: lax.complex(x, -x),
            "convert_element_type": lambda x: lax.convert_element_type(x, jnp.int32),
            "bitcast_convert_type": lambda x: lax.bitcast_convert_type(
                x, f"int{8 * x.dtype.itemsize}"
            ),
        },
        grad=False,
    ),
    *rows("lax", "c:3,5", "real imag conj".split(), grad=False),
    *rows(
        "lax",
        "i:3,5 n:3,5",
        "bitwise_and bitwise_or bitwise_xor shift_left shift_right_arithmetic shift_right_logical mulhi".split(),
        grad=False,
        f64=False,
    ),
    *rows("lax", "i:3,5", "bitwise_not clz population_count".split(), grad=False, f64=False),
    *rows(
        "lax",
        "x:4,6",
        {
            "argmax": lambda x: lax.argmax(x, 1, jnp.int32),
            "argmin": lambda x: lax.argmin(x, 0, jnp.int32),
            "cummin": lax.cummin,
            "cumprod": lax.cumprod,
            "cumsum": lambda x: lax.cumsum(x, 1, reverse=True),
            "broadcast": lambda x: lax.broadcast(x, (2,)),
            "broadcast_in_dim": lambda x: lax.broadcast_in_dim(x, (len(x), 3, x.shape[1]), (0, 2)),
            "broadcast_to_rank": lambda x: lax.broadcast_to_rank(x, 3),
            "broadcasted_iota": lambda x: lax.broadcasted_iota(x.dtype, x.shape, 1) * x,
            "iota": lambda x: lax.iota(x.dtype, x.shape[1]) * x,
            "collapse": lambda x: lax.collapse(x, 0, 2),
            "concatenate": lambda x: lax.concatenate([x, x], 1),
            "expand_dims": lambda x: lax.expand_dims(x, (1,)),
            "squeeze": lambda x: lax.squeeze(x[:1], (0,)),
            "reshape": lambda x: lax.reshape(x, x.shape[::-1], (1, 0)),
            "rev": lambda x: lax.rev(x, (0, 1)),
            "transpose": lambda x: lax.transpose(x, (1, 0)),
            "tile": lambda x: lax.tile(x, (2, 3)),
            "slice": lambda x: lax.slice(x, (1, 0), (4, 5), (2, 3)),
            "slice_in_dim": lambda x: lax.slice_in_dim(x, 1, 5, 2, 1),
            "index_in_dim": lambda x: lax.index_in_dim(x, 2, 1),
            "index_take": lambda x: lax.index_take(x, (jnp.array([0, 3]), jnp.array([1, 2])), (0, 1)),
            "split": lambda x: lax.split(x, (1, 2, x.shape[1] - 3), 1),
            "pad": lambda x: lax.pad(x, jnp.zeros((), x.dtype), ((1, -1, 2), (-2, 3, 0))),
            "full_like": lambda x: lax.full_like(x, 3),
            "full": lambda x: lax.full(x.shape, 2, x.dtype) * x,
            "dynamic_index_in_dim": lambda x: lax.dynamic_index_in_dim(x, 9, 1),
            "dynamic_slice_in_dim": lambda x: lax.dynamic_slice_in_dim(x, -3, 2, 1),
            "dynamic_update_slice": lambda x: lax.dynamic_update_slice(x, x[:2, :2] * 3, (3, 1)),
            "gather": lambda x: x[jnp.array([0, 9])],
            "dynamic_update_slice_in_dim": lambda x: lax.dynamic_update_slice_in_dim(x, x[:2], 1, 0),
            "dynamic_update_index_in_dim": lambda x: lax.dynamic_update_index_in_dim(x, x[0], 3, 0),
            "sort": lambda x: lax.sort(x, dimension=0),
            "stack": lambda x: lax.stack([x, x]),
            "unstack": lambda x: lax.unstack(x),
            "broadcast_like": lambda x: lax.broadcast_like(x[:1], x),
            "sort_key_val": lambda x: lax.sort_key_val(x, -x, 1),
            "reduce": lambda x: lax.reduce(x, jnp.zeros((), x.dtype), lax.add, (0,)),
            "reduce_sum": lambda x: lax.reduce_sum(x, (0,)),
            "reduce_prod": lambda x: lax.reduce_prod(x, (1,)),
            "reduce_max": lambda x: lax.reduce_max(x, (0, 1)),
            "reduce_min": lambda x: lax.reduce_min(x, (1,)),
            "reduce_window": lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 3), (1, 2), "SAME"),
            "select": lambda x: lax.select(x > 0, x, -x),
            "select_n": lambda x: lax.select_n((x > 0).astype(jnp.int32), x, -x),
            "dot": lambda x: lax.dot(x, x.T),
            "dot_general": lambda x: lax.dot_general(x, x, (((1,), (1,)), ((0,), (0,)))),
            "batch_matmul": lambda x: lax.batch_matmul(x.reshape(2, 3, 4), x.reshape(2, 4, 3)),
            "scatter": lambda x: x.at[jnp.array([0, 7])].set(1.0),
            "scatter_add": lambda x: x.at[jnp.array([0, 0])].add(x[:2]),
            "scatter_apply": lambda x: x.at[jnp.array([1, 3])].apply(lambda v: v * 2 + 1),
            "scatter_max": lambda x: x.at[0].max(x[1]),
            "scatter_min": lambda x: x.at[jnp.array([2, 2])].min(x[:2]),
            "scatter_mul": lambda x: x.at[:, 1].multiply(x[:, 0]),
            "scatter_sub": lambda x: x.at[1].subtract(x[0]),
            "fori_loop": lambda x: lax.fori_loop(0, 3, lambda i, c: c * 0.5 + i, x),
            "while_loop": lambda x: lax.while_loop(lambda s: s[0] < 7, lambda s: (s[0] + 1, jnp.abs(s[1]) + 1), (0, x))[1],
            "switch": lambda x: lax.switch(2, [jnp.sin, jnp.cos, jnp.tanh], x),
            "switch_by_value": lambda x: lax.switch((x[0, 0] > 0).astype(int) + 1, [jnp.sin, jnp.cos, jnp.tanh], x),
            "optimization_barrier": lax.optimization_barrier,
            "platform_dependent": lambda x: lax.platform_dependent(x, tpu=lambda x: x + 1, default=lambda x: x - 1),
            "custom_root": lambda x: lax.custom_root(
                lambda y: y * 3 - x, x, lambda f, y: y - f(y) / 3, lambda g, y: y / 3
            ),
            "custom_linear_solve": lambda x: lax.custom_linear_solve(
                lambda v: 2 * v, x, lambda f, v: v / 2, symmetric=True
            ),
            "fft": lambda x: jnp.abs(
                lax.fft(x.astype(jnp.complex64 if x.dtype == jnp.float32 else jnp.complex128), "FFT", x.shape)
            ),
        },
        grad=False,
        tolerance=1e-4,
    ),
    *rows(
        "lax",
        "b:4,6",
        {
            "reduce_and": lambda x: lax.reduce_and(x, (0,)),
            "reduce_or": lambda x: lax.reduce_or(x, (1,)),
            "reduce_xor": lambda x: lax.reduce_xor(x, (0,)),
        },
        grad=False,
        f64=False,
    ),
    *rows(
        "lax",
        "x:2,3,8,8 x:4,3,3,3",
        {
            "conv_general_dilated": lambda x, w: lax.conv_general_dilated(
                x, w, (2, 1), ((1, 2), (0, 1)), (1, 1), (2, 1)
            ),
            "conv_with_general_padding": lambda x, w: lax.conv_with_general_padding(x, w, (1, 1), "VALID", None, None),
            "conv_transpose": lambda x, w: lax.conv_transpose(
                x, w, (2, 2), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW")
            ),
            "conv_general_dilated_patches": lambda x, w: lax.conv_general_dilated_patches(x, (2, 2), (1, 1), "VALID"),
        },
        grad=False,
        f64=False,
        vmap=False,
        tolerance=1e-4,
    ),
    *rows(
        "lax",
        "x:2,4,4 x:2,1,9,4,4",
        {
            "conv_general_dilated_local": lambda x, w: lax.conv_general_dilated_local(
                x[:, None], jnp.ones((len(x), 9, *x.shape[1:]), x.dtype) * w[:, 0], (1, 1), "SAME", (3, 3)
            )
        },
        grad=False,
        f64=False,
        vmap=False,
        tolerance=1e-4,
    ),
    *rows(
        "lax",
        "k",
        {"rng_bit_generator": lambda k: lax.rng_bit_generator(jnp.concatenate([k, k]), (5,), jnp.uint32)[1]},
        grad=False,
        vmap=False,
        f64=False,
    ),
    *rows(
        "lax",
        "x:4,6 x:6,3",
        {
            "mixed": lambda a, b: jax.lax.dot(
                a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), preferred_element_type=jnp.float32
            )
        },
        grad=False,
        f64=False,
        tolerance=2e-2,
    ),
    *rows(
        "lax",
        "x:4,6",
        {"composite": lambda x: lax.composite(lambda y: jnp.sin(y) * 2, "mine.twice_sine")(x)},
        grad=False,
        vmap=False,  # JAX has no batching rule for it
    ),
]
