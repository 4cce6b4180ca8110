/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Tiles: a run of cheap float operations on strips, done a few vectors at a time, so that what one operation makes
 * for the next stays in vector registers.
 *
 * A strip routine of a cheap operation is bound by its loads and stores. A tile is KJX_TILE_VECTORS vectors of one cpu
 * table. Steps work on two tiles in registers, A and B, and on memory: A = A + strip, B = A, strip = A, ... They follow each
 * other in the plan like the operations of threaded code (thread.h): each goes on to the next by a sibling call that hands
 * A and B over in vector registers. The last one returns; the caller begins again with the next tile. (A build without
 * sibling calls is as deep as a list of steps is long.)
 *
 * What is left of a strip, less than a tile, goes through a second list of the same steps, with functions that read and
 * write no more of a tensor than that. Slots have room for whole tiles (nest.h); stores of less than a vector would make the
 * loads after them wait.
 */
#ifndef KJX_TILE_H
#define KJX_TILE_H

#include "port.h"

#define KJX_TILE_VECTORS 4u
#define KJX_TILE_BYTES 256u	/* of the largest tile */
#define KJX_TILE_LANES 64u	/* nests of fewer lanes do without */

/* a step's function; its vectors are the business of the cpu table alone (ukernels/tiles.inc) */
typedef void kjx_tile_fn(void);

/** struct kjx_tile_step
 * @cell:	of the strip (or the one element for all lanes) that it reads or writes
 * @part:	steps from this one to the same one for a part of a tile
 */
struct kjx_tile_step {
	kjx_tile_fn *fn;
	u32 cell, part;
};

/* where the operands of an operation are: MEMORY a strip, ONE an element. Two-letter ones are left and right operand */
enum kjx_tile_form {
	KJX_TILE_A_MEMORY, KJX_TILE_MEMORY_A, KJX_TILE_A_ONE, KJX_TILE_ONE_A, KJX_TILE_AA, KJX_TILE_AB, KJX_TILE_BA,
	KJX_TILE_FORMS,
};

/** struct kjx_tile_row - an operation that has steps; unary: form AA
 * @code:	of the micro-operation, as in struct kjx_uop
 * @fn:		by form
 * @part:	of the first two forms, where they read a part of a tile
 */
struct kjx_tile_row {
	u32 code, is_unary;
	kjx_tile_fn *const *fn, *const *part;
};

/** struct kjx_tile_fold - a fold of A onto KJX_FOLD_BYTES of accumulators (cpu.h)
 * @code:	of the micro-operation that combines two
 * @begin:	accumulators that change nothing
 * @end:	their upper half onto the lower, down to the first one
 */
struct kjx_tile_fold {
	u32 code, zero;
	kjx_tile_fn *fn, *part;
	void (*begin)(void *acc);
	void (*end)(void *acc);
};

/* steps that are no operation */
enum kjx_tile_move {
	KJX_TILE_LOAD,		/* A = strip */
	KJX_TILE_STORE,		/* strip = A */
	KJX_TILE_LOAD_ONE,	/* from here on: the same on a part of a tile */
	KJX_TILE_PUT,		/* B = A */
	KJX_TILE_GET,		/* A = B */
	KJX_TILE_END,
	KJX_TILE_MOVES,
};

/** struct kjx_tiles - of a cpu table
 * @run:	a strip routine: a is the first step, b the cells
 * @rows, @folds: the last one has code 0
 * @moves:	for elements of 4 and 8 bytes; on whole tiles, on parts; by kjx_tile_move
 */
struct kjx_tiles {
	void (*run)(void *dst, const void *a, const void *b, const void *c, u64 n);
	void (*run64)(void *dst, const void *a, const void *b, const void *c, u64 n);
	const struct kjx_tile_row *rows;
	const struct kjx_tile_fold *folds;
	kjx_tile_fn *const (*moves)[2][KJX_TILE_MOVES];
};

#endif
