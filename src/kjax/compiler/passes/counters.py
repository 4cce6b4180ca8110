"""Counters of loops are counted on at the end of the body, the one that the condition compares last: the engine then does the
addition, the comparison and the jump back as one operation (engine/ukernels/edges.inc)."""

from kjax.compiler.fuse import free_values
from kjax.compiler.passes.hoist import counts
from kjax.ir.rewrite import rewrite


def _rule(outer, op):
    if op.name != "while":
        return None
    condition, body = op.regions
    used = {v for o in body.ops for v in [*o.operands, *(free_values(o) if o.regions else ())]}
    test = condition.results[0].op
    compared = {condition.arguments.index(v) for v in (test.operands if test is not None else ()) if v in condition.arguments}
    last = [k for k, result in enumerate(body.results)
            if counts(op, k) and result not in used and sum(r is result for r in body.results) == 1]
    moved = [body.results[k].op for k in sorted(last, key=lambda k: k in compared)]
    body.ops = [o for o in body.ops if not any(o is m for m in moved)] + moved
    return None


def run(graph):
    """After the last simplification, in place; linear in the number of operations."""
    return rewrite(graph, _rule)
