"""Buffers and affine views of them: how view operations (transpose, slice, broadcast ...) cost nothing.

A ``Buffer`` is memory that will become a tensor of the program. A ``View`` reads a buffer as an array:
element (i, j, ...) is at ``offset + i*strides[0] + ...``, counted in elements. An iota is a view without
a buffer, whose elements are the positions themselves.
"""

from dataclasses import dataclass, field, replace
from math import prod

from kjax.isa import dtypes


@dataclass(eq=False)
class Buffer:
    """Memory of ``elements`` x ``dtype``.

    ``storage``: "input", "output", "constant" or "arena"; ``data`` a constant's bytes; ``root`` the buffer whose
    memory this one re-reads as another dtype (a bitcast), or whose memory it takes over (a donated input's output).
    """

    dtype: str
    elements: int
    storage: str = "arena"
    index: int = 0
    data: bytes = b""
    root: "Buffer | None" = None
    values: list = field(default_factory=list)  # IR values that live here, kept on the memory owner

    @property
    def owner(self):
        return self.root.owner if self.root is not None else self

    @property
    def bytes(self):
        return self.elements * dtypes.BY_NAME[self.dtype].size


def dense_strides(shape):
    strides, step = [], 1
    for d in reversed(shape):
        strides.append(step)
        step *= d
    return tuple(reversed(strides))


@dataclass(frozen=True)
class View:
    buffer: Buffer | None
    dtype: str
    shape: tuple
    strides: tuple
    offset: int = 0

    @property
    def is_iota(self):
        return self.buffer is None

    @property
    def is_dense(self):
        """Row-major over the whole buffer."""
        return (self.buffer is not None and self.offset == 0 and self.size == self.buffer.elements
                and all(d == 1 or s == e for d, s, e in zip(self.shape, self.strides, dense_strides(self.shape))))

    @property
    def size(self):
        return prod(self.shape)

    def extremes(self):
        """(smallest, largest) number of an iota."""
        ends = [(d - 1) * s for d, s in zip(self.shape, self.strides)]
        return self.offset + sum(min(e, 0) for e in ends), self.offset + sum(max(e, 0) for e in ends)

    def broadcast(self, shape, dims):
        """``dims[k]``: the result dim that dim k becomes; a dim of 1 is stretched."""
        strides = [0] * len(shape)
        for k, d in enumerate(dims):
            strides[d] = self.strides[k] if self.shape[k] != 1 else 0
        return replace(self, shape=tuple(shape), strides=tuple(strides))

    def transpose(self, permutation):
        return replace(self, shape=tuple(self.shape[p] for p in permutation),
                       strides=tuple(self.strides[p] for p in permutation))

    def slice(self, start, limit, step):
        shape = tuple(max(0, -(-(b - a) // c)) for a, b, c in zip(start, limit, step))
        offset = self.offset + sum(a * s for a, s in zip(start, self.strides)) if all(shape) else self.offset
        return replace(self, shape=shape, offset=offset, strides=tuple(s * c for s, c in zip(self.strides, step)))

    def reverse(self, dims):
        offset = self.offset + sum((self.shape[d] - 1) * self.strides[d] for d in dims)
        return replace(self, offset=offset,
                       strides=tuple(-s if d in dims else s for d, s in enumerate(self.strides)))

    def window(self, sizes, strides, dilations):
        """Overlapping windows: result dims are the window positions, then the places inside a window."""
        spans = [(w - 1) * d + 1 for w, d in zip(sizes, dilations)]
        counts = tuple(max(0, (n - span) // step + 1) for n, span, step in zip(self.shape, spans, strides))
        return replace(self, shape=counts + tuple(sizes),
                       strides=tuple(s * k for s, k in zip(self.strides, strides))
                       + tuple(s * k for s, k in zip(self.strides, dilations)))

    def reshape(self, shape):
        """The same elements as ``shape`` without moving them, or None when strides cannot say that."""
        shape = tuple(shape)
        if self.size == 0:
            return replace(self, shape=shape, strides=(0,) * len(shape))
        old = [(d, s) for d, s in zip(self.shape, self.strides) if d != 1]
        groups, strides, k = [], [], 0
        for d, s in old:  # runs of dims that are one longer dim
            if groups and groups[-1][1] == s * d:
                groups[-1] = (groups[-1][0] * d, s)
            else:
                groups.append((d, s))
        for d in reversed(shape):
            if d == 1:
                strides.append(0)
                continue
            if not k:
                k = 1
                left, step = groups.pop() if groups else (1, 0)
            while left == 1 and groups:
                left, step = groups.pop()
            if left % d:
                return None
            strides.append(step)
            left, step = left // d, step * d
        return replace(self, shape=shape, strides=tuple(reversed(strides)))

    def same_place(self, other):
        """Both views put equal indices at the same bytes."""
        return (self.buffer is not None and other.buffer is not None and self.buffer.owner is other.buffer.owner
                and self.shape == other.shape and self.offset == other.offset
                and dtypes.BY_NAME[self.dtype].size == dtypes.BY_NAME[other.dtype].size
                and all(d == 1 or s == o for d, s, o in zip(self.shape, self.strides, other.strides)))


def apart(a, b):
    """Whether two views of memory share no bytes, from the lowest to the highest that each reaches (what the verifier asks)."""
    if a.buffer is None or b.buffer is None or a.buffer.owner is not b.buffer.owner:
        return True
    reach = []
    for v in (a, b):
        size = dtypes.BY_NAME[v.dtype].size
        low = v.offset + sum((d - 1) * s for d, s in zip(v.shape, v.strides) if s < 0)
        high = v.offset + sum((d - 1) * s for d, s in zip(v.shape, v.strides) if s > 0)
        reach.append((low * size, (high + 1) * size))
    return reach[0][1] <= reach[1][0] or reach[1][1] <= reach[0][0]


def dense(buffer, shape):
    return View(buffer, buffer.dtype, tuple(shape), dense_strides(shape))
