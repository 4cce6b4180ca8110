// SPDX-License-Identifier: MIT OR GPL-2.0
/* Factorizations: operands are dense and of the sizes that the kind says; no result shares memory with anything else. */
#include "plan.h"
#include "verify.h"

static enum kjx_status verify_fields(struct kjx_verifier *v, const struct kjx_linalg *l)
{
	const struct kjx_linalg_kind *kind = kjx_linalg_kind(l->kind);
	const u32 sizes[3] = { l->m, l->n, l->k };
	u32 i, most;

	if (!kind)
		return kjx_refuse(v, KJX_BAD_OPCODE, "unknown kind of linear algebra %u", l->kind);
	if (l->n_operands != kind->n_inputs + kind->n_results)
		return kjx_refuse(v, KJX_BAD_OPERAND, "%u operands, kind %u has %u", l->n_operands, l->kind,
				  kind->n_inputs + kind->n_results);
	KJX_TRY(kjx_verify_length(v, sizeof(*l) + l->n_operands * sizeof(struct kjx_operand)));
	if (l->zero)
		return kjx_refuse(v, KJX_RESERVED_SET, "a reserved field is not zero");
	if (l->flags & ~kind->flags)
		return kjx_refuse(v, KJX_BAD_OPCODE, "kind %u does not have the flags %u", l->kind, l->flags);
	if (l->dtype != KJX_DTYPE_F32 && l->dtype != KJX_DTYPE_F64 && l->dtype != KJX_DTYPE_C64 && l->dtype != KJX_DTYPE_C128)
		return kjx_refuse(v, KJX_BAD_DTYPE, "matrices of dtype %u cannot be factored", l->dtype);
	KJX_TRY(kjx_verify_dims(v, &l->batch, 1));
	for (i = 0; i < 3; i++) {
		if (!(kind->sizes >> i & 1) && sizes[i])
			return kjx_refuse(v, KJX_RESERVED_SET, "size %u is set, which kind %u does not have", i, l->kind);
		if (kind->sizes >> i & 1 && !sizes[i])
			return kjx_refuse(v, KJX_BAD_RANK, "size %u is zero", i);
		most = i == 2 ? KJX_LINALG_MAX_COLUMNS : KJX_LINALG_MAX_SIZE;
		if (sizes[i] > most)
			return kjx_refuse(v, KJX_TOO_LARGE, "size %u is %u, the limit is %u", i, sizes[i], most);
	}
	if (l->kind == KJX_LINALG_REFLECTOR_PRODUCT && (l->n > l->m || l->k > l->n))
		return kjx_refuse(v, KJX_BAD_RANK, "%u reflectors of %u elements have no product of %u columns", l->k, l->m,
				  l->n);
	if (l->kind == KJX_LINALG_REFLECTOR_APPLY && l->k > l->m)
		return kjx_refuse(v, KJX_BAD_RANK, "%u reflectors of %u elements", l->k, l->m);
	return KJX_OK;
}

static bool is_result(const struct kjx_linalg *l, u32 i)
{
	return i >= kjx_linalg_kind(l->kind)->n_inputs;
}

static enum kjx_status verify_operand(struct kjx_verifier *v, const struct kjx_linalg *l, u32 i)
{
	const struct kjx_operand *o = kjx_linalg_operand(l, i);
	const u64 needed = kjx_sat_mul(l->batch, kjx_linalg_elements(l, i));
	u64 elements;

	if (o->zero)
		return kjx_refuse(v, KJX_RESERVED_SET, "the reserved field of operand %u is not zero", i);
	if (o->tensor == KJX_NO_TENSOR) {
		if (needed && !is_result(l, i))
			return kjx_refuse(v, KJX_BAD_OPERAND, "operand %u is left out, but is read", i);
		if (o->offset)
			return kjx_refuse(v, KJX_RESERVED_SET, "operand %u is left out, but has an offset", i);
		return KJX_OK;
	}
	KJX_TRY(kjx_verify_tensor_operand(v, o->tensor, i));
	if (kjx_tensor_dtype(v, o->tensor) != kjx_linalg_dtype(l, i))
		return kjx_refuse(v, KJX_BAD_DTYPE, "operand %u has dtype %u, it must be %u", i, kjx_tensor_dtype(v, o->tensor),
				  kjx_linalg_dtype(l, i));
	elements = kjx_tensor_elements(v, o->tensor);
	if (!needed)
		return kjx_refuse(v, KJX_BAD_OPERAND, "operand %u has no elements, but names tensor %u", i, o->tensor);
	if (o->offset < 0 || (u64)o->offset > elements || needed > elements - (u64)o->offset)
		return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "operand %u takes %u elements from %d on of tensor %u, which has %u", i,
				  needed, o->offset, o->tensor, elements);
	return is_result(l, i) ? kjx_verify_writable(v, o->tensor, i) : KJX_OK;
}

static struct kjx_extent extent_of(struct kjx_verifier *v, const struct kjx_linalg *l, u32 i)
{
	const struct kjx_operand *o = kjx_linalg_operand(l, i);
	const u64 size = kjx_dtype_size[kjx_tensor_dtype(v, o->tensor)];
	struct kjx_extent extent = kjx_tensor_extent(v, o->tensor);

	extent.first += (u64)o->offset * size;
	extent.end = extent.first + l->batch * kjx_linalg_elements(l, i) * size;
	return extent;
}

static enum kjx_status verify_apart(struct kjx_verifier *v, const struct kjx_linalg *l, u32 i)
{
	struct kjx_extent mine = extent_of(v, l, i), its;
	u32 k;

	for (k = 0; k < l->n_operands; k++) {
		if (k == i || kjx_linalg_operand(l, k)->tensor == KJX_NO_TENSOR)
			continue;
		its = extent_of(v, l, k);
		if (kjx_extents_meet(&mine, &its))
			return kjx_refuse(v, KJX_BAD_OVERLAP, "operand %u is written and overlaps operand %u", i, k);
	}
	return KJX_OK;
}

enum kjx_status kjx_verify_linalg(struct kjx_verifier *v, const struct kjx_linalg *l)
{
	u32 i, wanted = 0;

	KJX_TRY(verify_fields(v, l));
	for (i = 0; i < l->n_operands; i++)
		KJX_TRY(verify_operand(v, l, i));
	for (i = 0; i < l->n_operands; i++) {
		if (!is_result(l, i) || kjx_linalg_operand(l, i)->tensor == KJX_NO_TENSOR)
			continue;
		wanted++;
		KJX_TRY(verify_apart(v, l, i));
	}
	if (!wanted)
		return kjx_refuse(v, KJX_BAD_OPERAND, "no result is wanted");
	return KJX_OK;
}
