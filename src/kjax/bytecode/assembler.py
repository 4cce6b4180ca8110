"""Image -> bytes of a ``.kjx``. Cost: linear in the program; no checks beyond what packing needs (the verifier's job)."""

import json
import struct

import xxhash

from kjax.bytecode import program as p
from kjax.isa import container, dtypes, linalg, opcodes, ops

_INSN = struct.Struct("<HHI")
_UOP = struct.Struct("<HBBBBH")
_OPERAND = struct.Struct("<IIq")
_NONE = 0xFFFFFFFF


def _code(uop):
    return ops.BY_NAME[uop.op].number << ops.DTYPE_BITS | dtypes.BY_NAME[uop.dtype].number


class _Bodies:
    """The BODY section; equal bodies are stored once."""

    def __init__(self):
        self.bytes = bytearray()
        self.known = {}

    def add(self, uops):
        """Index of the first micro-operation of ``uops``."""
        packed = b"".join(
            _UOP.pack(_code(u), u.dst, u.a, u.b, u.c,
                      dtypes.BY_NAME[u.imm].number if isinstance(u.imm, str) else u.imm)
            for u in uops
        )
        if not packed:
            return 0
        if packed not in self.known:
            self.known[packed] = len(self.bytes) // _UOP.size
            self.bytes += packed
        return self.known[packed]


def _operand(view):
    tensor = _NONE if view.tensor is None else view.tensor
    return _OPERAND.pack(tensor, 0, view.offset) + struct.pack(f"<{len(view.strides)}q", *view.strides)


def _dims(dims):
    return struct.pack(f"<{len(dims)}Q", *dims)


def _nest(n, bodies):
    body = bodies.add(n.map + n.combine + n.post)
    head = struct.pack("<BBBBBBHIHHHHI", len(n.dims), len(n.operands), n.n_acc, n.n_regs, n.red_first, n.red_count,
                       n.strip, body, len(n.map), len(n.combine), len(n.post), n.rows, n.source)
    return "nest", head + _dims(n.dims) + b"".join(map(_operand, n.operands))


def _dot(d, bodies):
    head = struct.pack("<BBBBBBHII", dtypes.BY_NAME[d.dtype].number, d.nb, d.nm, d.nn, d.nk, 0, 0, 0, d.source)
    return "dot", head + _dims(d.dims) + b"".join(map(_operand, (d.lhs, d.rhs, d.out)))


def _gather(g, bodies):
    head = struct.pack("<BBBBBBHII", g.n_batch, len(g.dims) - g.n_batch, len(g.indices), opcodes.INDEX_MODES[g.mode],
                       g.n_regs, len(g.splats), len(g.body), bodies.add(g.body), g.source)
    rows = [struct.pack("<IIqQq", i.tensor, i.wrap, i.offset, i.limit, i.step) + struct.pack(f"<{len(i.strides)}q", *i.strides)
            for i in g.indices]
    return ("scatter" if g.scatter else "gather",
            head + _dims(g.dims) + _operand(g.windowed) + _operand(g.plain) + b"".join(rows)
            + b"".join(map(_operand, g.splats)))


def _sort(s, bodies):
    bits = [sum(bool(key[k]) << i for i, key in enumerate(s.keys)) for k in (0, 1)]
    head = struct.pack("<BBBBHHIIII", len(s.dims), len(s.pairs), len(s.keys), s.n_regs, len(s.body), 0,
                       bodies.add(s.body), s.source, *bits)
    return "sort", head + _dims(s.dims) + b"".join(_operand(v) for pair in s.pairs for v in pair)


def _linalg(x, bodies):
    flags = sum(linalg.FLAGS[f] for f in x.flags)
    head = struct.pack("<BBBBIQIIII", linalg.BY_NAME[x.kind].number, dtypes.BY_NAME[x.dtype].number, flags, len(x.operands),
                       x.source, x.batch, *x.sizes, 0)
    return "linalg", head + b"".join(_OPERAND.pack(_NONE, 0, 0) if o is None else _operand(o) for o in x.operands)


def _scan(s, bodies):
    head = struct.pack("<HBBI", ops.BY_NAME[s.op].number << ops.DTYPE_BITS | dtypes.BY_NAME[s.dtype].number, len(s.dims), 0,
                       s.source)
    return "scan", head + _dims(s.dims) + _operand(s.input) + _operand(s.out)


