// SPDX-License-Identifier: MIT OR GPL-2.0
/* Opcode transform: what an instruction says, what it takes, what it costs. Progress: see ukernels/transform.inc. */
#include "part.h"

struct kjx_transform_step {
	struct kjx_transform_plan plan;
	struct kjx_place in, out, roots;
};

u64 kjx_transform_elements(const struct kjx_transform *insn, u32 operand)
{
	const bool half = insn->kind == (operand ? KJX_TRANSFORM_FORWARD : KJX_TRANSFORM_BACKWARD);

	return half ? insn->dims[1] / 2 + 1 : insn->dims[1];
}

u64 kjx_transform_roots(const struct kjx_transform *insn)
{
	u64 m = insn->dims[1], n = 0;
	u32 i;

	for (i = 0; i < insn->n_factors; i++) {
		m /= insn->factors[i];
		n += (insn->kind == KJX_TRANSFORM_COMPLEX ? m - 1 : (m - 1) / 2) * (insn->factors[i] - 1u);
	}
	if (insn->flags & KJX_TRANSFORM_FLAG_TURNED)
		n = kjx_sat_add(n, kjx_sat_mul(insn->dims[1], insn->dims[2]));
	return kjx_sat_mul(2, n);
}

static void decode(struct kjx_transform_plan *p, const struct kjx_image *image, const struct kjx_transform *insn)
{
	const struct kjx_operand *in = kjx_transform_operand(insn, 0), *out = kjx_transform_operand(insn, 1);
	const u32 from = image->tensors[in->tensor].dtype, to = image->tensors[out->tensor].dtype;
	u32 i;

	kjx_memset(p, 0, sizeof(*p));
	p->kind = insn->kind;
	p->single = insn->dtype == KJX_DTYPE_F32;
	p->inverse = !!(insn->flags & KJX_TRANSFORM_FLAG_INVERSE);
	p->turned = !!(insn->flags & KJX_TRANSFORM_FLAG_TURNED);
	p->real = insn->kind == KJX_TRANSFORM_COMPLEX && from == insn->dtype;
	p->n_factors = insn->n_factors;
	kjx_memcpy(p->factors, insn->factors, insn->n_factors);
	p->outer = insn->dims[0];
	p->n = insn->dims[1];
	p->lanes = insn->dims[2];
	p->given = kjx_transform_elements(insn, 0);
	p->made = kjx_transform_elements(insn, 1);
	for (i = 0; i < 3; i++) {
		p->in[i] = kjx_strides(in)[i] * (s64)kjx_dtype_size[from];
		p->out[i] = kjx_strides(out)[i] * (s64)kjx_dtype_size[to];
	}
	p->scale = insn->scale;
	p->groups = (p->lanes - 1) / KJX_TRANSFORM_LANES + 1;
}

u64 kjx_transform_plan_bytes(const struct kjx_image *image, const struct kjx_transform *insn)
{
	(void)image;
	(void)insn;
	return sizeof(struct kjx_transform_step);
}

u64 kjx_transform_scratch(const struct kjx_image *image, const struct kjx_transform *insn)
{
	(void)image;
	return 2 * (2 * insn->dims[1] + 2) * KJX_TRANSFORM_VECTOR;
}

/* an element is a unit in each pass, and when it is loaded and stored */
u64 kjx_transform_cost(const struct kjx_image *image, const struct kjx_transform *insn)
{
	const u64 elements = kjx_sat_mul(insn->dims[1], kjx_sat_mul(insn->dims[0], insn->dims[2]));

	(void)image;
	return kjx_sat_mul(elements, insn->n_factors + 2u);
}

u64 kjx_transform_units(const struct kjx_transform *insn)
{
	return kjx_sat_mul(insn->dims[0], (insn->dims[2] - 1) / KJX_TRANSFORM_LANES + 1);
}

const struct kjx_transform_step *kjx_transform_build(struct kjx_builder *b, const struct kjx_transform *insn)
{
	struct kjx_transform_step *p = kjx_build(b, sizeof(*p));
	const struct kjx_operand *in = kjx_transform_operand(insn, 0), *out = kjx_transform_operand(insn, 1);

	decode(&p->plan, b->image, insn);
	kjx_place_set(b->image, &p->in, in->tensor, in->offset);
	kjx_place_set(b->image, &p->out, out->tensor, out->offset);
	kjx_place_set(b->image, &p->roots, insn->roots, insn->roots_at);
	return p;
}

enum kjx_status kjx_transform_run(struct kjx_slice *s, const struct kjx_transform_step *p)
{
	const struct kjx_transform_run run = {
		.plan = &p->plan,
		.in = kjx_address(s, &p->in),
		.out = kjx_address(s, &p->out),
		.roots = kjx_address(s, &p->roots),
		.scratch = s->scratch,
		.to = s->part ? s->part->to : p->plan.outer * p->plan.groups,
	};
	const u64 left = s->limit > s->spent ? s->limit - s->spent : 1;
	u32 done = 0;

	if (s->part && !s->part->cut) {
		s->part->cut = true;
		s->vm->at[0] = s->part->from;
	}
	kjx_spend(s, s->cpu->transform(&run, s->vm->at, left, &done));
	return done ? KJX_OK : KJX_AGAIN;
}
