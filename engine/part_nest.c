// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Nests in parts (part.h): where they are cut, and how a piece finds its first point.
 *
 * Strips are the same strips, and rows the same rows, as without a cut, so the order in which values are combined is too.
 * That pieces of one nest share no bytes that one of them writes follows from what the verifier asks of each view
 * (struct kjx_operand). Of nests that run together by rows it asks nothing of the kind: kjx_rows_are_apart() does.
 */
#include "nest.h"

#define NEST_PIECE 98304u	/* work units: some microseconds */
#define MOST_VIEWS 96u		/* of nests by rows that are compared with each other */

void kjx_nest_split(const struct kjx_image *image, const struct kjx_nest *insn, struct kjx_split *split)
{
	struct kjx_shape shape;

	kjx_nest_shape(image, insn, &shape);
	split->piece = NEST_PIECE;
	split->units = 1;
	if (insn->rows)
		return;		/* kjx_rows_split() */
	if (shape.n_kept)
		split->units = kjx_nest_dims(insn)[shape.order[0]];
	else if (shape.mode != KJX_NEST_FLAT)
		split->units = (shape.lanes - 1) / shape.strip + 1;
}

void kjx_rows_split(const struct kjx_image *image, const struct kjx_nest *first, struct kjx_split *split)
{
	kjx_memset(split, 0, sizeof(*split));
	split->units = kjx_nest_dims(first)[0];
	split->granule = split->least = 1;
	split->cost = kjx_nest_cost(image, first);
	split->piece = NEST_PIECE;
	split->each = 4;
}

void kjx_nest_seek(const struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w)
{
	u32 i, k;

	if (kjx_nest_is_cut_by_strips(p)) {
		s->vm->at[1] = s->part->from * p->strip;
		return;
	}
	w->counters[0] = s->part->from;
	for (i = 0; i < p->n_vary; i++) {
		const s64 *delta = p->views[p->vary[i]].delta;
		u64 wrap = 0;

		/* a step adds a dim's stride less what the dims inside it have moved: see view_loops() */
		for (k = p->n_kept; --k;)
			wrap += (p->loop_dim[k] - 1) * ((u64)delta[k] + wrap);
		w->cursors[p->vary[i]].value += s->part->from * ((u64)delta[0] + wrap);
	}
}

/* ---- rows ---- */

/* the bytes that a view reaches at row 0, in a storage; and what a row moves them */
struct span {
	u32 tensor;
	s64 low, high, step;	/* ]low, high] */
};

/* the views of a nest that name tensors; false: too many */
static bool spans_of(const struct kjx_builder *b, const struct kjx_nest *insn, u32 view, struct span *span)
{
	const struct kjx_operand *o = kjx_nest_operand(insn, view);
	const struct kjx_tensor *t = o->tensor == KJX_NO_TENSOR ? NULL : &b->image->tensors[o->tensor];
	const u64 *dims = kjx_nest_dims(insn);
	const s64 *strides = kjx_strides(o);
	s64 size;
	u32 d;

	if (!t)
		return false;
	size = kjx_dtype_size[t->dtype];
	span->tensor = o->tensor;
	span->low = (s64)t->offset + o->offset * size;
	span->high = span->low + size;
	span->step = strides[0] * size;
	for (d = 1; d < insn->rank; d++) {
		s64 reach = (s64)(dims[d] - 1) * strides[d] * size;

		*(reach < 0 ? &span->low : &span->high) += reach;
	}
	return true;
}

static bool is_stored(const struct kjx_builder *b, const struct kjx_nest *insn, u32 view)
{
	const struct kjx_uop *u = b->image->uops + insn->body;
	u32 n = (u32)insn->n_map + insn->n_combine + insn->n_post, i;

	for (i = 0; i < n; i++)
		if (kjx_uop_op(&u[i]) == KJX_OP_STORE && u[i].imm == view)
			return true;
	return false;
}

/* is no byte of row r of one a byte of another row of the other one? */
static bool are_apart(const struct kjx_builder *b, const struct span *x, const struct span *y, u64 rows)
{
	s64 low = x->low < y->low ? x->low : y->low, high = x->high > y->high ? x->high : y->high;
	s64 size = x->step < 0 ? -x->step : x->step, last = (s64)(rows - 1);
	s64 x_end = x->step * last, y_end = y->step * last;

	if (!kjx_may_overlap(b, x->tensor, y->tensor))
		return true;
	if (x->step == y->step && high - low <= size)	/* each row has bytes of its own, the same for both */
		return true;
	return x->high + (x_end > 0 ? x_end : 0) <= y->low + (y_end < 0 ? y_end : 0) ||
	       y->high + (y_end > 0 ? y_end : 0) <= x->low + (x_end < 0 ? x_end : 0);
}

/* a view that is stored to against all others from @first on to @last */
static bool is_apart_from_all(const struct kjx_builder *b, const struct span *stored, const struct kjx_nest *first,
			      const struct kjx_nest *last)
{
	const struct kjx_nest *other;
	struct span span;
	u32 i;

	for (other = first;; other = (const void *)kjx_insn_next(&other->insn)) {
		for (i = 0; i < other->n_operands; i++)
			if (spans_of(b, other, i, &span) && !are_apart(b, stored, &span, kjx_nest_dims(first)[0]))
				return false;
		if (other == last)
			return true;
	}
}

bool kjx_rows_are_apart(const struct kjx_builder *b, const struct kjx_nest *first, const struct kjx_nest *last)
{
	const struct kjx_nest *insn;
	struct span span;
	u32 views = 0, i;

	for (insn = first;; insn = (const void *)kjx_insn_next(&insn->insn)) {
		views += insn->n_operands;
		if (views > MOST_VIEWS)
			return false;
		if (insn == last)
			break;
	}
	for (insn = first;; insn = (const void *)kjx_insn_next(&insn->insn)) {
		for (i = 0; i < insn->n_operands; i++)
			if (is_stored(b, insn, i) && spans_of(b, insn, i, &span) && !is_apart_from_all(b, &span, first, last))
				return false;
		if (insn == last)
			return true;
	}
}
