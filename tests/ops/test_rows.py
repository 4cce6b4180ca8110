"""Every row of ``isa/ops.py`` on every type, against another implementation, within the row's bound."""

import functools

import inputs
import numpy as np
import pytest
import references
import tables

from kjax.isa import dtypes, ops

ROWS = [(op, dtype) for op in ops.OPS if op.form != "special" for dtype in op.dtypes]
REAL_FUNCTIONS = {
    "sqrt",
    "rsqrt",
    "cbrt",
    "exp",
    "expm1",
    "log",
    "log1p",
    "logistic",
    "sin",
    "cos",
    "tan",
    "tanh",
    "erf",
    "erfc",
}


def is_exact(op, dtype):
    """Whether the row must give the reference's bits (NaN as a class)."""
    if dtypes.BY_NAME[dtype].is_complex:
        return op.name not in references.CLOSE_COMPLEX
    if dtypes.BY_NAME[dtype].is_integer or dtype == "i1":
        return True
    return op.name not in references.CLOSE


def row_id(row):
    return f"{row[0].name}-{row[1]}"


def same(got, wanted):
    """Equal bits, any NaN equal to any NaN."""
    if got.dtype.kind == "c":
        return same(got.real.copy(), wanted.real.copy()) & same(got.imag.copy(), wanted.imag.copy())
    bits = np.dtype(f"u{got.itemsize}")
    equal = got.view(bits) == wanted.view(bits)
    if got.dtype.kind == "b" or dtypes.of(got.dtype).is_integer:
        return equal
    # the six- and four-bit floats have no NaN to cast
    with np.errstate(invalid="ignore"):
        return equal | (np.isnan(got.astype(float)) & np.isnan(wanted.astype(float)))


@functools.cache
def exact_case(row):
    op, dtype = row
    types = ("i1", dtype, dtype) if op.form == "select" else (dtype,) * op.arity
    operands = inputs.operands(types)
    if op.name == "sign" or dtype in ("f32", "f64") and op.form == "convert":
        operands = (np.concatenate([*operands, inputs.hard_floats(dtype)]),) if dtype in ("f32", "f64") else operands
    with np.errstate(all="ignore"):
        name = {"pow": None}.get(op.name, op.name)
        wanted = (
            references.EXACT[name](dtypes.BY_NAME[dtype], *operands)
            if name
            else references._int_pow(dtypes.BY_NAME[dtype], *operands)
        )
    return operands, np.ascontiguousarray(wanted).astype(tables.result_type(op, dtype), copy=False)


@pytest.mark.parametrize("row", [r for r in ROWS if is_exact(*r) and r[0].name != "mul"], ids=row_id)
def test_exact(cpu, row):
    operands, wanted = exact_case(row)
    got = tables.run(cpu, *row, *operands)
    wrong = np.flatnonzero(~same(got, wanted))
    assert not wrong.size, (
        f"{wrong.size} of {got.size}: op({[x[wrong[0]] for x in operands]}) = {got[wrong[0]]}, not {wanted[wrong[0]]}"
    )


@pytest.mark.parametrize("dtype", ops.INTS)
def test_integer_multiplication_wraps(cpu, dtype):
    a, b = inputs.operands((dtype, dtype))
    with np.errstate(all="ignore"):
        assert np.array_equal(tables.run(cpu, ops.BY_NAME["mul"], dtype, a, b), a * b)


@functools.cache
def close_case(row):
    op, dtype = row
    operands = (inputs.hard_floats(dtype),) if op.name in REAL_FUNCTIONS else inputs.operands((dtype,) * op.arity)
    if op.name in ("erf", "erfc"):
        operands = (operands[0][::4],)
    if op.arity == 2 and op.name != "mul":
        rng = np.random.default_rng(inputs.SEED)
        more = [np.abs(rng.normal(size=3000) + 2), rng.normal(size=3000) * 20]
        operands = tuple(np.concatenate([x, y.astype(x.dtype)]) for x, y in zip(operands, more, strict=True))
    with np.errstate(all="ignore"):
        return operands, references.CLOSE[op.name](*operands)


