/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A contraction, normalised once when a program is prepared: groups with fewer and longer dims, the sides
 * swapped where that makes out's rows contiguous, and the way of computing chosen. The result depends on
 * dims and strides only, never on a processor, so that the verifier can size the scratch memory.
 */
#ifndef KJX_GEMM_H
#define KJX_GEMM_H

#include "format.h"

enum kjx_gemm_kind {
	KJX_GEMM_TILE,		/* register tiles: any strides, sides packed where that pays or must be */
	KJX_GEMM_DOTS,		/* both sides contiguous along k: vectors along k, few rows */
	KJX_GEMM_NARROW,	/* rhs rows of 2, 4 or 8 elements without gaps: vectors span several k */
	KJX_GEMM_GROUPS,	/* integers narrower than their sum: tiles, two or four k in a lane of 32 bits */
	KJX_GEMM_FEW,		/* few columns, many rows: dot products of several rows at once; rhs's columns are copied unless they lie along k */
	KJX_GEMM_LINES,		/* windows: lhs is read where it lies, its rows at any offsets, k as runs */
};

#define KJX_GEMM_PACK_LHS	1u	/* copy lhs to row panels */
#define KJX_GEMM_PACK_RHS	2u	/* copy rhs to column panels */
#define KJX_GEMM_OUT_ROWS	4u	/* out rows are contiguous and a fixed stride apart: store vectors */
#define KJX_GEMM_STREAM_RHS	8u	/* rhs comes from far away and is read where it lies: fetch it ahead */

/* header of the scratch memory: a tile of out that cannot be stored as vectors, and its column offsets */
#define KJX_GEMM_SPILL_TILE	2048u
#define KJX_GEMM_SPILL		(KJX_GEMM_SPILL_TILE + 2048u)
#define KJX_GEMM_DOTS_COLUMNS	4	/* that KJX_GEMM_DOTS takes at once */
#define KJX_GEMM_PANEL_ROWS	14u	/* most rows of an lhs panel, any cpu table */
#define KJX_GEMM_HALF_BYTES	(1u << 17)	/* as much as a product in halves has columns for, at most (cpu.h: of two k and more) */
#define KJX_GEMM_ROW_SUMS	64u	/* bytes: one u32 for each of them */

/* header of the scratch memory of windows: runs of k, columns of a tile, a tile; then rhs, where it is packed */
#define KJX_GEMM_RUNS		64u
#define KJX_GEMM_LINES_COLUMNS	32u
#define KJX_GEMM_LINES_ROWS	8u		/* of a tile, at most */
#define KJX_GEMM_LINES_HEAD	(KJX_GEMM_RUNS * 16u + KJX_GEMM_LINES_COLUMNS * 8u + KJX_GEMM_LINES_ROWS * 128u)

/** struct kjx_gemm_dim - one dim: its size, and what a step moves in each tensor, in elements */
struct kjx_gemm_dim {
	u64 n;
	s64 lhs, rhs, out;
};

/** struct kjx_gemm_plan - see kjx_gemm_plan()
 * @kind:	enum kjx_gemm_kind
 * @dtype:	of out and of the sums
 * @swapped:	lhs and rhs of the instruction have changed places
 * @side:	dtypes of lhs and rhs, and the bytes of their elements
 * @flags:	KJX_GEMM_*
 * @nb, @nm, @nn, @nk: dims of each group in @dim, in that order; none for a group of one point
 * @b, @m, @n, @k: points of each group
 * @kc:		k points summed before they are added to out
 * @k_run:	chunks of @kc do not cross multiples of this
 * @chunks:	chunks of k
 * @nc:		columns of rhs packed at a time
 * @lhs_m ...:	strides of a group that is affine in that tensor (else unused)
 */
struct kjx_gemm_plan {
	u8 kind, dtype, swapped, flags;
	u8 nb, nm, nn, nk;
	struct {
		u8 dtype, size;
	} side[2];
	u64 b, m, n, k;
	u64 kc, k_run, chunks, nc;
	s64 lhs_m, lhs_k, rhs_k, rhs_n, out_m, out_n;
	struct kjx_gemm_dim dim[KJX_MAX_RANK];
};

/** kjx_gemm_plan - normalise a verified contraction
 * @plan:	filled in
 * @dtypes:	of lhs, rhs and out
 * @groups:	@nb, @nm, @nn, @nk as in struct kjx_dot, as are @dims
 * @lhs, @rhs, @out: strides, one for each dim
 */
void kjx_gemm_plan(struct kjx_gemm_plan *plan, const u8 *dtypes, const u8 *groups, const u64 *dims, const s64 *lhs,
		   const s64 *rhs, const s64 *out);

/** kjx_gemm_multiplies - can operands of these dtypes be contracted, and their products be summed, in @dtype? */
bool kjx_gemm_multiplies(u32 lhs, u32 rhs, u32 dtype);

/** kjx_gemm_scratch - bytes of scratch that a contraction needs, 64-byte aligned, on any cpu table */
u64 kjx_gemm_scratch(const struct kjx_gemm_plan *plan);

/** kjx_gemm_few_column - KJX_GEMM_FEW: bytes from a copied column of rhs to the next one */
static inline u64 kjx_gemm_few_column(const struct kjx_gemm_plan *p)
{
	return kjx_align_up(p->kc * p->side[1].size, 64) + 64;
}

/** struct kjx_small_dot - a contraction whose result is one vector of lanes (dot_small.c)
 * @span:	elements of lhs and of rhs, from the first to the last
 * @at:		by term, side and lane: the element
 */
#define KJX_SMALL_LANES 16u
#define KJX_SMALL_TERMS 16u
#define KJX_SMALL_SPAN 32u
struct kjx_small_dot {
	u32 lanes, terms, span[2];
	u8 at[][2][KJX_SMALL_LANES];
};

/** struct kjx_gemm - a contraction at its addresses
 * @lhs, @rhs:	in the plan's order: exchanged by the caller if plan->swapped
 * @scratch:	kjx_gemm_scratch() bytes, 64-byte aligned, kept between the slices of one contraction
 * @whole:	the plan of which @plan is a piece, or @plan: says how it is computed
 * @from, @to:	the rows (of m) to be done: all of them, or from and to where tiles begin (gemm_tile of the cpu table)
 */
struct kjx_gemm {
	const struct kjx_gemm_plan *plan;
	const u8 *lhs, *rhs;
	u8 *out;
	u8 *scratch;
	const struct kjx_gemm_plan *whole;
	u64 from, to;
};

#endif
