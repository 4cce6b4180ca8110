"""Numbers for the values of a region of scalars: two of equal numbers are equal."""

_SYMMETRIC = {"add", "mul", "max", "min", "and", "or", "xor", "eq", "ne"}
_TURNED = {"gt": "lt", "ge": "le"}


class Numbers:
    """Numbers for expressions: equal ones have equal numbers."""

    def __init__(self):
        self.table = {}

    def number(self, *key):
        return self.table.setdefault(key, len(self.table))

    def op(self, name, *operands, attributes=()):
        if name in _TURNED:
            name, operands = _TURNED[name], operands[::-1]
        return self.number(name, attributes, *(sorted(operands) if name in _SYMMETRIC else operands))

    def results(self, region, arguments):
        """Numbers of the region's results, when its arguments have those numbers."""
        known = dict(zip(region.arguments, arguments, strict=True))
        for op in region.ops:
            if op.name == "constant":
                value = op.attributes["value"]
                known[op.results[0]] = self.number("constant", str(op.results[0].type), value.tobytes())
                continue
            operands = [known[v] if v in known else self.number("outer", id(v)) for v in op.operands]
            attributes = (str(op.results[0].type), *sorted((k, str(v)) for k, v in op.attributes.items()))
            known[op.results[0]] = self.op(op.name, *operands, attributes=attributes)
        return [known[v] if v in known else self.number("outer", id(v)) for v in region.results]
