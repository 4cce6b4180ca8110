"""shard_map and pmap: the lanes' graphs, run by the reference, against the same computation under vmap or NumPy."""

import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax._src.lax import parallel  # what starts a collective is not public yet
from jax.sharding import AbstractMesh
from jax.sharding import PartitionSpec as P

from kjax.errors import CompileError
from kjax.frontend import import_module
from kjax.ir.sharding import Sharding
from kjax.runtime.reference import evaluate

MESH = AbstractMesh((4,), ("i",))
SQUARE = AbstractMesh((2, 2), ("a", "b"))
X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)


def lanes_of(function, *args):
    return import_module(jax.jit(function).trace(*args).lower(lowering_platforms=("cpu",)))


def run(graph, *args):
    """Whole arrays in, whole arrays out."""
    cut = [s.split(a) for s, a in zip(graph.in_shardings, args, strict=True)] if graph.in_shardings else None
    outs = evaluate(graph, [list(p) for p in zip(*cut, strict=True)] if cut else [list(args)] * graph.lanes)
    if not graph.out_shardings:
        for other in outs[1:]:
            for a, b in zip(outs[0], other, strict=True):
                np.testing.assert_array_equal(a, b)
        return outs[0]
    return [s.join(list(p)) for s, p in zip(graph.out_shardings, zip(*outs, strict=True), strict=True)]


COLLECTIVES = {
    "psum": (lambda x: lax.psum(x, "i"), P("i")), "pmean": (lambda x: lax.pmean(x, "i"), P("i")),
    "pmax": (lambda x: lax.pmax(x, "i"), P("i")), "index": (lambda x: x + lax.axis_index("i"), P("i")),
    "ppermute": (lambda x: lax.ppermute(x, "i", [(0, 1), (1, 2), (2, 3), (3, 0)]), P("i")),
    "all_gather": (lambda x: lax.all_gather(x, "i").sum(0) + x, P("i")),
    "all_to_all": (lambda x: lax.all_to_all(x, "i", 1, 0, tiled=True), P("i")),
    "psum_scatter": (lambda x: lax.psum_scatter(x, "i", scatter_dimension=1, tiled=True), P("i")),
    "grad": (lambda x: jax.grad(lambda w: jnp.sum(jnp.sin(w) * lax.psum(w, "i")))(x), P("i")),
    "scan": (lambda x: lax.scan(lambda c, v: (c + lax.psum(v, "i"), c), jnp.zeros(4), x)[1], P("i")),
}


@pytest.mark.parametrize("name", COLLECTIVES)
def test_collective(name):
    body, out = COLLECTIVES[name]
    graph = lanes_of(jax.shard_map(body, mesh=MESH, in_specs=P("i"), out_specs=out, check_vma=False), X)
    assert graph.lanes == 4 and graph.arguments[0].shape == (2, 4)
    expected = np.asarray(jax.vmap(body, axis_name="i")(X.reshape(4, 2, 4)))
    (have,) = run(graph, X)
    np.testing.assert_allclose(have, expected.reshape(have.shape), rtol=1e-5, atol=1e-6)


STARTED = {
    "psum": (lambda x: parallel.psum_start(x, "i"), lambda x: lax.psum(x, "i")),
    "all_gather": (lambda x: parallel.all_gather_start(x, "i", tiled=True), lambda x: lax.all_gather(x, "i", tiled=True)),
    "all_to_all": (lambda x: parallel.all_to_all_start(x, "i", split_axis=1, concat_axis=0, tiled=True),
                   lambda x: lax.all_to_all(x, "i", 1, 0, tiled=True)),
    "psum_scatter": (lambda x: parallel.psum_scatter_start(x, "i", scatter_dimension=1, tiled=True),
                     lambda x: lax.psum_scatter(x, "i", scatter_dimension=1, tiled=True)),
}


@pytest.mark.parametrize("name", STARTED)
def test_collectives_that_are_waited_for_later(name):
    start, whole = STARTED[name]

    def begun(x):
        future = start(x)
        return jnp.sin(x).sum() + future.done()

    graphs = [lanes_of(jax.shard_map(f, mesh=MESH, in_specs=P("i"), out_specs=P("i"), check_vma=False), X)
              for f in (begun, lambda x: jnp.sin(x).sum() + whole(x))]
    assert graphs[0].lanes == 4
    for have, want in zip(*(run(graph, X) for graph in graphs), strict=True):
        np.testing.assert_array_equal(have, want)


