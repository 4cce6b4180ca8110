// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Decoding of a nest: what each load and store comes down to.
 *
 * A load of a dense view is a pointer that moves with the strips; of one element, a strip filled once for each
 * execution, or while preparing when the element is a constant; anything else is gathered. A store to a dense
 * view vanishes when the micro-operation that makes its value can write right there.
 *
 * What makes this delicate is a tensor that is both loaded and stored (in place; the verifier has seen that the
 * views are the same). Such a load stays a pointer only if no store hits the tensor before the pointer's last
 * use; and a value is made in place only if every such load comes before it and is last used by it at the latest.
 */
#include "nest.h"

/* a decoding in progress */
struct decoder {
	struct kjx_builder *b;
	const struct kjx_nest *insn;
	struct kjx_shape shape;
	struct kjx_nest_plan *plan;
	struct kjx_view *views;
	struct kjx_ssa ssa;
	u64 *clash;		/* by view: the stored views that may touch its memory */
	u16 *stored_at;		/* by view: the store in this phase, or SEVERAL, or NONE */
	u16 *cell;		/* by view: the definition that holds its one element, or NONE */
	struct kjx_pair *pairs;	/* dense ones of all phases, then in_slots */
	u32 n_pairs;
	struct kjx_fixed *fixed;
	struct kjx_splat *splats;
	bool tiled;		/* the map body becomes tiles where it can */
};

#define NONE 0xffff
#define SEVERAL 0xfffe

static u32 link_offset(u32 *next, u64 bytes)
{
	u32 at = *next;

	*next += (u32)bytes;
	return at;
}

/* the loop part of a view: what each loop step adds to its cursor */
static bool view_loops(struct decoder *d, struct kjx_view *v, const u64 *dims, const s64 *strides)
{
	const struct kjx_shape *shape = &d->shape;
	u32 n = (u32)shape->n_kept + shape->n_red, log2 = v->is_iota ? 0 : v->place.log2_size, k;
	s64 *delta = kjx_build(d->b, (n + 2) * sizeof(*delta));
	u64 wrap = 0, moves = 0;

	for (k = n; k--;) {
		u64 stride = (u64)strides[shape->order[k]] << log2;

		delta[k] = (s64)(stride - wrap);
		wrap += (dims[shape->order[k]] - 1) * stride;
		moves |= stride;
		if (k == shape->n_kept) {
			delta[n + 1] = (s64)(0 - wrap);
			wrap = 0;
		}
	}
	delta[n] = (s64)(0 - wrap);
	v->delta = delta;
	return moves != 0;
}

static void decode_views(struct decoder *d)
{
	const struct kjx_nest *insn = d->insn;
	const u64 *dims = kjx_nest_dims(insn);
	struct kjx_nest_plan *plan = d->plan;
	u32 n_loops = (u32)d->shape.n_kept + d->shape.n_red, i;
	u8 *vary = kjx_build(d->b, insn->n_operands);

	d->views = kjx_build(d->b, insn->n_operands * sizeof(*d->views));
	for (i = 0; i < insn->n_operands; i++) {
		const struct kjx_operand *o = kjx_nest_operand(insn, i);
		struct kjx_view *v = &d->views[i];

		v->is_iota = o->tensor == KJX_NO_TENSOR;
		if (v->is_iota)
			v->place.offset = o->offset;
		else
			kjx_place_set(d->b->image, &v->place, o->tensor, o->offset);
		kjx_view_lanes(d->b, v, dims, kjx_strides(o), d->shape.order + n_loops, d->shape.n_lane);
		v->in_loops = view_loops(d, v, dims, kjx_strides(o));
		if (v->in_loops)
			vary[plan->n_vary++] = (u8)i;
	}
	plan->views = d->views;
	plan->vary = vary;
	plan->n_views = insn->n_operands;
}

/* which stored views may touch the memory of each view */
static void find_clashes(struct decoder *d)
{
	const struct kjx_nest *insn = d->insn;
	const struct kjx_uop *u = d->b->image->uops + insn->body;
	u32 n = (u32)insn->n_map + insn->n_combine + insn->n_post, i, k;
	u64 stored = 0;

	d->clash = kjx_build(d->b, insn->n_operands * sizeof(*d->clash));
	d->stored_at = kjx_build(d->b, insn->n_operands * sizeof(*d->stored_at));
	d->cell = kjx_build(d->b, insn->n_operands * sizeof(*d->cell));
	for (i = 0; i < n; i++)
		if (kjx_uop_op(&u[i]) == KJX_OP_STORE)
			stored |= 1ull << u[i].imm;
	for (i = 0; i < insn->n_operands; i++) {
		u32 tensor = kjx_nest_operand(insn, i)->tensor;

		d->cell[i] = NONE;
		for (k = 0; k < insn->n_operands && tensor != KJX_NO_TENSOR; k++)
			if ((stored >> k & 1) && kjx_may_overlap(d->b, tensor, kjx_nest_operand(insn, k)->tensor))
				d->clash[i] |= 1ull << k;
	}
}

