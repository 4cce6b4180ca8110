"""The graph: values, operations, regions.

Operations carry the names and the meaning of StableHLO's (elementwise ones the names of ``isa/ops.py``),
with attributes as plain Python values. ``ir/check.py`` states, for each operation, what is legal. The
graph is built once by the frontend and rewritten by ``compiler/passes``; nothing here knows MLIR.

Core operations (everything else is legalised away by the frontend):

=======================  ===========================================================================
elementwise              any non-special name of ``isa/ops.py`` except ``copy`` and ``to_*``: operands and
                         result of one shape (no implicit broadcast), dtype rules of the op's form, for
                         every dtype (f16, i4 ... included: the compiler inserts the roundings)
``convert``              to ``type.dtype``, between any two dtypes
``bitcast_convert``      same bits; shapes as in StableHLO
``constant``             ``value``: NumPy array of the result's shape and dtype (a splat may be a 0-stride view)
``iota``                 ``dim``
``broadcast_in_dim``     ``dims``: operand dim k becomes result dim ``dims[k]``
``reshape``              row-major
``transpose``            ``permutation``: result dim k is operand dim ``permutation[k]``
``slice``                ``start``, ``limit``, ``strides``
``reverse``              ``dims``
``pad``                  operands (x, value); ``low``, ``high``, ``interior`` (negative low/high crop)
``concatenate``          ``dim``
``reduce``               operands (*xs, *inits); ``dims``; region (*accs, *values) -> *accs of scalars,
                         which is associative and gives the same with its two sides exchanged
``reduce_window``        operands (*xs, *inits); ``window``, ``strides``, ``base_dilations``,
                         ``window_dilations``, ``padding`` ((low, high), ...); region as reduce
``dot_general``          ``lhs_batch``, ``rhs_batch``, ``lhs_contract``, ``rhs_contract``; result dims batch, lhs, rhs
``convolution``          ``strides``, ``padding``, ``lhs_dilation``, ``rhs_dilation``, ``reversal`` (bools),
                         ``feature_groups``, ``batch_groups``, ``lhs_spec``, ``rhs_spec``, ``out_spec`` (dims in
                         the order batch/out-feature, feature/in-feature, spatial...)
``gather``               StableHLO's dimension numbers: ``offset_dims``, ``collapsed_dims``, ``operand_batch_dims``,
                         ``index_batch_dims``, ``start_index_map``, ``index_vector_dim``, ``slice_sizes``
``scatter``              operands (*xs, indices, *updates); ``update_window_dims``, ``inserted_dims``,
                         ``operand_batch_dims``, ``index_batch_dims``, ``scatter_dims_map``,
                         ``index_vector_dim``; region (*olds, *updates) -> *news of scalars
                         Of these two and the next two, after compiler/passes/indices.py: ``from_end``, what each
                         component of an origin adds to an index below zero
``dynamic_slice``        operands (x, *scalar starts); ``sizes``
``dynamic_update_slice`` operands (x, update, *scalar starts)
``scan``                 ``op`` (add, mul, max, min, and, or, xor), ``dim``, ``reverse``: inclusive prefixes (suffixes) along
                         a dim; types that are native and not complex
``sort``                 operands xs; ``dim``, ``stable``; region (l0, r0, l1, r1, ...) -> i1
``transform``            operands (x of rank 3, roots); Fourier transforms of x along ``dim``, ``kind``, ``flags``, ``factors`` and
                         the order of the roots as in ``engine/format.h``; times ``scale``; ``order``: result dim k is dim
                         ``order[k]`` of what they are
``linalg``               ``kind`` and ``flags`` of ``isa/linalg.py``: operands of that kind, results likewise, with equal
                         dims of the batch in front
``while``                operands the initial state; regions (cond -> i1, body -> state); ``trips``: bound or None
``case``                 operand (index i32,); regions without arguments, branch k -> results
``all_gather``           ``groups`` (tuple of tuples of lanes): result = (group size,) + operand shape
``permute``              ``pairs`` ((from, to), ...): lanes that nobody sends to get zeros
``lane_id``              u32 scalar
``trace``                any operands, any results; ``kind`` ("print", "call"), ``site`` (position in the graph's
                         ``sites``), ``what``, ``pure`` (may be left out when nobody uses its results)
=======================  ===========================================================================

Regions of ``while`` and ``case`` may use values of the regions around them; the others (``reduce``,
``scatter``, ``sort``) hold elementwise scalar operations, constants and outer scalar values only.
"""

