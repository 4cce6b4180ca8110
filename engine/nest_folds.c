// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Decoding of a nest: how a reduction folds its values (reduce.c), once its map and combine bodies are decoded.
 */
#include "nest_decode.h"

#define CALL_UNITS 65536u	/* work units of several rows in one call, about */
#define WHOLE_BYTES 65536u	/* bytes of rows that are folded in one call */

/* the same operation on tiles: whole accumulators of long strips */
static const struct kjx_tile_fold *tile_fold_of(const struct kjx_decoder *d)
{
	const struct kjx_nest_plan *plan = d->plan;
	const struct kjx_tile_fold *fold;

	if (!plan->fold || plan->strip < (u32)KJX_FOLD_BYTES >> plan->acc[0].log2_size)
		return NULL;
	for (fold = d->b->cpu->tiles->folds; fold->code; fold++)
		if (plan->combine.micro->fn == d->b->cpu->uops[fold->code])
			return fold;
	return NULL;
}

/* the routine that folds whole strips, where the combine body is one operation on the accumulator and the value */
static kjx_fold_fn *fold_of(const struct kjx_decoder *d)
{
	const struct kjx_micro *m = d->plan->combine.micro;
	const struct kjx_fold *fold;

	for (fold = d->b->cpu->folds; fold->fn; fold++)
		if (m->a != m->b && m->fn == d->b->cpu->uops[fold->code])
			break;
	return fold->fn;
}

/* May view @i be read or written for several rows at once, as lanes, by the post body? */
static bool is_dense_over_rows(const struct kjx_decoder *d, u32 i)
{
	return d->views[i].is_iota == 0 &&
	       kjx_strides(kjx_nest_operand(d->insn, i))[d->shape.order[d->shape.n_kept - 1u]] == 1;
}

/* what moves the cells of the map body from row to row, when that is all there is to do */
void kjx_decode_moves(struct kjx_decoder *d)
{
	struct kjx_nest_plan *plan = d->plan;
	const struct kjx_phase *map = &plan->map;
	struct kjx_move *moves = kjx_build(d->b, (map->n_dense + map->n_points + 1) * sizeof(*moves));
	u32 i;

	if (!plan->n_kept || plan->n_red || plan->strip != plan->lanes)
		return;
	for (i = 0; i < map->n_micro; i++)
		if (!map->micro[i].fn)
			return;
	for (i = 0; i < map->n_dense + map->n_points; i++) {
		const struct kjx_pair *pair = i < map->n_dense ? &map->dense[i] : &map->points[i - map->n_dense];
		s64 step = d->views[pair->what].delta[plan->n_kept - 1u];

		if (step)
			moves[plan->n_moves++] = (struct kjx_move) { .cell = pair->cell, .step = step };
	}
	moves[plan->n_moves] = (struct kjx_move) { .cell = 2, .step = KJX_FOLD_BYTES };
	plan->moves = moves;
}

/* rows that one routine does in one call: a few microseconds of work */
void kjx_decode_rows(struct kjx_decoder *d)
{
	struct kjx_nest_plan *plan = d->plan;
	const struct kjx_phase *map = &plan->map;
	const struct kjx_tiles *tiles = d->b->cpu->tiles;
	u32 weight = map->weight + (plan->n_acc ? plan->combine.weight : 0);

	plan->row_cost = kjx_strips_cost(&d->shape, weight);
	if (plan->moves && map->n_micro == 1 && (map->micro->fn == tiles->run || map->micro->fn == tiles->run64) &&
	    (plan->mode == KJX_NEST_MAP || (plan->folded && plan->ends > 1))) {
		plan->next_rows = (u16)kjx_min(CALL_UNITS / plan->row_cost + 1, 256);
		plan->steps = map->micro->a;
		plan->row_bytes = plan->lanes << (map->micro->fn == tiles->run ? 2 : 3);
	}
	if (plan->ends > 1 && !map->n_micro && map->n_dense == 1 && !map->n_points && map->dense->cell == plan->acc[0].value &&
	    plan->lanes << plan->acc[0].log2_size <= WHOLE_BYTES) {
		plan->whole_rows = (u16)kjx_min(WHOLE_BYTES / (plan->lanes << plan->acc[0].log2_size), KJX_ENDS);
		plan->whole = map->dense->what;
	}
}

/*
 * Rows whose folds end together, at most. The post body's lanes are then rows; and it runs when the map body has already been
 * through later rows: so neither may touch what the other stores.
 */
static u16 ends_of(const struct kjx_decoder *d)
{
	const struct kjx_nest *insn = d->insn;
	const struct kjx_uop *u = d->b->image->uops + insn->body, *post = u + insn->n_map + insn->n_combine;
	u64 map_stores = 0, map_uses = 0, post_stores = 0, i;

	if (!d->plan->tile_fold || !d->shape.n_kept || (insn->rows && d->shape.n_kept == 1))
		return 1;
	for (i = 0; i < insn->n_map; i++) {
		bool store = kjx_uop_op(&u[i]) == KJX_OP_STORE;

		if (store || kjx_uop_op(&u[i]) == KJX_OP_LOAD)
			map_uses |= 1ull << u[i].imm;
		if (store)
			map_stores |= 1ull << u[i].imm;
	}
	for (i = 0; i < insn->n_post; i++)
		if (kjx_uop_op(&post[i]) == KJX_OP_STORE)
			post_stores |= 1ull << post[i].imm;
	for (i = 0; map_uses; i++, map_uses >>= 1)
		if ((map_uses & 1) && (d->clash[i] & post_stores))
			return 1;
	for (i = 0; i < insn->n_post; i++) {
		u32 op = kjx_uop_op(&post[i]), view = post[i].imm;
		const struct kjx_view *v = &d->views[view];

		if (op == KJX_OP_IOTA)
			return 1;
		if (op == KJX_OP_LOAD && (d->clash[view] & map_stores))
			return 1;
		if (op == KJX_OP_LOAD && v->lanes == KJX_LANES_SCALAR && !v->in_loops && !d->clash[view])
			continue;	/* the same for all rows: a strip */
		if ((op == KJX_OP_LOAD || op == KJX_OP_STORE) && !is_dense_over_rows(d, view))
			return 1;
	}
	return KJX_ENDS;
}

/* what there is for the combine body */
void kjx_decode_folds(struct kjx_decoder *d)
{
	struct kjx_nest_plan *plan = d->plan;
	const struct kjx_micro *m = plan->combine.micro;

	plan->plain = d->insn->n_acc == 1 && plan->combine.n_micro == 1 && m->fn && m->dst == 2 && m->a < 2 && m->b < 2 &&
		      m->c < 2;
	if (plan->plain && plan->mode == KJX_NEST_FLAT && plan->unit == 1)
		plan->fold = fold_of(d);
	plan->tile_fold = tile_fold_of(d);
	plan->ends = ends_of(d);
}
