/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Steps in parts: how one step of a program is done by several threads. Internal to the engine.
 *
 * A split says along what axis a step may be cut, so that its pieces write disjoint bytes and none reads what another one
 * writes, and so that each element is computed by the same operations in the same order as without a cut. It follows from
 * the instruction alone:
 *
 *	nest	a map: whole strips of lanes. A reduction: points of the outermost kept dim, else (no kept loops) strips of lanes.
 *		A view that is stored to visits no element twice, and shares bytes with no other view but the same one: verified.
 *	rows	nests that run together: points of dim 0, where kjx_rows_are_apart() finds that no row touches another one's bytes
 *	dot	points of the outermost batch dim; else rows of whole tiles, or columns of the outermost n dim; k is never cut
 *	gather	batch points along the outermost batch dim; scatter is not cut: its updates take effect in order
 *	sort	rows;	scan: rows;	linalg: members of the batch;	transform: groups of lanes
 *
 * Each seat of a team (engine.h) does piece after piece, as a slice of its own: a vm for the handlers' progress, its own scratch
 * and links. What is counted is the same whoever does it.
 */
#ifndef KJX_PART_H
#define KJX_PART_H

#include "linalg.h"
#include "plan.h"

/* tests make pieces smaller, so that small programs are cut too */
#ifndef KJX_PIECE_SHIFT
#define KJX_PIECE_SHIFT 0
#endif

/** struct kjx_split - how a step is cut; see kjx_split_set()
 * @units:	points along the axis
 * @granule:	a piece begins at a multiple of this many points
 * @least:	points of the smallest piece
 * @cost:	work units of the step, at most
 * @piece:	work units of the smallest piece that is worth handing over
 * @each:	pieces for each thread, at most: several where cutting costs nothing, so that a late one gets fewer
 * @fast:	log2 of how many work units take as long as one of other steps
 * @axis:	dot: number of the dim in its plan, or KJX_AXIS_ROWS
 */
struct kjx_split {
	u64 units, granule, least, cost, piece;
	u32 each, axis, fast, zero;
};

#define KJX_AXIS_ROWS KJX_MAX_RANK

/** kjx_split_set - fill in how @insn is cut
 * @cpu:	NULL: for any table. What is cut for one of them is cut then, perhaps into more pieces
 * Return: false: not at all, or it is too little work
 */
bool kjx_split_set(const struct kjx_image *image, const struct kjx_insn *insn, const struct kjx_cpu *cpu,
		   struct kjx_split *split);

/* what a step costs in time: a unit of a contraction takes less than others do */
u64 kjx_split_time(const struct kjx_split *split);

/* pieces for so many threads; less than two: not cut */
u64 kjx_split_pieces(const struct kjx_split *split, u64 threads);

/** struct kjx_part - the piece that a slice does: points ]@from, @to] of the axis
 * @cut:	@plan is the step's plan, cut
 */
struct kjx_part {
	u64 from, to;
	const struct kjx_split *split;
	bool cut;
	union {
		struct kjx_gemm_plan gemm;
		struct kjx_linalg_plan linalg;
	} plan;
};

/* ---- by instruction: the axis and the piece's smallest size; @split is zero but for its cost ---- */
void kjx_rows_split(const struct kjx_image *image, const struct kjx_nest *first, struct kjx_split *split);
void kjx_nest_split(const struct kjx_image *image, const struct kjx_nest *insn, struct kjx_split *split);
void kjx_dot_split(const struct kjx_image *image, const struct kjx_dot *insn, const struct kjx_cpu *cpu,
		   struct kjx_split *split);
u64 kjx_gather_units(const struct kjx_gather *insn);
u64 kjx_sort_rows(const struct kjx_sort *insn);
u64 kjx_transform_units(const struct kjx_transform *insn);
u64 kjx_scan_units(const struct kjx_image *image, const struct kjx_scan *insn);

/* may the rows of the nests from @first to @last, which run together, be done in any order? */
bool kjx_rows_are_apart(const struct kjx_builder *b, const struct kjx_nest *first, const struct kjx_nest *last);

/* let @g be the piece that the slice does */
void kjx_dot_cut(struct kjx_slice *s, const struct kjx_dot_plan *p, struct kjx_gemm *g);

/* ---- running ---- */

/** kjx_team_step - begin or finish a step in parts
 * Return: false: the step is to be done alone. Else *@status is KJX_PARTED, or KJX_OK when all of it is done.
 */
bool kjx_team_step(struct kjx_slice *s, const struct kjx_step *step, enum kjx_status *status);

#endif
