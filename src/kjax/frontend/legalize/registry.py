"""The table of rules: operation name -> function that writes it as core operations."""

RULES = {}


def rule(*names):
    """Register ``f(b, node) -> value, tuple of values or list of results`` for operations by their MLIR names."""
    def register(function):
        for name in names:
            if name in RULES:
                raise ValueError(f"two rules for {name}")
            RULES[name] = function
        return function
    return register
