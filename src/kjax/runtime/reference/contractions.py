"""Products of matrices and convolutions."""

import numpy as np

from kjax.isa import dtypes
from kjax.runtime.reference.elementwise import convert
from kjax.runtime.reference.reductions import SEQUENTIAL
from kjax.runtime.reference.rules import numpy_type, rule
from kjax.runtime.reference.shapes import pad


def _accumulator(dtype):
    info = dtypes.of(dtype)
    if info.is_float:
        return np.float64
    if info.is_complex:
        return np.complex128
    return info.numpy if info.is_native and info.kind != "bool" else np.int32


def _product_type(op, x):
    """In which NumPy type products of ``x`` are summed; integers may be narrower than the result."""
    wanted = op.results[0].dtype
    return numpy_type(op) if wanted in dtypes.WIDENED else _accumulator(x.dtype)


@rule
def _dot_general(ev, op, x, y):
    at = op.attributes
    lb, rb, lc, rc = at["lhs_batch"], at["rhs_batch"], at["lhs_contract"], at["rhs_contract"]
    lf = [k for k in range(x.ndim) if k not in lb and k not in lc]
    rf = [k for k in range(y.ndim) if k not in rb and k not in rc]

    def group(a, dims):
        return int(np.prod([a.shape[k] for k in dims], dtype=np.int64))

    depth = group(x, lc)
    wide = x.dtype if depth <= SEQUENTIAL and x.dtype.kind in "fc" and x.dtype.itemsize >= 4 else _product_type(op, x)
    a = x.transpose([*lb, *lf, *lc]).reshape(group(x, lb), group(x, lf), depth).astype(wide)
    b = y.transpose([*rb, *rc, *rf]).reshape(group(y, rb), depth, group(y, rf)).astype(wide)
    if depth <= SEQUENTIAL:
        total = np.zeros((a.shape[0], a.shape[1], b.shape[2]), wide)
        for k in range(depth):
            total += a[:, :, k, None] * b[:, k, None, :]
    else:
        total = np.matmul(a, b)
    return convert(total, numpy_type(op)).reshape(op.results[0].shape)


@rule
def _convolution(ev, op, x, y):
    """Sum over kernel places of a strided slice of the padded input times that place's weights, group by group."""
    at = op.attributes
    x, y = x.transpose(at["lhs_spec"]), y.transpose(at["rhs_spec"])
    n = x.ndim - 2
    flips = [2 + k for k in range(n) if at["reversal"][k]]
    y = np.flip(y, flips) if flips else y
    low, high = zip(*at["padding"], strict=True) if n else ((), ())
    x = pad(x, np.zeros((), x.dtype), (0, 0, *low), (0, 0, *high), (0, 0, *(d - 1 for d in at["lhs_dilation"])))
    out_shape = tuple(op.results[0].shape[k] for k in at["out_spec"])
    groups, wide = max(at["feature_groups"], at["batch_groups"]), _product_type(op, x)
    x, y = x.astype(wide), y.astype(wide)
    axis = 1 if at["feature_groups"] > 1 else 0
    xs = np.split(x, groups, axis)
    ys = np.split(y, groups, 0)
    parts = []
    for a, w in zip(xs, ys, strict=True):
        total = np.zeros((a.shape[0], w.shape[0], *out_shape[2:]), wide)
        for place in np.ndindex(*w.shape[2:]):
            window = tuple(slice(p * d, p * d + (m - 1) * s + 1 if m else p * d, s) for p, d, s, m in
                           zip(place, at["rhs_dilation"], at["strides"], out_shape[2:], strict=True))
            total += np.einsum("bi...,oi->bo...", a[(slice(None), slice(None), *window)],
                               w[(slice(None), slice(None), *place)])
        parts.append(total)
    out = convert(np.concatenate(parts, 1), numpy_type(op))
    return out.transpose(np.argsort(at["out_spec"]))
