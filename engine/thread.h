/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Threaded code: what a loop comes down to. The instructions of an outermost while, up to its end, become operations
 * that follow each other in memory; each does its work on its four cells and goes on to the next one by a sibling
 * call, so that nothing is dispatched and nothing returns before the loop ends or its slice does.
 *
 * An operation is read-only and part of the plan; its cells (addresses of this run) lie in the link, at the same place
 * among the cells as the operation among the operations. Where the compiler does not make sibling calls (sanitizers,
 * no optimisation) each operation returns the next one instead: the caller of the first one takes it from there.
 */
#ifndef KJX_THREAD_H
#define KJX_THREAD_H

#include "format.h"

#define KJX_CELLS 4		/* of an operation: result, then operands */

struct kjx_slice;
struct kjx_op;

/* @op's work; returns the operation to go on with, or NULL when the slice's stop says why not */
typedef const struct kjx_op *kjx_op_fn(const struct kjx_op *op, void **cells, struct kjx_slice *slice);

/** struct kjx_op
 * @data:	strip routine, or the plan of what the operation does
 * @n:		lanes; of control flow: work units of what lies between the last such operation and this one
 * @jump:	operations from this one to where it goes
 * @region:	which of vm->region[]
 */
struct kjx_op {
	kjx_op_fn *fn;
	const void *data;
	u64 n;
	s32 jump;
	u32 region;
};

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define KJX_SIBLING_CALLS 1
/* the address of the next one in a register, by itself: it is jumped to through that, and nothing has to be moved */
#define KJX_JUMP(op, by, cells, slice)							\
	do {										\
		const struct kjx_op *to_ = (op) + (by);					\
											\
		(cells) += KJX_CELLS * (s64)(by);					\
		__asm__("" : "+r"(to_));						\
		return to_->fn(to_, cells, slice);					\
	} while (0)
#else
#define KJX_SIBLING_CALLS 0
#define KJX_JUMP(op, by, cells, slice)							\
	do {										\
		(void)(cells);								\
		(void)(slice);								\
		return (op) + (by);							\
	} while (0)
#endif
#define KJX_NEXT(op, cells, slice)	KJX_JUMP(op, 1, cells, slice)

/** struct kjx_carry - an operation on one element that may take an operand in a register, from the operation before, which is one
 * of these on elements of the same size (ukernels/hand.inc)
 * @cell:	the operation whose operands are all in memory; NULL: the end of a list
 * @from:	those whose operand 1, 2, 3 is not; NULL where there is no such operand
 */
struct kjx_carry {
	kjx_op_fn *cell, *from[KJX_CELLS - 1];
	u64 bytes;
};

/* the integers that index (KJX_BY_*), and the elements (KJX_KIND_*), of windows of one element */
enum { KJX_BY_I32, KJX_BY_U32, KJX_BY_I64, KJX_BYS };
enum { KJX_KIND_8, KJX_KIND_16, KJX_KIND_32, KJX_KIND_64, KJX_KIND_F32, KJX_KIND_F64, KJX_KINDS };

/** struct kjx_window_ops - one element at an index (ukernels/window.inc); floats are handed on
 * @put:	clamped; and where what is out of range is left out
 * @carried:	the same where the value is handed on by the operation before
 */
struct kjx_window_ops {
	kjx_op_fn *take, *put[2], *carried[2];
	u64 bytes;
};

/** struct kjx_edges - ends and beginnings of loops that do more than jump (ukernels/edges.inc)
 * @count:	the end, by which operation compares and which one adds; handing on a float or a double
 * @begin:	a do that hands on one
 */
struct kjx_edges {
	struct {
		kjx_op_fn *less, *add, *fn, *hands[2];
	} count[3];
	kjx_op_fn *begin[2];
};

/* thread.c: operations that compute nothing */
kjx_op_fn kjx_op_finish, kjx_op_strip, kjx_op_tiles, kjx_op_call, kjx_op_check, kjx_op_while, kjx_op_do, kjx_op_do_bounded, kjx_op_jump;
kjx_op_fn kjx_op_case, kjx_op_small_dot, kjx_op_product, kjx_op_splat, kjx_op_gather_lanes, kjx_op_scatter_lanes;
kjx_op_fn kjx_op_window;		/* thread_window.c */

struct kjx_cpu;

/* thread_again.c: the end of a while whose condition is the operation @comparison of @cpu alone; NULL: there is none for it */
kjx_op_fn *kjx_again(const struct kjx_cpu *cpu, kjx_op_fn *comparison);

#endif
