// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Arguments and tensors. An argument's shape fixes the size of the caller's buffer; a tensor is a range of
 * bytes in one storage: an argument's buffer, the constants or the arena. After this every tensor lies inside its
 * storage, and instructions are checked against tensors alone.
 */
#include "verify.h"

static u64 argument_bytes(const struct kjx_argument *a)
{
	const u64 *dims = kjx_argument_dims(a);
	u64 bytes = kjx_dtype_size[a->dtype];
	u32 k;

	for (k = 0; k < a->rank; k++)
		bytes = kjx_sat_mul(bytes, dims[k]);
	return bytes;
}

const struct kjx_argument *kjx_verified_argument(const struct kjx_verifier *v, u32 output, u32 number)
{
	const u8 *at = v->image.arguments + v->marks[output][number / KJX_MARK_STEP];
	const struct kjx_argument *a = (const struct kjx_argument *)at;
	u32 k;

	for (k = number % KJX_MARK_STEP; k; k--)
		a = kjx_argument_next(a);
	return a;
}

static const char *argument_kind(u32 output)
{
	return output ? "output" : "input";
}

static enum kjx_status verify_shape(struct kjx_verifier *v, const struct kjx_argument *a, u32 output, u32 number)
{
	const u64 *dims = kjx_argument_dims(a);
	const char *kind = argument_kind(output);
	bool empty = false;
	u64 bytes;
	u32 k;

	if (a->dtype >= KJX_DTYPE_COUNT || !kjx_dtype_size[a->dtype])
		return kjx_refuse(v, KJX_BAD_ARGUMENT, "%s %u has the unknown dtype %u", kjx_text(kind), number, a->dtype);
	if (a->flags || a->zero)
		return kjx_refuse(v, KJX_RESERVED_SET, "a reserved field of %s %u is not zero", kjx_text(kind), number);
	for (k = 0; k < a->rank; k++) {
		if (dims[k] > KJX_MAX_BYTES)
			return kjx_refuse(v, KJX_TOO_LARGE, "dim %u of %s %u is %u", k, kjx_text(kind), number, dims[k]);
		empty |= !dims[k];
	}
	if (empty && a->tensor != KJX_NO_TENSOR)
		return kjx_refuse(v, KJX_BAD_ARGUMENT, "%s %u has no elements but the tensor %u", kjx_text(kind), number,
				  a->tensor);
	if (empty)
		return KJX_OK;
	bytes = argument_bytes(a);
	if (bytes > KJX_MAX_BYTES)
		return kjx_refuse(v, KJX_TOO_LARGE, "%s %u has %u bytes, the limit is %u", kjx_text(kind), number, bytes,
				  KJX_MAX_BYTES);
	if (a->tensor >= v->image.n_tensors)
		return kjx_refuse(v, KJX_BAD_ARGUMENT, "%s %u names tensor %u of %u", kjx_text(kind), number, a->tensor,
				  v->image.n_tensors);
	return KJX_OK;
}

/* the tensor of an argument covers the whole buffer */
static enum kjx_status verify_cover(struct kjx_verifier *v, const struct kjx_argument *a, u32 output, u32 number)
{
	const struct kjx_tensor *t;
	u32 storage = output ? KJX_STORAGE_OUTPUT : KJX_STORAGE_INPUT;

	if (a->tensor == KJX_NO_TENSOR)
		return KJX_OK;
	t = &v->image.tensors[a->tensor];
	if (t->storage != storage || t->index != number || t->dtype != a->dtype || t->offset)
		return kjx_refuse(v, KJX_BAD_ARGUMENT, "tensor %u is not that of %s %u (storage %u, index %u, dtype %u, offset %u)",
				  a->tensor, kjx_text(argument_kind(output)), number, t->storage, t->index, t->dtype,
				  t->offset);
	if (t->bytes != argument_bytes(a))
		return kjx_refuse(v, KJX_BAD_ARGUMENT, "%s %u has %u bytes, its tensor %u has %u",
				  kjx_text(argument_kind(output)), number, argument_bytes(a), a->tensor, t->bytes);
	return KJX_OK;
}

/* an output that updates an input in place has its dtype and shape, and no other output takes that input */
static enum kjx_status verify_alias(struct kjx_verifier *v, const struct kjx_argument *a, u32 output, u32 number)
{
	const struct kjx_argument *input;
	u64 bit;

	if (a->alias == KJX_NO_ALIAS)
		return KJX_OK;
	if (!output || a->alias >= v->image.n_inputs)
		return kjx_refuse(v, KJX_BAD_ARGUMENT, "%s %u updates input %u of %u in place",
				  kjx_text(argument_kind(output)), number, a->alias, v->image.n_inputs);
	input = kjx_verified_argument(v, 0, a->alias);
	if (input->dtype != a->dtype || input->rank != a->rank ||
	    kjx_memcmp(kjx_argument_dims(input), kjx_argument_dims(a), 8ul * a->rank))
		return kjx_refuse(v, KJX_BAD_ARGUMENT, "output %u updates input %u of another dtype or shape", number,
				  a->alias);
	bit = 1ull << a->alias % 64;
	if (v->aliased[a->alias / 64] & bit)
		return kjx_refuse(v, KJX_BAD_ARGUMENT, "output %u updates input %u, which another output updates", number,
				  a->alias);
	v->aliased[a->alias / 64] |= bit;
	return KJX_OK;
}

