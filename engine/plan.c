// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * From a verified image to a plan: one step for each instruction, regions resolved to jumps.
 *
 * The sizes here and what the builders take must agree: each kjx_*_plan_bytes() bounds what its kjx_*_build()
 * takes, rounding included.
 */
#include "part.h"

void *kjx_build(struct kjx_builder *b, u64 bytes)
{
	void *at = b->next;

	bytes = kjx_align_up(bytes, 8);
	kjx_memset(at, 0, bytes);
	b->next += bytes;
	return at;
}

void kjx_place_set(const struct kjx_image *image, struct kjx_place *place, u32 tensor, s64 offset)
{
	static const u8 base[] = {
		[KJX_STORAGE_INPUT] = KJX_BASE_INPUT, [KJX_STORAGE_OUTPUT] = KJX_BASE_OUTPUT,
		[KJX_STORAGE_CONSTANT] = KJX_BASE_CONSTANT, [KJX_STORAGE_ARENA] = KJX_BASE_ARENA,
	};
	const struct kjx_tensor *t = &image->tensors[tensor];

	place->base = base[t->storage];
	place->log2_size = (u8)__builtin_ctz(kjx_dtype_size[t->dtype]);
	place->index = t->storage == KJX_STORAGE_INPUT || t->storage == KJX_STORAGE_OUTPUT ? t->index : 0;
	place->offset = (s64)t->offset + offset * (1ll << place->log2_size);
}

bool kjx_may_overlap(const struct kjx_builder *b, u32 first, u32 second)
{
	const struct kjx_tensor *t[2] = { &b->image->tensors[first], &b->image->tensors[second] };
	u32 storage[2], index[2], i;

	for (i = 0; i < 2; i++) {
		storage[i] = t[i]->storage;
		index[i] = t[i]->index;
		if (storage[i] == KJX_STORAGE_OUTPUT && b->alias[index[i]] != KJX_NO_ALIAS) {
			storage[i] = KJX_STORAGE_INPUT;
			index[i] = b->alias[index[i]];
		}
	}
	return storage[0] == storage[1] && index[0] == index[1] &&
	       t[0]->offset < t[1]->offset + t[1]->bytes && t[1]->offset < t[0]->offset + t[0]->bytes;
}

/* ---- sizes ---- */

u64 kjx_plan_base_bytes(const struct kjx_image *image)
{
	return sizeof(struct kjx_plan) + (8ull + sizeof(struct kjx_split) + sizeof(struct kjx_step)) * image->n_insns +
	       8ull * ((u64)image->n_inputs + image->n_outputs) + kjx_align_up(4ull * image->n_outputs, 8);
}

static u64 control_bytes(const struct kjx_do *insn)
{
	return sizeof(struct kjx_control) + kjx_align_up(4ull * insn->n_branches, 8);
}

u64 kjx_plan_insn_bytes(const struct kjx_image *image, const struct kjx_insn *insn)
{
	const void *p = insn;

	switch (insn->opcode) {
	case KJX_OPCODE_NEST:
		return kjx_nest_plan_bytes(image, p);
	case KJX_OPCODE_DOT:
		return kjx_align_up(kjx_dot_plan_bytes(image, p), 8);
	case KJX_OPCODE_GATHER:
	case KJX_OPCODE_SCATTER:
		return kjx_gather_plan_bytes(image, p);
	case KJX_OPCODE_SORT:
		return kjx_align_up(kjx_sort_plan_bytes(image, p), 8);
	case KJX_OPCODE_TRANSFORM:
		return kjx_align_up(kjx_transform_plan_bytes(image, p), 8);
	case KJX_OPCODE_LINALG:
		return kjx_align_up(kjx_linalg_plan_bytes(image, p), 8);
	case KJX_OPCODE_SCAN:
		return kjx_align_up(kjx_scan_plan_bytes(image, p), 8);
	case KJX_OPCODE_EXCHANGE:
		return kjx_exchange_plan_bytes(image, p);
	case KJX_OPCODE_TRACE:
		return kjx_trace_plan_bytes(image, p);
	case KJX_OPCODE_DO:
	case KJX_OPCODE_CASE:
		return control_bytes(p);
	default:
		return 0;
	}
}

