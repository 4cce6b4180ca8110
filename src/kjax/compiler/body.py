"""Bodies: straight-line micro-operations from scalar or elementwise IR, and their registers.

A ``Body`` is filled with virtual registers (each has a dtype); ``finish`` maps them to the few strip
registers. Arithmetic on a type that the engine does not compute in (f16, bf16, f8, i4 ...) is widened
here: operands are converted to the compute type and every result is rounded back, so that each
operation rounds exactly once, as StableHLO has it.
"""

from dataclasses import dataclass

from kjax.bytecode.program import Uop
from kjax.errors import UnsupportedOpError
from kjax.isa import dtypes, limits, ops

_PART = {"c64": "f32", "c128": "f64"}
_JOIN = {"f32": "c64", "f64": "c128"}
_EXACT_IN_F32 = ("i1", "i8", "i16", "u8", "u16")
_CARRIER = {"i2": "i8", "i4": "i8", "u2": "u8", "u4": "u8"}


class RegisterPressure(Exception):
    """More values are alive at once than there are registers; the nest must be split."""


@dataclass(eq=False)
class Register:
    """A virtual register: one value of a body."""

    dtype: str


class Body:
    """A straight-line body under construction."""

    def __init__(self):
        self.uops = []  # (op, dtype, dst Register or None, [source Registers], imm)
        self._cache = {}

    # -- emission -------------------------------------------------------------------------------------------
    def emit(self, op, dtype, result, sources=(), imm=0):
        """Append a micro-operation and return its result's register; an equal one already there is reused."""
        key = (op, dtype, tuple(map(id, sources)), imm, result)
        if key not in self._cache:
            register = Register(result)
            self.uops.append((op, dtype, register, list(sources), imm))
            self._cache[key] = register
        return self._cache[key]

    def duplicate(self, register):
        """A second register with the same content."""
        copy = Register(register.dtype)
        self.uops.append(("copy", register.dtype, copy, [register], 0))
        return copy

    def load(self, operand, dtype):
        return self.emit("load", dtype, dtype, (), operand)

    def store(self, operand, register):
        self.uops.append(("store", register.dtype, None, [register], operand))

    def bitcast(self, register, dtype):
        return register if register.dtype == dtype else self.emit("bitcast", register.dtype, dtype, (register,), dtype)

    def reread(self, register, dtype):
        """The same bits as ``dtype``: below a byte, signed integers fill their byte with the sign, all others with zeros."""
        source, target = dtypes.BY_NAME[register.dtype], dtypes.BY_NAME[dtype]
        if source.bits < 8 and source is not target and "int" in (source.kind, target.kind) and source.kind != "bool":
            word = self.bitcast(register, "i8" if source.kind == "int" else "u8")
            unsigned = f"{'i' if target.kind == 'int' else 'u'}{target.bits}"
            register = self._to(word, unsigned, unsigned)
        return self.bitcast(register, dtype)

    def iota(self, operand, dtype, least, most):
        """The numbers of an iota, ``least`` to ``most`` of them."""
        carrier = "i32" if dtype == "i32" or dtype not in ("i64", "u64") and -(1 << 31) <= least and most < 1 << 31 else "i64"
        return self.convert(self.emit("iota", carrier, carrier, (), operand), dtype)

    def _to(self, register, name, result):
        return self.emit("to_" + name, register.dtype, result, (register,))

    def widen(self, register):
        """The value in its compute type."""
        row = dtypes.BY_NAME[register.dtype]
        if row.is_native:
            return register
        if row.is_float:
            return self._to(register, "f32", "f32")
        return self.bitcast(register, _CARRIER[row.name])

    def narrow(self, register, dtype):
        """A value of the compute type rounded or wrapped to ``dtype``."""
        if register.dtype == dtype:
            return register
        return self._to(register, dtype, dtype)

    def convert(self, register, dtype):
        """StableHLO's convert between any two element types."""
        source, target = dtypes.BY_NAME[register.dtype], dtypes.BY_NAME[dtype]
        if source is target:
            return register
        if target.is_complex:
            part = _PART[dtype]
            if source.is_complex:
                inner = _PART[source.name]
                real, imag = (self.convert(self.emit(p, source.name, inner, (register,)), part) for p in ("real", "imag"))
            else:
                real = self.convert(register, part)
                imag = self.zero(real)
            return self.emit("complex", part, dtype, (real, imag))
        if source.is_complex:
            inner = _PART[source.name]
            real = self.emit("real", source.name, inner, (register,))
            if target.kind == "bool":
                imag = self.emit("imag", source.name, inner, (register,))
                return self.emit("or", "i1", "i1", (self._to(real, "i1", "i1"), self._to(imag, "i1", "i1")))
            return self.convert(real, dtype)
        register = self.widen(register)
        source = dtypes.BY_NAME[register.dtype]
        if source is target:
            return register
        if target.is_native:
            return self._to(register, dtype, dtype)
        if target.is_float:
            if source.name != "f32":
                name = "f32" if source.name in _EXACT_IN_F32 else "f32_odd"
                register = self._to(register, name, "f32")
            return self._to(register, dtype, dtype)
        carrier = _CARRIER[dtype]
        if register.dtype not in ("i8", "u8"):
            register = self._to(register, carrier, carrier)
        return self._to(register, dtype, dtype)

    def zero(self, like):
        """A zero of a float register's type, whatever that register holds."""
        bits = {"f32": "u32", "f64": "u64"}[like.dtype]
        raw = self.bitcast(like, bits)
        return self.bitcast(self.emit("xor", bits, bits, (raw, raw)), like.dtype)

    def elementwise(self, name, operands, result, source=None):
        """The register of IR operation ``name`` on registers ``operands``, with result dtype ``result``."""
        if name == "convert":
            return self.convert(operands[0], result)
        if name == "bitcast_convert":
            return self.reread(operands[0], result)
        if name in ("copy", "select"):
            return self.emit(name, operands[-1].dtype, result, operands)
        dtype = operands[-1].dtype
        row = dtypes.BY_NAME[dtype]
        if name == "abs" and row.is_complex:
            name = "cabs"
        if name in ("real", "imag") and not row.is_complex:
            return operands[0] if name == "real" else self.zero(operands[0])
        if name == "abs" and row.kind in ("uint", "bool"):
            return operands[0]
        op = ops.BY_NAME.get(name)
        if op is None or op.form in ("special", "convert") or row.compute not in op.dtypes:
            raise UnsupportedOpError(
                f"operation {name!r} on {dtype} has no routine in the engine ({source or 'unknown source'}); "
                "convert its operand to a supported type (see docs/spec/isa.md)")
        operands = [self.widen(r) for r in operands]
        if row.bits < 8 and row.is_integer:
            operands = self._sub_byte(name, operands, dtype)
        compute = row.compute
        if op.form in ("compare", "test"):
            return self.emit(name, compute, "i1", operands)
        if op.form == "part":
            return self.emit(name, compute, _PART[compute], operands)
        if op.form == "join":
            return self.emit(name, compute, _JOIN[compute], operands)
        return self.narrow(self.emit(name, compute, compute, operands), dtype)

    def _sub_byte(self, name, operands, dtype):
        """Operations that look at the bits of a narrow integer see only its own bits."""
        if name in ("shr_logical", "popcnt") and dtype in ("i2", "i4"):
            mask = self.bitcast(self._to(operands[0], dtype.replace("i", "u"), dtype.replace("i", "u")), "i8")
            return [mask, *operands[1:]]
        return operands

    def region(self, region, arguments, outer):
        """Emit a scalar region (reduce, scatter, sort); ``outer(value)`` gives registers for outer values."""
        at = dict(zip(region.arguments, arguments))

        def get(value):
            return at[value] if value in at else outer(value)

        for op in region.ops:
            if op.name == "constant":
                continue
            at[op.result] = self.elementwise(op.name, [get(v) for v in op.operands], op.result.dtype, op.source)
        return [get(v) for v in region.results]


