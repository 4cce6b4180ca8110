"""Builder: appends core operations to a region; rules of ``legalize/`` are written with it.

The builder holds the region that is being filled, the source line that new operations get, and the
constants already in sight, so that equal constants become one value. ``Expr`` wraps a value with
Python operators, for decompositions that are formulas.
"""

import hashlib
from contextlib import contextmanager
from math import prod

import numpy as np

from kjax.errors import UnsupportedOpError
from kjax.ir.check import linalg_signature, transform_length
from kjax.ir.graph import Region, Source, Type
from kjax.isa import dtypes, ops

PART = {"c64": "f32", "c128": "f64"}
JOIN = {"f32": "c64", "f64": "c128"}
UNSIGNED = {"i2": "u2", "i4": "u4", "i8": "u8", "i16": "u16", "i32": "u32", "i64": "u64"}
SIGNED = {u: s for s, u in UNSIGNED.items()}
BITS_OF = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}  # bytes -> the unsigned type of that size


class Builder:
    """Appends to ``region``. ``source`` is given to every operation that is added."""

    def __init__(self, region):
        self.region = region
        self.source = Source()
        self._scopes = [{}]

    # -- regions ----------------------------------------------------------------------------------------------
    @contextmanager
    def inside(self, region):
        """Append to ``region`` for a while; constants of the regions around it stay visible, its own do not leak."""
        saved, self.region = self.region, region
        self._scopes.append({})
        try:
            yield region
        finally:
            self._scopes.pop()
            self.region = saved

    def make_region(self, types, body):
        """A region with arguments of ``types`` whose results are what ``body(*arguments)`` returns (a list)."""
        region = Region()
        for t in types:
            region.argument(t)
        with self.inside(region):
            region.results = list(body(*region.arguments))
        return region

    # -- operations -------------------------------------------------------------------------------------------
    def add(self, name, operands, types, *, regions=(), **attributes):
        """Append one operation; returns its result, or the list of them when ``types`` is a list."""
        return self.region.add(name, operands, types, source=self.source, regions=regions, **attributes)

    def constant(self, array, dtype=None):
        """A constant of ``array``'s shape; equal constants in sight are one value."""
        array = np.asarray(array)
        dtype = dtype or dtypes.of(array.dtype).name
        array = array.astype(dtypes.BY_NAME[dtype].numpy, copy=False)
        splat = array.size > 1 and not any(array.strides)
        data = array.flat[0].tobytes() if splat else array.tobytes()
        key = (dtype, array.shape, splat, hashlib.sha256(data).digest() if len(data) > 64 else data)
        for scope in reversed(self._scopes):
            if key in scope:
                return scope[key]
        value = self.add("constant", [], Type(dtype, array.shape), value=array)
        self._scopes[-1][key] = value
        return value

    def token(self):
        """What a StableHLO token becomes: an array of nothing."""
        return self.constant(np.zeros((0,), np.bool_), "i1")

    def full(self, number, type):
        """A constant of one number in every element. The number is wrapped to an integer type's width."""
        info = dtypes.BY_NAME[type.dtype]
        if info.kind in ("int", "uint"):
            number = int(number) & ((1 << info.bits) - 1)
            if info.kind == "int" and number >> (info.bits - 1):
                number -= 1 << info.bits
        with np.errstate(all="ignore"):
            scalar = np.asarray(number).astype(info.numpy)
        return self.constant(np.broadcast_to(scalar, type.shape), type.dtype)

    def like(self, number, value):
        return self.full(number, value.type)

    def map(self, name, *operands):
        """An elementwise operation by its name in ``isa/ops.py``; the result's type follows from the form."""
        form = ops.BY_NAME[name].form
        kind = operands[-1].type if form == "select" else operands[0].type
        if form in ("compare", "test"):
            kind = Type("i1", kind.shape)
        elif form == "part":
            kind = Type(PART[kind.dtype], kind.shape)
        elif form == "join":
            kind = Type(JOIN[kind.dtype], kind.shape)
        return self.add(name, operands, kind)

    def convert(self, value, dtype):
        return value if value.dtype == dtype else self.add("convert", [value], Type(dtype, value.shape))

    def bitcast(self, value, dtype):
        """Same bits, a type of the same width."""
        return value if value.dtype == dtype else self.add("bitcast_convert", [value], Type(dtype, value.shape))

    def select(self, predicate, yes, no):
        return self.map("select", self.broadcast(predicate, yes.shape), yes, no)

    def broadcast(self, value, shape, dims=None):
        """To ``shape``: operand dim k becomes ``dims[k]`` (default: aligned at the right, as in NumPy)."""
        shape = tuple(shape)
        if dims is None:
            dims = range(len(shape) - value.type.rank, len(shape))
        if value.shape == shape and tuple(dims) == tuple(range(len(shape))):
            return value
        if value.op is not None and value.op.name == "constant" and value.op.attributes["value"].size == 1:
            return self.constant(np.broadcast_to(value.op.attributes["value"].reshape(()), shape), value.dtype)
        return self.add("broadcast_in_dim", [value], Type(value.dtype, shape), dims=tuple(dims))

    def reshape(self, value, shape):
        shape = tuple(shape)
        return value if value.shape == shape else self.add("reshape", [value], Type(value.dtype, shape))

    def transpose(self, value, permutation):
        permutation = tuple(permutation)
        if permutation == tuple(range(len(permutation))):
            return value
        shape = tuple(value.shape[p] for p in permutation)
        return self.add("transpose", [value], Type(value.dtype, shape), permutation=permutation)

    def slice(self, value, start, limit, strides=None):
        strides = tuple(strides or [1] * value.type.rank)
        shape = tuple(max(0, -(-(e - s) // t)) for s, e, t in zip(start, limit, strides, strict=True))
        if shape == value.shape and not any(start):
            return value
        return self.add("slice", [value], Type(value.dtype, shape), start=tuple(start), limit=tuple(limit),
                        strides=strides)

    def slice_dim(self, value, dim, start, limit, stride=1):
        """Slice one dim, the others whole. ``dim`` may be negative."""
        dim %= value.type.rank
        lo, hi, st = [0] * value.type.rank, list(value.shape), [1] * value.type.rank
        lo[dim], hi[dim], st[dim] = start, limit, stride
        return self.slice(value, lo, hi, st)

    def pad(self, value, number, low, high, interior=None):
        """``number``: a scalar value or a Python number."""
        rank = value.type.rank
        interior = tuple(interior or [0] * rank)
        if not any(low) and not any(high) and not any(interior):
            return value
        if not hasattr(number, "type"):
            number = self.full(number, Type(value.dtype))
        shape = tuple(lo + hi + n + max(0, n - 1) * i
                      for n, lo, hi, i in zip(value.shape, low, high, interior, strict=True))
        return self.add("pad", [value, number], Type(value.dtype, shape), low=tuple(low), high=tuple(high),
                        interior=interior)

    def concatenate(self, values, dim):
        dim %= values[0].type.rank
        if len(values) == 1:
            return values[0]
        shape = list(values[0].shape)
        shape[dim] = sum(v.shape[dim] for v in values)
        return self.add("concatenate", values, Type(values[0].dtype, tuple(shape)), dim=dim)

    def reverse(self, value, dims):
        dims = tuple(dims)
        return self.add("reverse", [value], value.type, dims=dims) if dims else value

    def iota(self, type, dim):
        return self.add("iota", [], type, dim=dim)

    def reduce(self, value, initial, dims, name):
        """Reduce ``dims`` by the binary elementwise operation ``name``; ``initial``: a number or a scalar value."""
        if not hasattr(initial, "type"):
            initial = self.full(initial, Type(value.dtype))
        scalar = Type(value.dtype)
        region = self.make_region([scalar, scalar], lambda a, b: [self.map(name, a, b)])
        shape = tuple(n for k, n in enumerate(value.shape) if k not in dims)
        return self.add("reduce", [value, initial], [Type(value.dtype, shape)], regions=[region],
                        dims=tuple(sorted(dims)))[0]

    def dot(self, lhs, rhs, *, batch=((), ()), contract, dtype=None):
        """dot_general; the result's dims are batch, free lhs, free rhs."""
        dtype = dtype or lhs.dtype
        free = [[n for k, n in enumerate(v.shape) if k not in b and k not in c]
                for v, b, c in zip((lhs, rhs), batch, contract, strict=True)]
        shape = tuple([lhs.shape[k] for k in batch[0]] + free[0] + free[1])
        return self.add("dot_general", [lhs, rhs], Type(dtype, shape), lhs_batch=tuple(batch[0]),
                        rhs_batch=tuple(batch[1]), lhs_contract=tuple(contract[0]), rhs_contract=tuple(contract[1]))

    def linalg(self, kind, *operands, flags=()):
        """Results of a row of ``isa/linalg.py``."""
        types = linalg_signature(kind, flags, [v.type for v in operands])[-1]
        return self.add("linalg", operands, types, kind=kind, flags=tuple(flags))

    def transform(self, x, roots, **attributes):
        """Fourier transforms of ``x`` (rank 3), see ``ir/graph.py`` and ``frontend/legalize/fft_lanes.py``."""
        n = prod(attributes["factors"])
        made = transform_length(attributes["kind"], n)[1]
        shape = [made if d == attributes["dim"] else m for d, m in enumerate(x.shape)]
        dtype = roots.dtype if attributes["kind"] == "backward" else JOIN[roots.dtype]
        return self.add("transform", [x, roots], Type(dtype, tuple(shape[d] for d in attributes["order"])), **attributes)

    def dynamic_slice(self, value, starts, sizes):
        return self.add("dynamic_slice", [value, *starts], Type(value.dtype, tuple(sizes)), sizes=tuple(sizes))

    def dynamic_update_slice(self, value, update, starts):
        return self.add("dynamic_update_slice", [value, update, *starts], value.type)

    def loop(self, trips, state, body):
        """Run ``body(counter, *state) -> state`` for an i32 counter of 0..trips-1; returns the last state."""
        counter = Type("i32")
        types = [counter, *(v.type for v in state)]
        condition = self.make_region(types, lambda i, *_: [self.map("lt", i, self.full(trips, counter))])
        step = self.make_region(types, lambda i, *s: [self.map("add", i, self.full(1, counter)), *body(i, *s)])
        return self.add("while", [self.full(0, counter), *state], types, regions=[condition, step], trips=trips)[1:]

    # -- formulas -------------------------------------------------------------------------------------------------
    def expr(self, value):
        return Expr(self, value)

    def refuse(self, name, why, advice):
        """Raise UnsupportedOpError for the operation at hand."""
        at = f" at {self.source}" if str(self.source) else ""
        stack = f" ({self.source.name})" if self.source.file and self.source.name else ""
        error = UnsupportedOpError(f"{name}{at}{stack}: {why}. {advice}.")
        error.located = True
        raise error


class Expr:
    """A value with Python's operators; plain numbers become constants of its type and shape."""

    __slots__ = ("b", "value")

    def __init__(self, builder, value):
        self.b, self.value = builder, value

    @property
    def type(self):
        return self.value.type

    @property
    def dtype(self):
        return self.value.dtype

    def _other(self, x):
        return x.value if isinstance(x, Expr) else x if hasattr(x, "type") else self.b.like(x, self.value)

    def _map(self, name, *others):
        return Expr(self.b, self.b.map(name, self.value, *map(self._other, others)))

    def _swapped(self, name, x):
        return Expr(self.b, self.b.map(name, self._other(x), self.value))

    def __getattr__(self, name):
        """``x.exp()``, ``x.max(y)``, ``x.atan2(y)``: any elementwise operation of the table."""
        if name not in ops.BY_NAME:
            raise AttributeError(name)
        return lambda *others: self._map(name, *others)

    def __add__(self, x):
        return self._map("add", x)

    def __sub__(self, x):
        return self._map("sub", x)

    def __mul__(self, x):
        return self._map("mul", x)

    def __truediv__(self, x):
        return self._map("div", x)

    def __mod__(self, x):
        return self._map("rem", x)

    def __radd__(self, x):
        return self._swapped("add", x)

    def __rsub__(self, x):
        return self._swapped("sub", x)

    def __rmul__(self, x):
        return self._swapped("mul", x)

    def __rtruediv__(self, x):
        return self._swapped("div", x)

    def __neg__(self):
        return self._map("neg")

    def __abs__(self):
        return self._map("cabs" if self.dtype in PART else "abs")

    def __and__(self, x):
        return self._map("and", x)

    def __or__(self, x):
        return self._map("or", x)

    def __xor__(self, x):
        return self._map("xor", x)

    def __invert__(self):
        return self._map("not")

    def __lshift__(self, x):
        return self._map("shl", x)

    def __rshift__(self, x):
        return self._map("shr_logical", x)

    def __lt__(self, x):
        return self._map("lt", x)

    def __le__(self, x):
        return self._map("le", x)

    def __gt__(self, x):
        return self._map("gt", x)

    def __ge__(self, x):
        return self._map("ge", x)

    def equals(self, x):
        return self._map("eq", x)

    def differs(self, x):
        return self._map("ne", x)

    def where(self, yes, no):
        """This i1 chooses; one of the two must be an Expr."""
        yes = yes if isinstance(yes, Expr) else no.like(yes)
        no = no if isinstance(no, Expr) else yes.like(no)
        return Expr(self.b, self.b.select(self.value, yes.value, no.value))

    def like(self, number):
        return Expr(self.b, self.b.like(number, self.value))

    def to(self, dtype):
        return Expr(self.b, self.b.convert(self.value, dtype))

    def bits(self, dtype):
        return Expr(self.b, self.b.bitcast(self.value, dtype))

    def join(self, imaginary):
        return self._map("complex", imaginary)

    def polynomial(self, coefficients):
        """Horner's rule; the coefficient of the highest power comes first."""
        total = self.like(coefficients[0])
        for c in coefficients[1:]:
            total = total * self + c
        return total
