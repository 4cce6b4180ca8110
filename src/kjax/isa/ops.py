"""Micro-operations: what one step of a body does to a strip of elements. One row an operation.

A row gives the number, the name, the form (how many operands, and how the result's type follows from
the operand type), the element types that the engine implements, the StableHLO operation it realises,
the NumPy reference, and how many ulp the engine may be off that reference evaluated in higher
precision (0 = exact).

A micro-operation in a program is the code ``number * 32 + dtype`` (dtype: of the *operand* `b`, or `a`
where there is one operand), so a code names one routine. To add an operation: one row here, one line
in ``engine/ukernels/``, one test. ``tools/generate.py`` refuses a row without a routine and the
linker refuses a routine without a row.
"""

from dataclasses import dataclass

from kjax.isa.dtypes import ALL, COMPLEX, NATIVE_FLOATS, NATIVE_INTS, SMALL_FLOATS

INTS, FLOATS = NATIVE_INTS, NATIVE_FLOATS
SIGNED = ("i8", "i16", "i32", "i64")
REAL = INTS + FLOATS
NUMBERS = REAL + COMPLEX
BITS = ("i1",) + INTS
ANY = ("i1",) + NUMBERS

# form -> (number of operands, description). "T" is the row's dtype.
FORMS = {
    "special": (0, "handled by the vm itself, no routine"),
    "unary": (1, "T -> T"),
    "binary": (2, "T, T -> T"),
    "ternary": (3, "T, T, T -> T"),
    "compare": (2, "T, T -> i1"),
    "test": (1, "T -> i1"),
    "select": (3, "i1, T, T -> T"),
    "convert": (1, "T -> the type that the operation's name ends in"),
    "part": (1, "complex T -> the float type of its parts"),
    "join": (2, "float T, T -> the complex type of such parts"),
}


@dataclass(frozen=True)
class Op:
    number: int
    name: str
    form: str
    dtypes: tuple
    stablehlo: str = ""
    numpy: str = ""  # expression over numpy `np` and operands a, b, c; "" where runtime/reference has its own code
    ulp: float = 0

    @property
    def arity(self):
        return FORMS[self.form][0]

    @property
    def converts_to(self):
        """For form "convert": the result type's name. ``to_f32_odd`` rounds to odd and yields f32."""
        return self.name.removeprefix("to_").removesuffix("_odd") if self.form == "convert" else None