u64 kjx_plan_insn_scratch(const struct kjx_image *image, const struct kjx_insn *insn)
{
	const void *p = insn;

	switch (insn->opcode) {
	case KJX_OPCODE_NEST:
		return kjx_nest_scratch(image, p);
	case KJX_OPCODE_DOT:
		return kjx_dot_scratch(image, p);
	case KJX_OPCODE_GATHER:
	case KJX_OPCODE_SCATTER:
		return kjx_gather_scratch(image, p);
	case KJX_OPCODE_SORT:
		return kjx_sort_scratch(image, p);
	case KJX_OPCODE_SCAN:
		return kjx_scan_scratch(image, p);
	case KJX_OPCODE_TRANSFORM:
		return kjx_transform_scratch(image, p);
	case KJX_OPCODE_LINALG:
		return kjx_linalg_scratch(image, p);
	default:
		return 0;
	}
}

u64 kjx_plan_insn_link(const struct kjx_image *image, const struct kjx_insn *insn)
{
	u64 cells = kjx_align_up(kjx_plan_insn_ops(image, insn) * KJX_CELLS * sizeof(void *), 64);

	return cells + (insn->opcode == KJX_OPCODE_NEST ? kjx_nest_link_bytes(image, (const void *)insn) : 0);
}

u64 kjx_plan_insn_thread(const struct kjx_image *image, const struct kjx_insn *insn)
{
	u64 bytes = kjx_plan_insn_ops(image, insn) * (sizeof(struct kjx_op) + KJX_CELLS * sizeof(struct kjx_place));

	if (insn->opcode == KJX_OPCODE_NEST)
		bytes += kjx_nest_tables(image, (const void *)insn);
	return bytes + (insn->opcode == KJX_OPCODE_WHILE ? sizeof(struct kjx_thread) : 0);
}

u64 kjx_plan_insn_cost(const struct kjx_image *image, const struct kjx_insn *insn)
{
	const void *p = insn;
	u64 cost = 0;

	switch (insn->opcode) {
	case KJX_OPCODE_NEST:
		cost = kjx_nest_cost(image, p);
		break;
	case KJX_OPCODE_DOT:
		cost = kjx_dot_cost(image, p);
		break;
	case KJX_OPCODE_GATHER:
	case KJX_OPCODE_SCATTER:
		cost = kjx_gather_cost(image, p);
		break;
	case KJX_OPCODE_SORT:
		cost = kjx_sort_cost(image, p);
		break;
	case KJX_OPCODE_SCAN:
		cost = kjx_scan_cost(image, p);
		break;
	case KJX_OPCODE_TRANSFORM:
		cost = kjx_transform_cost(image, p);
		break;
	case KJX_OPCODE_LINALG:
		cost = kjx_linalg_cost(image, p);
		break;
	case KJX_OPCODE_EXCHANGE:
		cost = kjx_exchange_cost(image, p);
		break;
	case KJX_OPCODE_TRACE:
		cost = kjx_trace_cost(image, p);
		break;
	}
	return kjx_sat_add(cost, 1);	/* each step counts one */
}

/* ---- building ---- */

/* regions that are open */
struct open {
	u32 at[KJX_MAX_DEPTH];		/* step of the while or case */
	u32 branch[KJX_MAX_DEPTH];	/* case: branches begun; while: step of its do */
	const struct kjx_insn *outermost;
	u64 trips[KJX_MAX_DEPTH];
	struct kjx_control *control[KJX_MAX_DEPTH];
	u32 depth;
};

static struct kjx_control *build_control(struct kjx_builder *b, const struct kjx_do *insn)
{
	struct kjx_control *c = kjx_build(b, control_bytes(insn));

	kjx_place_set(b->image, &c->place, insn->tensor, (s64)insn->offset);
	c->n_branches = insn->n_branches;
	return c;
}

static void open_region(struct kjx_builder *b, struct open *o, u32 at, struct kjx_step *step, const struct kjx_insn *insn)
{
	u32 d = o->depth++;

	o->at[d] = at;
	o->control[d] = NULL;
	step->region = (u8)d;
	if (insn->opcode == KJX_OPCODE_WHILE) {
		o->trips[d] = ((const struct kjx_while *)insn)->trips;
		if (!b->in_while++)
			o->outermost = insn;
		return;
	}
	o->control[d] = build_control(b, (const void *)insn);
	o->control[d]->target[0] = at + 1;
	o->branch[d] = 1;
	step->plan = o->control[d];
}

