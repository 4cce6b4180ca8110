// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Arithmetic operations of an instruction, as compilers report them: one for each element of each arithmetic or
 * comparing micro-operation, two for a multiply-add, four times as many for a complex product. Moves, selections
 * and conversions count nothing. Work units, which fuel is measured in, are the plan's business.
 */
#include "verify.h"

static u64 points(const u64 *dims, u32 rank)
{
	u64 n = 1;

	while (rank--)
		n = kjx_sat_mul(n, *dims++);
	return n;
}

static u64 body_flops(const struct kjx_image *image, u32 first, u32 n)
{
	u64 flops = 0;
	u32 i;

	for (i = first; i < first + n; i++)
		flops += kjx_uop_rows[image->uops[i].code].flops;
	return flops;
}

static u64 nest_flops(const struct kjx_image *image, const struct kjx_nest *n)
{
	const u64 *dims = kjx_nest_dims(n);
	u64 all = points(dims, n->rank), kept, flops;

	kept = kjx_sat_mul(points(dims, n->red_first),
			   points(dims + n->red_first + n->red_count, n->rank - n->red_first - n->red_count));
	flops = kjx_sat_mul(all, body_flops(image, n->body, n->n_map));
	if (!n->n_acc)
		return flops;
	/* a row of d values takes d - 1 combinations */
	flops = kjx_sat_add(flops, kjx_sat_mul(all - kept, body_flops(image, n->body + n->n_map, n->n_combine)));
	return kjx_sat_add(flops, kjx_sat_mul(kept, body_flops(image, n->body + n->n_map + n->n_combine, n->n_post)));
}

static u64 sort_flops(const struct kjx_image *image, const struct kjx_sort *s)
{
	const u64 *dims = kjx_sort_dims(s);
	u64 each = s->n_keys ? s->n_keys : body_flops(image, s->body, s->n_uops), levels = 0;

	while (levels < 63 && 1ull << levels < dims[s->rank - 1])
		levels++;
	return kjx_sat_mul(kjx_sat_mul(points(dims, s->rank), levels), each);
}

/* 5 n log2(n) for each, half of it where the values are real, as transforms are usually counted */
static u64 transform_flops(const struct kjx_transform *t)
{
	const u64 elements = kjx_sat_mul(points(t->dims, 3), t->kind == KJX_TRANSFORM_COMPLEX ? 10 : 5);
	u64 levels = 0;

	while (levels < 63 && 1ull << levels < t->dims[1])
		levels++;
	return kjx_sat_mul(elements, levels) / 2;
}

u64 kjx_insn_flops(const struct kjx_image *image, const struct kjx_insn *insn)
{
	const struct kjx_gather *g = (const void *)insn;
	const struct kjx_dot *d = (const void *)insn;
	const struct kjx_scan *scan = (const void *)insn;

	switch (insn->opcode) {
	case KJX_OPCODE_NEST:
		return nest_flops(image, (const void *)insn);
	case KJX_OPCODE_DOT:
		return kjx_sat_mul(points(kjx_dot_dims(d), kjx_dot_rank(d)), kjx_dtype_kind[d->dtype] == 'c' ? 8 : 2);
	case KJX_OPCODE_SCATTER:
		return kjx_sat_mul(points(kjx_gather_dims(g), kjx_gather_rank(g)), body_flops(image, g->body, g->n_uops));
	case KJX_OPCODE_SCAN:
		return points(kjx_scan_dims(scan), scan->rank);
	case KJX_OPCODE_TRANSFORM:
		return transform_flops((const void *)insn);
	case KJX_OPCODE_SORT:
		return sort_flops(image, (const void *)insn);
	}
	return 0;
}
