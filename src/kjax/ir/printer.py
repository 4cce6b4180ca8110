"""Graph -> readable text, one operation a line.

    graph main(%0: 3xf32) -> %2 {
      %1 = constant 2.0 : 3xf32
      %2 = mul %0, %1 : 3xf32                              # model.py:7
    }
"""

import numpy as np


def to_text(graph, *, sources=True):
    """Text of a graph. ``sources`` adds each operation's source line as a comment."""
    names = {}
    lines = []
    head = ", ".join(f"{_name(names, v)}: {v.type}" for v in graph.arguments)
    extra = f" lanes={graph.lanes}" if graph.lanes > 1 else ""
    if graph.aliases:
        extra += " aliases={" + ", ".join(f"{o}: {i}" for o, i in sorted(graph.aliases.items())) + "}"
    lines.append(f"graph {graph.name}({head}){extra} {{")
    _ops(lines, names, graph, 1, sources)
    lines.append("}")
    return "\n".join(lines)


def _name(names, value):
    return names.setdefault(id(value), f"%{len(names)}")


def _ops(lines, names, region, depth, sources):
    pad = "  " * depth
    for op in region.ops:
        operands = ", ".join(_name(names, v) for v in op.operands)
        results = ", ".join(_name(names, v) for v in op.results)
        types = ", ".join(str(v.type) for v in op.results)
        words = [op.name, operands, *(f"{k}={_attribute(v)}" for k, v in op.attributes.items() if k != "value")]
        if "value" in op.attributes:
            words.append(_array(op.attributes["value"]))
        line = f"{pad}{results} = {' '.join(w for w in words if w)} : {types}"
        comment = f"  # {op.source}" if sources and str(op.source) else ""
        lines.append(line + (" {" if op.regions else "") + comment)
        for k, inner in enumerate(op.regions):
            if k:
                lines.append(f"{pad}}} {{")
            if inner.arguments:
                lines.append(f"{pad} ({', '.join(f'{_name(names, v)}: {v.type}' for v in inner.arguments)})")
            _ops(lines, names, inner, depth + 1, sources)
        if op.regions:
            lines.append(pad + "}")
    if region.results:
        lines.append(f"{pad}return " + ", ".join(_name(names, v) for v in region.results))


def _attribute(value):
    return str(value).replace(" ", "")


def _array(value):
    if value.size == 0:
        return "[]"
    if value.size == 1 or not any(value.strides):
        return str(value.reshape(-1)[0] if value.size == 1 else value[(0,) * value.ndim])
    flat = np.asarray(value).reshape(-1)
    shown = ", ".join(str(x) for x in flat[:8])
    return f"[{shown}{', ...' if flat.size > 8 else ''}]"
