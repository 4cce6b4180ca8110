// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Fourier transforms: the factors make up the length and have passes, the roots are as many as the passes read, the result
 * overlaps nothing. Roots are any numbers: they are multiplied with, never looked at.
 */
#include "plan.h"
#include "verify.h"

static bool has_pass(const struct kjx_transform *t, u32 factor)
{
	return (factor >= 2 && factor <= 5) || ((factor == 7 || factor == 8) && t->kind == KJX_TRANSFORM_COMPLEX);
}

static enum kjx_status verify_factors(struct kjx_verifier *v, const struct kjx_transform *t)
{
	u64 n = 1;
	u32 i;

	if (t->dims[1] > KJX_TRANSFORM_MAX_LENGTH)
		return kjx_refuse(v, KJX_TOO_LARGE, "a length of %u, the limit is %u", t->dims[1], KJX_TRANSFORM_MAX_LENGTH);
	if (!t->n_factors || t->n_factors > KJX_TRANSFORM_MAX_FACTORS)
		return kjx_refuse(v, KJX_BAD_RANK, "%u factors, there may be 1 to %u", t->n_factors, KJX_TRANSFORM_MAX_FACTORS);
	for (i = 0; i < KJX_TRANSFORM_MAX_FACTORS; i++) {
		const u32 factor = t->factors[i];

		if (i >= t->n_factors) {
			if (factor)
				return kjx_refuse(v, KJX_RESERVED_SET, "factor %u is set, there are %u", i, t->n_factors);
			continue;
		}
		if (!has_pass(t, factor))
			return kjx_refuse(v, KJX_BAD_RANK, "factor %u is %u: kind %u has no pass for it", i, factor, t->kind);
		if (t->kind != KJX_TRANSFORM_COMPLEX && i && factor % 2 == 0 && t->factors[i - 1] % 2)
			return kjx_refuse(v, KJX_BAD_RANK, "factor %u is even, after an odd one", i);
		n *= factor;	/* below 2^48 */
	}
	if (n != t->dims[1])
		return kjx_refuse(v, KJX_BAD_RANK, "the factors make up %u, the length is %u", n, t->dims[1]);
	return KJX_OK;
}

static enum kjx_status verify_fields(struct kjx_verifier *v, const struct kjx_transform *t)
{
	const u32 flags = t->kind == KJX_TRANSFORM_COMPLEX ? KJX_TRANSFORM_FLAG_INVERSE | KJX_TRANSFORM_FLAG_TURNED : 0;

	KJX_TRY(kjx_verify_length(v, sizeof(*t) + 2 * (sizeof(struct kjx_operand) + 3 * sizeof(s64))));
	if (t->kind < KJX_TRANSFORM_COMPLEX || t->kind > KJX_TRANSFORM_BACKWARD)
		return kjx_refuse(v, KJX_BAD_OPCODE, "unknown kind of transform %u", t->kind);
	if (t->flags & ~flags)
		return kjx_refuse(v, KJX_BAD_OPCODE, "kind %u does not have the flags %u", t->kind, t->flags);
	if (t->zero)
		return kjx_refuse(v, KJX_RESERVED_SET, "a reserved field is not zero");
	if (t->dtype != KJX_DTYPE_F32 && t->dtype != KJX_DTYPE_F64)
		return kjx_refuse(v, KJX_BAD_DTYPE, "parts of dtype %u are not transformed", t->dtype);
	KJX_TRY(kjx_verify_dims(v, t->dims, 3));
	if (t->flags & KJX_TRANSFORM_FLAG_TURNED && t->dims[2] % KJX_TRANSFORM_LANES)
		return kjx_refuse(v, KJX_BAD_RANK, "roots for each of %u lanes, which is no multiple of %u", t->dims[2],
				  KJX_TRANSFORM_LANES);
	return verify_factors(v, t);
}

static bool may_have(const struct kjx_transform *t, u32 operand, u32 dtype)
{
	const u32 complex = t->dtype == KJX_DTYPE_F32 ? KJX_DTYPE_C64 : KJX_DTYPE_C128;

	if (t->kind == KJX_TRANSFORM_COMPLEX)
		return dtype == complex || (!operand && dtype == t->dtype);
	return dtype == (operand == (t->kind == KJX_TRANSFORM_FORWARD) ? complex : t->dtype);
}

static enum kjx_status verify_roots(struct kjx_verifier *v, const struct kjx_transform *t)
{
	const u64 needed = kjx_transform_roots(t);
	u64 elements;

	KJX_TRY(kjx_verify_tensor_operand(v, t->roots, 2));
	elements = kjx_tensor_elements(v, t->roots);
	if (kjx_tensor_dtype(v, t->roots) != t->dtype)
		return kjx_refuse(v, KJX_BAD_DTYPE, "operand 2 has dtype %u, it must be %u", kjx_tensor_dtype(v, t->roots), t->dtype);
	if (t->roots_at < 0 || (u64)t->roots_at > elements || needed > elements - (u64)t->roots_at)
		return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "operand 2 takes %u elements from %d on of tensor %u, which has %u", needed,
				  t->roots_at, t->roots, elements);
	return KJX_OK;
}

enum kjx_status kjx_verify_transform(struct kjx_verifier *v, const struct kjx_transform *t)
{
	struct kjx_extent extents[3];
	u64 dims[2][3];
	u32 i;

	KJX_TRY(verify_fields(v, t));
	for (i = 0; i < 2; i++) {
		const struct kjx_operand *o = kjx_transform_operand(t, i);

		dims[i][0] = t->dims[0];
		dims[i][1] = kjx_transform_elements(t, i);
		dims[i][2] = t->dims[2];
		KJX_TRY(kjx_verify_view(v, o, i, dims[i], 3));
		if (!may_have(t, i, kjx_tensor_dtype(v, o->tensor)))
			return kjx_refuse(v, KJX_BAD_DTYPE, "operand %u of kind %u has dtype %u", i, t->kind,
					  kjx_tensor_dtype(v, o->tensor));
		extents[i] = kjx_view_extent(v, o, dims[i], 3);
	}
	KJX_TRY(verify_roots(v, t));
	extents[2] = kjx_tensor_extent(v, t->roots);
	KJX_TRY(kjx_verify_writable(v, kjx_transform_operand(t, 1)->tensor, 1));
	KJX_TRY(kjx_verify_injective(v, kjx_transform_operand(t, 1), 1, dims[1], 3, 0, 0));
	for (i = 0; i < 3; i += 2)
		if (kjx_extents_meet(&extents[1], &extents[i]))
			return kjx_refuse(v, KJX_BAD_OVERLAP, "the result overlaps operand %u", i);
	return KJX_OK;
}
