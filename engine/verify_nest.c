// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Fused loop nests. The three bodies of a reduction hand registers to each other: the map leaves value i in register
 * n_acc + i, the combination takes registers 0 .. 2*n_acc-1 to 0 .. n_acc-1, the post body takes those.
 */
#include "verify.h"

static enum kjx_status verify_fields(struct kjx_verifier *v, const struct kjx_nest *n)
{
	if (n->rank < 1 || n->rank > KJX_MAX_RANK)
		return kjx_refuse(v, KJX_BAD_RANK, "rank %u, it may be 1 to %u", n->rank, KJX_MAX_RANK);
	if (n->n_operands > KJX_MAX_OPERANDS)
		return kjx_refuse(v, KJX_TOO_LARGE, "%u operands, the limit is %u", n->n_operands, KJX_MAX_OPERANDS);
	KJX_TRY(kjx_verify_length(v, sizeof(*n) + 8ul * n->rank +
				  n->n_operands * (sizeof(struct kjx_operand) + 8ul * n->rank)));
	if (n->rows > (KJX_ROWS_OWN | KJX_ROWS_JOINED) || n->rows == KJX_ROWS_JOINED)
		return kjx_refuse(v, KJX_RESERVED_SET, "unknown way to run rows, %u", n->rows);
	if (n->n_regs > KJX_MAX_REGISTERS)
		return kjx_refuse(v, KJX_BAD_REGISTER, "%u registers, the limit is %u", n->n_regs, KJX_MAX_REGISTERS);
	if (!n->strip || n->strip > KJX_MAX_STRIP)
		return kjx_refuse(v, KJX_BAD_OPCODE, "strips of %u elements, they may have 1 to %u", n->strip, KJX_MAX_STRIP);
	KJX_TRY(kjx_verify_body_place(v, n->body, (u64)n->n_map + n->n_combine + n->n_post));
	if (!n->n_acc) {
		if (n->red_first || n->red_count || n->n_combine || n->n_post)
			return kjx_refuse(v, KJX_BAD_BODY, "reduced dims or a combining body, but nothing to reduce");
		return KJX_OK;
	}
	if (n->n_acc > KJX_MAX_ACCUMULATORS)
		return kjx_refuse(v, KJX_TOO_LARGE, "%u accumulators, the limit is %u", n->n_acc, KJX_MAX_ACCUMULATORS);
	if (2u * n->n_acc > n->n_regs)
		return kjx_refuse(v, KJX_BAD_REGISTER, "%u accumulators need %u registers, there are %u", n->n_acc,
				  2u * n->n_acc, n->n_regs);
	if (!n->red_count || (u32)n->red_first + n->red_count > n->rank)
		return kjx_refuse(v, KJX_BAD_RANK, "reduced dims %u to %u of %u", n->red_first,
				  (u32)n->red_first + n->red_count, n->rank);
	return KJX_OK;
}

static enum kjx_status verify_iota(struct kjx_verifier *v, const struct kjx_nest *n, u32 i)
{
	const struct kjx_operand *o = kjx_nest_operand(n, i);
	s64 low, high;

	if (o->zero)
		return kjx_refuse(v, KJX_RESERVED_SET, "the reserved field of operand %u is not zero", i);
	if (!kjx_affine_range(o->offset, kjx_strides(o), kjx_nest_dims(n), n->rank, &low, &high))
		return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "operand %u: the iota's values leave 62 bits", i);
	return KJX_OK;
}

static enum kjx_status verify_operands(struct kjx_verifier *v, const struct kjx_nest *n)
{
	u32 i;

	for (i = 0; i < n->n_operands; i++) {
		const struct kjx_operand *o = kjx_nest_operand(n, i);

		if (o->tensor == KJX_NO_TENSOR)
			KJX_TRY(verify_iota(v, n, i));
		else
			KJX_TRY(kjx_verify_view(v, o, i, kjx_nest_dims(n), n->rank));
	}
	return KJX_OK;
}

