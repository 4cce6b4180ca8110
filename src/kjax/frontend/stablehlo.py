"""Walk a StableHLO module and write the tensor IR.

One pass in program order. Calls and composites are inlined, so that a graph has no functions; each
operation is handed to its rule in ``legalize/``, which appends core operations of ``ir/graph.py``.
"""

from jaxlib.mlir import ir

from kjax.errors import CompileError, KjaxError
from kjax.frontend import attributes, locations, parse, refine
from kjax.frontend.builder import Builder
from kjax.frontend.legalize import RULES
from kjax.ir import check
from kjax.ir.graph import Graph, has_effect

TERMINATORS = ("func.return", "stablehlo.return", "sdy.return")


def import_module(source, *, entry="main"):
    """Graph of a StableHLO module.

    ``source``: text, bytes (bytecode, portable artifact, serialized ``jax.export.Exported``), an MLIR
    module, a ``jax.stages.Lowered`` or a ``jax.export.Exported``. Raises CompileError for what is not StableHLO
    or cannot be a program (dynamic shapes, recursion), UnsupportedOpError for an operation
    without a rule; both name the user's source line.
    """
    module = refine.refined(parse.module_of(source))
    with module.context:
        return Importer(module).run(entry)


class Node:
    """One MLIR operation as a rule sees it: operands are IR values already (or tuples of them)."""

    __slots__ = ("importer", "op", "name", "operands")

    def __init__(self, importer, op, operands):
        self.importer, self.op, self.name, self.operands = importer, op, op.name, operands

    @property
    def type(self):
        """Type of the only, or first, result."""
        return attributes.type_of(self.op.results[0].type)

    @property
    def types(self):
        return [attributes.type_of(r.type) for r in self.op.results]

    def attr(self, name, default=None):
        """An attribute as a plain Python value."""
        found = self.raw(name)
        return default if found is None else attributes.value_of(found)

    def raw(self, name):
        """An attribute as MLIR has it, or None."""
        return self.op.attributes[name] if name in self.op.attributes else None

    @property
    def n_regions(self):
        return len(self.op.regions)

    def argument_types(self, index):
        return [attributes.type_of(a.type) for a in self.op.regions[index].blocks[0].arguments]

    def inline(self, index, arguments):
        """Write the operations of a region here; returns the values that leave it."""
        return self.importer.block(self.op.regions[index].blocks[0], arguments)

    def region(self, index):
        """The region as an IR region of its own."""
        return self.importer.b.make_region(self.argument_types(index), lambda *a: self.inline(index, a))

    def call(self, name, arguments):
        """Inline a function of the module."""
        return self.importer.call(name, arguments)


