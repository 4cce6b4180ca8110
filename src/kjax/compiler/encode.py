"""Instructions over buffers -> an image: buffers become numbered tensors, constants a blob."""

from dataclasses import replace

from kjax.bytecode import program as p
from kjax.compiler import arena
from kjax.isa.container import ALIGNMENT


class _Tensors:
    def __init__(self, offsets):
        self.rows, self.number, self.offsets = [], {}, offsets
        self.constants = bytearray()

    def of(self, buffer):
        if buffer is None:
            return None
        if buffer not in self.number:
            self.number[buffer] = len(self.rows)
            self.rows.append(self.row(buffer))
        return self.number[buffer]

    def row(self, buffer):
        owner = buffer.owner if buffer.storage != "output" else buffer
        if owner.storage == "constant":
            offset = len(self.constants)
            self.constants += owner.data + bytes(-len(owner.data) % ALIGNMENT)
            return p.Tensor(buffer.dtype, "constant", buffer.bytes, offset)
        offset = self.offsets[owner] if owner.storage == "arena" else 0
        return p.Tensor(buffer.dtype, owner.storage, buffer.bytes, offset, owner.index)

    def operand(self, view):
        return p.Operand(self.of(view.tensor), view.offset, view.strides)

    def whole(self, value):
        return replace(value, tensor=self.of(value.tensor))

    def index(self, row):
        return p.Index(self.of(row.tensor), row.offset, row.limit, row.step, row.strides, row.wrap)


def _number(instruction, tensors):
    if isinstance(instruction, p.Nest):
        return replace(instruction, operands=tuple(map(tensors.operand, instruction.operands)))
    if isinstance(instruction, p.Dot):
        return replace(instruction, **{k: tensors.operand(getattr(instruction, k)) for k in ("lhs", "rhs", "out")})
    if isinstance(instruction, p.Gather):
        return replace(instruction, windowed=tensors.operand(instruction.windowed),
                       plain=tensors.operand(instruction.plain), indices=tuple(map(tensors.index, instruction.indices)),
                       splats=tuple(map(tensors.operand, instruction.splats)))
    if isinstance(instruction, p.Sort):
        return replace(instruction, pairs=tuple(tuple(map(tensors.operand, pair)) for pair in instruction.pairs))
    if isinstance(instruction, p.Linalg):
        return replace(instruction, operands=tuple(o and tensors.operand(o) for o in instruction.operands))
    if isinstance(instruction, p.Transform):
        return replace(instruction, **{k: tensors.operand(getattr(instruction, k)) for k in ("input", "out", "roots")})
    if isinstance(instruction, p.Scan):
        return replace(instruction, input=tensors.operand(instruction.input), out=tensors.operand(instruction.out))
    if isinstance(instruction, (p.Do, p.Case)):
        return replace(instruction, tensor=tensors.of(instruction.tensor))
    if isinstance(instruction, p.Trace):
        return replace(instruction, inputs=tuple(map(tensors.whole, instruction.inputs)),
                       outputs=tuple(map(tensors.whole, instruction.outputs)))
    if isinstance(instruction, p.Exchange):
        return replace(instruction, input=tensors.of(instruction.input), out=tensors.of(instruction.out))
    return instruction


def encode(graph, lowering, inputs, outputs):
    """The ``Image`` of a lowered graph."""
    offsets, size = arena.assign(lowering.code)
    tensors = _Tensors(offsets)

    def argument(buffer, value, alias=None):
        tensor = tensors.of(buffer) if value.type.size else None
        return p.Argument(tensor, value.dtype, value.shape, alias)

    image = p.Image(lanes=graph.lanes, arena=size)
    image.inputs = [argument(b, v) for b, v in zip(inputs, graph.arguments)]
    image.outputs = [argument(b, v, graph.aliases.get(k)) for k, (b, v) in enumerate(zip(outputs, graph.results))]
    image.code = [_number(i, tensors) for i in lowering.code]
    image.tensors = tensors.rows
    image.constants = bytes(tensors.constants)
    image.meta = {"name": graph.name, "sources": list(lowering.sources)}
    if graph.sites:
        image.meta["sites"] = graph.sites
    return image
