// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Traces: the host copies whole tensors by what the instruction says of them, so dims and tensor must agree to the byte.
 */
#include "verify.h"

#define REST(v, at) ((const u8 *)(v)->insn + (v)->insn->length - (const u8 *)(at))

static enum kjx_status verify_empty(struct kjx_verifier *v, const struct kjx_value *value, u32 number, u64 elements)
{
	if (!value->dtype || value->dtype >= KJX_DTYPE_COUNT || !kjx_dtype_size[value->dtype])
		return kjx_refuse(v, KJX_BAD_DTYPE, "value %u has unknown dtype %u", number, value->dtype);
	if (elements)
		return kjx_refuse(v, KJX_BAD_OPERAND, "value %u has %u elements but no tensor", number, elements);
	return KJX_OK;
}

static enum kjx_status verify_value(struct kjx_verifier *v, const struct kjx_value *value, u32 number)
{
	const u64 *dims = kjx_value_dims(value);
	u64 elements = 1;
	u32 d;

	if (value->zero)
		return kjx_refuse(v, KJX_RESERVED_SET, "a reserved field of value %u is not zero", number);
	for (d = 0; d < value->rank; d++)
		elements = kjx_sat_mul(elements, dims[d]);
	for (d = 0; d < value->rank; d++)	/* a dim of zero after ones that saturate */
		elements = dims[d] ? elements : 0;
	if (value->tensor == KJX_NO_TENSOR)
		return verify_empty(v, value, number, elements);
	KJX_TRY(kjx_verify_tensor_operand(v, value->tensor, number));
	if (kjx_tensor_dtype(v, value->tensor) != value->dtype)
		return kjx_refuse(v, KJX_BAD_DTYPE, "value %u has dtype %u, its tensor %u", number, value->dtype,
				  kjx_tensor_dtype(v, value->tensor));
	if (kjx_tensor_elements(v, value->tensor) != elements)
		return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "value %u has %u elements, its tensor %u", number, elements,
				  kjx_tensor_elements(v, value->tensor));
	return KJX_OK;
}

/* output @number shares no byte with a value before it */
static enum kjx_status verify_apart(struct kjx_verifier *v, const struct kjx_trace *t, const struct kjx_value *out, u32 number)
{
	const struct kjx_value *other = kjx_value_first(t);
	struct kjx_extent mine, theirs;
	u32 i;

	if (out->tensor == KJX_NO_TENSOR)
		return KJX_OK;
	mine = kjx_tensor_extent(v, out->tensor);
	for (i = 0; i < number; i++, other = kjx_value_next(other)) {
		if (other->tensor == KJX_NO_TENSOR)
			continue;
		theirs = kjx_tensor_extent(v, other->tensor);
		if (kjx_extents_meet(&mine, &theirs))
			return kjx_refuse(v, KJX_BAD_OVERLAP, "values %u and %u overlap, and one is written", i, number);
	}
	return KJX_OK;
}

enum kjx_status kjx_verify_trace(struct kjx_verifier *v, const struct kjx_trace *t)
{
	const struct kjx_value *value = kjx_value_first(t);
	u32 n = (u32)t->n_inputs + t->n_outputs, i;

	if (t->kind < KJX_TRACE_PRINT || t->kind > KJX_TRACE_CALL)
		return kjx_refuse(v, KJX_BAD_OPCODE, "unknown kind of trace %u", t->kind);
	if (t->kind == KJX_TRACE_PRINT && t->n_outputs)
		return kjx_refuse(v, KJX_BAD_OPCODE, "a print has no outputs, this one has %u", t->n_outputs);
	if (t->kind == KJX_TRACE_CALL && v->limits && v->limits->no_calls)
		return kjx_refuse(v, KJX_NO_HOST, "it calls its host (site %u), who takes no calls", t->site);
	if (t->n_inputs > KJX_MAX_TRACE_VALUES || t->n_outputs > KJX_MAX_TRACE_VALUES)
		return kjx_refuse(v, KJX_TOO_LARGE, "%u inputs and %u outputs, there may be %u of each", t->n_inputs,
				  t->n_outputs, KJX_MAX_TRACE_VALUES);
	for (i = 0; i < n; i++, value = kjx_value_next(value)) {
		if (REST(v, value) < (s64)sizeof(*value) || REST(v, value) < (s64)(sizeof(*value) + 8ul * value->rank))
			return kjx_refuse(v, KJX_BAD_LENGTH, "it ends inside value %u", i);
		if (value->rank > KJX_MAX_RANK)
			return kjx_refuse(v, KJX_BAD_RANK, "value %u has %u dims, there may be %u", i, value->rank,
					  KJX_MAX_RANK);
		KJX_TRY(verify_value(v, value, i));
		if (i < t->n_inputs)
			continue;
		if (value->tensor != KJX_NO_TENSOR)
			KJX_TRY(kjx_verify_writable(v, value->tensor, i));
		KJX_TRY(verify_apart(v, t, value, i));
	}
	v->facts->n_traces++;
	v->facts->n_calls += t->kind == KJX_TRACE_CALL;
	return kjx_verify_length(v, (u64)((const u8 *)value - (const u8 *)t));
}