static void own_micro(struct decoder *d, u32 kind, u32 dst, u32 view)
{
	kjx_ssa_micro(&d->ssa, NULL, dst, 0, view, kind, 0);
}

/* Does a body on lanes that are always just lane 0 see one element, whatever the strides? (Rows that end together: ends_of().) */
static bool is_one_lane(const struct decoder *d, bool post)
{
	return d->shape.lanes == 1 || (post && d->shape.mode == KJX_NEST_FLAT && d->shape.unit == 1);
}

/* strips that are the same in every execution: the plan keeps them */
static void fix(struct decoder *d, u32 def, const void *data)
{
	struct kjx_fixed *f = &d->fixed[d->plan->n_fixed++];

	f->cell = def;
	f->data = data;
	d->ssa.def[def].wants_slot = 0;
}

static void fix_constant(struct decoder *d, u32 def, const struct kjx_view *v)
{
	const u8 *from = d->b->image->constants + v->place.offset;
	u64 size = 1ull << v->place.log2_size, n = d->shape.strip, i;
	u8 *strip = kjx_build(d->b, n * size);

	for (i = 0; i < n; i++)
		kjx_memcpy(strip + i * size, from, size);
	fix(d, def, strip);
}

static void fix_iota(struct decoder *d, u32 def, const struct kjx_view *v, u32 log2)
{
	struct kjx_odometer o = { .lane = ~0ull };
	u8 *strip = kjx_build(d->b, (u64)d->shape.strip << log2);
	u64 lane;
	s64 offset, stride;

	for (lane = 0; lane < d->shape.strip; lane++) {
		u64 value;

		kjx_view_run(v, &o, lane, 1, &offset, &stride);
		value = (u64)v->place.offset + (u64)offset;
		if (log2 == 2)
			((u32 *)strip)[lane] = (u32)value;
		else
			((u64 *)strip)[lane] = value;
	}
	fix(d, def, strip);
}

static bool same_in_every_strip(const struct decoder *d, const struct kjx_view *v)
{
	u64 period = kjx_view_period(v);

	return v->lanes == KJX_LANES_SCALAR || (period && !(d->shape.strip % period) && d->shape.strip < d->shape.lanes);
}

static void load(struct decoder *d, const struct kjx_uop *u, bool post)
{
	const struct kjx_view *v = &d->views[u->imm];
	bool still = same_in_every_strip(d, v) && !v->in_loops && !d->clash[u->imm];
	u32 def;

	if (still && d->cell[u->imm] != NONE) {
		d->ssa.reg[u->dst] = d->cell[u->imm];
		return;
	}
	def = kjx_ssa_def(&d->ssa, v->place.log2_size, true);
	d->ssa.reg[u->dst] = (u16)def;
	d->ssa.def[def].one = v->lanes == KJX_LANES_SCALAR;
	if ((is_one_lane(d, post) && !(still && post && d->plan->ends > 1)) || v->lanes == KJX_LANES_DENSE) {
		own_micro(d, KJX_MICRO_LOAD, def, u->imm);
	} else if (still) {
		d->cell[u->imm] = (u16)def;
		d->ssa.def[def].last = KJX_LIVE_OUT;
		if (v->place.base == KJX_BASE_CONSTANT && v->lanes == KJX_LANES_SCALAR) {
			fix_constant(d, def, v);
		} else {
			struct kjx_splat *splat = &d->splats[d->plan->n_splats++];

			d->ssa.def[def].wants_slot = 0;
			splat->cell = (u16)def;
			splat->view = u->imm;
		}
	} else {
		own_micro(d, v->lanes == KJX_LANES_SCALAR ? KJX_MICRO_SPLAT : KJX_MICRO_LOAD, def, u->imm);
		d->ssa.def[def].point = v->lanes == KJX_LANES_SCALAR && !d->clash[u->imm];
	}
}

static void iota(struct decoder *d, const struct kjx_uop *u)
{
	const struct kjx_view *v = &d->views[u->imm];
	u32 log2 = kjx_log2_size(kjx_uop_dtype(u));
	u32 def = kjx_ssa_def(&d->ssa, log2, true);

	d->ssa.reg[u->dst] = (u16)def;
	if (d->cell[u->imm] == NONE && !v->in_loops && d->shape.lanes == d->shape.strip) {
		d->cell[u->imm] = (u16)def;	/* one such strip for each view: its bytes are counted */
		d->ssa.def[def].last = KJX_LIVE_OUT;
		fix_iota(d, def, v, log2);
		return;
	}
	own_micro(d, log2 == 2 ? KJX_MICRO_IOTA32 : KJX_MICRO_IOTA64, def, u->imm);
}

