"""Building one nest instruction: iteration dims, operands and bodies from elementwise operations and reductions."""

from math import lcm, prod

from kjax.bytecode import program as p
from kjax.compiler import body as bodies
from kjax.compiler.fuse import SMALL_EXTENT, strips_along_kept
from kjax.errors import LimitError
from kjax.isa import dtypes, limits

LONG_LANES = 256  # elements along a kept dim that are strips of their own where that reads no operand across its rows
ORDERED = {("add", "float"), ("mul", "float"), ("add", "complex"), ("mul", "complex")}  # roundings: not many one after the other
STRIP_BYTES = 32768  # registers of one strip together: many of them are only pointers into tensors, or share a slot


class Operands:
    """The views of one nest; equal views share a number."""

    def __init__(self):
        self.views = []
        self.index = {}

    def add(self, view):
        key = (id(view.buffer), view.offset, view.strides, view.shape)
        if key not in self.index:
            self.index[key] = len(self.views)
            self.views.append(view)
        if len(self.views) > limits.MAX_OPERANDS:
            raise bodies.RegisterPressure()
        return self.index[key]


def collapse(dims, strides):
    """Merge neighbouring dims wherever every view allows, and drop dims of 1.

    ``strides``: one tuple a view. Returns (dims, [strides]) that enumerate the same elements in the same order.
    """
    keep = [d for d in range(len(dims)) if dims[d] != 1]
    out_dims, out = [], [[] for _ in strides]
    for d in keep:
        if out_dims and all(s[-1] == v[d] * dims[d] for s, v in zip(out, strides)):
            out_dims[-1] *= dims[d]
            for s, v in zip(out, strides):
                s[-1] = v[d]
        else:
            out_dims.append(dims[d])
            for s, v in zip(out, strides):
                s.append(v[d])
    return tuple(out_dims), [tuple(s) for s in out]


def collapse_groups(groups, dims, views):
    """``collapse`` within each group of dim numbers. Returns (dims, strides of each view, sizes of the groups)."""
    out_dims, out, counts = (), [() for _ in views], []
    for group in groups:
        some, strides = collapse([dims[d] for d in group], [[v.strides[d] for d in group] for v in views])
        out_dims += some
        out = [a + b for a, b in zip(out, strides)]
        counts.append(len(some))
    if len(out_dims) > limits.MAX_RANK:
        raise LimitError(f"an operation walks {len(out_dims)} separate dims, more than {limits.MAX_RANK}; "
                         "reshape its operands so that neighbouring dims can be merged")
    return out_dims, out, counts


def access(view, strides):
    return p.Operand(view.buffer, view.offset, strides)


def strip_for(uops, registers):
    width = max([dtypes.BY_NAME[u.dtype].size for u in uops] + [4])
    strip = STRIP_BYTES // max(1, registers * width)
    return max(64, min(limits.MAX_STRIP, 1 << (strip.bit_length() - 1) if strip else 64))


def strip_on_periods(strip, dims, strides):
    """``strip``, or a little less: what repeats along the first dim (a bias over channels) then fills every strip alike."""
    period = prod(dims[1:])
    if len(dims) < 2 or not any(s[0] == 0 and any(s) for s in strides):
        return strip
    period = lcm(period, 16)
    return strip - strip % period if strip - strip % period >= strip * 3 // 4 else strip


def map_nest(shape, operands, uops, registers, source):
    dims, strides = collapse(shape, [v.strides for v in operands.views])
    if len(dims) > limits.MAX_RANK:
        raise LimitError(f"an elementwise operation walks {len(dims)} separate dims, more than {limits.MAX_RANK}")
    if not dims:
        dims, strides = (1,), [(0,)] * len(strides)
    return p.Nest(dims, tuple(access(v, s) for v, s in zip(operands.views, strides)), uops, n_regs=registers,
                  strip=strip_on_periods(strip_for(uops, registers), dims, strides), source=source)


def reads_along(shape, kept, reduced, views, combine):
    """The kept dim along which a reduction along short or any rows can have its strips instead, or None.

    No operand may lie across it: the rows that are reduced are then made of what does not vary along one of the dims (comparisons
    of all of one array with all of another).
    """
    wide = [d for d in kept if shape[d] != 1]
    if not wide or shape[wide[-1]] < LONG_LANES or any(v.strides[wide[-1]] not in (0, 1) for v in views):
        return None
    rounds = any((u.op, dtypes.BY_NAME[u.dtype].kind) in ORDERED for u in combine)
    return None if rounds and prod(shape[d] for d in reduced) > SMALL_EXTENT else wide[-1]


def reduce_nest(shape, kept, operands, parts, registers, n_acc, source):
    """``parts``: (map, combine, post) bodies. The views have a stride for each dim of ``shape``."""
    reduced = [d for d in range(len(shape)) if d not in kept]
    outer, inner = list(kept), []
    if strips_along_kept(shape, reduced):
        wide = [d for d in range(len(shape)) if shape[d] != 1]
        tail = []
        while wide and wide[-1] not in reduced:
            tail.insert(0, wide.pop())
        long = prod(shape[d] for d in reduced) > SMALL_EXTENT
        inner = tail if long or prod(shape[d] for d in tail) >= 16 else [d for d in kept]
        outer = [d for d in kept if d not in inner]
    else:
        along = reads_along(shape, kept, reduced, operands.views, parts[1])
        if along is not None:
            outer, inner = [d for d in kept if d != along], [along]
    dims, strides, counts = collapse_groups((outer, reduced, inner), shape, operands.views)
    if not counts[1]:  # every reduced dim is of size 1
        at = counts[0]
        dims = dims[:at] + (1,) + dims[at:]
        strides = [s[:at] + (0,) + s[at:] for s in strides]
        counts[1] = 1
    return p.Nest(dims, tuple(access(v, s) for v, s in zip(operands.views, strides)), *parts, n_acc=n_acc,
                  n_regs=registers, red_first=counts[0], red_count=counts[1],
                  strip=strip_for(sum(parts, ()), registers), source=source)
