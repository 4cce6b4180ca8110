"""Maps across rows go in blocks (compiler/turn.py): what is changed, what is not, and that nothing changes in the result."""

import jax
import numpy as np
import pytest

import kjax
from kjax.bytecode import program as p
from kjax.compiler import turn
from kjax.compiler.views import Buffer


def _nest(dims, *strides, strip=1024):
    return p.Nest(dims, tuple(p.Operand(Buffer("f32", 1 << 22), 0, s) for s in strides), (), n_regs=1, strip=strip)


@pytest.mark.parametrize("dims,strides", [((1000, 1000), (1, 1000)), ((128, 256), (1, 128)), ((6, 300, 200), (60000, 1, 300)),
                                          ((256, 64), (1, 256)), ((224, 224, 3), (3, 672, 1)), ((200, 300, 6), (1, 200, 60000))])
def test_blocks(dims, strides):
    dense = tuple(int(np.prod(dims[d + 1:])) for d in range(len(dims)))
    before = _nest(dims, strides, dense)
    nest, = turn.run([before])
    points = [[sum(i * s for i, s in zip(at, o.strides)) for at in np.ndindex(nest.dims)] for o in nest.operands]
    assert sorted(points[0]) == sorted(points[1]) == list(range(int(np.prod(dims))))
    there = dict(zip(points[1], points[0]))
    assert [there[k] for k in range(len(there))] == [sum(i * s for i, s in zip(at, strides)) for at in np.ndindex(dims)]
    if strides[-1] >= 16 and dims[-1] > 6:
        assert nest != before and nest.operands[0].strides[-2] == 1 and nest.dims[-2] >= 4
        assert nest.strip % (nest.dims[-2] * nest.dims[-1]) == 0 and nest.strip <= before.strip


@pytest.mark.parametrize("dims,strides", [((1009, 1013), (1, 1009)), ((1000, 1000), (1000, 1)), ((8, 8), (1, 8)), ((1000, 1000), (0, 1))])
def test_what_stays(dims, strides):
    nest = _nest(dims, strides, (dims[1], 1))
    assert turn.run([nest]) == [nest]


@pytest.mark.parametrize("shape,order", [
    ((1000, 1000), (1, 0)), ((8, 128, 256), (0, 2, 1)), ((5, 7, 60, 80), (3, 1, 0, 2)), ((3, 224, 224), (1, 2, 0)),
    ((224, 224, 3), (2, 0, 1)),
    ((96, 80, 64), (1, 2, 0)), ((67, 71), (1, 0)), ((2, 4096), (1, 0)),
])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "i1", "c16"])
def test_transposes(shape, order, dtype):
    x = (np.random.default_rng(0).standard_normal(shape) * 50).astype(dtype)
    with jax.enable_x64(True):
        alone = kjax.compile(lambda x: x.transpose(order), x)(x)
        other = np.ascontiguousarray(x.transpose(order))
        added = kjax.compile(lambda x, y: x.transpose(order) + y, x, other)(x, other)
    np.testing.assert_array_equal(alone, x.transpose(order))
    np.testing.assert_array_equal(added, other + other)
