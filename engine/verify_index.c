// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Gather and scatter. A window's origin is read at run time and brought into [0, limit] for each component, so the
 * windowed view reaches as far as its own strides plus, for each component, limit steps: that must fit the tensor.
 */
#include "verify.h"

static enum kjx_status verify_fields(struct kjx_verifier *v, const struct kjx_gather *g, u32 rank)
{
	bool scatter = g->insn.opcode == KJX_OPCODE_SCATTER;

	if (rank < 1 || rank > KJX_MAX_RANK)
		return kjx_refuse(v, KJX_BAD_RANK, "rank %u, it may be 1 to %u", rank, KJX_MAX_RANK);
	if (g->n_index > KJX_MAX_INDEX_COMPONENTS)
		return kjx_refuse(v, KJX_TOO_LARGE, "%u index components, the limit is %u", g->n_index,
				  KJX_MAX_INDEX_COMPONENTS);
	KJX_TRY(kjx_verify_length(v, sizeof(*g) + 8ul * rank + 2 * (sizeof(struct kjx_operand) + 8ul * rank) +
				  g->n_index * (sizeof(struct kjx_index) + 8ul * g->n_batch) +
				  g->n_splats * sizeof(struct kjx_operand)));
	if (g->mode != KJX_INDEX_CLAMP && !(scatter && g->mode == KJX_INDEX_SKIP))
		return kjx_refuse(v, KJX_BAD_OPCODE, "unknown index mode %u", g->mode);
	if ((!scatter || !g->n_uops) && (g->n_regs || g->n_uops || g->body || g->n_splats))
		return kjx_refuse(v, KJX_RESERVED_SET, "a field of the update body is set, but there is none");
	if (g->n_regs > KJX_MAX_REGISTERS)
		return kjx_refuse(v, KJX_BAD_REGISTER, "%u registers, the limit is %u", g->n_regs, KJX_MAX_REGISTERS);
	return kjx_verify_body_place(v, g->body, g->n_uops);
}

/* component @i: its integers are there, and its limit is a number that can be reckoned with */
static enum kjx_status verify_component(struct kjx_verifier *v, const struct kjx_gather *g, u32 i)
{
	const struct kjx_index *x = kjx_gather_index(g, i);
	const u64 *dims = kjx_gather_dims(g);
	u64 elements;
	s64 low, high;
	u32 dtype;

	if (x->tensor >= v->image.n_tensors)
		return kjx_refuse(v, KJX_BAD_OPERAND, "index %u names tensor %u of %u", i, x->tensor, v->image.n_tensors);
	dtype = kjx_tensor_dtype(v, x->tensor);
	if (!(dtype >= KJX_DTYPE_I8 && dtype <= KJX_DTYPE_I64) && !(dtype >= KJX_DTYPE_U8 && dtype <= KJX_DTYPE_U64))
		return kjx_refuse(v, KJX_BAD_DTYPE, "index %u has dtype %u, not a whole integer", i, dtype);
	if (x->wrap && dtype > KJX_DTYPE_I64)
		return kjx_refuse(v, KJX_RESERVED_SET, "index %u wraps, but it is never below zero", i);
	elements = kjx_tensor_elements(v, x->tensor);
	KJX_TRY(kjx_verify_strides(v, kjx_index_strides(x), g->n_batch, i));
	if (!kjx_affine_range(x->offset, kjx_index_strides(x), dims, g->n_batch, &low, &high) || low < 0 ||
	    (u64)high >= elements)
		return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "index %u reaches outside of tensor %u, which has %u elements", i,
				  x->tensor, elements);
	if (x->limit > KJX_MAX_BYTES || x->step > (s64)KJX_MAX_BYTES || x->step < -(s64)KJX_MAX_BYTES)
		return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "index %u may move the window by %u steps of %d elements", i, x->limit,
				  x->step);
	return KJX_OK;
}

/* @low, @high: how far the origins may move the windows, in elements */
static enum kjx_status verify_reach(struct kjx_verifier *v, const struct kjx_gather *g, s64 *low, s64 *high)
{
	u32 i;

	*low = *high = 0;
	for (i = 0; i < g->n_index; i++) {
		const struct kjx_index *x = kjx_gather_index(g, i);
		s64 reach;

		KJX_TRY(verify_component(v, g, i));
		/* the sum over at most 12 components stays far below 2^63 */
		if (kjx_mul_overflows((s64)x->limit, x->step, &reach) || reach > (s64)KJX_MAX_BYTES ||
		    reach < -(s64)KJX_MAX_BYTES)
			return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "index %u may move the window by %u steps of %d elements", i,
					  x->limit, x->step);
		*(reach < 0 ? low : high) += reach;
	}
	return KJX_OK;
}

static enum kjx_status verify_windowed(struct kjx_verifier *v, const struct kjx_gather *g, s64 down, s64 up,
				       struct kjx_extent *extent)
{
	const struct kjx_operand *o = kjx_gather_operand(g, 0);
	u32 rank = kjx_gather_rank(g);
	u64 size = kjx_dtype_size[kjx_tensor_dtype(v, o->tensor)], elements = kjx_tensor_elements(v, o->tensor);
	s64 low, high;

