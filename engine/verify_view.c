// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Affine views. A view of dims d and strides s from element o reaches from o + sum(min(0, (d-1)*s)) to
 * o + sum(max(0, (d-1)*s)); both must be elements of its tensor. Two views may touch the same memory when
 * the ranges of bytes between those ends meet: that is what "overlap" means here, a safe over-estimate.
 */
#include "verify.h"

#define RANGE_LIMIT (1ll << 62)
#define SPACE_LIMIT (1ull << 62)

static u64 magnitude(s64 x)
{
	return x < 0 ? 0 - (u64)x : (u64)x;
}

/* an iteration space: every dim is there, and points can be counted */
enum kjx_status kjx_verify_dims(struct kjx_verifier *v, const u64 *dims, u32 rank)
{
	u64 points = 1;
	u32 k;

	for (k = 0; k < rank; k++) {
		if (!dims[k])
			return kjx_refuse(v, KJX_BAD_RANK, "dim %u is zero", k);
		if (dims[k] > KJX_MAX_BYTES)
			return kjx_refuse(v, KJX_TOO_LARGE, "dim %u is %u, the limit is %u", k, dims[k], KJX_MAX_BYTES);
		points = kjx_sat_mul(points, dims[k]);
	}
	if (points > SPACE_LIMIT)
		return kjx_refuse(v, KJX_TOO_LARGE, "the dims' product is over %u", SPACE_LIMIT);
	return KJX_OK;
}

bool kjx_affine_range(s64 offset, const s64 *strides, const u64 *dims, u32 rank, s64 *lowest, s64 *highest)
{
	s64 low = offset, high = offset, reach;
	u32 k;

	if (offset > RANGE_LIMIT || offset < -RANGE_LIMIT)
		return false;
	for (k = 0; k < rank; k++) {
		/* d * s, not (d - 1) * s: an engine may step once past the end before it turns back */
		if (kjx_mul_overflows((s64)dims[k], strides[k], &reach) || reach > RANGE_LIMIT || reach < -RANGE_LIMIT)
			return false;
		reach -= strides[k];
		if (kjx_add_overflows(reach < 0 ? low : high, reach, reach < 0 ? &low : &high) ||
		    low < -RANGE_LIMIT || high > RANGE_LIMIT)
			return false;
	}
	*lowest = low;
	*highest = high;
	return true;
}

enum kjx_status kjx_verify_tensor_operand(struct kjx_verifier *v, u32 tensor, u32 operand)
{
	if (tensor >= v->image.n_tensors)
		return kjx_refuse(v, KJX_BAD_OPERAND, "operand %u names tensor %u of %u", operand, tensor,
				  v->image.n_tensors);
	return KJX_OK;
}

/* also where the dim is 1 and the stride moves nothing: engines turn all strides into bytes */
enum kjx_status kjx_verify_strides(struct kjx_verifier *v, const s64 *strides, u32 rank, u32 operand)
{
	u32 k;

	for (k = 0; k < rank; k++)
		if (magnitude(strides[k]) > KJX_MAX_BYTES)
			return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "operand or index %u has the stride %d on dim %u", operand,
					  strides[k], k);
	return KJX_OK;
}

enum kjx_status kjx_verify_view(struct kjx_verifier *v, const struct kjx_operand *o, u32 operand, const u64 *dims,
				u32 rank)
{
	s64 low = 0, high = 0;
	u64 elements;

	if (o->zero)
		return kjx_refuse(v, KJX_RESERVED_SET, "the reserved field of operand %u is not zero", operand);
	KJX_TRY(kjx_verify_tensor_operand(v, o->tensor, operand));
	elements = kjx_tensor_elements(v, o->tensor);
	KJX_TRY(kjx_verify_strides(v, kjx_strides(o), rank, operand));
	if (!kjx_affine_range(o->offset, kjx_strides(o), dims, rank, &low, &high))
		return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "operand %u reaches further than any tensor (offset %d)", operand,
				  o->offset);
	if (low < 0 || (u64)high >= elements)
		return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "operand %u reaches elements %d to %d of tensor %u, which has %u", operand,
				  low, high, o->tensor, elements);
	return KJX_OK;
}

