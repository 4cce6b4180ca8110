"""Control flow, calls, tuples, and operations that are nothing but an annotation."""

from kjax.errors import CompileError
from kjax.frontend.legalize.reduction import is_elementwise, map_one_by_one, without_branches
from kjax.frontend.legalize.registry import RULES, rule
from kjax.ir.graph import Type


@rule("func.call", "stablehlo.call")
def call(b, node):
    return node.call(node.attr("callee"), node.operands)


@rule("stablehlo.optimization_barrier")
def optimization_barrier(b, node):
    return list(node.operands)


@rule("sdy.sharding_constraint", "sdy.reshard", "sdy.propagation_barrier", "sdy.replicated_to_unreduced")
def annotation(b, node):
    return list(node.operands)


@rule("sdy.sharding_group")
def sharding_group(b, node):
    return []


@rule("sdy.named_computation")
def named_computation(b, node):
    return node.inline(0, node.operands)


@rule("stablehlo.tuple")
def tuple_(b, node):
    return [tuple(node.operands)]


@rule("stablehlo.get_tuple_element")
def get_tuple_element(b, node):
    return [node.operands[0][node.attr("index")]]


@rule("stablehlo.composite")
def composite(b, node):
    """Inlined, but for compositions whose name is an operation that kjax has a rule for and that takes no options."""
    name = node.attr("name")
    if name.startswith("chlo.") and name in RULES and not node.attr("composite_attributes", {}):
        return RULES[name](b, node)
    return node.call(node.attr("decomposition"), node.operands)


# custom calls that say where a value lies, and those that say which part of it a device has: with one device, all of it
ANNOTATIONS = {"Sharding", "annotate_device_placement", "xla.sdy.FuncResultSharding", "LayoutConstraint"}
PARTS = {"SPMDFullToShardShape", "SPMDShardToFullShape", "xla.sdy.GlobalToLocalShape", "xla.sdy.LocalToGlobalShape"}


@rule("stablehlo.custom_call")
def custom_call(b, node):
    target = node.attr("call_target_name")
    if target in ANNOTATIONS or (target in PARTS and [v.type for v in node.operands] == node.types):
        return list(node.operands[: len(node.op.results)])
    if target in PARTS:
        b.refuse(f"stablehlo.custom_call @{target}", f"it makes {node.types[0]} of {node.operands[0].type} for some devices",
                 "Lower with Shardy (jax.config.jax_use_shardy_partitioner), whose manual computations become lanes")
    handler = RULES.get("custom_call." + target)
    if handler:
        return handler(b, node)
    advice = "Write it with jax.numpy or jax.lax operations"
    if "callback" in target:
        advice = ("Python functions do not travel in StableHLO: give kjax.jit or kjax.compile the function itself, or lower it "
                  "with kjax.frontend.platform.lower")
    elif "lapack" in target or "cusolver" in target or "cu_" in target:
        advice = "Compile the function itself, or export it for the CPU"
    return b.refuse(f"stablehlo.custom_call @{target}", "it calls native code that a program cannot hold", advice)


@rule("stablehlo.case")
def case(b, node):
    (index,) = node.operands
    regions = [node.region(k) for k in range(node.n_regions)]
    if len(regions) == 1:
        return node.inline(0, [])
    return b.add("case", [b.convert(index, "i32")], node.types, regions=regions)


@rule("stablehlo.if")
def if_(b, node):
    """A case whose branch 0 is taken on false."""
    index = b.convert(node.operands[0], "i32")
    return b.add("case", [index], node.types, regions=[node.region(1), node.region(0)])


@rule("stablehlo.while")
def while_(b, node):
    condition, body = node.region(0), node.region(1)
    types = [v.type for v in node.operands]
    return b.add("while", node.operands, types, regions=[condition, body],
                 trips=trip_count(node.operands, condition, body))