static void close_outermost(struct kjx_builder *b, const struct open *o, u32 first, u32 last, struct kjx_step *steps)
{
	const struct kjx_insn *insn = o->outermost;
	u64 ops = 0;
	u32 at;

	for (at = first; at < last; at++, insn = kjx_insn_next(insn))
		ops += kjx_plan_insn_ops(b->image, insn);
	steps[first].plan = kjx_thread_build(b, steps, first, last, ops);
}

/* the end of a while goes back to its condition, the end of a case on; the steps that jump there learn where it is */
static void close_region(struct kjx_builder *b, struct open *o, u32 at, struct kjx_step *steps)
{
	u32 d = --o->depth, i;

	steps[at].region = (u8)d;
	if (steps[o->at[d]].opcode == KJX_OPCODE_WHILE) {
		steps[at].target = o->at[d] + 1;
		steps[o->at[d]].target = at;
		steps[o->branch[d]].target = at + 1;
		if (!--b->in_while)
			close_outermost(b, o, o->at[d], at, steps);
		return;
	}
	steps[at].target = at + 1;
	for (i = 1; i < o->branch[d]; i++)
		steps[o->control[d]->target[i] - 1].target = at + 1;
}

static void build_rows(struct kjx_builder *b, struct kjx_step *steps, u32 at, const struct kjx_insn *insn)
{
	if (((const struct kjx_nest *)insn)->rows & KJX_ROWS_JOINED)
		kjx_nest_join(b->last_row, steps[at].plan);
	else
		b->rows = &steps[at];
	b->rows->opcode = KJX_STEP_ROWS;
	b->rows->target = at + 1;
	b->last_row = steps[at].plan;
}

static u8 innermost_while(const struct open *o)
{
	u32 d = o->depth;

	while (d && o->control[d - 1])
		d--;
	return (u8)(d ? d - 1 : 0);
}

static void build_step(struct kjx_builder *b, struct open *o, struct kjx_step *steps, u32 at, const struct kjx_insn *insn)
{
	struct kjx_step *step = &steps[at];
	const void *p = insn;
	u32 d = o->depth - 1;

	step->opcode = (u8)insn->opcode;
	switch (insn->opcode) {
	case KJX_OPCODE_NEST:
		step->plan = kjx_nest_build(b, p);
		if (kjx_nest_is_quick(step->plan))
			step->opcode = KJX_STEP_QUICK;
		if (((const struct kjx_nest *)insn)->rows)
			build_rows(b, steps, at, insn);
		break;
	case KJX_OPCODE_DOT:
		b->region = innermost_while(o);
		step->plan = kjx_dot_build(b, p);
		if (((const struct kjx_dot_plan *)step->plan)->product)
			step->opcode = KJX_STEP_PRODUCT;
		break;
	case KJX_OPCODE_GATHER:
	case KJX_OPCODE_SCATTER:
		step->plan = kjx_gather_build(b, p);
		break;
	case KJX_OPCODE_SORT:
		step->plan = kjx_sort_build(b, p);
		break;
	case KJX_OPCODE_SCAN:
		step->plan = kjx_scan_build(b, p);
		break;
	case KJX_OPCODE_TRANSFORM:
		step->plan = kjx_transform_build(b, p);
		break;
	case KJX_OPCODE_LINALG:
		step->plan = kjx_linalg_build(b, p);
		break;
	case KJX_OPCODE_EXCHANGE:
		step->plan = kjx_exchange_build(b, p);
		break;
	case KJX_OPCODE_TRACE:
		step->plan = kjx_trace_build(b, p);
		break;
	case KJX_OPCODE_WHILE:
	case KJX_OPCODE_CASE:
		open_region(b, o, at, step, insn);
		break;
	case KJX_OPCODE_DO: {
		struct kjx_control *c = build_control(b, p);

		c->trips = o->trips[d];
		o->branch[d] = at;
		step->region = (u8)d;
		step->plan = c;
		break;
	}
	case KJX_OPCODE_BRANCH:
		o->control[d]->target[o->branch[d]++] = at + 1;
		break;
	default:
		close_region(b, o, at, steps);
	}
}