def outer_scalars(region):
    """What a scalar region uses besides its arguments: its constants and values from around it, each once, in order."""
    inside = set(region.arguments) | {op.result for op in region.ops if op.name != "constant"}
    used = [v for op in region.ops for v in op.operands] + region.results
    return list(dict.fromkeys(v for v in used if v not in inside))


def finish(body, *, inputs=(), results=(), reserved=0):
    """Assign strip registers.

    ``inputs``: virtual registers defined before the body, register k in place k. ``results``: virtual registers that must
    end in place k (or in ``reserved``: (first place) see reduce's map body). ``reserved``: places below it are not
    touched. Returns (tuple of Uop, number of strip registers). Raises RegisterPressure.
    """
    uops = list(body.uops)
    last = {}
    for at, (_, _, _, sources, _) in enumerate(uops):
        for register in sources:
            last[register] = at
    place = {register: k for k, register in enumerate(inputs)}
    tail = []
    base = reserved
    pinned = {}
    defined = {u[2]: at for at, u in enumerate(uops) if u[2] is not None}
    for k, register in enumerate(results):
        target = base + k
        occupant = inputs[target] if target < len(inputs) else None
        free_at = last.get(occupant, -1) if occupant is not None else -1
        if occupant is not None and any(r is occupant for j, r in enumerate(results) if j != k):
            free_at = len(uops)
        if register in defined and register not in pinned and defined[register] >= free_at:
            pinned[register] = target
        elif register is not occupant:
            tail.append((register, target))
    for register, _ in tail:
        last[register] = len(uops)
    for register in pinned:
        last[register] = len(uops)
    targets = set(range(base, base + len(results)))
    untouchable = set(range(reserved)) | targets
    free, top = [], max(len(inputs), base + len(results))
    for k, register in enumerate(inputs):
        if register not in last and k not in untouchable:
            free.append(k)
    out = []

    def release(registers, at):
        for register in dict.fromkeys(registers):
            if last.get(register) == at and register in place and place[register] not in untouchable:
                free.append(place[register])

    for at, (op, dtype, dst, sources, imm) in enumerate(uops):
        fields = [place[r] for r in sources]
        release(sources, at)
        if dst is not None:
            if dst in pinned:
                place[dst] = pinned[dst]
            elif free:
                free.sort()
                place[dst] = free.pop(0)
            else:
                place[dst] = top
                top += 1
            if top > limits.MAX_REGISTERS:
                raise RegisterPressure()
            if dst not in last:  # a result that nobody reads still needs a place to go
                last[dst] = at
                if place[dst] not in untouchable:
                    free.append(place[dst])
        fields += [0] * (3 - len(fields))
        out.append(Uop(op, dtype, place[dst] if dst is not None else 0, *fields, imm))
    out += _parallel_copies([(place[r], t, r.dtype) for r, t in tail], top)
    if any(u.dst >= limits.MAX_REGISTERS for u in out) or len(out) > limits.MAX_UOPS:
        raise RegisterPressure()
    used = [max(u.dst, u.a, u.b, u.c) for u in out]
    return tuple(out), max([top, *(n + 1 for n in used)])


def _parallel_copies(moves, top):
    """Copies that all read before any writes: through fresh registers where a target is another's source."""
    sources = {source for source, _, _ in moves}
    direct = [m for m in moves if m[1] not in sources]
    staged = [m for m in moves if m[1] in sources]
    out = [Uop("copy", d, top + k, s) for k, (s, _, d) in enumerate(staged)]
    out += [Uop("copy", d, t, s) for s, t, d in direct]
    return out + [Uop("copy", d, t, top + k) for k, (_, t, d) in enumerate(staged)]
