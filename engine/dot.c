/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Opcode dot. How a contraction is computed is settled when it is decoded (gemm_plan.c); a run resolves three
 * addresses and calls the cpu table. The budget is in multiply-adds; a complex one counts as four.
 */
#include "part.h"

void kjx_dot_gemm(struct kjx_gemm_plan *plan, const struct kjx_image *image, const struct kjx_dot *insn)
{
	const u8 groups[4] = { insn->nb, insn->nm, insn->nn, insn->nk };
	u8 dtypes[3];
	u32 i;

	for (i = 0; i < 3; i++)
		dtypes[i] = image->tensors[kjx_dot_operand(insn, i)->tensor].dtype;
	kjx_gemm_plan(plan, dtypes, groups, kjx_dot_dims(insn), kjx_strides(kjx_dot_operand(insn, 0)),
		      kjx_strides(kjx_dot_operand(insn, 1)), kjx_strides(kjx_dot_operand(insn, 2)));
}

static u32 weight_of(u32 dtype)
{
	return dtype == KJX_DTYPE_C64 || dtype == KJX_DTYPE_C128 ? 4 : 1;
}

u64 kjx_dot_plan_bytes(const struct kjx_image *image, const struct kjx_dot *insn)
{
	(void)image;
	return sizeof(struct kjx_dot_plan) + (kjx_dot_is_small(insn) ? kjx_small_dot_bytes(insn) : 0);
}

u64 kjx_dot_scratch(const struct kjx_image *image, const struct kjx_dot *insn)
{
	struct kjx_gemm_plan plan;

	kjx_dot_gemm(&plan, image, insn);
	return kjx_gemm_scratch(&plan);
}

u64 kjx_dot_cost(const struct kjx_image *image, const struct kjx_dot *insn)
{
	const u64 *dims = kjx_dot_dims(insn);
	u64 cost = weight_of(insn->dtype);
	u32 i;

	(void)image;
	for (i = 0; i < kjx_dot_rank(insn); i++)
		cost = kjx_sat_mul(cost, dims[i]);
	return cost;
}

const struct kjx_dot_plan *kjx_dot_build(struct kjx_builder *b, const struct kjx_dot *insn)
{
	struct kjx_dot_plan *p = kjx_build(b, sizeof(*p));
	const struct kjx_operand *lhs = kjx_dot_operand(insn, 0), *rhs = kjx_dot_operand(insn, 1);
	const struct kjx_operand *out = kjx_dot_operand(insn, 2);

	p->weight = weight_of(insn->dtype);
	if (kjx_dot_is_small(insn)) {
		struct kjx_small_dot *small = kjx_build(b, kjx_small_dot_bytes(insn));
		s64 low[2];

		kjx_small_dot_build(small, insn, low);
		kjx_place_set(b->image, &p->lhs, lhs->tensor, lhs->offset + low[0]);
		kjx_place_set(b->image, &p->rhs, rhs->tensor, rhs->offset + low[1]);
		kjx_place_set(b->image, &p->out, out->tensor, out->offset);
		p->cost = small->lanes * small->terms;
		p->small = small;
		return p;
	}
	p->region = b->region;
	kjx_dot_gemm(&p->gemm, b->image, insn);
	p->product = b->cpu->product(&p->gemm);
	if (p->product)
		p->cost = (u32)(p->gemm.b * p->gemm.m * p->gemm.n * p->gemm.k) * p->weight;
	kjx_place_set(b->image, p->gemm.swapped ? &p->rhs : &p->lhs, lhs->tensor, lhs->offset);
	kjx_place_set(b->image, p->gemm.swapped ? &p->lhs : &p->rhs, rhs->tensor, rhs->offset);
	kjx_place_set(b->image, &p->out, out->tensor, out->offset);
	return p;
}

enum kjx_status kjx_dot_run(struct kjx_slice *s, const struct kjx_dot_plan *p)
{
	struct kjx_gemm g = {
		.plan = &p->gemm,
		.lhs = kjx_address(s, &p->lhs),
		.rhs = kjx_address(s, &p->rhs),
		.out = kjx_address(s, &p->out),
		.scratch = s->scratch,
		.whole = &p->gemm,
		.to = p->gemm.m,
	};
	const u64 left = s->limit > s->spent ? s->limit - s->spent : 0;
	u32 done = 0;
	u64 units;

	if (p->small) {
		s->cpu->small_dot(p->small, g.out, g.lhs, g.rhs);
		kjx_spend(s, p->cost);
		return KJX_OK;
	}
	if (s->part)
		kjx_dot_cut(s, p, &g);
	units = s->cpu->gemm(&g, s->vm->at, kjx_max(left / p->weight, 1), &done);
	kjx_spend(s, units * p->weight);
	return done ? KJX_OK : KJX_AGAIN;
}
