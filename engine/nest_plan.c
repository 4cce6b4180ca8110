// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Decoding of a nest: from an instruction to its plan. The steps are in files of their own: operands (nest_views.c), loads and
 * stores (nest_load.c, nest_place.c), folds (nest_folds.c), tiles (tiles.c), memory (nest_layout.c).
 */
#include "nest_decode.h"

/* the definitions that hold the accumulators when the combine body is through become the accumulators' cells */
static void pin(struct kjx_decoder *d, u32 first)
{
	struct kjx_ssa *s = &d->ssa;
	u32 n = d->insn->n_acc, i, k;
	u16 result[KJX_MAX_ACCUMULATORS];

	for (i = 0; i < n; i++) {
		result[i] = s->reg[i];
		if (result[i] < n)
			s->def[result[i]].last = KJX_LIVE_OUT;
	}
	for (i = 0; i < n; i++) {
		struct kjx_def *def = &s->def[result[i]];
		u16 written = (u16)(2 * n + i);

		if (result[i] < 3 * n || !def->wants_slot || def->at < first || !s->micro[def->at].fn ||
		    s->def[i].last > def->at) {
			kjx_ssa_micro(s, NULL, written, result[i], s->def[written].log2_size, KJX_MICRO_COPY, 1);
			continue;
		}
		def->wants_slot = 0;
		for (k = first; k < s->n_micro; k++) {
			struct kjx_micro *m = &s->micro[k];

			if (m->dst == result[i] && (m->fn || m->c != KJX_MICRO_STORE))
				m->dst = written;
			if (m->a == result[i] && (m->fn || m->c >= KJX_MICRO_STORE))
				m->a = written;
			if (m->b == result[i] && m->fn)
				m->b = written;
			if (m->c == result[i] && m->fn)
				m->c = written;
		}
	}
}

static void decode_phase(struct kjx_decoder *d, struct kjx_phase *phase, u32 uop, u32 n, u32 weight)
{
	const struct kjx_uop *u = d->b->image->uops + d->insn->body + uop;
	struct kjx_ssa *s = &d->ssa;
	u32 first = s->n_micro, first_pair = d->n_pairs, i, kept = first;
	bool post = phase == &d->plan->post;

	for (i = 0; i < d->insn->n_operands; i++)
		d->stored_at[i] = NONE;
	for (i = 0; i < n; i++) {
		switch (kjx_uop_op(&u[i])) {
		case KJX_OP_LOAD:
			kjx_decode_load(d, &u[i], post);
			break;
		case KJX_OP_STORE:
			kjx_decode_store(d, &u[i]);
			break;
		case KJX_OP_IOTA:
			kjx_decode_iota(d, &u[i]);
			break;
		default:
			kjx_ssa_uop(s, &u[i]);
		}
	}
	if (phase == &d->plan->map) {
		for (i = 0; i < d->insn->n_acc; i++) {
			u32 value = s->reg[d->insn->n_acc + i];

			d->plan->acc[i].value = (u16)value;
			d->plan->acc[i].log2_size = s->def[value].log2_size;
			s->def[value].last = KJX_LIVE_OUT;
			s->def[value].point = 0;	/* folds read all of it */
		}
	}
	/* tiles take operations one by one */
	if ((d->b->in_while || d->shape.lanes > 1) && phase != &d->plan->combine)
		kjx_ssa_pairs(s, first, d->tiled && phase == &d->plan->map);
	kjx_decode_places(d, first, post);
	if (phase == &d->plan->combine)
		pin(d, first);
	kjx_ssa_slots(s, first);

	phase->micro = s->micro + first;
	phase->dense = d->pairs + first_pair;
	phase->n_dense = d->n_pairs - first_pair;
	phase->weight = weight;
	for (i = first; i < s->n_micro; i++)
		if (s->micro[i].fn || s->micro[i].c != KJX_MICRO_NONE)
			s->micro[kept++] = s->micro[i];
	phase->n_micro = kept - first;
}

/* what a reduction's bodies find in registers at their entry */
static void enter(struct kjx_decoder *d, u32 values)
{
	u32 n = d->insn->n_acc, i;

	for (i = 0; i < n; i++) {
		d->ssa.reg[i] = (u16)i;
		if (values)
			d->ssa.reg[n + i] = (u16)(n + i);
	}
}

static void entry_cells(struct kjx_decoder *d)
{
	u32 i;

	for (i = 0; i < 3u * d->insn->n_acc; i++)
		kjx_ssa_def(&d->ssa, 0, false);
}

