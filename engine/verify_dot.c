// SPDX-License-Identifier: MIT OR GPL-2.0
/* Contractions: each operand stands still on the dims that it does not have, and the result is nobody's operand. */
#include "gemm.h"
#include "verify.h"

/* operand @i has stride 0 on dims [first, first + n) */
static enum kjx_status verify_still(struct kjx_verifier *v, const struct kjx_operand *o, u32 i, u32 first, u32 n)
{
	u32 k;

	for (k = first; k < first + n; k++)
		if (kjx_strides(o)[k])
			return kjx_refuse(v, KJX_BAD_OPERAND, "operand %u moves along dim %u, which it does not have", i, k);
	return KJX_OK;
}

enum kjx_status kjx_verify_dot(struct kjx_verifier *v, const struct kjx_dot *d)
{
	const struct kjx_operand *lhs, *rhs, *out;
	const u64 *dims = kjx_dot_dims(d);
	u32 rank = kjx_dot_rank(d), m = d->nb, n = m + d->nm, k = n + d->nn, i, dtypes[3];
	struct kjx_extent written, read;

	if (rank > KJX_MAX_RANK)
		return kjx_refuse(v, KJX_BAD_RANK, "rank %u, the limit is %u", rank, KJX_MAX_RANK);
	KJX_TRY(kjx_verify_length(v, sizeof(*d) + 8ul * rank + 3 * (sizeof(*lhs) + 8ul * rank)));
	if (d->zero0 || d->zero1 || d->zero2)
		return kjx_refuse(v, KJX_RESERVED_SET, "a reserved field is not zero");
	if (!kjx_gemm_multiplies(d->dtype, d->dtype, d->dtype))
		return kjx_refuse(v, KJX_BAD_DTYPE, "dtype %u cannot be contracted", d->dtype);
	KJX_TRY(kjx_verify_dims(v, dims, rank));
	for (i = 0; i < 3; i++) {
		const struct kjx_operand *o = kjx_dot_operand(d, i);

		KJX_TRY(kjx_verify_view(v, o, i, dims, rank));
		dtypes[i] = kjx_tensor_dtype(v, o->tensor);
	}
	if (dtypes[2] != d->dtype)
		return kjx_refuse(v, KJX_BAD_DTYPE, "the result has dtype %u, the contraction %u", dtypes[2], d->dtype);
	if (!kjx_gemm_multiplies(dtypes[0], dtypes[1], d->dtype))
		return kjx_refuse(v, KJX_BAD_DTYPE, "operands of dtypes %u and %u cannot be contracted in %u", dtypes[0],
				  dtypes[1], d->dtype);
	lhs = kjx_dot_operand(d, 0);
	rhs = kjx_dot_operand(d, 1);
	out = kjx_dot_operand(d, 2);
	KJX_TRY(verify_still(v, lhs, 0, n, d->nn));
	KJX_TRY(verify_still(v, rhs, 1, m, d->nm));
	KJX_TRY(verify_still(v, out, 2, k, d->nk));
	KJX_TRY(kjx_verify_writable(v, out->tensor, 2));
	KJX_TRY(kjx_verify_injective(v, out, 2, dims, rank, k, d->nk));
	written = kjx_view_extent(v, out, dims, rank);
	for (i = 0; i < 2; i++) {
		read = kjx_view_extent(v, kjx_dot_operand(d, i), dims, rank);
		if (kjx_extents_meet(&written, &read))
			return kjx_refuse(v, KJX_BAD_OVERLAP, "the result overlaps operand %u", i);
	}
	return KJX_OK;
}
