"""Bytes of a ``.kjx`` -> image, and image -> a listing for people. Cost: linear in the program.

This reads what the assembler writes; it proves nothing. Only the engine's verifier decides whether a program may run.
"""

import struct

from kjax import errors
from kjax.bytecode import listing
from kjax.bytecode import program as p
from kjax.bytecode.outline import NONE as _NONE
from kjax.bytecode.outline import outline, sections
from kjax.isa import container, dtypes, linalg, opcodes, ops

_STORAGE = {number: name for name, number in container.STORAGE.items()}
_EXCHANGES = {number: name for name, number in opcodes.EXCHANGE_KINDS.items()}
_TRACES = {number: name for name, number in opcodes.TRACE_KINDS.items()}
_TRANSFORMS = {number: name for name, number in opcodes.TRANSFORM_KINDS.items()}
_MODES = {number: name for name, number in opcodes.INDEX_MODES.items()}
_UOP = struct.Struct("<HBBBBH")


class _Reader:
    """Little-endian fields of a run of bytes, in order."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, layout):
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def numbers(self, letter, n):
        return self.take(f"{n}{letter}")

    def operand(self, rank):
        tensor, _, offset = self.take("IIq")
        return p.Operand(None if tensor == _NONE else tensor, offset, self.numbers("q", rank))


def _uop(data, at):
    code, dst, a, b, c, imm = _UOP.unpack_from(data, at * _UOP.size)
    op = ops.BY_NUMBER[code >> ops.DTYPE_BITS]
    dtype = dtypes.BY_NUMBER[code & (1 << ops.DTYPE_BITS) - 1].name
    return p.Uop(op.name, dtype, dst, a, b, c, dtypes.BY_NUMBER[imm].name if op.name == "bitcast" else imm)


def _uops(body, first, n):
    if n and (first + n) * _UOP.size > len(body):
        raise struct.error(f"micro-operations {first} to {first + n} are not there")
    return tuple(_uop(body, first + k) for k in range(n))


def _nest(r, body):
    rank, n_operands, n_acc, n_regs, red_first, red_count, strip, first, *counts, rows, source = r.take("BBBBBBHIHHHHI")
    dims = r.numbers("Q", rank)
    operands = tuple(r.operand(rank) for _ in range(n_operands))
    starts = (first, first + counts[0], first + counts[0] + counts[1])
    parts = (_uops(body, s, n) for s, n in zip(starts, counts, strict=True))
    return p.Nest(dims, operands, *parts, n_acc, n_regs, red_first, red_count, strip, source, rows)


def _dot(r, _):
    dtype, nb, nm, nn, nk, *_, source = r.take("BBBBBBHII")
    dims = r.numbers("Q", nb + nm + nn + nk)
    views = (r.operand(len(dims)) for _ in range(3))
    return p.Dot(dtypes.BY_NUMBER[dtype].name, nb, nm, nn, nk, dims, *views, source)


def _index(r, n_batch):
    tensor, wrap, offset, limit, step = r.take("IIqQq")
    return p.Index(tensor, offset, limit, step, r.numbers("q", n_batch), wrap)


def _gather(r, body, scatter=False):
    n_batch, n_window, n_index, mode, n_regs, n_splats, n_uops, first, source = r.take("BBBBBBHII")
    rank = n_batch + n_window
    dims = r.numbers("Q", rank)
    views = (r.operand(rank), r.operand(rank))
    indices = tuple(_index(r, n_batch) for _ in range(n_index))
    splats = tuple(r.operand(0) for _ in range(n_splats))
    return p.Gather(dims, n_batch, *views, indices, _MODES[mode], scatter, _uops(body, first, n_uops), n_regs, source, splats)


def _sort(r, body):
    rank, n_operands, n_keys, n_regs, n_uops, _, first, source, descending, total = r.take("BBBBHHIIII")
    dims = r.numbers("Q", rank)
    pairs = tuple((r.operand(rank), r.operand(rank)) for _ in range(n_operands))
    keys = tuple((bool(descending >> k & 1), bool(total >> k & 1)) for k in range(n_keys))
    return p.Sort(dims, pairs, keys, _uops(body, first, n_uops), n_regs, source)


def _linalg(r, _):
    kind, dtype, bits, n, source, batch, *sizes, _ = r.take("BBBBIQIIII")
    operands = (r.operand(0) for _ in range(n))
    return p.Linalg(linalg.BY_NUMBER[kind].name, dtypes.BY_NUMBER[dtype].name, batch, tuple(sizes),
                    tuple(None if o.tensor is None else o for o in operands),
                    tuple(name for name, bit in linalg.FLAGS.items() if bits & bit), source)


def _scan(r, _):
    code, rank, _, source = r.take("HBBI")
    dtype = dtypes.BY_NUMBER[code & (1 << ops.DTYPE_BITS) - 1].name
    dims = r.numbers("Q", rank)
    return p.Scan(ops.BY_NUMBER[code >> ops.DTYPE_BITS].name, dtype, dims, r.operand(rank), r.operand(rank), source)


def _transform(r, _):
    kind, dtype, bits, n, source, factors, scale, roots, _, at, *dims = r.take(f"BBBBI{opcodes.TRANSFORM_MAX_FACTORS}sdIIq3Q")
    flags = tuple(name for name, bit in opcodes.TRANSFORM_FLAGS.items() if bits & bit)
    return p.Transform(_TRANSFORMS[kind], dtypes.BY_NUMBER[dtype].name, tuple(dims), tuple(factors[:n]), r.operand(3), r.operand(3),
                       p.Operand(roots, at, ()), scale, flags, source)


def _while(r, _):
    trips, _, source = r.take("QII")
    return p.While(trips, source)


def _do(r, _):
    tensor, _, offset = r.take("IIQ")
    return p.Do(tensor, offset)


def _case(r, _):
    tensor, branches, offset = r.take("IIQ")
    return p.Case(tensor, branches, offset)


def _exchange(r, _, lanes):
    kind, group_size, source_tensor, out, _, source = r.take("IIIIII")
    name, table = _EXCHANGES[kind], r.numbers("I", lanes)
    if name == "all_gather":
        table = tuple((entry >> 16, entry & 0xFFFF) for entry in table)
    elif name == "permute":
        table = tuple(None if entry == _NONE else entry for entry in table)
    return p.Exchange(name, out, table, None if source_tensor == _NONE else source_tensor, group_size, source)


def _value(r):
    tensor, dtype, rank, _ = r.take("IBBH")
    return p.Value(None if tensor == _NONE else tensor, dtypes.BY_NUMBER[dtype].name, r.numbers("Q", rank))


def _trace(r, _):
    site, source, n_inputs, n_outputs, kind = r.take("IIHHI")
    values = tuple(_value(r) for _ in range(n_inputs + n_outputs))
    return p.Trace(_TRACES[kind], site, values[:n_inputs], values[n_inputs:], source)


_DECODERS = {"nest": _nest, "dot": _dot, "gather": _gather, "scatter": lambda r, b: _gather(r, b, True), "sort": _sort, "scan": _scan,
             "trace": _trace, "linalg": _linalg, "transform": _transform,
             "while": _while, "do": _do, "case": _case, "branch": lambda r, b: p.Branch(), "end": lambda r, b: p.End()}


def _code(code, body, lanes):
    at = 0
    while at < len(code):
        number, _, length = struct.unpack_from("<HHI", code, at)
        name, r = opcodes.BY_NUMBER[number].name, _Reader(code, at + 8)
        yield _exchange(r, body, lanes) if name == "exchange" else _DECODERS[name](r, body)
        if r.at > at + length or length < 8:
            raise struct.error(f"the instruction at byte {at} has {length} bytes and needs {r.at - at}")
        at += length


def _tensor(row):
    dtype, storage, _, index, offset, size, _ = row
    return p.Tensor(dtypes.BY_NUMBER[dtype].name, _STORAGE[storage], size, offset, index)


def disassemble(data):
    """The ``bytecode.program.Image`` of a ``.kjx``'s bytes: ``assemble(disassemble(x)) == x`` for what was assembled.

    Raises VerifyError when the bytes cannot be read as a program; what can be read need not be a valid one.
    """
    parts, head = sections(data), outline(data)
    try:
        *_, arena, _ = container.HEADER.unpack_from(data)
        return p.Image(
            tensors=[_tensor(row) for row in container.TENSOR.iter_unpack(parts["TENS"][1])],
            inputs=head.inputs, outputs=head.outputs, code=list(_code(parts["CODE"][1], parts["BODY"][1], head.lanes)),
            constants=parts["CNST"][1], arena=arena, lanes=head.lanes, meta=head.meta, stablehlo=head.stablehlo)
    except (struct.error, KeyError, ValueError) as e:
        raise errors.VerifyError(f"the program cannot be read: {e}") from None


def as_text(data):
    """A readable listing of a program's bytes (see ``bytecode/listing.py``). Raises VerifyError as ``disassemble``."""
    return listing.as_text(disassemble(data))
