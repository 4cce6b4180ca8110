// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * From the steps of an outermost while to threaded code (thread.h).
 *
 * The body of a nest that is a single strip becomes an operation for each micro-operation; everything else becomes a
 * call of its handler. Straight pieces of code are weighed here, and cut where they grow heavy, so that the work between
 * two looks at the budget stays bounded.
 */
#include "nest.h"
#include "threader.h"

#define HEAVY 16384u		/* work units after which a straight piece is cut */

u64 kjx_plan_insn_ops(const struct kjx_image *image, const struct kjx_insn *insn)
{
	switch (insn->opcode) {
	case KJX_OPCODE_NEST:
		return kjx_nest_ops(image, (const void *)insn);
	case KJX_OPCODE_WHILE:
		return 3;		/* itself, its end, finish */
	case KJX_OPCODE_CASE:
		return 2;
	case KJX_OPCODE_END:
		return 0;		/* an outermost one lies outside of its while when that is sized */
	case KJX_OPCODE_DOT:
		return 2;		/* a check, too */
	case KJX_OPCODE_GATHER:
	case KJX_OPCODE_SCATTER:
		return kjx_gather_ops((const void *)insn);
	default:
		return 1;
	}
}

/* where a lane of a view is, from its first one */
static s64 lane_offset(const struct kjx_view *v, u64 lane)
{
	struct kjx_odometer o;
	s64 offset, stride;

	o.lane = ~0ull;
	kjx_view_run(v, &o, lane, 1, &offset, &stride);
	return offset;
}

/* lane @lane of what @cell points at */
static struct kjx_place lane_place(const struct kjx_nest_plan *p, u32 cell, u64 lane)
{
	struct kjx_place place = p->places[cell];

	if (p->cell_view[cell]) {
		const struct kjx_view *v = &p->views[p->cell_view[cell] - 1];

		place = v->place;
		place.offset += lane_offset(v, lane);
	} else {
		place.offset += (s64)(lane << place.log2_size);
	}
	return place;
}

static struct kjx_place view_place(const struct kjx_view *v, u64 lane)
{
	struct kjx_place place = v->place;

	place.offset += lane_offset(v, lane);
	return place;
}

/* a lane of few: an operation that finds its operands wherever they are */
static void lane_apart(struct kjx_threader *t, const struct kjx_nest_plan *p, const struct kjx_micro *m, u64 lane)
{
	const u16 cell[KJX_CELLS] = { m->dst, m->a, m->b, m->c };
	const struct kjx_view *v = m->fn ? NULL : &p->views[m->b];
	struct kjx_micro copy;
	struct kjx_place *places;
	u32 i;

	if (m->fn) {
		places = kjx_emit_cell(t, m->cell, m->fn);
		for (i = 0; i < KJX_CELLS; i++)
			places[i] = lane_place(p, cell[i], lane);
		return;
	}
	if (m->c == KJX_MICRO_LOAD)		/* read where it is */
		return;
	kjx_copy_micro(t->b->cpu, &copy, v->place.log2_size);
	places = kjx_emit_cell(t, copy.cell, copy.fn);
	places[0] = m->c == KJX_MICRO_STORE ? view_place(v, lane) : lane_place(p, m->dst, lane);
	places[1] = m->c == KJX_MICRO_STORE ? lane_place(p, m->a, lane) : view_place(v, lane);
	places[2] = places[3] = places[1];
}

/* One lane after the other, so that operations on what was just made follow each other: views that are written to are the same
 * element in each lane, or share none with what is read. */
static void lanes_apart(struct kjx_threader *t, const struct kjx_nest_plan *p)
{
	const struct kjx_micro *m, *end = p->map.micro + p->map.n_micro;
	const u32 first = t->n_ops;
	u64 lane;

	for (lane = 0; lane < p->lanes; lane++)
		for (m = p->map.micro; m != end; m++)
			lane_apart(t, p, m, lane);
	if (t->n_ops > first)
		kjx_thread_carry(t, first);
}

/* a load or store that moves each lane */
static void move_lanes(struct kjx_threader *t, const struct kjx_nest_plan *p, u32 cell, u32 view, bool is_store)
{
	const struct kjx_view *v = &p->views[view];
	struct kjx_place *places;
	struct kjx_op *op;
	s64 *table;
	u64 i;

	if (v->lanes == KJX_LANES_SCALAR && !is_store) {
		op = kjx_emit(t, kjx_op_splat, NULL, p->lanes);
	} else {
		table = kjx_build(t->b, p->lanes * sizeof(*table));
		for (i = 0; i < p->lanes; i++)
			table[i] = lane_offset(v, i);
		op = kjx_emit(t, is_store ? kjx_op_scatter_lanes : kjx_op_gather_lanes, table, p->lanes);
	}
	op->region = v->place.log2_size;
	places = kjx_cells_of(t, op);
	places[is_store] = p->places[cell];
	places[!is_store] = v->place;
}

static void strip(struct kjx_threader *t, const struct kjx_nest_plan *p, const struct kjx_micro *m)
{
	const u16 cell[KJX_CELLS] = { m->dst, m->a, m->b, m->c };
	struct kjx_place *places;
	u32 i;

	if (!m->fn) {
		move_lanes(t, p, m->c == KJX_MICRO_STORE ? m->a : m->dst, m->b, m->c == KJX_MICRO_STORE);
		return;
	}
	if (p->self != KJX_NO_CELL && m->b == p->self) {
		struct kjx_op *op = kjx_emit(t, kjx_op_tiles, p, p->lanes);

		op->region = m->fn == t->b->cpu->tiles->run64;
		places = kjx_cells_of(t, op);
		places[0] = p->places[m->a];
		places[1] = p->places[m->b];
		return;
	}
	places = kjx_cells_of(t, kjx_emit(t, kjx_op_strip, (const void *)m->fn, p->lanes));
	for (i = 0; i < KJX_CELLS; i++)
		places[i] = p->places[cell[i]];
}