static enum kjx_status verify_bodies(struct kjx_verifier *v, const struct kjx_nest *n, struct kjx_body_state *b)
{
	u8 values[KJX_MAX_ACCUMULATORS];
	u32 i;

	b->locked = n->n_acc;
	KJX_TRY(kjx_verify_body(v, b, KJX_BODY_MAP, n->body, n->n_map));
	b->locked = 0;
	if (!n->n_acc)
		return KJX_OK;
	for (i = 0; i < n->n_acc; i++) {
		values[i] = b->dtype[n->n_acc + i];
		if (!values[i])
			return kjx_refuse(v, KJX_BAD_BODY, "the map leaves nothing in register %u", n->n_acc + i);
	}
	kjx_memset(b->dtype, 0, sizeof(b->dtype));
	for (i = 0; i < n->n_acc; i++)
		b->dtype[i] = b->dtype[n->n_acc + i] = values[i];
	KJX_TRY(kjx_verify_body(v, b, KJX_BODY_PURE, n->body + n->n_map, n->n_combine));
	for (i = 0; i < n->n_acc; i++)
		KJX_TRY(kjx_verify_result(v, b, i, values[i]));
	kjx_memset(b->dtype, 0, sizeof(b->dtype));
	kjx_memcpy(b->dtype, values, n->n_acc);
	return kjx_verify_body(v, b, KJX_BODY_POST, n->body + n->n_map + n->n_combine, n->n_post);
}

/* what operand @i writes, no other operand may touch, unless it is the same element at every point */
static enum kjx_status verify_store(struct kjx_verifier *v, const struct kjx_nest *n, u32 i, bool post)
{
	const struct kjx_operand *o = kjx_nest_operand(n, i), *other;
	const u64 *dims = kjx_nest_dims(n);
	struct kjx_extent mine = kjx_view_extent(v, o, dims, n->rank), its;
	u32 k;

	KJX_TRY(kjx_verify_injective(v, o, i, dims, n->rank, n->red_first, post ? n->red_count : 0));
	for (k = 0; k < n->n_operands; k++) {
		other = kjx_nest_operand(n, k);
		if (k == i || other->tensor == KJX_NO_TENSOR || kjx_tensor_home(v, other->tensor) != mine.home)
			continue;
		its = kjx_view_extent(v, other, dims, n->rank);
		if (kjx_extents_meet(&mine, &its) && !kjx_views_equal(v, o, other, dims, n->rank))
			return kjx_refuse(v, KJX_BAD_OVERLAP, "operand %u is written and overlaps operand %u", i, k);
	}
	return KJX_OK;
}

enum kjx_status kjx_verify_nest(struct kjx_verifier *v, const struct kjx_nest *n)
{
	struct kjx_body_state b;
	u32 i;

	KJX_TRY(verify_fields(v, n));
	KJX_TRY(kjx_verify_dims(v, kjx_nest_dims(n), n->rank));
	if (n->rows && (kjx_nest_dims(n)[0] < 2 || (n->n_acc && !n->red_first)))
		return kjx_refuse(v, KJX_BAD_RANK, "runs by rows, but dim 0 is reduced or of one point");
	KJX_TRY(verify_operands(v, n));
	kjx_memset(&b, 0, sizeof(b));
	b.nest = n;
	b.n_regs = n->n_regs;
	KJX_TRY(verify_bodies(v, n, &b));
	if (!(b.stored | b.stored_post))
		return kjx_refuse(v, KJX_BAD_BODY, "the bodies store nothing");
	for (i = 0; i < n->n_operands; i++) {
		if (b.stored >> i & 1)
			KJX_TRY(verify_store(v, n, i, false));
		if (b.stored_post >> i & 1)
			KJX_TRY(verify_store(v, n, i, true));
	}
	return KJX_OK;
}