	/* the view has been verified, so its range fits and 2^44 more does too */
	kjx_affine_range(o->offset, kjx_strides(o), kjx_gather_dims(g), rank, &low, &high);
	if (low + down < 0 || (u64)(high + up) >= elements)
		return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "windows reach elements %d to %d of tensor %u, which has %u", low + down,
				  high + up, o->tensor, elements);
	*extent = kjx_view_extent(v, o, kjx_gather_dims(g), rank);
	extent->first -= (u64)-down * size;
	extent->end += (u64)up * size;
	return KJX_OK;
}

static enum kjx_status verify_update(struct kjx_verifier *v, const struct kjx_gather *g, u32 dtype)
{
	struct kjx_body_state b;

	u32 i;

	if (!g->n_uops)
		return KJX_OK;
	if (g->n_regs < 2u + g->n_splats)
		return kjx_refuse(v, KJX_BAD_REGISTER, "an update body with %u splats needs %u registers, there are %u",
				  g->n_splats, 2u + g->n_splats, g->n_regs);
	kjx_memset(&b, 0, sizeof(b));
	b.n_regs = g->n_regs;
	b.dtype[0] = b.dtype[1] = (u8)dtype;
	for (i = 0; i < g->n_splats; i++)
		b.dtype[2 + i] = (u8)kjx_tensor_dtype(v, kjx_gather_splat(g, i)->tensor);
	KJX_TRY(kjx_verify_body(v, &b, KJX_BODY_PURE, g->body, g->n_uops));
	return kjx_verify_result(v, &b, 0, dtype);
}

/* splat @i: one element that is there, outside of what is @written */
static enum kjx_status verify_splat(struct kjx_verifier *v, const struct kjx_gather *g, u32 i,
				    const struct kjx_extent *written)
{
	const struct kjx_operand *o = kjx_gather_splat(g, i);
	struct kjx_extent extent;

	if (o->zero)
		return kjx_refuse(v, KJX_RESERVED_SET, "a reserved field of splat %u is not zero", i);
	if (o->tensor >= v->image.n_tensors)
		return kjx_refuse(v, KJX_BAD_OPERAND, "splat %u names tensor %u of %u", i, o->tensor, v->image.n_tensors);
	if (o->offset < 0 || (u64)o->offset >= kjx_tensor_elements(v, o->tensor))
		return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "splat %u is element %d of tensor %u, which has %u", i, o->offset,
				  o->tensor, kjx_tensor_elements(v, o->tensor));
	extent = kjx_tensor_extent(v, o->tensor);
	if (kjx_extents_meet(written, &extent))
		return kjx_refuse(v, KJX_BAD_OVERLAP, "splat %u is overwritten while it is read", i);
	return KJX_OK;
}

enum kjx_status kjx_verify_gather(struct kjx_verifier *v, const struct kjx_gather *g)
{
	bool scatter = g->insn.opcode == KJX_OPCODE_SCATTER;
	u32 rank = kjx_gather_rank(g), i, dtype, written = scatter ? 0 : 1;
	const u64 *dims = kjx_gather_dims(g);
	const struct kjx_operand *windowed, *plain;
	struct kjx_extent extent[2], index;
	s64 down, up;

	KJX_TRY(verify_fields(v, g, rank));
	KJX_TRY(kjx_verify_dims(v, dims, rank));
	windowed = kjx_gather_operand(g, 0);
	plain = kjx_gather_operand(g, 1);
	KJX_TRY(kjx_verify_view(v, windowed, 0, dims, rank));
	KJX_TRY(kjx_verify_view(v, plain, 1, dims, rank));
	dtype = kjx_tensor_dtype(v, windowed->tensor);
	if (kjx_tensor_dtype(v, plain->tensor) != dtype)
		return kjx_refuse(v, KJX_BAD_DTYPE, "the windowed operand has dtype %u, the plain one %u", dtype,
				  kjx_tensor_dtype(v, plain->tensor));
	KJX_TRY(verify_reach(v, g, &down, &up));
	KJX_TRY(verify_windowed(v, g, down, up, &extent[0]));
	extent[1] = kjx_view_extent(v, plain, dims, rank);
	KJX_TRY(kjx_verify_writable(v, (scatter ? windowed : plain)->tensor, written));
	if (!scatter)
		KJX_TRY(kjx_verify_injective(v, plain, 1, dims, rank, 0, 0));
	if (kjx_extents_meet(&extent[0], &extent[1]))
		return kjx_refuse(v, KJX_BAD_OVERLAP, "the windowed and the plain operand overlap");
	for (i = 0; i < g->n_index; i++) {
		index = kjx_tensor_extent(v, kjx_gather_index(g, i)->tensor);
		if (kjx_extents_meet(&extent[written], &index))
			return kjx_refuse(v, KJX_BAD_OVERLAP, "index %u is overwritten while it is read", i);
	}
	for (i = 0; i < g->n_splats; i++)
		KJX_TRY(verify_splat(v, g, i, &extent[0]));
	return verify_update(v, g, dtype);
}
