"""Edge semantics, a row a rule, a file a family."""

from rules import complexes, conversions, floats, integers, nothing, order, places, products

_FAMILIES = (floats, integers, conversions, complexes, places, order, nothing, products)
RULES = [rule for family in _FAMILIES for rule in family.RULES]