def _integer(value):
    """The Python int that a scalar integer value is known to be, or None. Looks through shape-only operations."""
    while value.op is not None and value.op.name in ("reshape", "broadcast_in_dim"):
        value = value.op.operands[0]
    if value.op is None or value.op.name != "constant" or not value.type.info.is_integer or value.type.size != 1:
        return None
    return int(value.op.attributes["value"].reshape(-1)[0])


def _steady(value, initial, condition, body):
    """As ``_integer``; a part of the state that the body hands on unchanged counts by its initial value."""
    if value.op is None and value in condition.arguments:
        k = value.index
        return _integer(initial[k]) if body.results[k] is body.arguments[k] else None
    return _integer(value)


def trip_count(initial, condition, body):
    """How often a counting loop runs, or None: ``i < n`` from a constant start by a constant step up."""
    (predicate,) = condition.results
    test = predicate.op
    if test is None or test.name not in ("lt", "le", "gt", "ge", "ne") or test not in condition.ops:
        return None
    lhs, rhs, name = *test.operands, test.name
    if not (lhs.op is None and lhs in condition.arguments
            and body.results[lhs.index] is not body.arguments[lhs.index]):
        lhs, rhs, name = rhs, lhs, {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "ne": "ne"}[name]
    if lhs.op is not None or lhs not in condition.arguments:
        return None
    k = lhs.index
    start, limit = _integer(initial[k]), _steady(rhs, initial, condition, body)
    step = _step(body, k)
    if start is None or limit is None or not step:
        return None
    if name in ("le", "ge"):
        limit, name = (limit + 1, "lt") if name == "le" else (limit - 1, "gt")
    if name == "ne":
        return (limit - start) // step if (limit - start) % step == 0 and (limit - start) // step >= 0 else None
    if (step > 0) != (name == "lt"):
        return None
    trips = max(0, -(-(limit - start) // step))
    bits, kind = lhs.type.info.bits, lhs.type.info.kind
    top = (1 << bits - 1) - 1 if kind == "int" else (1 << bits) - 1
    bottom = -top - 1 if kind == "int" else 0
    return trips if bottom <= start + trips * step <= top else None  # a counter that wraps is no counter


def _step(body, k):
    result = body.results[k]
    if result.op is None or result.op.name not in ("add", "sub"):
        return None
    a, b = result.op.operands
    if a is body.arguments[k] and _integer(b) is not None:
        return _integer(b) if result.op.name == "add" else -_integer(b)
    if b is body.arguments[k] and result.op.name == "add":
        return _integer(a)
    return None


@rule("stablehlo.map")
def map_(b, node):
    """The body is written for scalars; written over whole operands it is the same elementwise operations."""
    shape = node.type.shape
    region = without_branches(b, node.region(0))
    if not is_elementwise(region):
        return map_one_by_one(b, node.operands, node.types, lambda *values: node.inline(0, values))
    values = dict(zip(map(id, region.arguments), node.operands, strict=True))
    for op in region.ops:
        operands = [b.broadcast(values.get(id(v), v), shape) for v in op.operands]
        attributes = dict(op.attributes)
        if op.name == "constant":
            values[id(op.result)] = b.broadcast(b.constant(attributes["value"], op.result.dtype), shape)
            continue
        out = b.add(op.name, operands, [Type(r.dtype, shape) for r in op.results], **attributes)
        values.update(zip(map(id, op.results), out, strict=True))
    return [b.broadcast(values.get(id(v), v), shape) for v in region.results]


def _effect(name, why):
    def lower(b, node):
        raise CompileError(f"{name}: {why}. A kjax program takes arrays and returns arrays: move this outside.")
    return lower


@rule("stablehlo.create_token", "stablehlo.after_all")
def token(b, node):
    """Traces stay in program order, with or without tokens."""
    return b.token()


for _name in ("send", "recv", "infeed", "outfeed"):
    rule("stablehlo." + _name)(_effect("stablehlo." + _name, "it is a side effect with a token"))
for _name in ("uniform_quantize", "uniform_dequantize"):
    rule("stablehlo." + _name)(_effect("stablehlo." + _name, "quantized types are not supported"))
