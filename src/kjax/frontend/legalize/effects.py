"""``jax.debug.print`` and Python callbacks: custom calls that ``frontend/effects.py`` lowered become traces."""

import json

from kjax.errors import CompileError
from kjax.frontend.attributes import TOKEN
from kjax.frontend.effects import TARGET
from kjax.frontend.legalize.registry import rule


@rule("custom_call." + TARGET)
def trace(b, node):
    """Tokens come first where there are any; traces stay in program order without them."""
    try:
        site = json.loads(node.attr("backend_config"))
        kind, name, ordered = site["kind"], site["name"], site["ordered"]
    except (TypeError, ValueError, KeyError):
        raise CompileError(f"custom_call @{TARGET} at {b.source}: its backend_config is not one that kjax wrote.") from None
    if kind not in ("print", "call"):
        raise CompileError(f"custom_call @{TARGET} at {b.source}: unknown kind {kind!r}.")
    sites = node.importer.graph.sites
    types = node.types[ordered:]
    results = b.add("trace", node.operands[ordered:], types, kind=kind, site=len(sites), what=name,
                    pure=bool(site.get("pure")))
    sites.append({**site, "source": str(b.source)})
    return [node.operands[0] if node.types[0] == TOKEN else b.token(), *results] if ordered else results
