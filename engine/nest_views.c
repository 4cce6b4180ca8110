// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Decoding of a nest: its operands become views, and which of them may touch whose memory.
 */
#include "nest_decode.h"

/* the loop part of a view: what each loop step adds to its cursor */
static bool view_loops(struct kjx_decoder *d, struct kjx_view *v, const u64 *dims, const s64 *strides)
{
	const struct kjx_shape *shape = &d->shape;
	u32 n = (u32)shape->n_kept + shape->n_red, log2 = v->is_iota ? 0 : v->place.log2_size, k;
	s64 *delta = kjx_build(d->b, (n + 2) * sizeof(*delta));
	u64 wrap = 0, moves = 0;

	for (k = n; k--;) {
		u64 stride = (u64)strides[shape->order[k]] << log2;

		delta[k] = (s64)(stride - wrap);
		wrap += (dims[shape->order[k]] - 1) * stride;
		moves |= stride;
		if (k == shape->n_kept) {
			delta[n + 1] = (s64)(0 - wrap);
			wrap = 0;
		}
	}
	delta[n] = (s64)(0 - wrap);
	v->delta = delta;
	return moves != 0;
}

void kjx_decode_views(struct kjx_decoder *d)
{
	const struct kjx_nest *insn = d->insn;
	const u64 *dims = kjx_nest_dims(insn);
	struct kjx_nest_plan *plan = d->plan;
	u32 n_loops = (u32)d->shape.n_kept + d->shape.n_red, i;
	u8 *vary = kjx_build(d->b, insn->n_operands);

	d->views = kjx_build(d->b, insn->n_operands * sizeof(*d->views));
	for (i = 0; i < insn->n_operands; i++) {
		const struct kjx_operand *o = kjx_nest_operand(insn, i);
		struct kjx_view *v = &d->views[i];

		v->is_iota = o->tensor == KJX_NO_TENSOR;
		if (v->is_iota)
			v->place.offset = o->offset;
		else
			kjx_place_set(d->b->image, &v->place, o->tensor, o->offset);
		kjx_view_lanes(d->b, v, dims, kjx_strides(o), d->shape.order + n_loops, d->shape.n_lane);
		v->in_loops = view_loops(d, v, dims, kjx_strides(o));
		if (v->in_loops)
			vary[plan->n_vary++] = (u8)i;
	}
	plan->views = d->views;
	plan->vary = vary;
	plan->n_views = insn->n_operands;
}

/* which stored views may touch the memory of each view */
void kjx_decode_clashes(struct kjx_decoder *d)
{
	const struct kjx_nest *insn = d->insn;
	const struct kjx_uop *u = d->b->image->uops + insn->body;
	u32 n = (u32)insn->n_map + insn->n_combine + insn->n_post, i, k;
	u64 stored = 0;

	d->clash = kjx_build(d->b, insn->n_operands * sizeof(*d->clash));
	d->stored_at = kjx_build(d->b, insn->n_operands * sizeof(*d->stored_at));
	d->cell = kjx_build(d->b, insn->n_operands * sizeof(*d->cell));
	for (i = 0; i < n; i++)
		if (kjx_uop_op(&u[i]) == KJX_OP_STORE)
			stored |= 1ull << u[i].imm;
	for (i = 0; i < insn->n_operands; i++) {
		u32 tensor = kjx_nest_operand(insn, i)->tensor;

		d->cell[i] = NONE;
		for (k = 0; k < insn->n_operands && tensor != KJX_NO_TENSOR; k++)
			if ((stored >> k & 1) && kjx_may_overlap(d->b, tensor, kjx_nest_operand(insn, k)->tensor))
				d->clash[i] |= 1ull << k;
	}
}

/*
 * A store to memory that is in no cache fetches the line first. What a map over more memory than caches hold stores will not be there
 * when it is read: so results of the program go past the caches. Not those that are loaded, too: these lines are near.
 */
void kjx_decode_streams(struct kjx_decoder *d)
{
	u64 bytes = 0, stored = 0;
	u32 i;

	if (d->shape.mode != KJX_NEST_MAP || d->insn->rows)
		return;
	for (i = 0; i < d->insn->n_operands; i++) {
		const struct kjx_view *v = &d->views[i];

		if (v->is_iota || v->lanes == KJX_LANES_SCALAR)
			continue;
		bytes += d->shape.rows * d->shape.lanes << v->place.log2_size;
		if (v->place.base == KJX_BASE_OUTPUT && v->lanes == KJX_LANES_DENSE && d->clash[i] == 1ull << i)
			stored |= 1ull << i;
	}
	if (bytes >= KJX_STREAM_BYTES)
		d->streams = stored;
}
