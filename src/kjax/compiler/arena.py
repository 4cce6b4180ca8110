"""Arena offsets: which buffers may share memory, and where each goes.

A buffer lives from the first to the last instruction that touches it; one that is touched both inside and
outside a loop lives through the whole loop (an iteration may read what an earlier one left). Largest first,
each at the lowest free offset. Cost: quadratic in the number of buffers that live at the same time.
"""

from kjax.bytecode import program as p
from kjax.isa.container import ALIGNMENT


def touched(instruction):
    """Buffers that an instruction reads or writes."""
    if isinstance(instruction, p.Nest):
        views = instruction.operands
    elif isinstance(instruction, p.Dot):
        views = (instruction.lhs, instruction.rhs, instruction.out)
    elif isinstance(instruction, p.Gather):
        views = (instruction.windowed, instruction.plain, *instruction.indices, *instruction.splats)
    elif isinstance(instruction, p.Sort):
        views = tuple(v for pair in instruction.pairs for v in pair)
    elif isinstance(instruction, p.Exchange):
        return [b for b in (instruction.input, instruction.out) if b is not None]
    elif isinstance(instruction, p.Trace):
        return [v.tensor for v in instruction.inputs + instruction.outputs if v.tensor is not None]
    elif isinstance(instruction, (p.Do, p.Case)):
        return [instruction.tensor]
    else:
        return []
    return [v.tensor for v in views if v.tensor is not None]


def _loops(code):
    """(first, last) instruction of every loop, outer before inner."""
    open_, found = [], []
    for at, instruction in enumerate(code):
        if isinstance(instruction, (p.While, p.Case)):
            open_.append((at, isinstance(instruction, p.While)))
        elif isinstance(instruction, p.End):
            start, is_loop = open_.pop()
            if is_loop:
                found.append((start, at))
    return sorted(found, key=lambda span: span[1] - span[0])


def lifetimes(code):
    """Owner buffer -> [first, last] for every arena buffer that the code touches."""
    uses = {}
    for at, instruction in enumerate(code):
        for buffer in touched(instruction):
            if buffer.owner.storage == "arena":
                uses.setdefault(buffer.owner, []).append(at)
    spans = {b: [at[0], at[-1]] for b, at in uses.items()}
    for start, end in _loops(code):  # inner loops first, so that growth reaches the outer ones
        for span in spans.values():
            inside = span[0] <= end and span[1] >= start
            if inside and (span[0] < start or span[1] > end):
                span[0], span[1] = min(span[0], start), max(span[1], end)
    return spans


def assign(code):
    """Byte offset of every arena buffer, and the arena's size in bytes."""
    spans = lifetimes(code)
    placed, offsets, size = [], {}, 0
    for buffer in sorted(spans, key=lambda b: -b.bytes):
        first, last = spans[buffer]
        need = buffer.bytes + -buffer.bytes % ALIGNMENT
        at = 0
        for start, end, begin, stop in placed:  # sorted by offset
            if begin <= last and stop >= first:
                if start - at >= need:
                    break
                at = max(at, end)
        offsets[buffer] = at
        placed.append((at, at + need, first, last))
        placed.sort()
        size = max(size, at + need)
    return offsets, size
