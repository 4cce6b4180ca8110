"""JAX's surface, a row a function: what plain ``jit`` lowers must compile and agree with JAX on the CPU.

A row has the function, the kinds of its arguments, and what else is tried on it (``grad``, ``vmap``). An argument kind
is "x" (any real), "p" (positive), "u" (inside (-1, 1)), "i" (int32), "n" (non-negative int32), "b" (bool), "c" (complex), "m" (square matrix),
"s" (symmetric positive definite), "k" (random key), optionally with a shape: "x:4,5".
"""

from dataclasses import dataclass
from typing import Callable

import jax
import jax.numpy as jnp
import jax.scipy.special as jss
from jax import lax, nn, random


@dataclass(frozen=True)
class Row:
    name: str
    fn: Callable
    kinds: tuple
    grad: bool = True
    vmap: bool = True
    f64: bool = True
    lacks: str = ""  # the primitive for which kjax refuses the row
    tolerance: float = 3e-5  # relative to the largest element, for float32; a millionth of it for float64


def rows(prefix, kinds, functions, **options):
    kinds = tuple(kinds.split())
    return [Row(f"{prefix}.{f}" if isinstance(f, str) else f"{prefix}.{f[0]}", getattr(MODULES[prefix], f) if isinstance(f, str)
                else f[1], kinds, **options) for f in functions]


MODULES = {"jnp": jnp, "lax": lax, "nn": nn, "linalg": jnp.linalg, "fft": jnp.fft, "special": jss, "random": random,
           "jsl": jax.scipy.linalg}