def test_lanes_that_nobody_sends_to_get_zeros():
    f = jax.shard_map(lambda x: lax.ppermute(x, "i", [(0, 1), (3, 0)]), mesh=MESH, in_specs=P("i"), out_specs=P("i"),
                      check_vma=False)
    (have,) = run(lanes_of(f, X), X)
    np.testing.assert_array_equal(have, np.concatenate([X[6:], X[:2], np.zeros((4, 4), np.float32)]))


def test_two_mesh_axes():
    def body(x):
        return lax.psum(x, "a"), lax.psum(x, ("a", "b")), x * 0 + lax.axis_index("b")

    graph = lanes_of(jax.shard_map(body, mesh=SQUARE, in_specs=P("a", "b"), out_specs=(P(None, "b"), P(), P("a", "b")),
                                   check_vma=False), X)
    columns, block, index = run(graph, X)
    np.testing.assert_allclose(columns, X[:4] + X[4:], rtol=1e-6)
    np.testing.assert_allclose(block, (X[:4] + X[4:])[:, :2] + (X[:4] + X[4:])[:, 2:], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(index, np.tile([0, 0, 1, 1], (8, 1)))


def test_work_around_a_shard_map_is_done_by_every_lane():
    inner = jax.shard_map(lambda x: x * lax.psum(x, "a"), mesh=SQUARE, in_specs=P("a", "b"), out_specs=P("a", "b"),
                          check_vma=False)
    graph = lanes_of(lambda x: jax.jit(inner)(x * 2) + x.sum(), X)
    assert graph.lanes == 4 and not graph.in_shardings
    doubled = 2 * X
    total = doubled[:4] + doubled[4:]
    np.testing.assert_allclose(run(graph, X)[0], doubled * np.vstack([total, total]) + X.sum(), rtol=1e-5, atol=1e-5)


def test_arguments_in_another_order_unused_and_twice():
    body = jax.shard_map(lambda a, b, c: a * lax.psum(b, "i") + c, mesh=MESH, in_specs=(P("i"), P(), P("i")),
                         out_specs=P("i"), check_vma=False)
    y = X[:2] + 1
    traced = jax.jit(lambda unused, y, x: body(x, y, x), keep_unused=True).trace(np.float32(3), y, X)
    graph = import_module(traced.lower(lowering_platforms=("cpu",)))
    assert graph.in_shardings and [a.shape for a in graph.arguments] == [(), (2, 4), (2, 4)]
    (have,) = run(graph, np.array(3, np.float32), y, X)
    np.testing.assert_allclose(have, X * np.tile(4 * y, (4, 1)) + X, rtol=1e-5, atol=1e-5)


def test_axes_left_to_a_partitioner_are_refused():
    partial = jax.shard_map(lambda x: lax.psum(x, "a"), mesh=SQUARE, in_specs=P("a"), out_specs=P(), axis_names={"a"},
                            check_vma=False)
    with pytest.raises(CompileError, match="partitioner"):
        lanes_of(partial, X)


def test_pmap_in_a_process_with_four_devices():
    code = textwrap.dedent("""
        import jax, numpy as np
        from jax import lax
        from kjax.frontend import import_module
        from kjax.runtime.reference import evaluate
        x, w = np.arange(12, dtype=np.float32).reshape(4, 3), np.ones(3, np.float32)
        f = jax.pmap(lambda x, w: (lax.psum(x * w, "b"), x + lax.axis_index("b")), axis_name="b", in_axes=(0, None))
        graph = import_module(jax.jit(f).lower(x, w))
        assert graph.lanes == 4 and graph.in_shardings, graph.lanes
        cut = [s.split(a) for s, a in zip(graph.in_shardings, (x, w))]
        outs = evaluate(graph, [list(p) for p in zip(*cut)])
        joined = [s.join(list(p)) for s, p in zip(graph.out_shardings, zip(*outs))]
        for have, want in zip(joined, f(x, w)):
            np.testing.assert_allclose(have, want)
        """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env={
        **__import__("os").environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"})
    assert done.returncode == 0, done.stderr


def test_sharding_splits_and_joins():
    whole = np.arange(24).reshape(4, 6)
    s = Sharding((("a", 2), ("b", 3)), (("a",), ("b",)))
    parts = s.split(whole)
    assert s.lanes == 6 and parts[4].tolist() == whole[2:, 2:4].tolist()
    np.testing.assert_array_equal(s.join(parts), whole)
    both = Sharding((("a", 2), ("b", 2)), (("b", "a"), ()))
    np.testing.assert_array_equal(both.join(both.split(whole)), whole)
    assert [both.places(k)[0] for k in range(4)] == [0, 2, 1, 3]
