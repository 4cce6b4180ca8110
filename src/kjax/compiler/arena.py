"""Arena offsets: which buffers may share memory, and where each goes.

A buffer lives from the first to the last instruction that touches it; one that is touched both inside and
outside a loop lives through the whole loop (an iteration may read what an earlier one left). Two plans are made,
and the smaller one is taken. Cost: linear in the program's length times the number of holes between what lives.
"""

import bisect
import heapq

from kjax.bytecode import program as p
from kjax.isa.container import ALIGNMENT

MAX_PAIRS = 200_000  # of buffers that live at the same time; where there are more, only one plan is made


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
    elif isinstance(instruction, p.Linalg):
        views = tuple(v for v in instruction.operands if v is not None)
    elif isinstance(instruction, p.Transform):
        views = (instruction.input, instruction.out, instruction.roots)
    elif isinstance(instruction, p.Scan):
        views = (instruction.input, instruction.out)
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
    """The innermost loop of every instruction, as (first, last instruction, the loop around it), or None."""
    opened, innermost, around, ends = [], [], {}, {}  # opened: first instruction of the innermost loop
    for at, instruction in enumerate(code):
        now = opened[-1] if opened else None
        if isinstance(instruction, p.While):
            around[at] = now
            opened.append(at)
        elif isinstance(instruction, p.Case):
            opened.append(now)
        innermost.append(opened[-1] if opened else None)
        if isinstance(instruction, p.End):
            ends[opened.pop()] = at  # a loop's own end is the last of those in it
    loops = {None: None}
    for start, outer in around.items():  # outer loops first
        loops[start] = (start, ends[start], loops[outer])
    return [loops[start] for start in innermost]


def _outermost_without(loop, at):
    """The outermost of ``loop`` and the loops around it that does not hold instruction ``at``, or None."""
    found = None
    while loop is not None and not loop[0] <= at <= loop[1]:
        found, loop = loop, loop[2]
    return found


def _together(code):
    """Instruction -> (first, last) of the nests that run together with it: all that they touch is in use all the time."""
    found, first = {}, 0
    for at, instruction in enumerate(code):
        rows = instruction.rows if isinstance(instruction, p.Nest) else 0
        if not rows & p.ROWS_JOINED:
            first = at
        if rows:
            found.update((k, (first, at)) for k in range(first, at + 1))
    return found


def lifetimes(code):
    """Owner buffer -> (first, last) for every arena buffer that the code touches."""
    uses = {}
    for at, instruction in enumerate(code):
        for buffer in touched(instruction):
            owner = buffer.owner
            if owner.storage == "arena":
                uses.setdefault(owner, [at, at])[1] = at
    loops, together = _loops(code), _together(code)
    spans = {}
    for buffer, (first, last) in uses.items():
        first, last = together.get(first, (first, first))[0], together.get(last, (last, last))[1]
        begin, end = _outermost_without(loops[first], last), _outermost_without(loops[last], first)
        spans[buffer] = (begin[0] if begin else first, end[1] if end else last)
    return spans


def _size(buffer):
    return buffer.bytes + -buffer.bytes % ALIGNMENT


def _neighbours(spans):
    """Buffer -> the buffers that live at the same time; None when there are too many pairs of them."""
    found, alive, pairs = {}, [], 0
    for buffer, (first, _) in sorted(spans.items(), key=lambda item: item[1][0]):
        alive = [other for other in alive if spans[other][1] >= first]
        pairs += len(alive)
        if pairs > MAX_PAIRS:
            return None
        found[buffer] = list(alive)
        for other in alive:
            found[other].append(buffer)
        alive.append(buffer)
    return found


def _largest_first(spans, neighbours):
    """Each at the lowest offset where none is that lives at the same time."""
    offsets = {}
    for buffer in sorted(spans, key=lambda b: -b.bytes):
        need, at = _size(buffer), 0
        for start, end in sorted((offsets[b], offsets[b] + _size(b)) for b in neighbours[buffer] if b in offsets):
            if start - at >= need:
                break
            at = max(at, end)
        offsets[buffer] = at
    return offsets


def _first_first(spans):
    """In the order of the program, each in the smallest hole that holds it."""
    offsets, holes, top = {}, [], 0  # holes: (start, end) below ``top``, by offset
    ending = []  # (last, offset, end) of what lives, a heap
    for buffer, (first, last) in sorted(spans.items(), key=lambda item: (item[1][0], -item[0].bytes)):
        while ending and ending[0][0] < first:
            _, start, end = heapq.heappop(ending)
            k = bisect.bisect(holes, (start, end))
            if k < len(holes) and holes[k][0] == end:
                end = holes.pop(k)[1]
            if k and holes[k - 1][1] == start:
                start = holes.pop(k - 1)[0]
                k -= 1
            if end == top:
                top = start
            else:
                holes.insert(k, (start, end))
        need = _size(buffer)
        fits = [(end - start, k) for k, (start, end) in enumerate(holes) if end - start >= need]
        if fits:
            _, k = min(fits)
            start, end = holes.pop(k)
            if end - start > need:
                holes.insert(k, (start + need, end))
        else:
            start, top = top, top + need
        offsets[buffer] = start
        heapq.heappush(ending, (last, start, start + need))
    return offsets


def assign(code):
    """Byte offset of every arena buffer, and the arena's size in bytes."""
    spans = lifetimes(code)
    neighbours = _neighbours(spans)
    plans = [_first_first(spans)] + ([_largest_first(spans, neighbours)] if neighbours is not None else [])
    sizes = [max((at + _size(b) for b, at in offsets.items()), default=0) for offsets in plans]
    best = sizes.index(min(sizes))
    return plans[best], sizes[best]