ROWS = [
    # elementwise
    *rows("jnp", "x:3,5", "sin cos tanh exp expm1 abs square negative sinh cosh arctan arcsinh sign floor ceil rint trunc "
          "cbrt sinc reciprocal exp2 deg2rad nan_to_num positive fabs".split()),
    *rows("jnp", "p:3,5", "log log1p log2 log10 sqrt arccosh".split()),
    *rows("jnp", "u:3,5", "arcsin arccos arctanh tan".split()),
    *rows("jnp", "x:3,5 x:3,5", "add subtract multiply divide maximum minimum arctan2 hypot logaddexp logaddexp2 fmod "
          "remainder copysign fmax fmin float_power heaviside nextafter".split(), grad=False),
    *rows("jnp", "p:3,5 x:3,5", ["power"]),
    *rows("jnp", "i:3,5 n:3,5", "floor_divide mod left_shift right_shift bitwise_and bitwise_or bitwise_xor gcd lcm".split(),
          grad=False, f64=False),
    *rows("jnp", "i:3,5", "bitwise_not bitwise_count invert".split(), grad=False, f64=False),
    *rows("jnp", "x:3,5 x:3,5", "equal not_equal less greater less_equal greater_equal isclose".split(), grad=False),
    *rows("jnp", "b:3,5 b:3,5", "logical_and logical_or logical_xor".split(), grad=False, f64=False),
    *rows("jnp", "x:3,5", "isnan isinf isfinite signbit isneginf".split(), grad=False),
    # shape
    *rows("jnp", "x:3,5", "ravel transpose flipud fliplr atleast_3d squeeze tril triu diag diagonal trace rot90".split()),
    *rows("jnp", "x:4,6", [("reshape", lambda x: x.reshape(3, 8)), ("roll", lambda x: jnp.roll(x, 2, 1)),
                           ("split", lambda x: jnp.split(x, 3, 1)), ("repeat", lambda x: jnp.repeat(x, 2, 0)),
                           ("tile", lambda x: jnp.tile(x, (2, 2))), ("pad", lambda x: jnp.pad(x, 2, mode="reflect")),
                           ("pad_edge", lambda x: jnp.pad(x, 1, mode="edge")), ("slice", lambda x: x[1:, ::2]),
                           ("negative_step", lambda x: x[::-1, ::-2]), ("newaxis", lambda x: x[:, None] * x[None]),
                           ("moveaxis", lambda x: jnp.moveaxis(x, 0, 1)), ("stack", lambda x: jnp.stack([x, x + 1], 1)),
                           ("broadcast_to", lambda x: jnp.broadcast_to(x, (2, 4, 6))), ("kron", lambda x: jnp.kron(x, x)),
                           ("diff", jnp.diff), ("gradient", jnp.gradient), ("where", lambda x: jnp.where(x > 0, x, -2 * x)),
                           ("clip", lambda x: jnp.clip(x, -0.5, 0.5)), ("take", lambda x: jnp.take(x, jnp.array([2, 0]), 1)),
                           ("boolean_select", lambda x: jnp.select([x > 1, x < -1], [x, -x], 0.0)),
                           ("meshgrid", lambda x: jnp.meshgrid(x[0], x[:, 0])), ("vander", lambda x: jnp.vander(x[0]))]),
    # reductions
    *rows("jnp", "x:4,6", "sum mean max min var std prod ptp nansum nanmean nanmax median".split()),
    *rows("jnp", "x:4,6", [(f"{n}_axis", lambda x, f=getattr(jnp, n): f(x, axis=-1)) for n in
                           "sum mean max min var prod argmax argmin cumsum cumprod sort argsort".split()], grad=False),
    *rows("jnp", "x:4,6", [("cumsum_grad", lambda x: jnp.cumsum(x, 0)), ("sort_grad", lambda x: jnp.sort(x, 1)),
                           ("percentile", lambda x: jnp.percentile(x, 30.0)), ("average", lambda x: jnp.average(x, 1)),
                           ("logsumexp", lambda x: nn.logsumexp(x, 1)), ("norm", lambda x: jnp.linalg.norm(x, axis=1))]),
    *rows("jnp", "b:4,6", "any all count_nonzero".split(), grad=False, f64=False),
    *rows("jnp", "i:30", [("bincount", lambda i: jnp.bincount(jnp.abs(i), length=12)), ("histogram", lambda i: jnp.histogram(i, 5)[0]),
                          ("unique", lambda i: jnp.unique(i, size=12, fill_value=0)), ("flip", jnp.flip),
                          ("searchsorted", lambda i: jnp.searchsorted(jnp.sort(i), i)), ("sort_int", jnp.sort)],
          grad=False, f64=False),
    # products
    *rows("jnp", "x:4,6 x:6,3", "matmul dot".split()),
    *rows("jnp", "x:4,6 x:4,6", "inner outer vdot multiply".split()),
    *rows("jnp", "x:3 x:3", ["cross", "convolve", "correlate", "polyval"]),
    *rows("jnp", "x:2,3,4 x:2,4,5", [("batched_matmul", jnp.matmul), ("einsum", lambda a, b: jnp.einsum("bij,bjk->ikb", a, b)),
                                     ("tensordot", lambda a, b: jnp.tensordot(a, b, ((2,), (1,))))]),
    # lax
    *rows("lax", "x:4,6", [("top_k", lambda x: lax.top_k(x, 3)), ("cummax", lax.cummax), ("cumlogsumexp", lax.cumlogsumexp),
                           ("reduce_precision", lambda x: lax.reduce_precision(x, 5, 10)),
                           ("associative_scan", lambda x: lax.associative_scan(jnp.multiply, x)),
                           ("map", lambda x: lax.map(jnp.sin, x)),
                           ("scan", lambda x: lax.scan(lambda c, r: (c * 0.5 + r, c.sum()), x[0], x)),
                           ("while", lambda x: lax.while_loop(lambda c: jnp.sum(c) < 100, lambda c: jnp.abs(c) * 2 + 1, x)),
                           ("cond", lambda x: lax.cond(x[0, 0] > 0, jnp.sin, jnp.cos, x)),
                           ("dynamic_slice", lambda x: lax.dynamic_slice(x, (1, 5), (2, 3))),
                           ("conv", lambda x: lax.conv(x[None, None], jnp.ones((2, 1, 2, 2), x.dtype), (1, 1), "SAME")),
                           ("avg_pool", lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (2, 2), "VALID")),
                           ("max_pool", lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (3, 3), (1, 1), "SAME"))], grad=False),
    *rows("lax", "x:4,6", [("scan_grad", lambda x: lax.scan(lambda c, r: (jnp.tanh(c + r), c), x[0], x)[0]),
                           ("fori_grad", lambda x: lax.fori_loop(0, 3, lambda i, c: jnp.sin(c) + i, x)),
                           ("max_pool_grad", lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (2, 2), "VALID")),
                           ("conv_grad", lambda x: lax.conv(x[None, None], jnp.ones((2, 1, 2, 2), x.dtype), (2, 1), "SAME")),
                           ("at_add", lambda x: x.at[jnp.array([0, 2, 0])].add(1.0)), ("at_set", lambda x: x.at[1, ::2].set(0.0)),
                           ("at_mul", lambda x: x.at[jnp.array([1, 1])].multiply(2.0)), ("at_max", lambda x: x.at[0].max(0.5)),
                           ("gather2", lambda x: x[jnp.array([0, 3]), jnp.array([5, 1])])]),
    # nn
    *rows("nn", "x:4,6", "relu relu6 sigmoid softplus soft_sign silu swish log_sigmoid leaky_relu hard_sigmoid hard_tanh elu "
          "celu selu gelu softmax log_softmax standardize hard_silu mish squareplus".split()),
    *rows("nn", "n:7", [("one_hot", lambda i: nn.one_hot(i, 10))], grad=False, f64=False),
    *rows("nn", "x:2,5,2,4 x:2,5,2,4 x:2,5,2,4", ["dot_product_attention"], vmap=False, f64=False),
    # linear algebra
    *rows("linalg", "s:4", "cholesky inv det slogdet".split(), grad=False, tolerance=2e-4),
    *rows("linalg", "s:4", "eigvalsh pinv matrix_rank".split(), grad=False, lacks="eigh"),
    *rows("linalg", "m:4", [("svd_values", lambda a: jnp.linalg.svd(a, compute_uv=False)),
                            ("lstsq", lambda a: jnp.linalg.lstsq(a, a[:, 0])[0])], grad=False, lacks="eigh"),
    *rows("jsl", "s:4", [("eigh", lambda a: jnp.abs(jnp.linalg.eigh(a)[1]))], grad=False, lacks="eigh"),
    *rows("linalg", "m:4", [("solve", lambda a: jnp.linalg.solve(a, a[:, :2])), ("inv_grad", jnp.linalg.inv), ("det_grad", jnp.linalg.det),
                            ("qr", lambda a: jnp.abs(jnp.linalg.qr(a)[1])),
                            ("matrix_power", lambda a: jnp.linalg.matrix_power(a, 3)),
                            ("expm", lambda a: jax.scipy.linalg.expm(a * 0.1)),
                            ("lu", lambda a: jax.scipy.linalg.lu_factor(a)[0])], grad=False, tolerance=5e-4),
    *rows("jsl", "s:4", [("solve_triangular", lambda a: jax.scipy.linalg.solve_triangular(jnp.tril(a), a[:, :2], lower=True)),
                         ("cho_solve", lambda a: jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(a), a[:, 0]))], grad=False, tolerance=5e-4),
    # fft
    *rows("fft", "x:3,8", [(n, lambda x, f=getattr(jnp.fft, n): f(x)) for n in "fft rfft ifft fft2 rfft2 fftshift hfft".split()],
          grad=False, tolerance=1e-4),
    *rows("fft", "c:3,7", [(n + "_odd", lambda x, f=getattr(jnp.fft, n): f(x)) for n in "fft ifft fft2 irfft".split()],
          grad=False, tolerance=1e-4),
    # scipy.special
    *rows("special", "x:3,5", "erf erfc expit log_ndtr ndtr i0 i0e i1 i1e".split(), tolerance=1e-4),
    *rows("special", "p:3,5", "gammaln digamma gamma entr exp1".split(), tolerance=2e-4),
    *rows("special", "u:3,5", "erfinv".split(), tolerance=1e-4),
    *rows("special", "p:3,5 p:3,5", "xlogy xlog1py betaln gammainc gammaincc zeta rel_entr kl_div".split(), grad=False, tolerance=3e-4),
    *rows("special", "p:3,5", [("logit", lambda x: jss.logit(x / (1 + x))), ("ndtri", lambda x: jss.ndtri(x / (1 + x))),
                               ("polygamma", lambda x: jss.polygamma(1, x))], grad=False, tolerance=3e-4),
    # random
    *rows("random", "k", [(n, lambda k, f=getattr(random, n): f(k, (5, 3))) for n in
                          "uniform normal exponential laplace logistic gumbel cauchy rademacher bits".split()], grad=False, f64=False, tolerance=2e-4),
    *rows("random", "k", [("randint", lambda k: random.randint(k, (7,), 0, 100)), ("bernoulli", lambda k: random.bernoulli(k, 0.3, (9,))),
                          ("permutation", lambda k: random.permutation(k, 9)), ("categorical", lambda k: random.categorical(k, jnp.ones(5), shape=(8,))),
                          ("split", lambda k: random.key_data(random.split(k, 3))), ("choice", lambda k: random.choice(k, 9, (4,))),
                          ("gamma", lambda k: random.gamma(k, 2.0, (4,))), ("dirichlet", lambda k: random.dirichlet(k, jnp.ones(3))),
                          ("truncated_normal", lambda k: random.truncated_normal(k, -1.0, 1.0, (5,))),
                          ("fold_in", lambda k: random.key_data(random.fold_in(k, 7)))], grad=False, vmap=False, f64=False, tolerance=1e-3),
    # complex
    *rows("jnp", "c:3,5", [(n + "_complex", getattr(jnp, n)) for n in
                           "sin cos tanh exp log sqrt abs angle conj real imag square sum prod".split()], grad=False),
]