from dataclasses import dataclass, field
from math import prod

from kjax.isa import dtypes


@dataclass(frozen=True)
class Type:
    """Shape and element type of a value. ``dtype`` is a name of ``isa/dtypes.py``."""

    dtype: str
    shape: tuple = ()

    def __str__(self):
        return "x".join([*map(str, self.shape), self.dtype])

    @property
    def rank(self):
        return len(self.shape)

    @property
    def size(self):
        return prod(self.shape)

    @property
    def info(self):
        """The dtype's row."""
        return dtypes.BY_NAME[self.dtype]

    @property
    def bytes(self):
        return self.size * self.info.size


@dataclass(eq=False)
class Value:
    """One SSA value. ``op`` is None for a region's argument."""

    type: Type
    op: "Op | None" = None
    index: int = 0

    @property
    def shape(self):
        return self.type.shape

    @property
    def dtype(self):
        return self.type.dtype


@dataclass(frozen=True)
class Source:
    """Where in the user's code an operation comes from; ``name`` is JAX's name stack ("jit(f)/dot_general")."""

    file: str = ""
    line: int = 0
    name: str = ""

    def __str__(self):
        return f"{self.file}:{self.line}" if self.file else self.name


@dataclass(eq=False)
class Op:
    name: str
    operands: list
    attributes: dict = field(default_factory=dict)
    regions: list = field(default_factory=list)
    results: list = field(default_factory=list)
    source: Source = Source()

    @property
    def result(self):
        (only,) = self.results
        return only


@dataclass(eq=False)
class Region:
    """Arguments, operations in order, and the values that leave it."""

    arguments: list = field(default_factory=list)
    ops: list = field(default_factory=list)
    results: list = field(default_factory=list)

    def add(self, name, operands, types, *, source=Source(), regions=(), **attributes):
        """Append an operation; returns its result, or the list of them when ``types`` is a list."""
        op = Op(name, list(operands), attributes, list(regions), source=source)
        many = isinstance(types, (list, tuple))
        op.results = [Value(t, op, i) for i, t in enumerate(types if many else [types])]
        self.ops.append(op)
        return list(op.results) if many else op.result

    def argument(self, type):
        value = Value(type, None, len(self.arguments))
        self.arguments.append(value)
        return value


@dataclass(eq=False)
class Graph(Region):
    """A whole program.

    ``aliases`` maps an output's number to the donated input whose buffer it takes over. ``lanes`` > 1: every lane runs
    this graph on its own arguments. ``name`` is the function's. ``in_shardings`` and ``out_shardings``: with lanes, how
    the caller's whole arrays are cut into the lanes' arguments and joined from their results (``ir/sharding.py``);
    empty where every lane takes and gives whole arrays. ``sites``: JSON-able records of what the host does at traces.
    """

    name: str = "main"
    lanes: int = 1
    aliases: dict = field(default_factory=dict)
    in_shardings: tuple = ()
    out_shardings: tuple = ()
    sites: list = field(default_factory=list)


def has_effect(op):
    """Whether ``op``, or something in its regions, must happen even if nobody uses its results: lanes meet in exchanges, the
    host sees traces."""
    if op.name in ("all_gather", "permute"):
        return True
    if op.name == "trace":
        return not op.attributes["pure"]
    return any(has_effect(inner) for region in op.regions for inner in region.ops)


def is_traced(op):
    """Whether ``op``, or something in its regions, stops for the host: such operations keep their order."""
    return op.name == "trace" or any(is_traced(inner) for region in op.regions for inner in region.ops)