static void store(struct decoder *d, const struct kjx_uop *u)
{
	u16 *at = &d->stored_at[u->imm];

	*at = *at == NONE ? (u16)d->ssa.n_micro : SEVERAL;
	kjx_ssa_micro(&d->ssa, NULL, 0, d->ssa.reg[u->a], u->imm, KJX_MICRO_STORE, 1);
}

/* is one of the tensors that a view may touch written to after micro-operation @from and before @to? */
static bool written_between(const struct decoder *d, u32 view, u32 from, u32 to)
{
	u64 rest;

	if (to == KJX_LIVE_OUT && d->clash[view])	/* a value to be reduced: the post body may store */
		return true;
	for (rest = d->clash[view]; rest; rest &= rest - 1) {
		u32 at = d->stored_at[__builtin_ctzll(rest)];

		if (at == SEVERAL || (at != NONE && at > from && at < to))
			return true;
	}
	return false;
}

/* may the value of store @at be made right in the tensor, in the phase that begins at @first? */
static bool in_place(const struct decoder *d, u32 first, u32 at, bool post)
{
	const struct kjx_micro *store = &d->ssa.micro[at];
	const struct kjx_def *value = &d->ssa.def[store->a];
	u32 view = store->b, i;

	if (!is_one_lane(d, post) && d->views[view].lanes != KJX_LANES_DENSE)
		return false;
	if (!value->wants_slot || value->at < first || !d->ssa.micro[value->at].fn || d->stored_at[view] != at)
		return false;
	for (i = 0; i < d->insn->n_operands; i++)	/* other stores that touch it */
		if (i != view && d->stored_at[i] != NONE && (d->clash[i] >> view & 1))
			return false;
	for (i = first; i < d->ssa.n_micro; i++) {
		const struct kjx_micro *m = &d->ssa.micro[i];

		if (m->fn || m->c > KJX_MICRO_SPLAT || !(d->clash[m->b] >> view & 1))
			continue;
		if (i > value->at || d->ssa.def[m->dst].last > value->at ||
		    d->ssa.def[m->dst].log2_size != value->log2_size)
			return false;
	}
	return true;
}

void kjx_copy_micro(const struct kjx_cpu *cpu, struct kjx_micro *m, u32 log2)
{
	static const u8 dtype[] = { KJX_DTYPE_I1, KJX_DTYPE_U16, KJX_DTYPE_U32, KJX_DTYPE_I64, KJX_DTYPE_C128 };
	u32 code = KJX_OP_COPY << KJX_DTYPE_BITS | dtype[log2];

	m->fn = cpu->uops[code];
	m->cell = cpu->cells[code];
}

static void dense(struct decoder *d, u32 def, u32 view)
{
	d->pairs[d->n_pairs++] = (struct kjx_pair) { .cell = (u16)def, .what = (u16)view };
	d->ssa.def[def].wants_slot = 0;
}

/* a load or store of a dense view that has to copy: a routine, with a cell that points into the view */
static void copy_dense(struct decoder *d, struct kjx_micro *m)
{
	u32 log2 = d->views[m->b].place.log2_size, cell = kjx_ssa_def(&d->ssa, log2, false);

	dense(d, cell, m->b);
	if (m->c == KJX_MICRO_STORE)
		m->dst = (u16)cell;
	else
		m->a = (u16)cell;
	m->b = m->c = m->a;
	kjx_copy_micro(d->b->cpu, m, log2);
}

/* Loads and stores of the phase from @first on: which are only pointers. Stores before loads: they look at the loads. */
static void place(struct decoder *d, u32 first, bool post)
{
	struct kjx_ssa *s = &d->ssa;
	struct kjx_micro *m, *end = s->micro + s->n_micro;

	for (m = s->micro + first; m != end; m++)
		if (!m->fn && m->c == KJX_MICRO_LOAD &&
		    written_between(d, m->b, (u32)(m - s->micro), s->def[m->dst].last))
			m->c = KJX_MICRO_LOAD_COPY;
	for (m = s->micro + first; m != end; m++) {
		if (!m->fn && m->c == KJX_MICRO_STORE && in_place(d, first, (u32)(m - s->micro), post)) {
			dense(d, m->a, m->b);
			m->c = KJX_MICRO_NONE;
		}
	}
	for (m = s->micro + first; m != end; m++) {
		if (m->fn || m->c == KJX_MICRO_NONE || m->c == KJX_MICRO_COPY || m->c == KJX_MICRO_IOTA32 ||
		    m->c == KJX_MICRO_IOTA64 || !(is_one_lane(d, post) || d->views[m->b].lanes == KJX_LANES_DENSE))
			continue;
		if (m->c == KJX_MICRO_LOAD) {
			dense(d, m->dst, m->b);
			m->c = KJX_MICRO_NONE;
		} else {
			copy_dense(d, m);
		}
	}
}

