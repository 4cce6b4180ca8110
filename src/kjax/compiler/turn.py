"""Maps that read or write a tensor across its rows go through it in blocks.

``x.T + y`` walks the rows of the result, and with them the columns of ``x``: each element lies in another cache line, and in another page.
A block of some rows and columns finds the lines it needs once, and the engine turns it over in registers (``turn`` in
``engine/cpu.h``). The points of a map have no order, so blocks are only other dims.
"""

from dataclasses import replace
from math import prod

from kjax.bytecode import program as p
from kjax.isa import limits

LEAST = 4096  # points from which on it pays
BESIDE = (16, 32)  # points of a block along the dim that the turned tensor is dense in, at least and at most
ALONG = (16, 128)  # along the last dim
LINE = 16  # elements between neighbours along the last dim from which on they share no cache line


def _dense_dim(nest):
    """The dim, not the last, along which the first operand is dense that is far from dense along the last one; None."""
    for operand in nest.operands:
        if operand.tensor is not None and abs(operand.strides[-1]) >= LINE and 1 in operand.strides[:-1]:
            return operand.strides.index(1)
    return None


def _part(n, least, most):
    """The largest divisor of ``n`` in that range, or ``n`` itself below it; None."""
    return n if n <= most else next((d for d in range(most, least - 1, -1) if n % d == 0), None)


def _blocks(nest):
    """``nest`` with its dense dim and its last one in blocks, or as it is."""
    dim = _dense_dim(nest)
    beside = dim is not None and _part(nest.dims[dim], *BESIDE)
    along = beside and _part(nest.dims[-1], ALONG[0], min(ALONG[1], nest.strip // beside))
    if not along or beside < 4 or beside * along > nest.strip or nest.dims[-1] == along and dim == len(nest.dims) - 2:
        return nest
    others = [d for d in range(len(nest.dims) - 1) if d != dim]
    dims = (*(nest.dims[d] for d in others), nest.dims[dim] // beside, nest.dims[-1] // along, beside, along)
    if len(dims) > limits.MAX_RANK:
        return nest

    def strides(s):
        return (*(s[d] for d in others), s[dim] * beside, s[-1] * along, s[dim], s[-1])

    keep = [k for k, n in enumerate(dims) if n > 1]
    operands = tuple(replace(o, strides=tuple(strides(o.strides)[k] for k in keep)) for o in nest.operands)
    block = beside * along
    return replace(nest, dims=tuple(dims[k] for k in keep), operands=operands, strip=nest.strip // block * block)


def run(code):
    """``code`` with such maps in blocks. Cost: linear."""
    return [_blocks(i) if isinstance(i, p.Nest) and not i.n_acc and not i.rows and len(i.dims) > 1 and prod(i.dims) >= LEAST else i
            for i in code]
