// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Which operations of threaded code take an operand from the register of the one before (ukernels/hand.inc), and what the end
 * of a loop does besides jumping (ukernels/edges.inc).
 *
 * The operation that a jump goes to comes after one that only controls: that hands nothing on, so what a pair of neighbours agrees on
 * holds whichever way they are reached. The exception is made by both sides: a loop's count, and the begin that stands for its do.
 */
#include "threader.h"

static bool same_place(const struct kjx_place *a, const struct kjx_place *b)
{
	return a->base == b->base && a->index == b->index && a->offset == b->offset;
}

/* the row of @fn, which is its cell or one of its forms; the last row, without a cell, if there is none */
static const struct kjx_carry *row_of(const struct kjx_threader *t, kjx_op_fn *fn)
{
	const struct kjx_carry *c = t->b->cpu->carries;

	while (c->cell && c->cell != fn && c->from[0] != fn && c->from[1] != fn && c->from[2] != fn)
		c++;
	return c;
}

/* likewise of windows of one float, or NULL */
static const struct kjx_window_ops *window_of(const struct kjx_threader *t, kjx_op_fn *fn)
{
	const struct kjx_window_ops *w;
	u32 by, kind;

	for (by = 0; by < KJX_BYS; by++) {
		for (kind = KJX_KIND_F32; kind <= KJX_KIND_F64; kind++) {
			w = &t->b->cpu->windows[by][kind];
			if (fn == w->take || fn == w->put[0] || fn == w->put[1] || fn == w->carried[0] || fn == w->carried[1])
				return w;
		}
	}
	return NULL;
}

/* where what operation @at hands on is in memory, and how large it is; or NULL */
static const struct kjx_place *handed(const struct kjx_threader *t, u32 at, u64 *bytes)
{
	kjx_op_fn *fn = t->ops[at].fn;
	const struct kjx_carry *row = row_of(t, fn);
	const struct kjx_window_ops *w;

	if (row->cell) {
		*bytes = row->bytes;
		return &kjx_cells_at(t, at)[0];
	}
	w = window_of(t, fn);
	if (!w || !w->carried[0])
		return NULL;
	*bytes = w->bytes;
	return &kjx_cells_at(t, at)[fn != w->take];
}

/* the form of operation @at that takes from a register what is at @place, or NULL */
static kjx_op_fn *form_of(const struct kjx_threader *t, u32 at, const struct kjx_place *place, u64 bytes)
{
	const struct kjx_place *cells = kjx_cells_at(t, at);
	kjx_op_fn *fn = t->ops[at].fn;
	const struct kjx_carry *row = row_of(t, fn);
	const struct kjx_window_ops *w;
	u32 k, operand = 0;

	if (row->cell == fn && row->cell) {
		if (row->bytes != bytes)
			return NULL;
		for (k = 1; k < KJX_CELLS && row->from[k - 1]; k++)
			if (same_place(place, &cells[k]))
				operand = operand ? KJX_CELLS : k;
		/* what reads it twice has to load it anyhow */
		return operand && operand < KJX_CELLS ? row->from[operand - 1] : NULL;
	}
	w = window_of(t, fn);
	if (!w || w->bytes != bytes || !same_place(place, &cells[1]))
		return NULL;
	return fn == w->put[0] ? w->carried[0] : fn == w->put[1] ? w->carried[1] : NULL;
}

void kjx_thread_carry(struct kjx_threader *t, u32 first)
{
	const struct kjx_place *place;
	kjx_op_fn *form;
	u64 bytes;
	u32 at;

	for (at = first ? first : 1; at < t->n_ops; at++) {
		place = handed(t, at - 1, &bytes);
		form = place ? form_of(t, at, place, bytes) : NULL;
		if (form)
			t->ops[at].fn = form;
	}
}

/* do iterations begin with an operation on what the last one of the iteration before hands on? Then let it, and return which float */
static bool hand_around(struct kjx_threader *t, u32 leave, u32 last, u32 *which)
{
	const struct kjx_place *place;
	kjx_op_fn *form;
	u64 bytes;

	if (last <= leave)
		return false;
	place = handed(t, last, &bytes);
	form = place ? form_of(t, leave + 1, place, bytes) : NULL;
	if (!form)
		return false;
	*which = bytes == sizeof(u64);
	t->ops[leave + 1].fn = form;
	t->ops[leave].fn = t->b->cpu->edges->begin[*which];
	kjx_cells_at(t, leave)[1] = *place;
	return true;
}

/* see edge.h */
static void edge(struct kjx_threader *t, u32 at, u32 region)
{
	struct kjx_op *op = &t->ops[at];

	op->data = &t->ops[t->leave[region] + 1];
	op->n = kjx_take_piece(t) + t->condition[region];
	op->region = region;
	kjx_jump_to(t, at, at + 1);
}

/* the end of a loop that counts, for the addition that ends its body; false if it is not such a one */
static bool count(struct kjx_threader *t, u32 region, u32 top, u32 leave)
{
	const struct kjx_edges *edges = t->b->cpu->edges;
	const struct kjx_place *compared = kjx_cells_at(t, top);
	const u32 last = t->n_ops - 1;
	const struct kjx_place *add = kjx_cells_at(t, last);
	struct kjx_place step = add[2], *places;
	u32 i, which;

	for (i = 0; edges->count[i].less != t->ops[top].fn; i++)
		if (i + 1 == sizeof(edges->count) / sizeof(edges->count[0]))
			return false;
	if (last <= leave || t->ops[last].fn != edges->count[i].add || !same_place(&add[0], &compared[1]) || !same_place(&add[1], &compared[1]))
		return false;
	t->ops[last].fn = hand_around(t, leave, last - 1, &which) ? edges->count[i].hands[which] : edges->count[i].fn;
	edge(t, last, region);
	places = kjx_cells_at(t, last);
	for (i = 0; i < KJX_CELLS - 1; i++)
		places[i] = compared[i];
	places[KJX_CELLS - 1] = step;
	return true;
}

void kjx_thread_again(struct kjx_threader *t, u32 region)
{
	const u32 own = t->n_ops, top = t->top[region], leave = t->leave[region];
	const struct kjx_place *condition = kjx_cells_at(t, top);
	kjx_op_fn *fn = leave == top + 1 ? kjx_again(t->b->cpu, t->ops[top].fn) : NULL;
	struct kjx_place *places;
	u32 i;

	if (!fn || !same_place(condition, kjx_cells_at(t, leave))) {
		kjx_emit(t, kjx_op_jump, NULL, kjx_take_piece(t) + t->condition[region]);
		kjx_jump_to(t, own, top);
		return;
	}
	if (count(t, region, top, leave))
		return;
	places = kjx_cells_of(t, kjx_emit(t, fn, NULL, 0));
	edge(t, own, region);
	for (i = 0; i < KJX_CELLS; i++)
		places[i] = condition[i];
}
