"""Lowering of ``transform``: which of the dims that are not transformed are lanes, and where the result is written."""

from math import prod

from kjax.bytecode import program as p
from kjax.isa import opcodes


def lower(self, op):
    at = op.attributes
    x, roots = (self.view(v) for v in op.operands)
    x, roots = self.materialize(x), self.materialize(roots, dense_only=True)
    target = self.destination(op.result, [x, roots], moves=True)
    self.bind(op.result, target)
    if not target.size:
        return
    dim, others = at["dim"], [d for d in range(3) if d != at["dim"]]
    y = target.transpose([at["order"].index(d) for d in range(3)])
    lanes = others[1] if "turned" in at["flags"] else max(others, key=lambda d: _worth(x, y, dim, d))
    order = [others[0] if lanes == others[1] else others[1], dim, lanes]
    views = [v.transpose(order) for v in (x, y)]
    dims = tuple(prod(at["factors"]) if d == dim else x.shape[d] for d in order)
    self.program.emit(p.Transform(at["kind"], roots.dtype, dims, tuple(at["factors"]),
                                  *(p.Operand(v.buffer, v.offset, v.strides) for v in views),
                                  p.Operand(roots.buffer, roots.offset, ()), float(at["scale"]), tuple(at["flags"]),
                                  self.program.source(op)))


def _worth(x, y, dim, d):
    """How good lanes dim ``d`` makes: the share of vectors that is in use, more where elements are loaded and stored side by side,
    be they of lanes or of a transform along ``dim``."""
    n, most = x.shape[d], opcodes.TRANSFORM_LANES
    return n / (-(-n // most) * most) * (1 + sum(1 in (v.strides[d], v.strides[dim]) for v in (x, y))), n


HANDLERS = {"transform": lower}
