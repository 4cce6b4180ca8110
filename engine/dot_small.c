// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Small contractions: every element of out is a lane of one vector, and both sides are a few neighbouring elements that
 * a processor can hold in registers and permute. So any strides will do, and nothing is packed or counted.
 *
 * The products of a lane are added in the order of k, each step rounded: the same bits as the sum written out.
 */
#include "plan.h"

/* lowest offset of a side, and how many elements from there to the highest */
static u64 span_of(const u64 *dims, const s64 *strides, u32 rank, s64 *low)
{
	u64 span = 1;
	u32 i;

	*low = 0;
	for (i = 0; i < rank; i++) {
		u64 step = strides[i] < 0 ? 0 - (u64)strides[i] : (u64)strides[i];
		u64 reach = kjx_sat_mul(dims[i] - 1, step);

		span = kjx_sat_add(span, reach);
		if (strides[i] < 0)
			*low -= (s64)reach;
	}
	return span;
}

static u64 points(const u64 *dims, u32 from, u32 to)
{
	u64 n = 1;

	for (; from < to; from++)
		n = kjx_sat_mul(n, dims[from]);
	return n;
}

static bool is_dense(const u64 *dims, const s64 *strides, u32 n)
{
	u64 step = 1;

	while (n--) {
		if (dims[n] != 1 && (u64)strides[n] != step)
			return false;
		step *= dims[n];
	}
	return true;
}

bool kjx_dot_is_small(const struct kjx_dot *insn)
{
	const u64 *dims = kjx_dot_dims(insn);
	u32 rank = kjx_dot_rank(insn), out = rank - insn->nk;
	s64 low;

	return insn->dtype == KJX_DTYPE_F32 && points(dims, 0, out) <= KJX_SMALL_LANES &&
	       points(dims, out, rank) <= KJX_SMALL_TERMS &&
	       span_of(dims, kjx_strides(kjx_dot_operand(insn, 0)), rank, &low) <= KJX_SMALL_SPAN &&
	       span_of(dims, kjx_strides(kjx_dot_operand(insn, 1)), rank, &low) <= KJX_SMALL_SPAN &&
	       is_dense(dims, kjx_strides(kjx_dot_operand(insn, 2)), out);
}

u64 kjx_small_dot_bytes(const struct kjx_dot *insn)
{
	const u64 *dims = kjx_dot_dims(insn);
	u32 rank = kjx_dot_rank(insn);

	return sizeof(struct kjx_small_dot) + 2 * KJX_SMALL_LANES * points(dims, rank - insn->nk, rank);
}

/* where point @point of the dims [from, to) is, in elements */
static s64 offset_of(const u64 *dims, const s64 *strides, u32 from, u32 to, u64 point)
{
	s64 offset = 0;

	while (to-- > from) {
		offset += (s64)(point % dims[to]) * strides[to];
		point /= dims[to];
	}
	return offset;
}

void kjx_small_dot_build(struct kjx_small_dot *p, const struct kjx_dot *insn, s64 *low)
{
	const u64 *dims = kjx_dot_dims(insn);
	u32 rank = kjx_dot_rank(insn), out = rank - insn->nk, side;
	u64 k, lane;

	p->lanes = (u32)points(dims, 0, out);
	p->terms = (u32)points(dims, out, rank);
	for (side = 0; side < 2; side++) {
		const s64 *strides = kjx_strides(kjx_dot_operand(insn, side));

		p->span[side] = (u32)span_of(dims, strides, rank, &low[side]);
		for (k = 0; k < p->terms; k++)
			for (lane = 0; lane < p->lanes; lane++)
				p->at[k][side][lane] = (u8)(offset_of(dims, strides, 0, out, lane) +
							    offset_of(dims, strides, out, rank, k) - low[side]);
	}
}