OPS = (
    # the vm's own: they touch memory or registers only
    Op(1, "load", "special", ALL),  # dst <- operand view `imm`
    Op(2, "store", "special", ALL),  # operand view `imm` <- a
    Op(3, "iota", "special", ("i32", "i64")),  # dst <- offset + sum(index * stride) of operand `imm`
    Op(4, "bitcast", "special", ALL),  # dst <- the same bits of a, read as dtype `imm` of equal size
    # data movement
    Op(16, "copy", "unary", ALL, "", "a"),
    Op(17, "select", "select", ALL, "select", "np.where(a, b, c)"),
    # arithmetic
    Op(32, "add", "binary", NUMBERS, "add", "a + b"),
    Op(33, "sub", "binary", NUMBERS, "subtract", "a - b"),
    Op(34, "mul", "binary", NUMBERS, "multiply", "a * b", 1),
    Op(35, "div", "binary", NUMBERS, "divide", "", 1),  # ints: truncating; x/0 = -1 (all ones); MIN/-1 = MIN
    Op(36, "rem", "binary", REAL, "remainder", ""),  # sign of the dividend; ints: x%0 = x, MIN%-1 = 0
    Op(37, "max", "binary", ANY, "maximum", ""),  # NaN wins; -0 < +0; complex: lexicographic
    Op(38, "min", "binary", ANY, "minimum", ""),
    Op(39, "pow", "binary", NUMBERS, "power", "", 3),
    Op(40, "atan2", "binary", FLOATS + COMPLEX, "atan2", "", 3),
    Op(41, "and", "binary", BITS, "and", "a & b"),
    Op(42, "or", "binary", BITS, "or", "a | b"),
    Op(43, "xor", "binary", BITS, "xor", "a ^ b"),
    Op(44, "shl", "binary", INTS, "shift_left", ""),  # shift >= width or negative: 0
    Op(45, "shr_logical", "binary", INTS, "shift_right_logical", ""),  # the same: 0
    Op(46, "shr_arithmetic", "binary", INTS, "shift_right_arithmetic", ""),  # the same: sign in every bit
    Op(47, "nextafter", "binary", FLOATS, "", "np.nextafter(a, b)"),
    # unary
    Op(64, "neg", "unary", NUMBERS, "negate", "-a"),
    Op(65, "abs", "unary", SIGNED + FLOATS, "abs", "np.abs(a)"),
    Op(66, "sign", "unary", NUMBERS, "sign", ""),
    Op(67, "not", "unary", BITS, "not", "~a"),
    Op(68, "popcnt", "unary", INTS, "popcnt", ""),
    Op(69, "clz", "unary", INTS, "count_leading_zeros", ""),
    Op(70, "ceil", "unary", FLOATS, "ceil", "np.ceil(a)"),
    Op(71, "floor", "unary", FLOATS, "floor", "np.floor(a)"),
    Op(72, "round_even", "unary", FLOATS, "round_nearest_even", "np.rint(a)"),
    Op(73, "round_afz", "unary", FLOATS, "round_nearest_afz", ""),
    Op(74, "sqrt", "unary", FLOATS + COMPLEX, "sqrt", "np.sqrt(a)", 1),
    Op(75, "rsqrt", "unary", FLOATS + COMPLEX, "rsqrt", "1 / np.sqrt(a)", 2),
    Op(76, "cbrt", "unary", FLOATS, "cbrt", "np.cbrt(a)", 1),
    Op(77, "exp", "unary", FLOATS + COMPLEX, "exponential", "np.exp(a)", 2),
    Op(78, "expm1", "unary", FLOATS + COMPLEX, "exponential_minus_one", "np.expm1(a)", 2),
    Op(79, "log", "unary", FLOATS + COMPLEX, "log", "np.log(a)", 2),
    Op(80, "log1p", "unary", FLOATS + COMPLEX, "log_plus_one", "np.log1p(a)", 2),
    Op(81, "logistic", "unary", FLOATS + COMPLEX, "logistic", "1 / (1 + np.exp(-a))", 3),
    Op(82, "sin", "unary", FLOATS + COMPLEX, "sine", "np.sin(a)", 2),
    Op(83, "cos", "unary", FLOATS + COMPLEX, "cosine", "np.cos(a)", 2),
    Op(84, "tan", "unary", FLOATS + COMPLEX, "tan", "np.tan(a)", 3),
    Op(85, "tanh", "unary", FLOATS + COMPLEX, "tanh", "np.tanh(a)", 3),
    Op(86, "erf", "unary", FLOATS, "chlo.erf", "", 3),
    Op(87, "erfc", "unary", FLOATS, "chlo.erfc", "", 4),
    # comparison
    Op(96, "eq", "compare", ANY, "compare EQ", "a == b"),
    Op(97, "ne", "compare", ANY, "compare NE", "a != b"),
    Op(98, "lt", "compare", ("i1",) + REAL, "compare LT", "a < b"),
    Op(99, "le", "compare", ("i1",) + REAL, "compare LE", "a <= b"),
    Op(100, "gt", "compare", ("i1",) + REAL, "compare GT", "a > b"),
    Op(101, "ge", "compare", ("i1",) + REAL, "compare GE", "a >= b"),
    Op(102, "is_finite", "test", FLOATS, "is_finite", "np.isfinite(a)"),
    # complex numbers
    Op(112, "real", "part", COMPLEX, "real", "a.real"),
    Op(113, "imag", "part", COMPLEX, "imag", "a.imag"),
    Op(114, "cabs", "part", COMPLEX, "abs", "np.abs(a)", 2),
    Op(115, "complex", "join", FLOATS, "complex", ""),
    # conversion. Float to integer truncates and saturates, NaN gives 0; integer to integer wraps.
    Op(128, "to_i1", "convert", INTS + FLOATS, "convert", "a != 0"),
    Op(129, "to_i8", "convert", ("i1",) + REAL, "convert"),
    Op(130, "to_i16", "convert", ("i1",) + REAL, "convert"),
    Op(131, "to_i32", "convert", ("i1",) + REAL, "convert"),
    Op(132, "to_i64", "convert", ("i1",) + REAL, "convert"),
    Op(133, "to_u8", "convert", ("i1",) + REAL, "convert"),
    Op(134, "to_u16", "convert", ("i1",) + REAL, "convert"),
    Op(135, "to_u32", "convert", ("i1",) + REAL, "convert"),
    Op(136, "to_u64", "convert", ("i1",) + REAL, "convert"),
    Op(137, "to_f32", "convert", ("i1",) + INTS + ("f64",) + SMALL_FLOATS, "convert"),
    Op(138, "to_f64", "convert", ("i1",) + INTS + ("f32",), "convert"),
    # f32, rounded to odd: the step before a small float that keeps the second rounding exact
    Op(139, "to_f32_odd", "convert", ("i32", "i64", "u32", "u64", "f64"), "convert"),
    *(Op(140 + k, "to_" + name, "convert", ("f32",), "convert") for k, name in enumerate(SMALL_FLOATS)),
    # sub-byte integers: wrap a byte to the width, sign- or zero-extended, and read them back as bytes
    Op(160, "to_i2", "convert", ("i8", "u8"), "convert"),
    Op(161, "to_i4", "convert", ("i8", "u8"), "convert"),
    Op(162, "to_u2", "convert", ("i8", "u8"), "convert"),
    Op(163, "to_u4", "convert", ("i8", "u8"), "convert"),
)

BY_NAME = {op.name: op for op in OPS}
BY_NUMBER = {op.number: op for op in OPS}

DTYPE_BITS = 5  # a code is op number << DTYPE_BITS | dtype number