@pytest.mark.parametrize("row", [r for r in ROWS if not is_exact(*r) and r[1] in ("f32", "f64")], ids=row_id)
def test_real_functions(cpu, row):
    operands, wanted = close_case(row)
    got = tables.run(cpu, *row, *operands, strip=256)
    error = references.ulps(got, wanted)
    at = int(np.argmax(error))
    assert error[at] <= row[0].ulp, (
        f"{error[at]:.3g} ulp: op({[x[at] for x in operands]}) = {got[at]!r}, not {wanted[at]!r}"
    )
    zeros = (got == 0) & (wanted == 0)
    assert np.array_equal(np.signbit(got[zeros]), np.signbit(wanted[zeros])), "the sign of a zero"


@functools.cache
def complex_case(row):
    op, dtype = row
    operands = (inputs.hard_complex(dtype),)
    if op.arity == 2:
        rng = np.random.default_rng(inputs.SEED)
        def block(x):
            return x[np.argsort(rng.permutation(x.size) % 64 + 64 * (np.arange(x.size) // 64))]
        operands = tuple(block(x) for x in operands * 2)
        if op.name == "pow":
            operands = operands[0], np.where(np.abs(operands[1]) > 1e3, operands[1] / np.abs(operands[1]), operands[1])
        if op.name == "atan2":  # the poles, and y of another size
            keep = np.abs(operands[0] ** 2 + operands[1] ** 2) > 0
            operands = tuple(x[keep] for x in operands)
        operands = tuple(x.astype(dtypes.BY_NAME[dtype].numpy) for x in operands)
    keep = operands[0] != 0
    for x in operands:
        keep &= np.isfinite(x)
    if op.name in ("exp", "expm1", "logistic"):
        keep &= np.abs(operands[0].real) < 1e5
    if op.name in ("sin", "cos", "tan"):
        keep &= np.abs(operands[0].imag) < 1e5
    if op.name == "tanh":
        keep &= np.abs(operands[0].real) < 1e5
    operands = tuple(np.ascontiguousarray(x[keep]) for x in operands)
    return operands, references.by_mpmath(references.CLOSE_COMPLEX[op.name])(*operands)


@pytest.mark.parametrize("row", [r for r in ROWS if not is_exact(*r) and r[1] in ops.COMPLEX], ids=row_id)
def test_complex_functions(cpu, row):
    operands, wanted = complex_case(row)
    got = tables.run(cpu, *row, *operands, strip=64)
    bound = row[0].ulp or 1
    if row[0].form == "part":
        error = references.ulps(got, wanted.real)
    else:
        error = np.maximum(references.ulps(got.real, wanted.real), references.ulps(got.imag, wanted.imag))
    at = int(np.argmax(error))
    assert error[at] <= bound, f"{error[at]:.3g} ulp: op({[x[at] for x in operands]}) = {got[at]!r}, not {wanted[at]!r}"


@pytest.mark.parametrize("dtype", ops.COMPLEX)
@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sin", "cos", "tan", "tanh"])
def test_complex_functions_at_special_values(cpu, name, dtype):
    """Infinities, NaN, zeros and overflow as C's annex G has them; where it leaves a sign open, sizes are compared."""
    parts = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 800.0, -800.0, np.inf, -np.inf, np.nan]
    values = np.array([complex(a, b) for a in parts for b in parts])
    with np.errstate(all="ignore"):
        wanted = getattr(np, name)(values).astype(dtypes.BY_NAME[dtype].numpy)
        got = tables.run(cpu, ops.BY_NAME[name], dtype, values.astype(wanted.dtype), strip=1)
        for a, b in ((got.real, wanted.real), (got.imag, wanted.imag)):
            open_sign = ~np.isfinite(values)
            a, b = np.where(open_sign, np.abs(a), a), np.where(open_sign, np.abs(b), b)
            close = np.isclose(a, b, rtol=8 * np.finfo(a.dtype).eps, atol=0, equal_nan=True)
            wrong = np.flatnonzero(~close | (~open_sign & (a == 0) & (np.signbit(a) != np.signbit(b))))
            assert not wrong.size, f"{name}({values[wrong[0]]}) = {got[wrong[0]]}, not {wanted[wrong[0]]}"