static const struct kjx_argument *aliasing_output(const struct kjx_verifier *v, const struct kjx_tensor *t)
{
	const struct kjx_argument *a;

	if (t->storage != KJX_STORAGE_OUTPUT)
		return NULL;
	a = kjx_verified_argument(v, 1, t->index);
	return a->alias == KJX_NO_ALIAS ? NULL : a;
}

enum kjx_status kjx_verify_writable(struct kjx_verifier *v, u32 tensor, u32 operand)
{
	const struct kjx_tensor *t = &v->image.tensors[tensor];

	if (t->storage == KJX_STORAGE_CONSTANT)
		return kjx_refuse(v, KJX_READ_ONLY, "operand %u writes to tensor %u, a constant", operand, tensor);
	if (t->storage == KJX_STORAGE_INPUT && !(v->aliased[t->index / 64] >> t->index % 64 & 1))
		return kjx_refuse(v, KJX_READ_ONLY, "operand %u writes to input %u, which no output updates in place", operand,
				  t->index);
	return KJX_OK;
}

/*
 * Sort the strides by size: when each is larger than all that the smaller ones can reach together, no element
 * is visited twice. Every view cut out of a dense tensor by slicing, transposing and reversing passes.
 */
enum kjx_status kjx_verify_injective(struct kjx_verifier *v, const struct kjx_operand *o, u32 operand, const u64 *dims,
				     u32 rank, u32 skip_first, u32 skip_count)
{
	const s64 *strides = kjx_strides(o);
	u64 reach = 0;
	u32 done = 0, all = 0, k, best;

	for (k = 0; k < rank; k++)
		if (dims[k] > 1 && !(k >= skip_first && k < skip_first + skip_count))
			all |= 1u << k;
	while (done != all) {
		best = rank;
		for (k = 0; k < rank; k++)
			if ((all & ~done) >> k & 1 &&
			    (best == rank || magnitude(strides[k]) < magnitude(strides[best])))
				best = k;
		if (magnitude(strides[best]) <= reach)
			return kjx_refuse(v, KJX_BAD_OVERLAP, "operand %u writes to one element more than once (stride %d of dim %u)",
					  operand, strides[best], best);
		reach += magnitude(strides[best]) * (dims[best] - 1);
		done |= 1u << best;
	}
	return KJX_OK;
}

u64 kjx_tensor_home(const struct kjx_verifier *v, u32 tensor)
{
	const struct kjx_tensor *t = &v->image.tensors[tensor];
	const struct kjx_argument *a = aliasing_output(v, t);

	return a ? (u64)KJX_STORAGE_INPUT << 32 | a->alias : (u64)t->storage << 32 | t->index;
}

struct kjx_extent kjx_tensor_extent(const struct kjx_verifier *v, u32 tensor)
{
	const struct kjx_tensor *t = &v->image.tensors[tensor];

	return (struct kjx_extent){ kjx_tensor_home(v, tensor), t->offset, t->offset + t->bytes, t->offset };
}

struct kjx_extent kjx_view_extent(const struct kjx_verifier *v, const struct kjx_operand *o, const u64 *dims, u32 rank)
{
	const struct kjx_tensor *t = &v->image.tensors[o->tensor];
	u64 size = kjx_dtype_size[t->dtype];
	s64 low = 0, high = 0;

	kjx_affine_range(o->offset, kjx_strides(o), dims, rank, &low, &high);
	return (struct kjx_extent){ kjx_tensor_home(v, o->tensor), t->offset + (u64)low * size,
				    t->offset + ((u64)high + 1) * size, t->offset + (u64)o->offset * size };
}

bool kjx_extents_meet(const struct kjx_extent *a, const struct kjx_extent *b)
{
	return a->home == b->home && a->first < b->end && b->first < a->end;
}

bool kjx_views_equal(const struct kjx_verifier *v, const struct kjx_operand *a, const struct kjx_operand *b,
		     const u64 *dims, u32 rank)
{
	const struct kjx_extent x = kjx_view_extent(v, a, dims, rank), y = kjx_view_extent(v, b, dims, rank);
	u32 k;

	if (x.home != y.home || x.origin != y.origin ||
	    kjx_dtype_size[kjx_tensor_dtype(v, a->tensor)] != kjx_dtype_size[kjx_tensor_dtype(v, b->tensor)])
		return false;
	for (k = 0; k < rank; k++)
		if (dims[k] > 1 && kjx_strides(a)[k] != kjx_strides(b)[k])
			return false;
	return true;
}