/* steps for what of the map body they can do, and for folding its value */
static void tile(struct kjx_decoder *d)
{
	struct kjx_nest_plan *plan = d->plan;
	struct kjx_tiler t = {
		.ssa = &d->ssa, .self = KJX_NO_CELL, .value = plan->acc[0].value, .acc = 2,
		.fixed = d->fixed + plan->n_fixed, .fold = plan->tile_fold,
	};

	t.points = kjx_build(d->b, d->insn->n_map * sizeof(*t.points));
	t.most = (u32)kjx_tile_steps(d->insn->n_map);
	t.steps = kjx_build(d->b, 2 * t.most * sizeof(*t.steps));
	plan->map.n_micro = kjx_tile(&t, (u32)(plan->map.micro - d->ssa.micro), plan->map.n_micro);
	plan->map.points = t.points;
	plan->map.n_points = t.n_points;
	plan->n_fixed += t.n_fixed;
	plan->self = t.self;
	plan->kept = t.kept;
	plan->folded = (u8)t.folded;
	plan->streams = d->streams != 0;
}

void kjx_nest_join(const struct kjx_nest_plan *p, const struct kjx_nest_plan *next)
{
	((struct kjx_nest_plan *)p)->joined = next;
}

u64 kjx_nest_link_at(const struct kjx_nest_plan *p)
{
	return p->has_link ? p->link_at : 0;
}

bool kjx_nest_is_threaded(const struct kjx_nest_plan *p)
{
	return p->threaded;
}

bool kjx_nest_is_quick(const struct kjx_nest_plan *p)
{
	return p->quick;
}

/* What is left of a tile takes as long as a whole one: in threaded code strip routines do what fills less than three quarters. */
static bool fills_tiles(const struct kjx_decoder *d)
{
	const u64 bytes = d->plan->lanes << kjx_uops_log2(d->b->image->uops + d->insn->body, d->insn->n_map);

	return 4 * bytes >= 3 * kjx_align_up(bytes, d->b->cpu->tiles->bytes);
}

const struct kjx_nest_plan *kjx_nest_build(struct kjx_builder *b, const struct kjx_nest *insn)
{
	u64 uops = (u64)insn->n_map + insn->n_combine + insn->n_post, cells = kjx_nest_cells(insn);
	const u64 *dims = kjx_nest_dims(insn);
	struct kjx_nest_plan *plan = kjx_build(b, sizeof(*plan));
	struct kjx_decoder d = { .b = b, .insn = insn, .plan = plan };
	const struct kjx_shape *shape = &d.shape;
	u64 *loop_dim;
	u32 i;

	kjx_nest_shape(b->image, insn, &d.shape);
	*plan = (struct kjx_nest_plan) {
		.mode = shape->mode, .n_acc = insn->n_acc, .n_kept = shape->n_kept, .n_red = shape->n_red,
		.single = shape->mode == KJX_NEST_MAP && shape->strip == shape->lanes && !shape->n_kept,
		.by_rows = insn->rows != 0, .has_link = b->in_while || insn->rows,
		.strip = shape->strip, .lanes = shape->lanes, .unit = shape->unit, .red = shape->red,
		.self = KJX_NO_CELL,
	};
	d.tiled = plan->strip >= KJX_TILE_LANES && (!(b->in_while && plan->single) || fills_tiles(&d));
	plan->loop_dim = loop_dim = kjx_build(b, 8ull * (shape->n_kept + shape->n_red));
	for (i = 0; i < (u32)shape->n_kept + shape->n_red; i++)
		loop_dim[i] = dims[shape->order[i]];
	kjx_decode_views(&d);
	kjx_decode_clashes(&d);
	kjx_decode_streams(&d);

	d.ssa.cpu = b->cpu;
	d.ssa.micro = kjx_build(b, (uops + 2ull * insn->n_acc) * sizeof(struct kjx_micro));
	d.ssa.def = kjx_build(b, cells * sizeof(struct kjx_def));
	d.pairs = kjx_build(b, (uops + cells) * sizeof(struct kjx_pair));
	plan->fixed = d.fixed = kjx_build(b, ((u64)insn->n_operands + insn->n_map) * sizeof(*d.fixed));
	plan->splats = d.splats = kjx_build(b, insn->n_operands * sizeof(*d.splats));

	entry_cells(&d);
	decode_phase(&d, &plan->map, 0, insn->n_map, shape->w_map);
	for (i = 0; i < insn->n_acc; i++) {
		u32 log2 = plan->acc[i].log2_size;

		d.ssa.def[i].log2_size = (u8)log2;
		d.ssa.def[insn->n_acc + i].log2_size = (u8)log2;
		d.ssa.def[2 * insn->n_acc + i].log2_size = (u8)log2;
		d.ssa.def[i].last = 0;
	}
	if (insn->n_acc) {
		enter(&d, 1);
		decode_phase(&d, &plan->combine, insn->n_map, insn->n_combine, shape->w_combine);
		kjx_decode_folds(&d);
		enter(&d, 0);
		decode_phase(&d, &plan->post, (u32)insn->n_map + insn->n_combine, insn->n_post, shape->w_post);
	}
	if (d.tiled)
		tile(&d);
	kjx_decode_moves(&d);
	kjx_decode_rows(&d);
	kjx_decode_layout(&d);
	plan->cost = kjx_strip_cost(plan->lanes, plan->map.weight);
	kjx_decode_class(&d);
	return plan;
}
