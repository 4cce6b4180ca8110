"""Recognising sort comparators that compare keys, so that the engine need not interpret them.

JAX writes a comparator over floats as: canonicalise (-0 to 0, any NaN to one NaN), then compare by total order (which the
frontend spells as integers), lexicographically over the keys. What that computes is what a keyed sort does with
"-0 equals +0, NaN last".
"""

import numpy as np


def _constant(value):
    """A scalar constant's value, or None."""
    if value.op is None or value.op.name != "constant":
        return None
    number = np.asarray(value.op.attributes["value"])
    if value.type.info.is_float:
        return number.astype(np.float64).item()
    return number.item() if value.type.info.is_native else None


def _through_total_order(value):
    """(float, True) if ``value`` is the integer image of a float's total order: bits < 0 ? bits ^ max : bits."""
    op = value.op
    if op is None or op.name != "select":
        return value, False
    predicate, flipped, bits = op.operands
    source = bits.op
    if source is None or source.name != "bitcast_convert" or not source.operands[0].type.info.is_float:
        return value, False
    test, flip = predicate.op, flipped.op
    top = (1 << (bits.type.info.bits - 1)) - 1
    ok = (test is not None and test.name == "lt" and test.operands[0] is bits and _constant(test.operands[1]) == 0
          and flip is not None and flip.name == "xor" and flip.operands[0] is bits and _constant(flip.operands[1]) == top)
    return (source.operands[0], True) if ok else (value, False)


def _through_canonical(value):
    """(argument, True) if ``value`` is a float argument with zeros and NaNs made canonical."""
    zero = nan = False
    while value.op is not None and value.op.name == "select":
        predicate, replacement, other = value.op.operands
        test, filler = predicate.op, _constant(replacement)
        if test is None or filler is None:
            break
        if test.name == "eq" and filler == 0 and not np.signbit(filler) and test.operands[0] is other:
            zero = True
        elif test.name == "ne" and np.isnan(filler) and test.operands[0] is test.operands[1]:
            nan = True
        else:
            break
        value = other
    return value, zero and nan


def _compare(value, names):
    """A single comparison of one operand's two elements: (operand number, left is the first element, total), or None.

    ``names``: comparisons it may be.
    """
    op = value.op
    if op is None or op.name not in names:
        return None
    sides = []
    for side in op.operands:
        side, total = _through_total_order(side)
        side, canonical = _through_canonical(side)
        if side.op is not None or side.type.info.is_complex or (side.type.info.is_float and not total):
            return None
        sides.append((side.index, canonical, side.type.info.is_float))
    (left, canonical, floating), (right, other, _) = sides
    if canonical != other or left ^ 1 != right:
        return None
    return left // 2, not left % 2, floating and not canonical


def _key(value):
    """The key that a comparison orders by: (operand, descending, total), or None."""
    single = _compare(value, ("lt", "gt"))
    return single and (single[0], (value.op.name == "gt") == single[1], single[2])


def _ties(value, key):
    """Whether ``value`` says that both elements of ``key`` are equal."""
    same = _compare(value, ("eq",))
    return same is not None and (same[0], same[2]) == (key[0], key[2])


def _lexicographic(op):
    """(comparison of the first key, whether it ties, comparison of the rest), as they may be, of what joins them."""
    if op is None:
        return
    if op.name == "select":
        yield op.operands[2], op.operands[0], op.operands[1]
    if op.name == "or":
        for first, rest in (op.operands, op.operands[::-1]):
            if rest.op is not None and rest.op.name == "and":
                for same, other in (rest.op.operands, rest.op.operands[::-1]):
                    yield first, same, other


def keys_of(region, count):
    """The keys of a comparator, most significant first: [(operand, descending, total)], or None if it is of another kind."""
    keys = []
    value = region.results[0]
    while len(keys) < count:
        single = _key(value)
        if single is not None:
            return [*keys, single]
        for first, same, rest in _lexicographic(value.op):
            single = _key(first)
            if single is not None and _ties(same, single):
                keys.append(single)
                value = rest
                break
        else:
            return None
    return None
