/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Making threaded code: what thread_plan.c, thread_hand.c and thread_window.c share. */
#ifndef KJX_THREADER_H
#define KJX_THREADER_H

#include "gather.h"

/** struct kjx_threader
 * @first:	step of the outermost while's condition
 * @piece:	work units since the last operation that counts
 * @condition:	of a while: what its do counts
 * @top, @leave: operations: of a while's condition's begin, its do
 */
struct kjx_threader {
	struct kjx_builder *b;
	struct kjx_step *steps;
	struct kjx_op *ops;
	struct kjx_place *places;
	u32 n_ops, first;
	u64 piece;
	u64 condition[KJX_MAX_DEPTH];
	u32 top[KJX_MAX_DEPTH], leave[KJX_MAX_DEPTH];
};

static inline struct kjx_op *kjx_emit(struct kjx_threader *t, kjx_op_fn *fn, const void *data, u64 n)
{
	struct kjx_op *op = &t->ops[t->n_ops++];

	op->fn = fn;
	op->data = data;
	op->n = n;
	return op;
}

static inline struct kjx_place *kjx_cells_at(const struct kjx_threader *t, u32 at)
{
	return t->places + (u64)KJX_CELLS * at;
}

static inline struct kjx_place *kjx_cells_of(const struct kjx_threader *t, const struct kjx_op *op)
{
	return kjx_cells_at(t, (u32)(op - t->ops));
}

/* one element: its routine, or a strip of one */
static inline struct kjx_place *kjx_emit_cell(struct kjx_threader *t, kjx_op_fn *cell, kjx_uop_fn *fn)
{
	return kjx_cells_of(t, cell ? kjx_emit(t, cell, NULL, 1) : kjx_emit(t, kjx_op_strip, (const void *)fn, 1));
}

/* what was counted so far and one unit for the step itself: the operation at hand takes it */
static inline u64 kjx_take_piece(struct kjx_threader *t)
{
	u64 piece = t->piece + 1;

	t->piece = 0;
	return piece;
}

static inline void kjx_jump_to(struct kjx_threader *t, u32 from, u32 to)
{
	t->ops[from].jump = (s32)to - (s32)from;
}

/* thread_hand.c: operations from @first on: those that read what the one before them hands on take it from its register */
void kjx_thread_carry(struct kjx_threader *t, u32 first);

/* likewise: the end of a while's body, which goes back to its condition, or does it */
void kjx_thread_again(struct kjx_threader *t, u32 region);

/* thread_window.c: a gather or scatter of one window, if it can be an operation or a few; else false */
bool kjx_thread_window(struct kjx_threader *t, const struct kjx_gather_plan *p);

#endif
