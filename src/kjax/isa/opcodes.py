"""Instructions: the tensor-level opcodes. ``docs/spec/isa.md`` has the prose, ``engine/format.h`` the C layouts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Opcode:
    number: int
    name: str
    summary: str


OPCODES = (
    Opcode(1, "nest", "fused loop nest: map, and reduce over one group of dims, by a body"),
    Opcode(2, "dot", "contraction over multi-dimensional batch, row, column and contracted groups"),
    Opcode(3, "gather", "copy windows whose origin is read from index tensors, clamped into range"),
    Opcode(4, "scatter", "combine windows into a tensor at origins read from index tensors"),
    Opcode(5, "sort", "stable sort of several tensors along one dim by a key or by a comparator body"),
    Opcode(6, "linalg", "factorizations and eigenvalues of dense matrices, by kind"),
    Opcode(7, "scan", "prefixes along one dim by an associative micro-operation"),
    Opcode(8, "transform", "discrete Fourier transforms of lengths with factors 2, 3, 5 and 7"),
    Opcode(16, "while", "open a loop: the condition's instructions follow, up to do"),
    Opcode(17, "do", "end of a loop's condition: run the body while the predicate holds"),
    Opcode(18, "case", "open a choice: branch 0's instructions follow"),
    Opcode(19, "branch", "the next branch of a choice begins"),
    Opcode(20, "end", "close a while or a case"),
    Opcode(24, "exchange", "collective among the lanes of a program"),
    Opcode(25, "trace", "hand values to the host: to be printed, or for a call whose results it writes back"),
)

BY_NAME = {o.name: o for o in OPCODES}
BY_NUMBER = {o.number: o for o in OPCODES}

# How an exchange combines what the lanes of a group contribute. All tensors are dense.
EXCHANGE_KINDS = {
    "all_gather": 1,  # out[lane_in_group] = in of that lane: shape (group size,) + in
    "permute": 2,  # out = in of the lane that sends to me by the pair table; zeros where none does
    "lane_id": 3,  # out (u32 scalar) = my lane number; no input
}

# What a trace asks of its host. All tensors are dense.
TRACE_KINDS = {
    "print": 1,  # take note of the values; there is no answer
    "call": 2,  # compute the outputs from the inputs; a host may refuse such programs when they are loaded
}

# What a transform makes of what. Lengths, factors: what one instruction takes; vectors of lanes, at most.
TRANSFORM_KINDS = {"complex": 1, "forward": 2, "backward": 3}
TRANSFORM_FLAGS = {"inverse": 1, "turned": 2}
TRANSFORM_MAX_LENGTH = 4096
TRANSFORM_MAX_FACTORS = 16
TRANSFORM_LANES = 16

# How gather and scatter treat an origin outside its limits.
INDEX_MODES = {"clamp": 0, "skip": 1}  # skip: the whole window is left out (scatter only)
