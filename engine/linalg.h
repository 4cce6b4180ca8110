/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Opcode linalg, between its parts: the core settles where everything lies (linalg.c), a cpu table computes
 * (ukernels/linalg*.inc).
 *
 * A run works matrix after matrix in its scratch, in double precision, real and imaginary parts in planes of their own:
 *
 *	state | matrix 0 | matrix 1 | matrix 2 | vectors | block | lanes
 *
 * Everything that decides where the engine reads and writes lies in the state, which no program can reach; the
 * elements decide branches and nothing else.
 */
#ifndef KJX_LINALG_H
#define KJX_LINALG_H

#include "port.h"
#include "gen/isa.h"

#define KJX_LINALG_STATE	1024	/* bytes */
#define KJX_LINALG_VECTORS	12
#define KJX_LINALG_COLUMNS	128	/* of a right-hand side that are worked on together */
#define KJX_LINALG_BLOCK	64	/* rows that are eliminated together; half as many complex ones */
#define KJX_LINALG_REFLECTORS	16	/* that are applied together */
#define KJX_LINALG_PANEL	16	/* columns of a panel of such rows, most of any cpu table */
#define KJX_LINALG_SMALL	16	/* rows and columns of matrices that lie in lanes */
#define KJX_LINALG_LANES	8	/* of doubles, most of any cpu table */

/** struct kjx_linalg_plan - sizes of one instruction, decoded
 * @rows, @cols:	the matrix as it is worked on
 * @ld:		doubles from one row of a matrix to the next, by matrix
 * @plane:	doubles of one plane, by matrix; the imaginary plane follows the real one
 * @at:		bytes from the scratch's start, by matrix; then of the vectors
 * @length:	doubles of a plane of one vector
 * @block:	rows that are eliminated together, or reflectors that are applied together; 0: kinds that do neither
 * @block_columns: of what changes with the rows, at most, in whole panels; of reflectors: elements of one
 * @block_at:	bytes from the scratch's start, of what the block's products read (ukernels/linalg_block.inc, linalg_wy.inc)
 * @lanes:	small matrices: several are worked on together, each in a lane (ukernels/linalg_lanes.inc)
 * @lanes_at:	bytes from the scratch's start, of what lies in lanes
 * @lane_rows:	of operand 0, whose columns are @n; @lane_units: of work for one of these matrices
 * @size:	elements of one batch member, by operand; @element: its dtype
 */
struct kjx_linalg_plan {
	u8 kind, dtype, flags, n_inputs, n_operands, complex, single, lanes;
	u64 batch, m, n, k;
	u64 ld[3], plane[3], at[4], length;
	u64 block, block_columns, block_at, lanes_at, lane_rows, lane_units;
	u64 size[KJX_LINALG_MAX_OPERANDS];
	u8 element[8];
};

/** struct kjx_linalg_run - a run: an operand that is left out is NULL */
struct kjx_linalg_run {
	const struct kjx_linalg_plan *plan;
	u8 *operand[KJX_LINALG_MAX_OPERANDS];
	u8 *scratch;
};

#endif