/* nests that run together by rows are shared out together: @insn is the first of them */
static bool rows_split(const struct kjx_builder *b, u32 members, const struct kjx_insn *insn,
		       struct kjx_split *split)
{
	const struct kjx_nest *first = (const void *)insn, *last = first;

	kjx_rows_split(b->image, first, split);
	while (--members) {
		insn = kjx_insn_next(insn);
		last = (const void *)insn;
		split->cost = kjx_sat_add(split->cost, kjx_nest_cost(b->image, last));
	}
	return kjx_split_pieces(split, KJX_MAX_THREADS) > 1 && kjx_rows_are_apart(b, first, last);
}

/* a gather's indices may be anywhere, where it writes too */
static bool reads_nothing_of_others(const struct kjx_builder *b, const struct kjx_insn *insn)
{
	const struct kjx_gather *g = (const void *)insn;
	u32 i;

	for (i = 0; insn->opcode == KJX_OPCODE_GATHER && i < g->n_index; i++)
		if (kjx_may_overlap(b, kjx_gather_index(g, i)->tensor, kjx_gather_operand(g, 1)->tensor))
			return false;
	return true;
}

static void build_splits(struct kjx_builder *b, struct kjx_step *steps)
{
	const struct kjx_insn *insn;
	struct kjx_split split;
	bool found;
	u32 at = 0;

	kjx_for_each_insn(insn, b->image) {
		struct kjx_step *step = &steps[at++];

		if (step->opcode == KJX_STEP_ROWS)
			found = rows_split(b, step->target - (at - 1), insn, &split);
		else
			found = step->opcode != KJX_STEP_PRODUCT && kjx_split_set(b->image, insn, b->cpu, &split) && reads_nothing_of_others(b, insn);
		if (found) {
			struct kjx_split *kept = kjx_build(b, sizeof(*kept));

			*kept = split;
			step->split = kept;
		}
	}
}

static void build_arguments(struct kjx_builder *b, struct kjx_plan *plan)
{
	u32 n = plan->image.n_inputs + plan->image.n_outputs, i;
	const struct kjx_argument *a = (const void *)plan->image.arguments;
	const struct kjx_argument **arguments = kjx_build(b, n * sizeof(*arguments));
	u32 *alias = kjx_build(b, plan->image.n_outputs * sizeof(*alias));

	for (i = 0; i < n; i++, a = kjx_argument_next(a)) {
		arguments[i] = a;
		if (i >= plan->image.n_inputs)
			alias[i - plan->image.n_inputs] = a->alias;
	}
	plan->arguments = arguments;
	b->alias = alias;
}

const struct kjx_plan *kjx_prepare(const void *image, const struct kjx_facts *facts, const struct kjx_cpu *cpu,
				   void *memory)
{
	struct kjx_builder b = { .cpu = cpu, .plan = memory, .next = memory };
	struct kjx_plan *plan = kjx_build(&b, sizeof(*plan));
	const struct kjx_insn *insn;
	struct kjx_step *steps;
	struct open open;
	u32 at = 0;

	kjx_image_open(&plan->image, image);
	b.image = &plan->image;
	b.link = kjx_align_up(plan->image.header->arena, KJX_ALIGNMENT);
	plan->cpu = cpu;
	plan->constants = plan->image.constants;
	plan->n_steps = plan->image.n_insns;
	plan->lanes = plan->image.header->lanes;
	steps = kjx_build(&b, plan->n_steps * sizeof(*steps));
	plan->steps = steps;
	build_arguments(&b, plan);
	open.depth = 0;
	open.outermost = NULL;
	kjx_for_each_insn(insn, &plan->image)
		build_step(&b, &open, steps, at++, insn);
	build_splits(&b, steps);
	plan->scratch = b.link;
	(void)facts;
	return plan;
}

const struct kjx_argument *kjx_argument_at(const struct kjx_plan *plan, u32 output, u32 number, const u64 **dims)
{
	const struct kjx_argument *a = plan->arguments[(output ? plan->image.n_inputs : 0) + number];

	*dims = kjx_argument_dims(a);
	return a;
}
