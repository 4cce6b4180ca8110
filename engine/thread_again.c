// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The end of a while whose condition is one comparison of integers, as that of a scan or a counted loop is: one operation
 * counts, compares and goes on with the next iteration, where the jump back, the comparison and the do would be three. The
 * comparison's result is stored, and work counted, as by those three; they remain, for the first iteration and for going on
 * after a slice.
 *
 * @data, @region: see edge.h; @jump: behind the loop; cells: those of the comparison.
 */
#include "edge.h"

#define AGAIN(name, dtype, T, compares)											\
static const struct kjx_op *again_##name##_##dtype(const struct kjx_op *op, void **cells, struct kjx_slice *s)		\
{															\
	KJX_EDGE(op, cells, s, cells[0], *(const T *)cells[1] compares *(const T *)cells[2], KJX_EDGE_BACK(op, cells, s));	\
}

#define AGAIN_COMPARISONS(X, dtype, DTYPE, T)										\
	X(eq, EQ, dtype, DTYPE, T, ==) X(ne, NE, dtype, DTYPE, T, !=) X(lt, LT, dtype, DTYPE, T, <)			\
	X(le, LE, dtype, DTYPE, T, <=) X(gt, GT, dtype, DTYPE, T, >) X(ge, GE, dtype, DTYPE, T, >=)
#define AGAIN_ALL(X)													\
	AGAIN_COMPARISONS(X, i32, I32, s32) AGAIN_COMPARISONS(X, i64, I64, s64) AGAIN_COMPARISONS(X, u32, U32, u32)

#define AGAIN_FUNCTION(name, NAME, dtype, DTYPE, T, compares) AGAIN(name, dtype, T, compares)
AGAIN_ALL(AGAIN_FUNCTION)

static const struct {
	u32 code;
	kjx_op_fn *fn;
} rows[] = {
#define AGAIN_ROW(name, NAME, dtype, DTYPE, T, compares) { KJX_OP_##NAME << KJX_DTYPE_BITS | KJX_DTYPE_##DTYPE, again_##name##_##dtype },
	AGAIN_ALL(AGAIN_ROW)
};

kjx_op_fn *kjx_again(const struct kjx_cpu *cpu, kjx_op_fn *comparison)
{
	u32 i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (comparison && cpu->cells[rows[i].code] == comparison)
			return rows[i].fn;
	return NULL;
}
