"""A program's parts as Python records, one for each layout of ``engine/format.h``.

The compiler builds these, the assembler turns them into bytes, the disassembler back. Strides and offsets
are in elements. Numbers of tensors are positions in ``Image.tensors``.
"""

from dataclasses import dataclass, field

from kjax.bytecode.outline import Argument as Argument


@dataclass(frozen=True)
class Tensor:
    """A buffer: ``storage`` is "input", "output", "constant" or "arena"; ``offset`` and ``bytes`` in bytes."""

    dtype: str
    storage: str
    bytes: int
    offset: int = 0
    index: int = 0


@dataclass(frozen=True)
class Operand:
    """An affine view. ``tensor`` None: an iota (``offset`` is its first value)."""

    tensor: int | None
    offset: int
    strides: tuple


@dataclass(frozen=True)
class Uop:
    """One micro-operation; ``op`` and ``dtype`` are names, ``imm`` a number (view) or for bitcast a dtype name."""

    op: str
    dtype: str
    dst: int = 0
    a: int = 0
    b: int = 0
    c: int = 0
    imm: int | str = 0


@dataclass(frozen=True)
class Nest:
    dims: tuple
    operands: tuple
    map: tuple
    combine: tuple = ()
    post: tuple = ()
    n_acc: int = 0
    n_regs: int = 0
    red_first: int = 0
    red_count: int = 0
    strip: int = 256
    source: int = 0
    rows: int = 0  # ROWS_*


ROWS_OWN, ROWS_JOINED = 1, 2  # runs by rows; together with the nest before


@dataclass(frozen=True)
class Dot:
    dtype: str
    nb: int
    nm: int
    nn: int
    nk: int
    dims: tuple
    lhs: Operand
    rhs: Operand
    out: Operand
    source: int = 0


@dataclass(frozen=True)
class Index:
    tensor: int
    offset: int
    limit: int
    step: int
    strides: tuple
    wrap: int = 0  # is added to an index below zero


@dataclass(frozen=True)
class Gather:
    """Also a scatter, when ``scatter``: then ``body`` combines register 0 (old) and 1 (update) into register 0.

    Register 2 + i of the body holds ``splats[i]``, an ``Operand`` of one element (no strides).
    """

    dims: tuple
    n_batch: int
    windowed: Operand
    plain: Operand
    indices: tuple
    mode: str = "clamp"
    scatter: bool = False
    body: tuple = ()
    n_regs: int = 0
    source: int = 0
    splats: tuple = ()


@dataclass(frozen=True)
class Sort:
    """``pairs``: (input, output) operands. ``keys``: (descending, total) of each key, or () with a ``body``."""

    dims: tuple
    pairs: tuple
    keys: tuple = ()
    body: tuple = ()
    n_regs: int = 0
    source: int = 0


@dataclass(frozen=True)
class Linalg:
    """``kind``: a row of ``isa/linalg.py``; ``sizes``: its m, n, k (0: it has none). ``operands``: those read, then results,
    each an Operand without strides, or None for one that has no elements or is not wanted."""

    kind: str
    dtype: str
    batch: int
    sizes: tuple
    operands: tuple
    flags: tuple = ()
    source: int = 0


@dataclass(frozen=True)
class Transform:
    """``kind``: one of ``isa.opcodes.TRANSFORM_KINDS``; ``dtype``: of the parts. ``dims``: transforms, their length, transforms."""

    kind: str
    dtype: str
    dims: tuple
    factors: tuple
    input: Operand
    out: Operand
    roots: Operand
    scale: float = 1.0
    flags: tuple = ()
    source: int = 0


@dataclass(frozen=True)
class Scan:
    """Prefixes along the last dim by the micro-operation ``op`` on ``dtype``."""

    op: str
    dtype: str
    dims: tuple
    input: Operand
    out: Operand
    source: int = 0


@dataclass(frozen=True)
class While:
    trips: int = 0
    source: int = 0


@dataclass(frozen=True)
class Do:
    tensor: int
    offset: int = 0


@dataclass(frozen=True)
class Case:
    tensor: int
    branches: int
    offset: int = 0


@dataclass(frozen=True)
class Branch:
    pass


@dataclass(frozen=True)
class End:
    pass


@dataclass(frozen=True)
class Exchange:
    """``table``: for all_gather (group, place) of each lane; for permute the lane each receives from, or None."""

    kind: str
    out: int
    table: tuple
    input: int | None = None
    group_size: int = 1
    source: int = 0


@dataclass(frozen=True)
class Value:
    """An array that a trace hands over. ``tensor`` is None when it has no elements."""

    tensor: int | None
    dtype: str
    shape: tuple


@dataclass(frozen=True)
class Trace:
    """``kind`` is "print" or "call"; ``site``: position in META's ``sites``."""

    kind: str
    site: int
    inputs: tuple
    outputs: tuple = ()
    source: int = 0


@dataclass
class Image:
    """A whole program before it is bytes. ``meta`` is JSON-able; ``stablehlo`` the portable artifact."""

    tensors: list = field(default_factory=list)
    inputs: list = field(default_factory=list)
    outputs: list = field(default_factory=list)
    code: list = field(default_factory=list)
    constants: bytes = b""
    arena: int = 0
    lanes: int = 1
    meta: dict = field(default_factory=dict)
    stablehlo: bytes = b""
