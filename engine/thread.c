// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Running threaded code (thread.h), and its operations that compute nothing: control flow, strips, and the
 * instructions that are run by their own handlers.
 *
 * Work is counted at the end of each straight piece of code, and the budget looked at there: at the back edge of a loop,
 * where it is entered, where branches meet. What is counted at which point follows from the program alone, so fuel
 * runs out at the same point however a run is sliced. A slice that is over leaves the operation to go on with.
 */
#include "nest.h"

/* the slice ends before @op */
static const struct kjx_op *stop(struct kjx_slice *s, const struct kjx_op *op, enum kjx_status status)
{
	s->next = op;
	s->status = status;
	return NULL;
}

const struct kjx_op *kjx_op_finish(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	(void)cells;
	return stop(s, op, KJX_OK);
}

const struct kjx_op *kjx_op_strip(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	((kjx_uop_fn *)op->data)(cells[0], cells[1], cells[2], cells[3], op->n);
	KJX_NEXT(op, cells, s);
}

/* @data: the nest, whose cells the steps use; @region: elements of 8 bytes */
const struct kjx_op *kjx_op_tiles(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	const struct kjx_tiles *tiles = s->cpu->tiles;

	(op->region ? tiles->run64 : tiles->run)(NULL, cells[0], cells[1], NULL, op->n);
	KJX_NEXT(op, cells, s);
}

/* @region: log2 of the element's size, here and for the lanes */
const struct kjx_op *kjx_op_splat(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	kjx_splat(s->cpu, cells[0], cells[1], op->n, op->region);
	KJX_NEXT(op, cells, s);
}

struct lane16 { u64 part[2]; };

#define MOVE_LANES(T, to, from)				\
	for (i = 0; i < op->n; i++)			\
		*(T *)(to) = *(const T *)(from);	\
	break

/* @data: the lanes' offsets in the view */
const struct kjx_op *kjx_op_gather_lanes(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	const s64 *at = op->data;
	const u8 *from = cells[1];
	u8 *to = cells[0];
	u64 i;

	switch (op->region) {
	case 0:
		MOVE_LANES(u8, to + i, from + at[i]);
	case 1:
		MOVE_LANES(u16, to + 2 * i, from + at[i]);
	case 2:
		MOVE_LANES(u32, to + 4 * i, from + at[i]);
	case 3:
		MOVE_LANES(u64, to + 8 * i, from + at[i]);
	default:
		MOVE_LANES(struct lane16, to + 16 * i, from + at[i]);
	}
	KJX_NEXT(op, cells, s);
}

const struct kjx_op *kjx_op_scatter_lanes(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	const s64 *at = op->data;
	const u8 *from = cells[1];
	u8 *to = cells[0];
	u64 i;

	switch (op->region) {
	case 0:
		MOVE_LANES(u8, to + at[i], from + i);
	case 1:
		MOVE_LANES(u16, to + at[i], from + 2 * i);
	case 2:
		MOVE_LANES(u32, to + at[i], from + 4 * i);
	case 3:
		MOVE_LANES(u64, to + at[i], from + 8 * i);
	default:
		MOVE_LANES(struct lane16, to + at[i], from + 16 * i);
	}
	KJX_NEXT(op, cells, s);
}

const struct kjx_op *kjx_op_small_dot(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	s->cpu->small_dot(op->data, cells[0], cells[1], cells[2]);
	KJX_NEXT(op, cells, s);
}

/* @region: the while, of which every other iteration reads rhs backwards */
const struct kjx_op *kjx_op_product(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	const struct kjx_dot_plan *p = op->data;

	p->product(&p->gemm, cells[0], cells[1], cells[2], s->scratch, s->vm->region[op->region].trips & 1);
	KJX_NEXT(op, cells, s);
}

/* an instruction with a handler of its own: it counts, and looks at the budget, itself */
const struct kjx_op *kjx_op_call(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	enum kjx_status status = s->spent >= s->limit ? KJX_AGAIN : kjx_step_run(s, op->data);

	if (status != KJX_OK)
		return stop(s, op, status);
	s->spent++;
	kjx_memset(s->vm->at, 0, sizeof(s->vm->at));
	KJX_NEXT(op, cells, s);
}

/* the end of a straight piece of code, the next one follows */
const struct kjx_op *kjx_op_check(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	if (kjx_spend(s, op->n))
		return stop(s, op + 1, KJX_AGAIN);
	KJX_NEXT(op, cells, s);
}

/* an inner while is entered */
const struct kjx_op *kjx_op_while(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	s->vm->region[op->region].trips = 0;
	if (kjx_spend(s, op->n))
		return stop(s, op + 1, KJX_AGAIN);
	KJX_NEXT(op, cells, s);
}

/* the condition's work is counted here when the loop is left, else at the end of the body */
const struct kjx_op *kjx_op_do(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	if (!*(const u8 *)cells[0]) {
		s->spent += op->n;
		KJX_JUMP(op, op->jump, cells, s);
	}
	KJX_NEXT(op, cells, s);
}

const struct kjx_op *kjx_op_do_bounded(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	const struct kjx_control *c = op->data;
	u64 *trips = &s->vm->region[op->region].trips;

	if (!*(const u8 *)cells[0]) {
		s->spent += op->n;
		KJX_JUMP(op, op->jump, cells, s);
	}
	if (*trips == c->trips)
		return stop(s, op, KJX_TOO_MANY_TRIPS);
	++*trips;
	KJX_NEXT(op, cells, s);
}

/* the end of a while's body, or of a branch that is not the last: to its condition, or after the case */
const struct kjx_op *kjx_op_jump(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	if (kjx_spend(s, op->n))
		return stop(s, op + op->jump, KJX_AGAIN);
	KJX_JUMP(op, op->jump, cells, s);
}

/* @jump: to the first operation of the thread */
const struct kjx_op *kjx_op_case(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	const struct kjx_step *to = &s->vm->plan->steps[kjx_choose(op->data, *(const s32 *)cells[0])];

	s->spent += op->n;
	KJX_JUMP(op, op->jump + (s64)to->op, cells, s);
}

const struct kjx_step *kjx_thread_step(const struct kjx_thread *t, u32 op)
{
	return t->ops[op - 1].data;
}

enum kjx_status kjx_thread_run(struct kjx_slice *s, const struct kjx_thread *t)
{
	void **cells = (void **)(s->vm->arena + t->link_at);
	const struct kjx_op *op;
	u64 i;

	if (!s->vm->op) {
		s->vm->region[t->region].trips = 0;
		for (i = 0; i < (u64)KJX_CELLS * t->n_ops; i++)
			cells[i] = kjx_address(s, &t->places[i]);
		for (op = t->ops; op != t->ops + t->n_ops; op++)
			if (op->fn == kjx_op_call)
				kjx_step_link(s, op->data);
			else if (op->fn == kjx_op_tiles)
				kjx_nest_link(s, op->data);
	}
	op = s->vm->op ? t->ops + (s->vm->op - 1) : t->ops;
	while (op)
		op = op->fn(op, cells + KJX_CELLS * (op - t->ops), s);
	s->vm->op = s->status == KJX_OK ? 0 : (u32)(s->next - t->ops) + 1;
	return s->status;
}