/* the definitions that hold the accumulators when the combine body is through become the accumulators' cells */
static void pin(struct decoder *d, u32 first)
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

static void decode_phase(struct decoder *d, struct kjx_phase *phase, u32 uop, u32 n, u32 weight)
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
			load(d, &u[i], post);
			break;
		case KJX_OP_STORE:
			store(d, &u[i]);
			break;
		case KJX_OP_IOTA:
			iota(d, &u[i]);
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
	if ((d->b->in_while || d->shape.lanes > 1) && phase != &d->plan->combine &&
	    !(d->tiled && phase == &d->plan->map))
		kjx_ssa_pairs(s, first);
	place(d, first, post);
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
static void enter(struct decoder *d, u32 values)
{
	u32 n = d->insn->n_acc, i;

	for (i = 0; i < n; i++) {
		d->ssa.reg[i] = (u16)i;
		if (values)
			d->ssa.reg[n + i] = (u16)(n + i);
	}
}

static void entry_cells(struct decoder *d)
{
	u32 i;

	for (i = 0; i < 3u * d->insn->n_acc; i++)
		kjx_ssa_def(&d->ssa, 0, false);
}

/* a single strip: the place of each cell, so that linking is one plain loop, or none (threaded code) */
static void place_cells(struct decoder *d)
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
		place[plan->self].base = KJX_BASE_SCRATCH;	/* where a nest outside of a while has its link */
		for (i = 0; i < KJX_TILES_KEPT; i++)
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
static void classify(struct decoder *d)
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

/* where everything lies, now that all is counted */
static void lay_out(struct decoder *d)
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

/* steps for what of the map body they can do, and for folding its value */
static void tile(struct decoder *d)
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
}

/* the same operation on tiles: whole accumulators of long strips */
static const struct kjx_tile_fold *tile_fold_of(const struct decoder *d)
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
static kjx_fold_fn *fold_of(const struct decoder *d)
{
	const struct kjx_micro *m = d->plan->combine.micro;
	const struct kjx_fold *fold;

	for (fold = d->b->cpu->folds; fold->fn; fold++)
		if (m->a != m->b && m->fn == d->b->cpu->uops[fold->code])
			break;
	return fold->fn;
}

/* May view @i be read or written for several rows at once, as lanes, by the post body? */
static bool is_dense_over_rows(const struct decoder *d, u32 i)
{
	return d->views[i].is_iota == 0 &&
	       kjx_strides(kjx_nest_operand(d->insn, i))[d->shape.order[d->shape.n_kept - 1u]] == 1;
}

/*
 * Rows whose folds end together, at most. The post body's lanes are then rows; and it runs when the map body has already been
 * through later rows: so neither may touch what the other stores.
 */
static u16 ends_of(const struct decoder *d)
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
static void find_folds(struct decoder *d)
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

const struct kjx_nest_plan *kjx_nest_build(struct kjx_builder *b, const struct kjx_nest *insn)
{
	u64 uops = (u64)insn->n_map + insn->n_combine + insn->n_post, cells = kjx_nest_cells(insn);
	const u64 *dims = kjx_nest_dims(insn);
	struct kjx_nest_plan *plan = kjx_build(b, sizeof(*plan));
	struct decoder d = { .b = b, .insn = insn, .plan = plan };
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
	d.tiled = plan->strip >= KJX_TILE_LANES && !(b->in_while && plan->single);
	plan->loop_dim = loop_dim = kjx_build(b, 8ull * (shape->n_kept + shape->n_red));
	for (i = 0; i < (u32)shape->n_kept + shape->n_red; i++)
		loop_dim[i] = dims[shape->order[i]];
	decode_views(&d);
	find_clashes(&d);

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
		find_folds(&d);
		enter(&d, 0);
		decode_phase(&d, &plan->post, (u32)insn->n_map + insn->n_combine, insn->n_post, shape->w_post);
	}
	if (d.tiled)
		tile(&d);
	lay_out(&d);
	plan->cost = kjx_strip_cost(plan->lanes, plan->map.weight);
	classify(&d);
	return plan;
}
