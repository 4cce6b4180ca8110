// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Decoding of a nest: where everything lies, now that all is counted; and how it may run.
 */
#include "nest_decode.h"

static u32 link_offset(u32 *next, u64 bytes)
{
	u32 at = *next;

	*next += (u32)bytes;
	return at;
}

/* where everything lies, now that all is counted */
void kjx_decode_layout(struct kjx_decoder *d)
{
	struct kjx_nest_plan *plan = d->plan;
	struct kjx_ssa *s = &d->ssa;
	u32 next = 0, i;

	plan->n_slots = s->slots + d->insn->n_acc;	/* the accumulators' come after the bodies' */
	for (i = 0; i < plan->n_splats; i++)
		d->splats[i].slot = (u16)plan->n_slots++;
	plan->in_slots = d->pairs + d->n_pairs;
	for (i = 3u * d->insn->n_acc; i < s->n_def; i++)
		if (s->def[i].slot != KJX_NO_SLOT)
			d->pairs[d->n_pairs + plan->n_in_slots++] =
				(struct kjx_pair) { .cell = (u16)i, .what = s->def[i].slot };
	for (i = 0; i < plan->n_splats; i++)
		d->pairs[d->n_pairs + plan->n_in_slots++] =
			(struct kjx_pair) { .cell = d->splats[i].cell, .what = d->splats[i].slot };

	plan->n_cells = s->n_def;
	plan->slot_bytes = (u32)kjx_slot_bytes(d->shape.strip,
		kjx_uops_log2(d->b->image->uops + d->insn->body,
			      (u32)d->insn->n_map + d->insn->n_combine + d->insn->n_post));
	link_offset(&next, plan->n_cells * sizeof(void *));
	plan->cursors = link_offset(&next, plan->n_views * sizeof(union kjx_cursor));
	plan->counters = link_offset(&next, ((u64)plan->n_kept + plan->n_red) * sizeof(u64));
	for (i = 0; i < plan->n_views; i++)
		if (d->views[i].lanes == KJX_LANES_RUNS)
			d->views[i].odometer = link_offset(&next, 24 + 8ull * (d->views[i].n_dims - 1));
	plan->slots = plan->has_link ? 0 : (u32)kjx_align_up(next, 64);
	if (plan->has_link) {
		plan->link_at = d->b->link;
		d->b->link += kjx_nest_link_bytes(d->b->image, d->insn);
	}
}

/* a single strip: the place of each cell, so that linking is one plain loop, or none (threaded code) */
static void place_cells(struct kjx_decoder *d)
{
	struct kjx_nest_plan *plan = d->plan;
	struct kjx_place *place = kjx_build(d->b, plan->n_cells * sizeof(*place));
	u8 *view = kjx_build(d->b, plan->n_cells);
	u32 i;

	for (i = 0; i < plan->n_cells; i++)
		place[i].base = KJX_BASE_PLAN;
	for (i = 0; i < plan->n_in_slots; i++)
		place[plan->in_slots[i].cell] = (struct kjx_place) {
			.base = KJX_BASE_SCRATCH, .offset = plan->slots + (s64)plan->in_slots[i].what * plan->slot_bytes,
		};
	for (i = 0; i < plan->n_fixed; i++)
		place[plan->fixed[i].cell].offset = (const u8 *)plan->fixed[i].data - d->b->plan;
	for (i = 0; i < plan->map.n_dense; i++)
		place[plan->map.dense[i].cell] = plan->views[plan->map.dense[i].what].place;
	if (plan->self != KJX_NO_CELL) {
		place[plan->self].base = plan->has_link ? KJX_BASE_ARENA : KJX_BASE_SCRATCH;
		place[plan->self].offset = (s64)plan->link_at;
		for (i = 0; i <= KJX_TILES_KEPT; i++)
			place[plan->kept + i] = (struct kjx_place) {
				.base = KJX_BASE_SCRATCH, .offset = (s64)(plan->slots + kjx_kept_at(plan, i)),
			};
	}
	for (i = 0; i < plan->n_cells; i++)
		place[i].log2_size = d->ssa.def[i].log2_size;
	for (i = 0; i < plan->n_splats; i++)
		view[plan->splats[i].cell] = (u8)(plan->splats[i].view + 1);
	for (i = 0; i < plan->map.n_micro; i++)
		if (!plan->map.micro[i].fn && plan->map.micro[i].c == KJX_MICRO_LOAD)
			view[plan->map.micro[i].dst] = (u8)(plan->map.micro[i].b + 1);
	plan->places = place;
	plan->cell_view = view;
}

/* may it run as threaded code; as one loop over routines? */
void kjx_decode_class(struct kjx_decoder *d)
{
	struct kjx_nest_plan *plan = d->plan;
	bool routines = !plan->n_splats;
	u32 i;

	plan->threaded = plan->single;
	for (i = 0; i < plan->map.n_micro; i++) {
		const struct kjx_micro *m = &plan->map.micro[i];

		if (m->fn)
			continue;
		routines = false;
		if (m->c == KJX_MICRO_IOTA32 || m->c == KJX_MICRO_IOTA64 ||
		    (d->views[m->b].lanes != KJX_LANES_SCALAR && plan->lanes > KJX_LANE_TABLE))
			plan->threaded = 0;
	}
	if (plan->single && (routines || (plan->threaded && d->b->in_while)))
		place_cells(d);
	plan->quick = plan->single && routines;
}
