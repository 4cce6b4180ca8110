/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Tiles: a run of cheap operations on strips, done a few vectors at a time, so that what one operation makes
 * for the next stays in vector registers.
 *
 * A strip routine of a cheap operation is bound by its loads and stores. A tile is KJX_TILE_VECTORS vectors of one cpu
 * table. Steps work on a tile in registers, A, and on memory: A = A + strip, strip = A, ... They follow each other in the plan
 * like the operations of threaded code (thread.h): each goes on to the next by a sibling call that hands A over in vector
 * registers; the last one to the first, for the next tile. (A build without sibling calls is as deep as a list of steps for all
 * tiles of a strip is long.) The jump from step to step takes about five cycles whatever a step does, so A is all the vectors
 * that calls pass in registers, and what often follows each other is one step. What is needed again soon waits in one of a few
 * kept tiles of memory, always the same ones.
 *
 * Besides A the steps hand on M, a mask: a bit for each lane, in general registers. Comparisons make it, selections read it. In
 * memory an i1 is a byte an element, as ever; masks that are needed again wait as bits in kept masks.
 *
 * Elements of 16 bits, halves, take two bytes in strips and are lanes of 32 bits in A and kept tiles, the upper halves zero.
 *
 * What is left of a strip, less than a tile, goes through a second list of the same steps, with functions that read and
 * write no more of a tensor than that. Slots have room for whole tiles (nest.h); stores of less than a vector would make the
 * loads after them wait.
 */
#ifndef KJX_TILE_H
#define KJX_TILE_H

#include "port.h"

#define KJX_TILE_VECTORS 8u
#define KJX_TILE_BYTES 512u	/* of the largest tile */
#define KJX_TILES_KEPT 8u
#define KJX_MASK_BYTES 16u	/* of a kept mask */
#define KJX_MASKS_TILES 3u	/* kept masks are as much memory as so many kept tiles */
#define KJX_ENDS 16u		/* rows whose folds end together, at most */
#define KJX_TILE_HALVES 2u	/* row of moves (below) */
#define KJX_TILE_LANES 64u	/* nests of fewer lanes do without */

/* a step's function; its vectors are the business of the cpu table alone (ukernels/tiles.inc) */
typedef void kjx_tile_fn(void);

/** struct kjx_tile_step
 * @cell:	of the strip (or the kept tile, or the one element for all lanes) that it reads or writes
 * @other:	cell of the element, where @cell is a strip's; of a last step: steps back to the first
 * The function of a pair (below) reads the step after its own, too.
 * A list begins with one that only says, as @cell, how many steps further on the list for parts of tiles begins.
 */
struct kjx_tile_step {
	kjx_tile_fn *fn;
	u32 cell, other;
};

/* where the operands of an operation are: MEMORY a strip, KEPT a kept tile, ONE an element; the left one first */
enum kjx_tile_form {
	KJX_TILE_A_MEMORY, KJX_TILE_MEMORY_A, KJX_TILE_MEMORY_ONE, KJX_TILE_ONE_MEMORY,
	KJX_TILE_A_ONE, KJX_TILE_ONE_A, KJX_TILE_AA, KJX_TILE_A_KEPT, KJX_TILE_KEPT_A,
	KJX_TILE_FORMS,
};

/* what an operation reads and makes */
enum kjx_tile_kind {
	KJX_TILE_BINARY,	/* A = two operands */
	KJX_TILE_UNARY,		/* A = f(A); form AA, as of all that have no second operand. Of halves f(strip), too: A_MEMORY; and one
				 * element, @other, of another, @cell: A_ONE */
	KJX_TILE_COMPARE,	/* M = two operands; A stays */
	KJX_TILE_TEST,		/* M = f(A); A stays */
	KJX_TILE_SELECT,	/* A = M ? one operand : another */
	KJX_TILE_NUMBER,	/* A = M as numbers */
	KJX_TILE_LOGIC,		/* M = M and a kept mask; form A_KEPT */
	KJX_TILE_MASK,		/* M = f(M) */
	KJX_TILE_WIDEN,		/* A = f(strip of bytes); form A_MEMORY */
	KJX_TILE_NARROW,	/* strip of bytes = f(A); form A_MEMORY; A stays */
	KJX_TILE_BY_ONE,	/* A = A and an element that stays where it is, the second operand; form A_ONE */
	KJX_TILE_BY_TWO,	/* likewise two, the second and third ones */
};

