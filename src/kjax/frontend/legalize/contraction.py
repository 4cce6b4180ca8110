"""dot_general, dot, convolution, einsum. The core operations have one element type: operands are converted to it."""

from jaxlib.mlir.dialects import stablehlo

from kjax.frontend.builder import JOIN
from kjax.frontend.legalize.registry import rule
from kjax.ir.graph import Type
from kjax.isa import dtypes


def accumulation_dtype(lhs, rhs, result):
    """The type to contract in: the result's, or the widest operand's where the result is narrower."""
    rows = [dtypes.BY_NAME[d] for d in (result, lhs, rhs)]
    if rows[0].kind == "bool":
        return "i32"
    if rows[0].is_complex and not rows[1].is_complex and not rows[2].is_complex:
        return result
    widest = max(rows, key=lambda t: (t.is_complex, t.is_float, t.bits, t is rows[0]))
    if rows[0].bits >= widest.bits and rows[0].kind == widest.kind:
        return result
    if widest.is_float and rows[0].is_complex:
        return JOIN.get(widest.name, result)
    return widest.name


def contract(b, lhs, rhs, result, emit):
    """``emit(lhs, rhs, dtype)`` on operands of one accumulation type; the outcome as ``result``."""
    dtype = accumulation_dtype(lhs.dtype, rhs.dtype, result.dtype)
    out = emit(b.convert(lhs, dtype), b.convert(rhs, dtype), dtype)
    return b.map("ne", out, b.like(0, out)) if result.dtype == "i1" else b.convert(out, result.dtype)


@rule("stablehlo.dot_general")
def dot_general(b, node):
    numbers = stablehlo.DotDimensionNumbers(node.raw("dot_dimension_numbers"))
    batch = tuple(numbers.lhs_batching_dimensions), tuple(numbers.rhs_batching_dimensions)
    contracted = tuple(numbers.lhs_contracting_dimensions), tuple(numbers.rhs_contracting_dimensions)
    return contract(b, *node.operands, node.type, lambda x, y, _: b.dot(x, y, batch=batch, contract=contracted))


@rule("stablehlo.dot")
def dot(b, node):
    last = node.operands[0].type.rank - 1
    return contract(b, *node.operands, node.type, lambda x, y, _: b.dot(x, y, contract=((last,), (0,))))


@rule("stablehlo.convolution")
def convolution(b, node):
    numbers = stablehlo.ConvDimensionNumbers(node.raw("dimension_numbers"))
    spatial = len(numbers.input_spatial_dimensions)
    padding = node.attr("padding")
    padding = [(0, 0)] * spatial if padding is None else [tuple(map(int, row)) for row in padding]
    attributes = dict(
        strides=tuple(node.attr("window_strides") or [1] * spatial), padding=tuple(padding),
        lhs_dilation=tuple(node.attr("lhs_dilation") or [1] * spatial),
        rhs_dilation=tuple(node.attr("rhs_dilation") or [1] * spatial),
        reversal=tuple(map(bool, node.attr("window_reversal") or [False] * spatial)),
        feature_groups=node.attr("feature_group_count"), batch_groups=node.attr("batch_group_count"),
        lhs_spec=(numbers.input_batch_dimension, numbers.input_feature_dimension, *numbers.input_spatial_dimensions),
        rhs_spec=(numbers.kernel_output_feature_dimension, numbers.kernel_input_feature_dimension,
                  *numbers.kernel_spatial_dimensions),
        out_spec=(numbers.output_batch_dimension, numbers.output_feature_dimension, *numbers.output_spatial_dimensions))
    return contract(b, *node.operands, node.type,
                    lambda x, y, dtype: b.add("convolution", [x, y], Type(dtype, node.type.shape), **attributes))


def _letters(part, rank):
    """Labels of one operand of an einsum; an ellipsis becomes capital labels, counted from the right."""
    if "..." not in part:
        return list(part)
    before, after = part.split("...")
    n = rank - len(before) - len(after)
    return [*before, *(f".{k}" for k in range(n, 0, -1)), *after]


def _output(part, inputs):
    if "..." not in part:
        return list(part)
    dots = max((([s for s in i if s[0] == "."]) for i in inputs), key=len)
    before, after = part.split("...")
    return [*before, *dots, *after]


def _sum_out(b, x, labels, keep):
    gone = tuple(k for k, s in enumerate(labels) if s not in keep)
    return (b.reduce(x, 0, gone, "add") if gone else x), [s for s in labels if s in keep]


def _diagonals(b, x, labels):
    """Where a label names several dims, their diagonal: with those dims side by side, every (n + 1)th element."""
    for s in dict.fromkeys(labels):
        while labels.count(s) > 1:
            first = labels.index(s)
            second = labels.index(s, first + 1)
            rest = [k for k in range(len(labels)) if k not in (first, second)]
            x = b.transpose(x, [*rest, first, second])
            *lead, n, _ = x.shape
            x = b.slice_dim(b.reshape(x, (*lead, n * n)), -1, 0, n * n, n + 1)
            labels = [labels[k] for k in rest] + [s]
    return x, labels


@rule("stablehlo.einsum")
def einsum(b, node):
    left, right = node.attr("einsum_config").replace(" ", "").split("->")
    parts = left.split(",")
    labels = [_letters(p, v.type.rank) for p, v in zip(parts, node.operands, strict=True)]
    operands = []
    for k, x in enumerate(node.operands):
        x, labels[k] = _diagonals(b, x, labels[k])
        operands.append(x)
    out = _output(right, labels)

    def emit(x, y, _):
        x, xs = _sum_out(b, x, labels[0], set(labels[1]) | set(out))
        y, ys = _sum_out(b, y, labels[1], set(labels[0]) | set(out))
        batch = [s for s in xs if s in ys and s in out]
        common = [s for s in xs if s in ys and s not in out]
        free = [s for v in (xs, ys) for s in v if s not in batch and s not in common]
        dotted = b.dot(x, y, batch=([xs.index(s) for s in batch], [ys.index(s) for s in batch]),
                       contract=([xs.index(s) for s in common], [ys.index(s) for s in common]))
        have = batch + free
        return b.transpose(dotted, [have.index(s) for s in out])

    return contract(b, *operands, node.type, emit)


@rule("stablehlo.unary_einsum")
def unary_einsum(b, node):
    left, right = node.attr("einsum_config").replace(" ", "").split("->")
    (x,) = node.operands
    labels = _letters(left, x.type.rank)
    x, labels = _diagonals(b, x, labels)
    out = _output(right, [labels])
    x, labels = _sum_out(b, x, labels, out)
    return b.transpose(x, [labels.index(s) for s in out])
