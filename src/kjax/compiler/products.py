"""Lowering of contractions: dot_general, and convolution as a dot over overlapping windows."""

from kjax.bytecode import program as p
from kjax.compiler.nest import access, collapse_groups
from kjax.compiler.views import View


def _emit(self, op, groups, dims, lhs, rhs, out):
    """``groups``: dim numbers of batch, m, n, k; the views have a stride for each of ``dims``."""
    dims, strides, counts = collapse_groups(groups, dims, [lhs, rhs, out])
    self.program.emit(p.Dot(op.result.dtype, *counts, dims, *(access(v, s) for v, s in zip((lhs, rhs, out), strides)),
                            source=self.program.source(op)))


def _target(self, op, lhs, rhs):
    """The result's place, which is not in an operand's memory; None when there is nothing to multiply."""
    target = self.destination(op.result, [lhs, rhs])
    if target.size and any(v.buffer.owner is target.buffer.owner for v in (lhs, rhs)):
        target = self.fresh(op.result.type)
    self.bind(op.result, target)
    if target.size == 0:
        return None
    if lhs.size == 0 or rhs.size == 0:  # a sum of no terms
        zero = self.program.constant(op.result.type.info.numpy.type(0))
        self.copy(zero.broadcast(target.shape, ()), target)
        return None
    return target


def dot_general(self, op):
    a = op.attributes
    lhs, rhs = (self.materialize(self.view(v)) for v in op.operands)
    target = _target(self, op, lhs, rhs)
    if target is None:
        return
    free = [[d for d in range(len(v.shape)) if d not in batch and d not in contract] for v, batch, contract in
            ((lhs, a["lhs_batch"], a["lhs_contract"]), (rhs, a["rhs_batch"], a["rhs_contract"]))]
    nb, nm, nn, nk = len(a["lhs_batch"]), len(free[0]), len(free[1]), len(a["lhs_contract"])
    dims = ([lhs.shape[d] for d in a["lhs_batch"]] + [lhs.shape[d] for d in free[0]] + [rhs.shape[d] for d in free[1]]
            + [lhs.shape[d] for d in a["lhs_contract"]])

    def spread(view, batch, m, n, k):
        return View(view.buffer, view.dtype, tuple(dims), tuple(batch + m + n + k), view.offset)

    def pick(view, which):
        return [view.strides[d] for d in which]

    zeros = [0] * len(dims)
    left = spread(lhs, pick(lhs, a["lhs_batch"]), pick(lhs, free[0]), zeros[:nn], pick(lhs, a["lhs_contract"]))
    right = spread(rhs, pick(rhs, a["rhs_batch"]), zeros[:nm], pick(rhs, free[1]), pick(rhs, a["rhs_contract"]))
    out = spread(target, list(target.strides[:nb]), list(target.strides[nb:nb + nm]), list(target.strides[nb + nm:]),
                 zeros[:nk])
    _emit(self, op, _groups(nb, nm, nn, nk), dims, left, right, out)


def _groups(*counts):
    groups, at = [], 0
    for n in counts:
        groups.append(list(range(at, at + n)))
        at += n
    return groups


def convolution(self, op):
    """After ``passes.expand``: no padding, no lhs dilation, no reversal. The contracted dims are window and in-feature."""
    a = op.attributes
    lhs, rhs = (self.materialize(self.view(v)) for v in op.operands)
    target = _target(self, op, lhs, rhs)
    if target is None:
        return
    (ln, lc, *ls), (ro, ri, *rs), (on, of, *os) = a["lhs_spec"], a["rhs_spec"], a["out_spec"]
    fg, bg = a["feature_groups"], a["batch_groups"]
    groups = fg * bg
    batch, per_group = target.shape[on], target.shape[of] // groups
    window, places = [rhs.shape[d] for d in rs], [target.shape[d] for d in os]
    dims = [groups, batch, *places, per_group, *window, rhs.shape[ri]]
    n = len(places)
    zeros = [0] * n
    group_step = batch * lhs.strides[ln] if bg > 1 else rhs.shape[ri] * lhs.strides[lc]
    left = [group_step if groups > 1 else 0, lhs.strides[ln], *(lhs.strides[d] * s for d, s in zip(ls, a["strides"])), 0,
            *(lhs.strides[d] * s for d, s in zip(ls, a["rhs_dilation"])), lhs.strides[lc]]
    right = [per_group * rhs.strides[ro], 0, *zeros, rhs.strides[ro], *(rhs.strides[d] for d in rs), rhs.strides[ri]]
    out = [per_group * target.strides[of], target.strides[on], *(target.strides[d] for d in os), target.strides[of],
           *zeros, 0]
    views = [View(v.buffer, v.dtype, tuple(dims), tuple(s), v.offset) for v, s in ((lhs, left), (rhs, right), (target, out))]
    _emit(self, op, _groups(1, 1 + n, 1, n + 1), dims, *views)


HANDLERS = {"dot_general": dot_general, "convolution": convolution}