static void nest(struct kjx_threader *t, const struct kjx_nest_plan *p)
{
	u32 i;

	if (p->lanes <= KJX_LANES_APART) {
		lanes_apart(t, p);
	} else {
		for (i = 0; i < p->n_splats; i++)
			move_lanes(t, p, p->splats[i].cell, p->splats[i].view, false);
		for (i = 0; i < p->map.n_micro; i++)
			strip(t, p, &p->map.micro[i]);
	}
	t->piece += p->cost + 1;
}

static bool small_dot(struct kjx_threader *t, const struct kjx_dot_plan *p)
{
	struct kjx_place *places;

	if (!p->small)
		return false;
	places = kjx_cells_of(t, kjx_emit(t, kjx_op_small_dot, p->small, 1));
	places[0] = p->out;
	places[1] = p->lhs;
	places[2] = p->rhs;
	t->piece += p->cost + 1;
	return true;
}

static void product(struct kjx_threader *t, const struct kjx_dot_plan *p)
{
	struct kjx_op *op = kjx_emit(t, kjx_op_product, p, 1);
	struct kjx_place *places = kjx_cells_of(t, op);

	op->region = p->region;
	places[0] = p->out;
	places[1] = p->lhs;
	places[2] = p->rhs;
	t->piece += p->cost + 1;
}

static void do_(struct kjx_threader *t, const struct kjx_step *step)
{
	const struct kjx_control *c = step->plan;
	struct kjx_op *op;

	t->leave[step->region] = t->n_ops;
	t->condition[step->region] = t->piece + 1;
	op = kjx_emit(t, c->trips ? kjx_op_do_bounded : kjx_op_do, c, kjx_take_piece(t));
	op->region = step->region;
	kjx_cells_of(t, op)[0] = c->place;
}

/* @at: the step; steps of branches have learnt where they go (plan.c) */
static void end(struct kjx_threader *t, u32 at)
{
	const struct kjx_step *step = &t->steps[at];
	u32 d = step->region, i;

	if (step->target <= at) {
		kjx_thread_again(t, d);
		kjx_jump_to(t, t->leave[d], t->n_ops);
		return;
	}
	kjx_emit(t, kjx_op_check, NULL, kjx_take_piece(t));
	for (i = at; i-- > t->first;)
		if (t->steps[i].opcode == KJX_OPCODE_BRANCH && t->steps[i].target == at + 1)
			kjx_jump_to(t, t->steps[i].op, t->n_ops);
		else if (t->steps[i].opcode == KJX_OPCODE_CASE && t->steps[i].region == d)
			break;
}

static void step(struct kjx_threader *t, u32 at)
{
	struct kjx_step *step = &t->steps[at];
	struct kjx_op *op;

	step->op = t->n_ops;
	switch (step->opcode) {
	case KJX_STEP_QUICK:
	case KJX_OPCODE_NEST:
		if (kjx_nest_is_threaded(step->plan))
			nest(t, step->plan);
		else
			kjx_emit(t, kjx_op_call, step, 0);
		break;
	case KJX_OPCODE_WHILE:
		op = kjx_emit(t, kjx_op_while, NULL, kjx_take_piece(t));
		op->region = step->region;
		t->top[step->region] = t->n_ops;
		break;
	case KJX_OPCODE_DO:
		do_(t, step);
		break;
	case KJX_OPCODE_CASE:
		op = kjx_emit(t, kjx_op_case, step->plan, kjx_take_piece(t));
		kjx_cells_of(t, op)[0] = ((const struct kjx_control *)step->plan)->place;
		kjx_jump_to(t, step->op, 0);
		break;
	case KJX_OPCODE_BRANCH:
		kjx_emit(t, kjx_op_jump, NULL, kjx_take_piece(t));
		break;
	case KJX_OPCODE_END:
		end(t, at);
		break;
	case KJX_STEP_PRODUCT:
		product(t, step->plan);
		break;
	case KJX_OPCODE_DOT:
		if (!small_dot(t, step->plan))
			kjx_emit(t, kjx_op_call, step, 0);
		break;
	case KJX_OPCODE_GATHER:
	case KJX_OPCODE_SCATTER:
		if (!kjx_thread_window(t, step->plan))
			kjx_emit(t, kjx_op_call, step, 0);
		break;
	default:
		kjx_emit(t, kjx_op_call, step, 0);
	}
	if (t->piece > HEAVY) {
		kjx_emit(t, kjx_op_check, NULL, t->piece);
		t->piece = 0;
	}
}

const struct kjx_thread *kjx_thread_build(struct kjx_builder *b, struct kjx_step *steps, u32 first, u32 last, u64 most)
{
	struct kjx_thread *thread = kjx_build(b, sizeof(*thread));
	struct kjx_threader t = { .b = b, .steps = steps, .first = first + 1 };
	u32 at;

	t.ops = kjx_build(b, most * sizeof(*t.ops));
	t.places = kjx_build(b, most * KJX_CELLS * sizeof(*t.places));
	t.top[steps[first].region] = 0;
	for (at = first + 1; at <= last; at = t.steps[at].opcode == KJX_STEP_ROWS ? t.steps[at].target : at + 1)
		step(&t, at);
	kjx_emit(&t, kjx_op_finish, NULL, 0);
	thread->ops = t.ops;
	thread->places = t.places;
	thread->n_ops = t.n_ops;
	thread->region = steps[first].region;
	thread->link_at = b->link;
	b->link += kjx_align_up(most * KJX_CELLS * sizeof(void *), 64);
	return thread;
}
