/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The end of a loop's body that does the condition as well (thread_again.c, ukernels/edges.inc): the comparison and the do remain before
 * the body, for the first iteration and for going on after a slice.
 *
 * Such an operation's @data is the body's first operation, which the do comes before; @region: of the loop.
 */
#ifndef KJX_EDGE_H
#define KJX_EDGE_H

#include "plan.h"

/* the slice ends: it goes on with the comparison */
static inline const struct kjx_op *kjx_edge_stop(struct kjx_slice *s, const struct kjx_op *next, enum kjx_status status)
{
	s->next = next;
	s->status = status;
	return NULL;
}

/* the cells of the body's first operation, which are as far from @cells as the operations are apart, being as large */
static inline void **kjx_edge_cells(const struct kjx_op *op, void **cells)
{
	_Static_assert(sizeof(*op) == KJX_CELLS * sizeof(*cells), "an operation is as large as its cells");
	return (void **)((u8 *)cells + ((const u8 *)op->data - (const u8 *)op));
}

/* The end of @op, whose comparison says @on and is stored at @condition: work is counted; then @goes_on, unless the loop is left or the
 * slice ends. */
#define KJX_EDGE(op, cells, s, condition, on, goes_on)							\
	do {												\
		const struct kjx_op *body_ = (op)->data;						\
													\
		if (__builtin_expect(kjx_spend(s, (op)->n), 0))						\
			return kjx_edge_stop(s, body_ - 2, KJX_AGAIN);					\
		if (__builtin_expect(!(on), 0)) {							\
			*(u8 *)(condition) = 0;								\
			(s)->spent += body_[-1].n;							\
			KJX_JUMP(op, (op)->jump, cells, s);						\
		}											\
		*(u8 *)(condition) = 1;									\
		if (((const struct kjx_control *)body_[-1].data)->trips) {				\
			u64 *trips_ = &(s)->vm->region[(op)->region].trips;				\
													\
			if (__builtin_expect(*trips_ == ((const struct kjx_control *)body_[-1].data)->trips, 0))	\
				return kjx_edge_stop(s, body_ - 1, KJX_TOO_MANY_TRIPS);			\
			++*trips_;									\
		}											\
		goes_on;										\
	} while (0)

/* to the body, for @goes_on */
#define KJX_EDGE_BACK(op, cells, s)									\
	do {												\
		(cells) = kjx_edge_cells(op, cells);							\
		(op) = (op)->data;									\
		KJX_JUMP(op, 0, cells, s);								\
	} while (0)

#endif