def _transform(t, bodies):
    flags = sum(opcodes.TRANSFORM_FLAGS[f] for f in t.flags)
    factors = bytes(t.factors).ljust(opcodes.TRANSFORM_MAX_FACTORS, b"\0")
    head = struct.pack("<BBBBI", opcodes.TRANSFORM_KINDS[t.kind], dtypes.BY_NAME[t.dtype].number, flags, len(t.factors), t.source)
    head += factors + struct.pack("<dIIq", t.scale, t.roots.tensor, 0, t.roots.offset)
    return "transform", head + _dims(t.dims) + _operand(t.input) + _operand(t.out)


def _exchange(e, bodies):
    if e.kind == "all_gather":
        table = [group << 16 | place for group, place in e.table]
    else:
        table = [_NONE if lane is None else lane for lane in e.table]
    table += [0] * (len(table) % 2)
    head = struct.pack("<IIIIII", opcodes.EXCHANGE_KINDS[e.kind], e.group_size, _NONE if e.input is None else e.input,
                       e.out, 0, e.source)
    return "exchange", head + struct.pack(f"<{len(table)}I", *table)


def _value(v):
    return struct.pack("<IBBH", _NONE if v.tensor is None else v.tensor, dtypes.BY_NAME[v.dtype].number, len(v.shape),
                       0) + _dims(v.shape)


def _trace(t, bodies):
    head = struct.pack("<IIHHI", t.site, t.source, len(t.inputs), len(t.outputs), opcodes.TRACE_KINDS[t.kind])
    return "trace", head + b"".join(map(_value, t.inputs + t.outputs))


_ENCODERS = {
    p.Nest: _nest,
    p.Dot: _dot,
    p.Gather: _gather,
    p.Sort: _sort,
    p.Scan: _scan,
    p.Linalg: _linalg,
    p.Transform: _transform,
    p.Exchange: _exchange,
    p.Trace: _trace,
    p.While: lambda w, _: ("while", struct.pack("<QII", w.trips, 0, w.source)),
    p.Do: lambda d, _: ("do", struct.pack("<IIQ", d.tensor, 0, d.offset)),
    p.Case: lambda c, _: ("case", struct.pack("<IIQ", c.tensor, c.branches, c.offset)),
    p.Branch: lambda b, _: ("branch", b""),
    p.End: lambda e, _: ("end", b""),
}


def _instruction(insn, bodies):
    name, rest = _ENCODERS[type(insn)](insn, bodies)
    return _INSN.pack(opcodes.BY_NAME[name].number, 0, _INSN.size + len(rest)) + rest


def _argument(a):
    tensor = _NONE if a.tensor is None else a.tensor
    alias = container.NO_ALIAS if a.alias is None else a.alias
    return container.ARGUMENT.pack(tensor, dtypes.BY_NAME[a.dtype].number, len(a.shape), 0, alias) + _dims(a.shape)


def _tensor(t):
    return container.TENSOR.pack(dtypes.BY_NAME[t.dtype].number, container.STORAGE[t.storage], 0, t.index, t.offset,
                                 t.bytes, 0)


def _pad(data):
    return data + bytes(-len(data) % container.ALIGNMENT)


def _hash(data):
    return xxhash.xxh64_intdigest(data, 0)


def assemble(image):
    """The bytes of ``image``, a ``bytecode.program.Image``."""
    bodies = _Bodies()
    code = b"".join(_instruction(i, bodies) for i in image.code)
    meta = json.dumps(image.meta, separators=(",", ":"), sort_keys=True).encode() if image.meta else b""
    parts = [
        ("TENS", len(image.tensors), b"".join(map(_tensor, image.tensors))),
        ("ARGS", len(image.inputs) << 16 | len(image.outputs), b"".join(map(_argument, image.inputs + image.outputs))),
        ("CODE", len(image.code), code),
        ("BODY", len(bodies.bytes) // _UOP.size, bytes(bodies.bytes)),
        ("CNST", 0, image.constants),
        ("META", 0, meta),
        ("SHLO", 0, image.stablehlo),
    ]
    parts = [part for part in parts if part[2] or part[0] in container.REQUIRED]
    first = container.HEADER.size + container.SECTION.size * len(parts)
    offset = first + -first % container.ALIGNMENT
    table, data = b"", b""
    for name, count, content in parts:
        table += container.SECTION.pack(name.encode(), count, offset + len(data), len(content), _hash(content))
        data += _pad(content)
    total = offset + len(data)

    def header(digest):
        return container.HEADER.pack(container.MAGIC, container.VERSION_MAJOR, container.VERSION_MINOR, total,
                                     len(parts), 0, image.lanes, 0, image.arena, digest)

    return _pad(header(_hash(header(0) + table)) + table) + data
