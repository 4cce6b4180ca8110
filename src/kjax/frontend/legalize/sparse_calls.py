"""``custom_call @cpu_csr_sparse_dense_ffi``: how JAX multiplies a sparse matrix with a dense vector or matrix on the CPU.

The matrix is in compressed rows: elements, where each row's begin, and their columns. Elements behind the last row's end belong to
no row, whatever is there.
"""

import re

from kjax.frontend.legalize.registry import rule
from kjax.ir.graph import Type


@rule("custom_call.cpu_csr_sparse_dense_ffi")
def csr_times_dense(b, node):
    data, begins, columns, dense = node.operands
    for layout in [*(node.raw("operand_layouts") or ()), *(node.raw("result_layouts") or ())]:
        if [int(d) for d in re.findall(r"\d+", str(layout).partition(">")[0])] == [0, 1]:
            b.refuse("stablehlo.custom_call @cpu_csr_sparse_dense_ffi", "a matrix is declared column-major",
                     "Write it with jax.numpy or jax.lax operations")
    out, width, count = node.type, dense.shape[1:], data.shape[0]
    if not (count and out.size and dense.type.size):
        return b.full(0, out)
    ends = b.reshape(b.slice_dim(begins, 0, 1, begins.shape[0]), (out.shape[0], 1))
    marks = _add(b, b.full(0, Type("i32", (count,))), ends, b.full(1, Type("i32", (out.shape[0],))))
    rows = b.add("scan", [marks], marks.type, op="add", dim=0, reverse=False)  # how many rows end at or before each element
    taken = b.add("gather", [dense, b.reshape(columns, (count, 1))], Type(dense.dtype, (count, *width)),
                  offset_dims=tuple(range(1, 1 + len(width))), collapsed_dims=(0,), operand_batch_dims=(), index_batch_dims=(),
                  start_index_map=(0,), index_vector_dim=1, slice_sizes=(1, *width))
    products = b.map("mul", b.broadcast(b.convert(data, out.dtype), taken.shape, (0,)), b.convert(taken, out.dtype))
    return _add(b, b.full(0, out), b.reshape(rows, (count, 1)), products)


def _add(b, x, places, updates):
    """``x`` with ``updates`` added at ``places`` (n, 1) of its first dim; those that are not there are left out."""
    scalar, rank = Type(x.dtype), x.type.rank
    body = b.make_region([scalar, scalar], lambda old, new: [b.map("add", old, new)])
    return b.add("scatter", [x, places, updates], x.type, regions=[body], update_window_dims=tuple(range(1, rank)),
                 inserted_dims=(0,), operand_batch_dims=(), index_batch_dims=(), scatter_dims_map=(0,), index_vector_dim=1)
