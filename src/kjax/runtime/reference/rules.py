"""Which function gives an operation its meaning: ``rule(evaluator, op, *operands)`` returns an array, or a list of them."""

BY_NAME = {}


def rule(function):
    """Register ``function``, whose name is the operation's between underscores."""
    BY_NAME[function.__name__.strip("_")] = function
    return function


def numpy_type(op):
    """NumPy dtype of the operation's first result."""
    return op.results[0].type.info.numpy
