// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The dtype and micro-operation tables as the verifier and the decoder look them up: by number. Filled from
 * the generated lists, so a row of src/kjax/isa is all that a new operation needs here.
 */
#include "image.h"

#define SIZE(NAME, size, kind) [KJX_DTYPE_##NAME] = size,
#define KIND(NAME, size, kind) [KJX_DTYPE_##NAME] = kind,

/* element counts are shifts, and masks say what is aligned */
#define IS_POWER(NAME, size, kind) kjx_static_assert(!((size) & ((size) - 1)));
KJX_DTYPES(IS_POWER)

const u8 kjx_dtype_size[KJX_DTYPE_COUNT] = { KJX_DTYPES(SIZE) };
const u8 kjx_dtype_kind[KJX_DTYPE_COUNT] = { KJX_DTYPES(KIND) };

/* uops.def spells the result of a conversion in lower case */
enum {
	to_i1 = KJX_DTYPE_I1, to_i2 = KJX_DTYPE_I2, to_i4 = KJX_DTYPE_I4, to_i8 = KJX_DTYPE_I8,
	to_i16 = KJX_DTYPE_I16, to_i32 = KJX_DTYPE_I32, to_i64 = KJX_DTYPE_I64,
	to_u2 = KJX_DTYPE_U2, to_u4 = KJX_DTYPE_U4, to_u8 = KJX_DTYPE_U8,
	to_u16 = KJX_DTYPE_U16, to_u32 = KJX_DTYPE_U32, to_u64 = KJX_DTYPE_U64,
	to_f16 = KJX_DTYPE_F16, to_bf16 = KJX_DTYPE_BF16, to_f32 = KJX_DTYPE_F32, to_f64 = KJX_DTYPE_F64,
	to_c64 = KJX_DTYPE_C64, to_c128 = KJX_DTYPE_C128,
	to_f8e4m3fn = KJX_DTYPE_F8E4M3FN, to_f8e5m2 = KJX_DTYPE_F8E5M2,
	to_f8e4m3b11fnuz = KJX_DTYPE_F8E4M3B11FNUZ, to_f8e4m3fnuz = KJX_DTYPE_F8E4M3FNUZ,
	to_f8e5m2fnuz = KJX_DTYPE_F8E5M2FNUZ, to_f8e4m3 = KJX_DTYPE_F8E4M3, to_f8e3m4 = KJX_DTYPE_F8E3M4,
	to_f8e8m0fnu = KJX_DTYPE_F8E8M0FNU, to_f4e2m1fn = KJX_DTYPE_F4E2M1FN,
	to_f6e2m3fn = KJX_DTYPE_F6E2M3FN, to_f6e3m2fn = KJX_DTYPE_F6E3M2FN,
	/* the float type of a complex type's parts, and back */
	part_C64 = KJX_DTYPE_F32, part_C128 = KJX_DTYPE_F64, join_F32 = KJX_DTYPE_C64, join_F64 = KJX_DTYPE_C128,
};

/* polynomials with a division or a table are worth eight additions, division and roots four, complex ones twice that */
#define IS_LONG(op)	((op) == KJX_OP_POW || (op) == KJX_OP_ATAN2 || ((op) >= KJX_OP_CBRT && (op) <= KJX_OP_ERFC))
#define IS_DIVISION(op)	((op) == KJX_OP_DIV || (op) == KJX_OP_REM || (op) == KJX_OP_SQRT || (op) == KJX_OP_RSQRT)
#define IS_COMPLEX(dtype) ((dtype) == KJX_DTYPE_C64 || (dtype) == KJX_DTYPE_C128)
#define WEIGHT(op, dtype) ((IS_LONG(op) ? 8 : IS_DIVISION(op) ? 4 : 1) << IS_COMPLEX(dtype))

/* moves, selections, conversions and the taking apart of complex numbers count nothing */
#define IS_ARITHMETIC(form) ((form) != KJX_FORM_SPECIAL && (form) != KJX_FORM_SELECT && (form) != KJX_FORM_CONVERT && \
			     (form) != KJX_FORM_JOIN)
#define FLOPS(form, op)	(IS_ARITHMETIC(form) && (op) != KJX_OP_COPY && (op) != KJX_OP_REAL && (op) != KJX_OP_IMAG)

#define ROW(FORM, NAME, DTYPE, result)							\
	[KJX_OP_##NAME << KJX_DTYPE_BITS | KJX_DTYPE_##DTYPE] = {			\
		KJX_FORM_##FORM, result, WEIGHT(KJX_OP_##NAME, KJX_DTYPE_##DTYPE),	\
		FLOPS(KJX_FORM_##FORM, KJX_OP_##NAME) },

#define KJX_UNARY(name, NAME, dtype, DTYPE, c)		ROW(UNARY, NAME, DTYPE, KJX_DTYPE_##DTYPE)
#define KJX_BINARY(name, NAME, dtype, DTYPE, c)		ROW(BINARY, NAME, DTYPE, KJX_DTYPE_##DTYPE)
#define KJX_TERNARY(name, NAME, dtype, DTYPE, c)	ROW(TERNARY, NAME, DTYPE, KJX_DTYPE_##DTYPE)
#define KJX_SELECT(name, NAME, dtype, DTYPE, c)		ROW(SELECT, NAME, DTYPE, KJX_DTYPE_##DTYPE)
#define KJX_COMPARE(name, NAME, dtype, DTYPE, c)	ROW(COMPARE, NAME, DTYPE, KJX_DTYPE_I1)
#define KJX_TEST(name, NAME, dtype, DTYPE, c)		ROW(TEST, NAME, DTYPE, KJX_DTYPE_I1)
#define KJX_CONVERT(name, NAME, dtype, DTYPE, c, to, to_c) ROW(CONVERT, NAME, DTYPE, to_##to)
#define KJX_PART(name, NAME, dtype, DTYPE, c)		ROW(PART, NAME, DTYPE, part_##DTYPE)
#define KJX_JOIN(name, NAME, dtype, DTYPE, c)		ROW(JOIN, NAME, DTYPE, join_##DTYPE)

/* load, store and bitcast take every dtype; iota the two that count */
#define MOVES(NAME, size, kind) \
	ROW(SPECIAL, LOAD, NAME, KJX_DTYPE_##NAME) ROW(SPECIAL, STORE, NAME, 0) ROW(SPECIAL, BITCAST, NAME, 0)

const struct kjx_uop_row kjx_uop_rows[KJX_UOP_CODES] = {
	KJX_DTYPES(MOVES)
	ROW(SPECIAL, IOTA, I32, KJX_DTYPE_I32)
	ROW(SPECIAL, IOTA, I64, KJX_DTYPE_I64)
#include "gen/uops.def"
};