/** struct kjx_tile_row - an operation that has steps
 * @strip:	the routine that does it on strips
 * @log2_size:	of elements that it works on; 0: of masks alone, whatever they are masks for
 * @halves:	a selection of halves
 * @fn:		by form; NULL: not in this form (ONE_MEMORY alone, and those of others than BINARY, COMPARE and SELECT)
 * @part:	of the first four forms, where they read a part of a tile
 */
struct kjx_tile_row {
	void (*strip)(void *dst, const void *a, const void *b, const void *c, u64 n);
	u8 kind, log2_size, halves, zero[5];
	kjx_tile_fn *const *fn, *const *part;
};

/** struct kjx_tile_fold - a fold of A onto KJX_FOLD_BYTES of accumulators (cpu.h)
 * @code:	of the micro-operation that combines two
 * @last:	likewise, as the last step
 * @begin:	@rows times KJX_FOLD_BYTES of accumulators that change nothing
 * @end:	their upper half onto the lower, down to the first one
 * @ends:	likewise for each of @rows times KJX_FOLD_BYTES of accumulators, up to KJX_ENDS; the results lie side by side, at
 *		@acc. Other accumulators up to KJX_ENDS are read, too
 * @rows:	all of it for @rows rows of @n values that lie in memory (KJX_FOLD_BYTES or more), @stride bytes apart; the results
 *		lie side by side, at @out, where there is room for as many accumulators; or NULL
 */
struct kjx_tile_fold {
	u32 code, zero;
	kjx_tile_fn *fn, *last, *part;
	void (*begin)(void *acc, u64 rows);
	void (*end)(void *acc);
	void (*ends)(void *acc, u64 rows);
	void (*rows)(void *out, const void *values, s64 stride, u64 n, u64 rows);
};

/* a cell that points elsewhere in the next row (point of the innermost kept loop) */
struct kjx_move {
	u64 cell;
	s64 step;
};

/* steps that are no operation */
enum kjx_tile_move {
	KJX_TILE_LOAD,		/* A = strip */
	KJX_TILE_STORE,		/* strip = A */
	KJX_TILE_STREAM,	/* likewise, past the caches */
	KJX_TILE_LOAD_ONE,	/* from here on: the same on a part of a tile */
	KJX_TILE_PUT,		/* kept tile = A */
	KJX_TILE_GET,		/* A = kept tile */
	KJX_TILE_STORE_LAST,	/* strip = A, and the next tile */
	KJX_TILE_STREAM_LAST,
	KJX_TILE_END,		/* the next tile */
	KJX_TILE_MASK_LOAD,	/* M = strip of bytes */
	KJX_TILE_MASK_ONE,	/* M = one byte, in all lanes */
	KJX_TILE_MASK_STORE,	/* strip of bytes = M */
	KJX_TILE_MASK_STORE_LAST,
	KJX_TILE_MASK_PUT,	/* kept mask = M */
	KJX_TILE_MASK_GET,
	KJX_TILE_MOVES,
};

/* @fn does what @first and the step after it, @second, do; it goes on to the one after that. The last one has no fn */
struct kjx_tile_pair {
	kjx_tile_fn *first, *second, *fn;
};

/* @fn does all that a list of @steps does on a part of a tile, from the first one to the end. The last list has no fn */
#define KJX_TILE_LIST 6u
struct kjx_tile_list {
	kjx_tile_fn *steps[KJX_TILE_LIST], *fn;
};

/** struct kjx_tiles - of a cpu table
 * @bytes:	of a tile
 * @run:	a strip routine: a is the first step, b the cells
 * @next:	the next @rows rows, one after the other: cells move, then the same on @bytes bytes
 * @rows, @folds: the last one has no routine, or code 0
 * @settle:	what was stored past the caches comes before what this processor stores next
 * @moves:	for elements of 4 and 8 bytes, and halves; on whole tiles, on parts; by kjx_tile_move
 */
struct kjx_tiles {
	void (*run)(void *dst, const void *a, const void *b, const void *c, u64 n);
	void (*run64)(void *dst, const void *a, const void *b, const void *c, u64 n);
	void (*settle)(void);
	void (*next)(const struct kjx_tile_step *first, void **cells, u64 bytes, u64 rows, const struct kjx_move *moves, u64 n_moves);
	u64 bytes;
	const struct kjx_tile_row *rows;
	const struct kjx_tile_fold *folds;
	kjx_tile_fn *const (*moves)[2][KJX_TILE_MOVES];
	const struct kjx_tile_pair *pairs;
	const struct kjx_tile_list *lists;
};

#endif
