// SPDX-License-Identifier: MIT OR GPL-2.0
/* Sorts: what is written overlaps nothing but, as the same view, the input that it replaces. */
#include "verify.h"

static enum kjx_status verify_fields(struct kjx_verifier *v, const struct kjx_sort *s)
{
	u32 keys = s->n_keys < 32 ? (1u << s->n_keys) - 1 : ~0u;

	if (s->rank < 1 || s->rank > KJX_MAX_RANK)
		return kjx_refuse(v, KJX_BAD_RANK, "rank %u, it may be 1 to %u", s->rank, KJX_MAX_RANK);
	if (s->n_operands < 1 || s->n_operands > KJX_MAX_SORT_OPERANDS)
		return kjx_refuse(v, KJX_TOO_LARGE, "%u operands, there may be 1 to %u", s->n_operands, KJX_MAX_SORT_OPERANDS);
	KJX_TRY(kjx_verify_length(v, sizeof(*s) + 8ul * s->rank +
				  2ul * s->n_operands * (sizeof(struct kjx_operand) + 8ul * s->rank)));
	if (s->zero)
		return kjx_refuse(v, KJX_RESERVED_SET, "a reserved field is not zero");
	if (s->n_keys > s->n_operands)
		return kjx_refuse(v, KJX_BAD_OPCODE, "%u keys, but %u operands", s->n_keys, s->n_operands);
	if ((s->descending | s->total) & ~keys)
		return kjx_refuse(v, KJX_RESERVED_SET, "an order is set for a key that is not there");
	if (s->n_keys && (s->n_uops || s->n_regs || s->body))
		return kjx_refuse(v, KJX_RESERVED_SET, "a field of the comparator is set, but the sort is by keys");
	if (s->n_regs > KJX_MAX_REGISTERS)
		return kjx_refuse(v, KJX_BAD_REGISTER, "%u registers, the limit is %u", s->n_regs, KJX_MAX_REGISTERS);
	return kjx_verify_body_place(v, s->body, s->n_uops);
}

static enum kjx_status verify_pair(struct kjx_verifier *v, const struct kjx_sort *s, u32 i)
{
	const struct kjx_operand *in = kjx_sort_operand(s, i, 0), *out = kjx_sort_operand(s, i, 1);
	const u64 *dims = kjx_sort_dims(s);
	u32 dtype;

	KJX_TRY(kjx_verify_view(v, in, 2 * i, dims, s->rank));
	KJX_TRY(kjx_verify_view(v, out, 2 * i + 1, dims, s->rank));
	dtype = kjx_tensor_dtype(v, in->tensor);
	if (kjx_tensor_dtype(v, out->tensor) != dtype)
		return kjx_refuse(v, KJX_BAD_DTYPE, "operand %u has dtype %u, its sorted copy %u", 2 * i, dtype,
				  kjx_tensor_dtype(v, out->tensor));
	if (i < s->n_keys && kjx_dtype_kind[dtype] == 'c')
		return kjx_refuse(v, KJX_BAD_DTYPE, "key %u is complex, which has no order", i);
	KJX_TRY(kjx_verify_writable(v, out->tensor, 2 * i + 1));
	return kjx_verify_injective(v, out, 2 * i + 1, dims, s->rank, 0, 0);
}

static enum kjx_status verify_apart(struct kjx_verifier *v, const struct kjx_sort *s, u32 i)
{
	const struct kjx_operand *out = kjx_sort_operand(s, i, 1), *other;
	const u64 *dims = kjx_sort_dims(s);
	struct kjx_extent mine = kjx_view_extent(v, out, dims, s->rank), its;
	u32 k;

	for (k = 0; k < 2u * s->n_operands; k++) {
		if (k == 2 * i + 1)
			continue;
		other = kjx_sort_operand(s, k / 2, k % 2);
		its = kjx_view_extent(v, other, dims, s->rank);
		if (kjx_extents_meet(&mine, &its) && !(k == 2 * i && kjx_views_equal(v, out, other, dims, s->rank)))
			return kjx_refuse(v, KJX_BAD_OVERLAP, "operand %u is written and overlaps operand %u", 2 * i + 1, k);
	}
	return KJX_OK;
}

static enum kjx_status verify_comparator(struct kjx_verifier *v, const struct kjx_sort *s)
{
	struct kjx_body_state b;
	u32 i;

	if (2u * s->n_operands > s->n_regs)
		return kjx_refuse(v, KJX_BAD_REGISTER, "the comparator of %u operands needs %u registers, there are %u",
				  s->n_operands, 2u * s->n_operands, s->n_regs);
	kjx_memset(&b, 0, sizeof(b));
	b.n_regs = s->n_regs;
	for (i = 0; i < s->n_operands; i++)
		b.dtype[2 * i] = b.dtype[2 * i + 1] = (u8)kjx_tensor_dtype(v, kjx_sort_operand(s, i, 0)->tensor);
	KJX_TRY(kjx_verify_body(v, &b, KJX_BODY_PURE, s->body, s->n_uops));
	return kjx_verify_result(v, &b, 0, KJX_DTYPE_I1);
}

enum kjx_status kjx_verify_sort(struct kjx_verifier *v, const struct kjx_sort *s)
{
	u32 i;

	KJX_TRY(verify_fields(v, s));
	KJX_TRY(kjx_verify_dims(v, kjx_sort_dims(s), s->rank));
	for (i = 0; i < s->n_operands; i++)
		KJX_TRY(verify_pair(v, s, i));
	for (i = 0; i < s->n_operands; i++)
		KJX_TRY(verify_apart(v, s, i));
	return s->n_keys ? KJX_OK : verify_comparator(v, s);
}
