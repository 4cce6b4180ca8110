"""The ways in: kjax.jit, an artifact exported for the CPU, a function lowered by JAX for the CPU. One result."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

import kjax

RNG = np.random.default_rng(5)
X = RNG.standard_normal((6, 5)).astype(np.float32)
W = RNG.standard_normal((3, 5, 4)).astype(np.float32)
GROUPS = np.array([2, 3, 1], np.int32)
MESH = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("a",))

CASES = {
    "ragged_dot": (lax.ragged_dot, (X, W, GROUPS)),
    "ragged_dot, groups that leave rows over": (lax.ragged_dot, (X, W, np.array([1, 0, 2], np.int32))),
    "gradient of ragged_dot": (
        lambda x, w, g: jax.grad(lambda a, b: (lax.ragged_dot(a, b, g) ** 2).sum(), (0, 1))(x, w), (X, W, GROUPS)),
    "approx_max_k": (lambda x: lax.approx_max_k(x, 2), (X,)),
    "approx_min_k along dim 0": (lambda x: lax.approx_min_k(x, 2, reduction_dimension=0), (X,)),
    "approx_max_k of integers": (lambda x: lax.approx_max_k(x.astype(jnp.bfloat16), 3), (X,)),
    "top_k": (lambda x: lax.top_k(x, 3), (X,)),
    "optimization_barrier": (lambda x: lax.optimization_barrier((x, x + 1)), (X,)),
    "platform_dependent": (lambda x: lax.platform_dependent(x, cpu=lambda x: x + 1, default=lambda x: x + 1), (X,)),
    "platform_dependent, default": (lambda x: lax.platform_dependent(x, tpu=lambda x: x + 2, default=lambda x: x + 1), (X,)),
    "platform_dependent, no default": (
        lambda x: lax.platform_dependent(x, cpu=lambda x: jnp.linalg.svd(x, compute_uv=False), tpu=lambda x: x[0]), (X,)),
    "composite": (lambda x: lax.composite(lambda x, k: jnp.sin(x) * k, name="my.op")(x, k=np.float32(3)), (X,)),
    "composite in a loop": (
        lambda x: lax.fori_loop(0, 3, lambda i, c: lax.composite(lambda y: y * 2 + 1, name="my.step", version=2)(c), x), (X,)),
    "device_put": (lambda x: jax.device_put(x) * 2, (X,)),
    "memory spaces": (lambda x: jax.device_put(x, jax.memory.Space.Host) * 2, (X,)),
    "sharding constraint": (
        lambda x: lax.with_sharding_constraint(x, jax.sharding.NamedSharding(MESH, jax.sharding.PartitionSpec("a"))) + 1, (X,)),
    "scan with reverse and unroll": (lambda x: lax.scan(lambda c, y: (c + y, c * y), jnp.zeros(5), x, reverse=True, unroll=2), (X,)),
    "cumulative operations": (lambda x: (jnp.cumsum(x, 0), lax.cumlogsumexp(x), lax.cummax(x, reverse=True), jnp.cumprod(x, 1)),
                              (X,)),
    "associative_scan": (lambda x: lax.associative_scan(jnp.add, x), (X,)),
    "rng_bit_generator, key of words": (lambda k: lax.rng_bit_generator(k, (4,)), (np.arange(4, dtype=np.uint32),)),
    "bitcasts of other sizes": (
        lambda x: (lax.bitcast_convert_type(x, jnp.uint16), lax.bitcast_convert_type(x[:, :4].reshape(6, 2, 2), jnp.int64)
                   if jax.config.jax_enable_x64 else lax.bitcast_convert_type(lax.bitcast_convert_type(x, jnp.uint8), jnp.float32)),
        (X,)),
    "reduce_precision": (lambda x: lax.reduce_precision(x, 5, 10), (X,)),
    "checkpoint": (jax.grad(lambda x: jax.checkpoint(lambda y: jnp.sin(jnp.sin(y)))(x).sum()), (X,)),
}
WAYS = {
    "jit": lambda f, args: kjax.jit(f)(*args),
    "export": lambda f, args: kjax.compile(export.export(jax.jit(f), platforms=("cpu",))(*args))(*args),
    "lowered": lambda f, args: kjax.compile(jax.jit(f).lower(*args))(*args),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_every_way_gives_what_jax_gives(name, way):
    function, args = CASES[name]
    want = jax.tree.leaves(jax.jit(function)(*args))
    got = jax.tree.leaves(WAYS[way](function, args))
    for g, w in zip(got, want, strict=True):
        assert g.dtype == w.dtype
        np.testing.assert_allclose(np.asarray(g, np.float64), np.asarray(w, np.float64), rtol=3e-5, atol=1e-5)


def test_approximate_top_k_without_aggregation_is_exact():
    x = RNG.permutation(1000).astype(np.float32)[None]
    values, places = kjax.jit(lambda x: lax.approx_max_k(x, 2, aggregate_to_topk=False, recall_target=0.5))(x)
    n = values.shape[1]
    np.testing.assert_array_equal(values[0], np.sort(x[0])[::-1][:n])
    np.testing.assert_array_equal(x[0][places[0]], values[0])
    assert values.shape == jax.eval_shape(lambda x: lax.approx_max_k(x, 2, aggregate_to_topk=False, recall_target=0.5), x)[0].shape


def test_parts_of_several_devices_are_refused():
    text = ("module { func.func @main(%x: tensor<4xf32>) -> tensor<2xf32> { %0 = stablehlo.custom_call @SPMDFullToShardShape(%x) "
            '{backend_config = ""} : (tensor<4xf32>) -> tensor<2xf32>\nreturn %0 : tensor<2xf32> } }')
    with pytest.raises(kjax.UnsupportedOpError, match="2xf32 of 4xf32.*Shardy"):
        kjax.compile(text)


@pytest.mark.parametrize("target", ["Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape", "annotate_device_placement",
                                    "xla.sdy.FuncResultSharding", "xla.sdy.GlobalToLocalShape", "LayoutConstraint"])
def test_annotations_of_one_device_do_nothing(target):
    text = ("module { func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> { %0 = stablehlo.custom_call @" + target +
            '(%x) {backend_config = "", mhlo.sharding = "{replicated}"} : (tensor<4xf32>) -> tensor<4xf32>\n'
            "return %0 : tensor<4xf32> } }")
    np.testing.assert_array_equal(kjax.compile(text)(np.arange(4, dtype=np.float32)), np.arange(4))
