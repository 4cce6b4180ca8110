"""batch_norm_*: written out as StableHLO's specification has them."""

from kjax.frontend.legalize.registry import rule


def _along(b, node, value):
    """A vector of features as an Expr of the operand's shape."""
    return b.expr(b.broadcast(value, node.operands[0].shape, (node.attr("feature_index"),)))


def _mean(b, x, dims, count):
    return b.expr(b.reduce(x, 0, dims, "add")) / count


def _shape(node):
    x = node.operands[0]
    feature = node.attr("feature_index")
    return tuple(k for k in range(x.type.rank) if k != feature), x.type.size // max(1, x.shape[feature])


@rule("stablehlo.batch_norm_inference")
def batch_norm_inference(b, node):
    x, *rest = node.operands
    scale, offset, mean, variance = (_along(b, node, v) for v in rest)
    deviation = (variance + node.attr("epsilon")).sqrt()
    return (scale * ((b.expr(x) - mean) / deviation) + offset).value


@rule("stablehlo.batch_norm_training")
def batch_norm_training(b, node):
    x, scale, offset = node.operands
    dims, count = _shape(node)
    mean = _mean(b, x, dims, count)
    centered = b.expr(x) - _along(b, node, mean.value)
    variance = _mean(b, (centered * centered).value, dims, count)
    deviation = _along(b, node, (variance + node.attr("epsilon")).sqrt().value)
    out = _along(b, node, scale) * (centered / deviation) + _along(b, node, offset)
    return [out.value, mean.value, variance.value]


@rule("stablehlo.batch_norm_grad")
def batch_norm_grad(b, node):
    x, scale, mean, variance, gradient = node.operands
    dims, count = _shape(node)
    deviation = (b.expr(variance) + node.attr("epsilon")).sqrt()
    wide = _along(b, node, deviation.value)
    centered = b.expr(x) - _along(b, node, mean)
    gradient = b.expr(gradient)
    grad_sum = b.reduce(gradient.value, 0, dims, "add")
    product_sum = b.reduce((gradient * centered).value, 0, dims, "add")
    inner = gradient * count - _along(b, node, grad_sum) \
        - centered * _along(b, node, product_sum) / (wide * wide)
    grad_x = _along(b, node, scale) / wide / count * inner
    grad_scale = (b.expr(product_sum) / deviation).value
    return [grad_x.value, grad_scale, grad_sum]