enum kjx_status kjx_verify_arguments(struct kjx_verifier *v)
{
	const u8 *p = v->image.arguments;
	u64 left = v->image.argument_bytes;
	u32 output, k;

	for (output = 0; output < 2; output++) {
		u32 n = output ? v->image.n_outputs : v->image.n_inputs;
		u64 bytes = 0;

		for (k = 0; k < n; k++) {
			const struct kjx_argument *a = (const struct kjx_argument *)p;
			u64 size = sizeof(*a);

			if (left < size)
				return kjx_refuse(v, KJX_BAD_SECTION, "section ARGS ends before %s %u",
						  kjx_text(argument_kind(output)), k);
			if (a->rank > KJX_MAX_RANK)
				return kjx_refuse(v, KJX_BAD_ARGUMENT, "%s %u has rank %u, the limit is %u",
						  kjx_text(argument_kind(output)), k, a->rank, KJX_MAX_RANK);
			size += 8ull * a->rank;
			if (left < size)
				return kjx_refuse(v, KJX_BAD_SECTION, "section ARGS ends inside %s %u",
						  kjx_text(argument_kind(output)), k);
			if (k % KJX_MARK_STEP == 0)
				v->marks[output][k / KJX_MARK_STEP] = (u32)(p - v->image.arguments);
			KJX_TRY(verify_shape(v, a, output, k));
			KJX_TRY(verify_cover(v, a, output, k));
			KJX_TRY(verify_alias(v, a, output, k));
			bytes = kjx_sat_add(bytes, argument_bytes(a));
			p += size;
			left -= size;
		}
		*(output ? &v->facts->output_bytes : &v->facts->input_bytes) = bytes;
	}
	if (left)
		return kjx_refuse(v, KJX_BAD_SECTION, "section ARGS has %u bytes after the last output", left);
	return KJX_OK;
}

/* bytes of the storage that @t lies in */
static enum kjx_status storage_bytes(struct kjx_verifier *v, u32 number, u64 *bytes)
{
	const struct kjx_tensor *t = &v->image.tensors[number];
	u32 output = t->storage == KJX_STORAGE_OUTPUT;

	switch (t->storage) {
	case KJX_STORAGE_INPUT:
	case KJX_STORAGE_OUTPUT:
		if (t->index >= (output ? v->image.n_outputs : v->image.n_inputs))
			return kjx_refuse(v, KJX_BAD_TENSOR, "tensor %u lies in %s %u, which is not there", number,
					  kjx_text(argument_kind(output)), t->index);
		*bytes = argument_bytes(kjx_verified_argument(v, output, t->index));
		return KJX_OK;
	case KJX_STORAGE_CONSTANT:
		*bytes = v->image.constant_bytes;
		break;
	case KJX_STORAGE_ARENA:
		*bytes = v->image.header->arena;
		break;
	default:
		return kjx_refuse(v, KJX_BAD_TENSOR, "tensor %u has the unknown storage %u", number, t->storage);
	}
	if (t->index)
		return kjx_refuse(v, KJX_BAD_TENSOR, "tensor %u has index %u, constants and the arena have none", number,
				  t->index);
	return KJX_OK;
}

enum kjx_status kjx_verify_tensors(struct kjx_verifier *v)
{
	u32 i;

	for (i = 0; i < v->image.n_tensors; i++) {
		const struct kjx_tensor *t = &v->image.tensors[i];
		u64 size, room = 0;

		size = t->dtype < KJX_DTYPE_COUNT ? kjx_dtype_size[t->dtype] : 0;
		if (!size)
			return kjx_refuse(v, KJX_BAD_TENSOR, "tensor %u has the unknown dtype %u", i, t->dtype);
		if (t->zero0 || t->zero1)
			return kjx_refuse(v, KJX_RESERVED_SET, "a reserved field of tensor %u is not zero", i);
		KJX_TRY(storage_bytes(v, i, &room));
		if (!t->bytes || (t->bytes | t->offset) & (size - 1))
			return kjx_refuse(v, KJX_BAD_TENSOR, "tensor %u has %u bytes at %u, an element has %u", i, t->bytes,
					  t->offset, size);
		if (t->offset > room || t->bytes > room - t->offset)
			return kjx_refuse(v, KJX_BAD_TENSOR, "tensor %u has %u bytes at %u, its storage ends at %u", i, t->bytes,
					  t->offset, room);
	}
	return KJX_OK;
}
