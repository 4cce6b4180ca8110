"""Lowering of ``linalg``: dense operands, dense results in memory of their own; what nobody uses is not computed."""

from math import prod

import numpy as np

from kjax.bytecode import program as p
from kjax.errors import LimitError
from kjax.ir.check import linalg_signature
from kjax.isa import linalg


def _empty(self, op):
    """Matrices without elements: nothing to compute, what results have is zero."""
    for result in op.results:
        target = self.destination(result)
        self.bind(result, target)
        if target.size:
            self.copy(self.program.constant(np.zeros((), result.type.info.numpy)).broadcast(target.shape, ()), target)


def lower(self, op):
    kind = linalg.BY_NAME[op.attributes["kind"]]
    flags = tuple(op.attributes["flags"])
    batch, sizes, dtype, _ = linalg_signature(kind.name, flags, [v.type for v in op.operands])
    if not prod(batch) or not all(sizes.values()):
        return _empty(self, op)
    largest = max(n for dim, n in sizes.items() if dim != "k")
    if largest > linalg.MAX_SIZE or sizes.get("k", 0) > linalg.MAX_COLUMNS:
        raise LimitError(f"{kind.name} at {op.source or 'unknown source'}: a matrix has {largest} rows or columns, "
                         f"at most {linalg.MAX_SIZE} are possible. Use smaller matrices, or more of them in a batch.")
    inputs = [self.materialize(self.view(v), dense_only=True) for v in op.operands]
    taken = {view.buffer.owner for view in inputs}
    targets = []
    for result in op.results:
        if not result.type.size or not self.users.get(result):
            targets.append(None)
            self.bind(result, self.fresh(result.type))
            continue
        target = self.destination(result, inputs)
        if target.buffer.owner in taken or not target.is_dense:
            target = self.fresh(result.type)
        taken.add(target.buffer.owner)
        targets.append(target)
        self.bind(result, target)
    if not any(targets):
        return
    operands = tuple(None if view is None or not view.size else p.Operand(view.buffer, view.offset, ())
                     for view in (*inputs, *targets))
    self.program.emit(p.Linalg(kind.name, dtype, prod(batch), tuple(sizes.get(s, 0) for s in "mnk"), operands,
                               flags, self.program.source(op)))


HANDLERS = {"linalg": lower}