class Importer:
    """State of one import: functions by name, MLIR values seen so far, calls being inlined."""

    def __init__(self, module):
        self.module = module
        self.functions = {}
        self.meshes = {}  # name -> ((axis, size), ...)
        for op in module.body.operations:
            if op.operation.name == "func.func":
                self.functions[attributes.value_of(op.attributes["sym_name"])] = op
            elif op.operation.name == "sdy.mesh":
                from kjax.frontend.legalize.sharding import mesh_of

                self.meshes[attributes.value_of(op.attributes["sym_name"])] = mesh_of(op.attributes["mesh"])
        self.graph = Graph()
        self.b = Builder(self.graph)
        self.values = {}
        self.sources = {}  # (location, prefix) -> Source
        self.calling = []
        self.prefix = ""
        self.lane_kind = None  # which of partition_id and replica_id counts the lanes
        self.inside_manual = False
        self._blobs = None

    def blobs(self):
        if self._blobs is None:
            self._blobs = attributes.resources(self.module)
        return self._blobs

    def run(self, entry):
        if entry not in self.functions:
            public = [n for n, f in self.functions.items() if "sym_visibility" not in f.attributes]
            if len(self.functions) > 1 and len(public) != 1 or not self.functions:
                raise CompileError(f"The module has no function @{entry}; it has {sorted(self.functions)}.")
            entry = public[0] if len(public) == 1 else next(iter(self.functions))
        function = self.functions[entry]
        name = self.module.operation.attributes["sym_name"] if "sym_name" in self.module.operation.attributes else None
        self.graph.name = attributes.value_of(name) if name is not None else entry
        block = function.regions[0].blocks[0]
        self.calling.append(entry)
        from kjax.frontend.legalize import sharding

        if not sharding.import_lanes(self, block):
            arguments = [self.b.token() if attributes.is_token(a.type) else self.graph.argument(attributes.type_of(a.type))
                         for a in block.arguments]
            results = flatten(self.block(block, arguments))
            tokens = list(map(attributes.is_token, function.type.results))
            self.graph.results = [v for v, token in zip(results, tokens) if not token] if any(tokens) else results
        self.graph.aliases = aliases_of(function, self.graph)
        drop_dead(self.graph)
        check.check(self.graph)
        return self.graph

    def call(self, name, arguments):
        if name in self.calling:
            raise CompileError(f"@{name} calls itself ({' -> '.join([*self.calling, name])}): "
                               "a kjax program has no recursion. Write the recursion as lax.while_loop or scan.")
        if name not in self.functions:
            raise CompileError(f"The module calls @{name}, which it does not hold.")
        self.calling.append(name)
        saved = self.prefix, self.b.source
        self.prefix = self.b.source.name
        try:
            return self.block(self.functions[name].regions[0].blocks[0], arguments)
        finally:
            self.calling.pop()
            self.prefix, self.b.source = saved

    def block(self, block, arguments):
        """Import a block's operations; returns the values of its terminator."""
        for mlir_argument, value in zip(block.arguments, arguments, strict=True):
            self.values[mlir_argument] = value
        saved = self.b.source
        for op in block.operations:
            op = op.operation
            operands = [self.values[v] for v in op.operands]
            if op.name in TERMINATORS:
                self.b.source = saved
                return operands
            at = op.location, self.prefix
            if at not in self.sources:  # operations share locations, and functions are inlined many times
                self.sources[at] = locations.source_of(*at)
            self.b.source = self.sources[at]
            for result, value in zip(op.results, self.operation(op, operands), strict=True):
                self.values[result] = value
        raise CompileError("A block has no terminator.")

    def operation(self, op, operands):
        """Values of the results of one operation."""
        rule = RULES.get(op.name)
        if rule is None:
            self.b.refuse(op.name, "kjax has no rule for this operation",
                          "Write the function without it, or see the list of operations in the documentation")
        node = Node(self, op, operands)
        try:
            results = rule(self.b, node)
        except KjaxError as error:
            raise self.located(error) from None
        return results if isinstance(results, list) else [results]

    def located(self, error):
        """The same error with the source line, if it has none yet."""
        where = str(self.b.source)
        if not where or getattr(error, "located", False):
            return error
        again = type(error)(f"{str(error).partition(chr(10) + 'See ')[0]} (at {where})")
        again.located = True
        return again


def flatten(values):
    """Tuples inside tuples -> one list."""
    out = []
    for v in values:
        out += flatten(v) if isinstance(v, tuple) else [v]
    return out


def aliases_of(function, graph):
    """Output number -> donated input number, from ``tf.aliasing_output`` and ``jax.buffer_donor``."""
    aliases, donors = {}, []
    if "arg_attrs" not in function.attributes:
        return aliases
    for i, row in enumerate(ir.ArrayAttr(function.attributes["arg_attrs"])):
        row = ir.DictAttr(row)
        if "tf.aliasing_output" in row:
            aliases[ir.IntegerAttr(row["tf.aliasing_output"]).value] = i
        elif "jax.buffer_donor" in row:
            donors.append(i)
    for i in donors:
        for k, out in enumerate(graph.results):
            if k not in aliases and i < len(graph.arguments) and out.type == graph.arguments[i].type:
                aliases[k] = i
                break
    return {k: i for k, i in aliases.items() if graph.results[k].type == graph.arguments[i].type}


def drop_dead(region, keep=()):
    """Drop operations whose results nobody uses. All core operations are pure but exchanges and traces."""
    used = set(map(id, region.results)) | set(keep)
    kept = []
    for op in reversed(region.ops):
        if any(id(r) in used for r in op.results) or has_effect(op):
            for inner in op.regions:
                drop_dead(inner)
            used.update(_uses(op))
            kept.append(op)
    region.ops = kept[::-1]


def _uses(op):
    """Ids of all values that an operation and its regions read."""
    found = set(map(id, op.operands))
    for region in op.regions:
        found |= set(map(id, region.results))
        for inner in region.ops:
            found |= _uses(inner)
    return found
