// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Contractions in parts (part.h). A piece of batch points or columns is the whole contraction's plan with fewer points in that dim,
 * at moved addresses; a piece of rows is the whole plan and which rows to do. Chunks of k, and the way of computing, are the
 * whole's. In what order an element's products are added depends on where in a tile it lies, so pieces begin where tiles do.
 *
 * What is packed for one piece is packed again for another one, so pieces are few and not small.
 */
#include "part.h"

#define DOT_PIECE 393216u	/* multiply-adds: some microseconds */
#define THIN_PIECE 131072u	/* where one side is read once: memory is what takes time */
#define MOVE_LHS 64u		/* what it takes to pack an element, in multiply-adds: lhs is turned, from rows that are far apart */
#define MOVE_RHS 8u

/* the smallest tiles and panels of any table, for the verifier; @columns cover those of a row vector */
static void tile_of(const struct kjx_gemm_plan *p, const struct kjx_cpu *cpu, u64 *rows, u64 *columns)
{
	*rows = 2;
	*columns = 2;
	if (cpu)
		cpu->gemm_tile(p, rows, columns);
}

/* rows, or columns, of the larger of two halves that consist of whole tiles */
static u64 half(u64 n, u64 tile)
{
	const u64 tiles = (n - 1) / tile + 1;

	return kjx_min((tiles + 1) / 2 * tile, n);
}

/* work of the larger half of rows or of columns, packing included; ~0: there are not two */
static u64 half_cost(const struct kjx_gemm_plan *p, u64 m, u64 n)
{
	u64 cost = kjx_sat_mul(kjx_sat_mul(m, n), p->k);

	if (m == p->m && n == p->n)
		return ~0ull;
	if (p->flags & KJX_GEMM_PACK_LHS)
		cost = kjx_sat_add(cost, MOVE_LHS * kjx_sat_mul(m, p->k));
	if (p->flags & KJX_GEMM_PACK_RHS)
		cost = kjx_sat_add(cost, MOVE_RHS * kjx_sat_mul(n, p->k));
	return cost;
}

void kjx_dot_split(const struct kjx_image *image, const struct kjx_dot *insn, const struct kjx_cpu *cpu,
		   struct kjx_split *split)
{
	u64 rows, columns, by_rows, by_columns = ~0ull, unit;
	struct kjx_gemm_plan p;
	u32 n;

	kjx_dot_gemm(&p, image, insn);
	split->piece = p.kind == KJX_GEMM_TILE && kjx_min(p.m, p.n) >= 8 ? DOT_PIECE : THIN_PIECE;
	split->fast = split->piece == DOT_PIECE ? 2 : 0;
	split->units = split->granule = split->least = split->each = 1;
	if (p.nb && p.dim[0].n > 1) {
		split->units = p.dim[0].n;
		split->each = 4;
		return;
	}
	tile_of(&p, cpu, &rows, &columns);
	n = (u32)p.nb + p.nm;
	by_rows = half_cost(&p, half(p.m, rows), p.n);
	if (p.nn && p.kind != KJX_GEMM_NARROW && p.kind != KJX_GEMM_FEW) {
		/*
		 * A point of the outermost dim is some columns: as many points as are whole tiles. Dot products are added up
		 * in the same order alone and several at once, but compiled twice, which is seen where two NaNs meet.
		 */
		unit = p.n / p.dim[n].n;
		columns = p.kind == KJX_GEMM_DOTS ? KJX_GEMM_DOTS_COLUMNS : columns;
		columns = !(unit % columns) ? 1 : columns;
		by_columns = half_cost(&p, p.m, half(p.dim[n].n, columns) * unit);
	}
	if (by_rows == ~0ull && by_columns == ~0ull)
		return;
	split->axis = by_rows <= by_columns ? KJX_AXIS_ROWS : n;
	split->units = by_rows <= by_columns ? p.m : p.dim[n].n;
	split->granule = split->least = by_rows <= by_columns ? rows : columns;
}

void kjx_dot_cut(struct kjx_slice *s, const struct kjx_dot_plan *p, struct kjx_gemm *g)
{
	struct kjx_part *part = s->part;
	const u32 axis = part->split->axis;
	struct kjx_gemm_plan *plan = &part->plan.gemm;
	const struct kjx_gemm_dim *whole;

	if (axis == KJX_AXIS_ROWS) {
		g->from = part->from;
		g->to = part->to;
		return;
	}
	whole = &p->gemm.dim[axis];
	if (!part->cut) {
		u64 *points = axis < p->gemm.nb ? &plan->b : &plan->n;

		*plan = p->gemm;
		plan->dim[axis].n = part->to - part->from;
		*points = *points / whole->n * plan->dim[axis].n;
		part->cut = true;
	}
	g->plan = plan;
	g->lhs += (s64)part->from * whole->lhs * (1ll << p->lhs.log2_size);
	g->rhs += (s64)part->from * whole->rhs * (1ll << p->rhs.log2_size);
	g->out += (s64)part->from * whole->out * (1ll << p->out.log2_size);
}
