// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The walk over the instructions. Regions (while, case) are kept on a stack of fixed depth, with the number of
 * times that the instructions inside can run; cost is summed with that factor, saturating. Of a case's branches the
 * dearest counts.
 *
 *	while  condition...  do  body...  end		condition: trips + 1 times, body: trips times
 *	case  branch 0...  branch  branch 1...  end
 */
#include "part.h"
#include "verify.h"

/** struct region - a while or case that is open
 * @times:	how often the instruction itself runs
 * @at:		its place in the code, in units of 8 bytes
 * @branches:	case: branches that are still to come
 */
struct region {
	u64 times;
	u32 at;
	u16 branches;
	u8 is_case, in_body;
};

/* a sum that takes the largest of a case's branches; one object for units, one for operations */
struct tally {
	u64 total, start[KJX_MAX_DEPTH], most[KJX_MAX_DEPTH];
};

struct walk {
	struct kjx_verifier *v;
	struct tally *units, *flops;
	u64 times, plan, link, scratch;
	u64 rows;			/* links of the nests that run together, so far */
	u64 part, part_link, part_cost;	/* what a piece of a step takes: scratch, links; work units of all steps that are cut */
	u32 depth, whiles;
	struct region region[KJX_MAX_DEPTH];
};

static void tally_add(struct tally *t, u64 amount, u64 times)
{
	t->total = kjx_sat_add(t->total, kjx_sat_mul(amount, times));
}

static void tally_open(struct tally *t, u32 depth)
{
	t->start[depth] = t->total;
	t->most[depth] = 0;
}

/* a branch has ended; the next one begins from where it began */
static void tally_branch(struct tally *t, u32 depth)
{
	t->most[depth] = kjx_max(t->most[depth], t->total - t->start[depth]);
	t->total = t->start[depth];
}

static void tally_close(struct tally *t, u32 depth)
{
	tally_branch(t, depth);
	t->total = kjx_sat_add(t->start[depth], t->most[depth]);
}

enum kjx_status kjx_verify_length(struct kjx_verifier *v, u64 needed)
{
	if (v->insn->length != needed)
		return kjx_refuse(v, KJX_BAD_LENGTH, "%u bytes, its fields need %u", v->insn->length, needed);
	return KJX_OK;
}

/* bytes of the part that every instruction of this opcode has; 0 = no such opcode */
static u32 fixed_bytes(u32 opcode)
{
	switch (opcode) {
	case KJX_OPCODE_NEST:
		return sizeof(struct kjx_nest);
	case KJX_OPCODE_DOT:
		return sizeof(struct kjx_dot);
	case KJX_OPCODE_GATHER:
	case KJX_OPCODE_SCATTER:
		return sizeof(struct kjx_gather);
	case KJX_OPCODE_SORT:
		return sizeof(struct kjx_sort);
	case KJX_OPCODE_SCAN:
		return sizeof(struct kjx_scan);
	case KJX_OPCODE_TRANSFORM:
		return sizeof(struct kjx_transform);
	case KJX_OPCODE_LINALG:
		return sizeof(struct kjx_linalg);
	case KJX_OPCODE_WHILE:
		return sizeof(struct kjx_while);
	case KJX_OPCODE_DO:
	case KJX_OPCODE_CASE:
		return sizeof(struct kjx_do);
	case KJX_OPCODE_BRANCH:
	case KJX_OPCODE_END:
		return sizeof(struct kjx_insn);
	case KJX_OPCODE_EXCHANGE:
		return sizeof(struct kjx_exchange);
	case KJX_OPCODE_TRACE:
		return sizeof(struct kjx_trace);
	}
	return 0;
}

static enum kjx_status verify_frame(struct kjx_verifier *v, const struct kjx_insn *insn, u64 left)
{
	u32 fixed;

	if (left < sizeof(*insn))
		return kjx_refuse(v, KJX_BAD_LENGTH, "the code ends inside an instruction");
	v->insn = insn;
	fixed = fixed_bytes(insn->opcode);
	if (!fixed)
		return kjx_refuse(v, KJX_BAD_OPCODE, "unknown opcode %u", insn->opcode);
	if (insn->flags)
		return kjx_refuse(v, KJX_BAD_OPCODE, "unknown flags %u", insn->flags);
	if (insn->length < fixed || insn->length % 8 || insn->length > left)
		return kjx_refuse(v, KJX_BAD_LENGTH, "%u bytes; it needs %u, a multiple of 8, and %u are left", insn->length,
				  fixed, left);
	return KJX_OK;
}

/* the scalar that a do or case looks at */
static enum kjx_status verify_control(struct kjx_verifier *v, const struct kjx_do *d, u32 dtype)
{
	KJX_TRY(kjx_verify_length(v, sizeof(*d)));
	KJX_TRY(kjx_verify_tensor_operand(v, d->tensor, 0));
	if (kjx_tensor_dtype(v, d->tensor) != dtype)
		return kjx_refuse(v, KJX_BAD_DTYPE, "tensor %u has dtype %u, it must be %u", d->tensor,
				  kjx_tensor_dtype(v, d->tensor), dtype);
	if (d->offset >= kjx_tensor_elements(v, d->tensor))
		return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "element %u of tensor %u, which has %u", d->offset, d->tensor,
				  kjx_tensor_elements(v, d->tensor));
	return KJX_OK;
}

static struct region *innermost(struct walk *w)
{
	return w->depth ? &w->region[w->depth - 1] : NULL;
}

static enum kjx_status open_region(struct walk *w, bool is_case, u32 branches)
{
	struct kjx_verifier *v = w->v;

	if (w->depth == KJX_MAX_DEPTH)
		return kjx_refuse(v, KJX_TOO_DEEP, "%u regions are open already", w->depth);
	w->region[w->depth++] = (struct region){
		.times = w->times, .at = (u32)(((const u8 *)v->insn - v->image.code) / 8),
		.branches = (u16)branches, .is_case = is_case,
	};
	return KJX_OK;
}

static enum kjx_status verify_while(struct walk *w, const struct kjx_while *insn)
{
	KJX_TRY(kjx_verify_length(w->v, sizeof(*insn)));
	if (insn->zero)
		return kjx_refuse(w->v, KJX_RESERVED_SET, "a reserved field is not zero");
	KJX_TRY(open_region(w, false, 0));
	w->whiles++;
	if (insn->trips)
		w->times = kjx_sat_mul(w->times, kjx_sat_add(insn->trips, 1));
	else
		w->v->facts->cost_is_open = 1;
	return KJX_OK;
}

static enum kjx_status verify_do(struct walk *w, const struct kjx_do *insn)
{
	struct region *r = innermost(w);
	const struct kjx_while *opened;

	if (!r || r->is_case || r->in_body)
		return kjx_refuse(w->v, KJX_BAD_NESTING, "no while waits for its condition's end here");
	KJX_TRY(verify_control(w->v, insn, KJX_DTYPE_I1));
	if (insn->n_branches)
		return kjx_refuse(w->v, KJX_RESERVED_SET, "a reserved field is not zero");
	r->in_body = 1;
	opened = (const struct kjx_while *)(w->v->image.code + 8ul * r->at);
	w->times = opened->trips ? kjx_sat_mul(r->times, opened->trips) : r->times;
	return KJX_OK;
}

static enum kjx_status verify_case(struct walk *w, const struct kjx_do *insn)
{
	KJX_TRY(verify_control(w->v, insn, KJX_DTYPE_I32));
	if (insn->n_branches < 1 || insn->n_branches > KJX_MAX_BRANCHES)
		return kjx_refuse(w->v, KJX_BAD_OPCODE, "%u branches, there may be 1 to %u", insn->n_branches,
				  KJX_MAX_BRANCHES);
	return open_region(w, true, insn->n_branches - 1);
}

static enum kjx_status verify_branch(struct walk *w, const struct kjx_insn *insn)
{
	struct region *r = innermost(w);

	KJX_TRY(kjx_verify_length(w->v, sizeof(*insn)));
	if (!r || !r->is_case || !r->branches)
		return kjx_refuse(w->v, KJX_BAD_NESTING, "no case waits for a branch here");
	r->branches--;
	return KJX_OK;
}

static enum kjx_status verify_end(struct walk *w, const struct kjx_insn *insn)
{
	struct region *r = innermost(w);

	KJX_TRY(kjx_verify_length(w->v, sizeof(*insn)));
	if (!r || (r->is_case ? r->branches : !r->in_body))
		return kjx_refuse(w->v, KJX_BAD_NESTING, "nothing can end here");
	w->depth--;
	w->times = r->times;
	w->whiles -= !r->is_case;
	return KJX_OK;
}

/* @before: the instruction before this one, or NULL */
static enum kjx_status verify_rows(struct walk *w, const struct kjx_nest *n, const struct kjx_insn *before)
{
	const struct kjx_nest *other = (const void *)before;

	if (n->rows && w->whiles)
		return kjx_refuse(w->v, KJX_BAD_NESTING, "a nest by rows inside a while");
	if (!(n->rows & KJX_ROWS_JOINED))
		return KJX_OK;
	if (!before || before->opcode != KJX_OPCODE_NEST || !other->rows)
		return kjx_refuse(w->v, KJX_BAD_NESTING, "no nest by rows is before this one");
	if (kjx_nest_dims(other)[0] != kjx_nest_dims(n)[0])
		return kjx_refuse(w->v, KJX_BAD_RANK, "%u rows, the nest before has %u", kjx_nest_dims(n)[0],
				  kjx_nest_dims(other)[0]);
	return KJX_OK;
}

static kjx_noinline enum kjx_status verify_insn(struct walk *w, const struct kjx_insn *insn, const struct kjx_insn *before)
{
	switch (insn->opcode) {
	case KJX_OPCODE_NEST:
		KJX_TRY(kjx_verify_nest(w->v, (const void *)insn));
		return verify_rows(w, (const void *)insn, before);
	case KJX_OPCODE_DOT:
		return kjx_verify_dot(w->v, (const void *)insn);
	case KJX_OPCODE_GATHER:
	case KJX_OPCODE_SCATTER:
		return kjx_verify_gather(w->v, (const void *)insn);
	case KJX_OPCODE_SORT:
		return kjx_verify_sort(w->v, (const void *)insn);
	case KJX_OPCODE_SCAN:
		return kjx_verify_scan(w->v, (const void *)insn);
	case KJX_OPCODE_TRANSFORM:
		return kjx_verify_transform(w->v, (const void *)insn);
	case KJX_OPCODE_LINALG:
		return kjx_verify_linalg(w->v, (const void *)insn);
	case KJX_OPCODE_EXCHANGE:
		return kjx_verify_exchange(w->v, (const void *)insn);
	case KJX_OPCODE_TRACE:
		return kjx_verify_trace(w->v, (const void *)insn);
	case KJX_OPCODE_WHILE:
		return verify_while(w, (const void *)insn);
	case KJX_OPCODE_DO:
		return verify_do(w, (const void *)insn);
	case KJX_OPCODE_CASE:
		return verify_case(w, (const void *)insn);
	case KJX_OPCODE_BRANCH:
		return verify_branch(w, insn);
	default:
		return verify_end(w, insn);
	}
}

/* a case has begun, its branch or the whole of it has ended */
static void tally_region(struct tally *t, u32 opcode, u32 depth)
{
	if (opcode == KJX_OPCODE_CASE)
		tally_open(t, depth - 1);
	else if (opcode == KJX_OPCODE_BRANCH)
		tally_branch(t, depth - 1);
	else
		tally_close(t, depth);
}

/* what each thread takes when several share @insn out; nests that run together by rows are shared out together */
static void count_part(struct walk *w, const struct kjx_insn *insn, u64 times)
{
	const struct kjx_image *image = &w->v->image;
	const struct kjx_nest *nest = (const void *)insn;
	const bool is_nest = insn->opcode == KJX_OPCODE_NEST, is_row = is_nest && nest->rows;
	struct kjx_split split;

	if (is_row) {
		kjx_rows_split(image, nest, &split);
		w->rows = kjx_nest_link_bytes(image, nest) + (nest->rows & KJX_ROWS_JOINED ? w->rows : 0);
	} else if (!kjx_split_set(image, insn, NULL, &split)) {
		return;
	}
	w->part_cost = kjx_sat_add(w->part_cost, kjx_sat_mul(times, kjx_split_time(&split)));
	/* at least a line, to say that there is such a step */
	w->part = kjx_max(w->part, kjx_max(kjx_plan_insn_scratch(image, insn), KJX_ALIGNMENT));
	if (is_row)
		w->part_link = kjx_max(w->part_link, w->rows);
	else if (is_nest && w->whiles)
		w->part_link = kjx_max(w->part_link, kjx_nest_link_bytes(image, nest));
}

/*
 * What it costs to run @insn @times: a do belongs to the condition, branch and end to what they end, while and
 * case to what is around them.
 */
static void count(struct walk *w, const struct kjx_insn *insn, u64 times)
{
	const struct kjx_image *image = &w->v->image;
	u32 opcode = insn->opcode;

	tally_add(w->units, kjx_plan_insn_cost(image, insn), times);
	tally_add(w->flops, kjx_insn_flops(image, insn), times);
	w->plan = kjx_sat_add(w->plan, kjx_plan_insn_bytes(image, insn));
	w->scratch = kjx_max(w->scratch, kjx_plan_insn_scratch(image, insn));
	count_part(w, insn, times);
	if (opcode == KJX_OPCODE_NEST && ((const struct kjx_nest *)insn)->rows)
		w->link = kjx_sat_add(w->link, kjx_nest_link_bytes(image, (const void *)insn));
	if (w->whiles) {
		w->link = kjx_sat_add(w->link, kjx_plan_insn_link(image, insn));
		w->plan = kjx_sat_add(w->plan, kjx_plan_insn_thread(image, insn));
	}
	if (opcode == KJX_OPCODE_CASE || opcode == KJX_OPCODE_BRANCH ||
	    (opcode == KJX_OPCODE_END && w->region[w->depth].is_case)) {
		tally_region(w->units, opcode, w->depth);
		tally_region(w->flops, opcode, w->depth);
	}
}

static kjx_noinline enum kjx_status walk(struct kjx_verifier *v, struct tally *units, struct tally *flops)
{
	const struct kjx_insn *insn = kjx_insn_first(&v->image), *before = NULL;
	struct walk w = { .v = v, .units = units, .flops = flops, .times = 1 };
	u64 left = v->image.code_bytes, times, arena;

	if (left / 8 > ~0u)
		return kjx_refuse(v, KJX_TOO_LARGE, "%u bytes of code", left);
	w.plan = kjx_plan_base_bytes(&v->image);
	for (v->number = 0; left; v->number++) {
		KJX_TRY(verify_frame(v, insn, left));
		times = w.times;
		KJX_TRY(verify_insn(&w, insn, before));
		count(&w, insn, times);
		left -= insn->length;
		before = insn;
		insn = kjx_insn_next(insn);
	}
	v->insn = NULL;
	if (w.depth)
		return kjx_refuse(v, KJX_BAD_NESTING, "%u regions are open at the end of the code", w.depth);
	if (v->number != v->image.n_insns)
		return kjx_refuse(v, KJX_BAD_SECTION, "section CODE holds %u instructions, its row says %u", v->number,
				  v->image.n_insns);
	v->number = ~0u;
	arena = kjx_align_up(v->image.header->arena, KJX_ALIGNMENT);
	v->facts->arena_bytes = kjx_sat_add(arena, kjx_sat_add(w.link, w.scratch));
	v->facts->part_links = kjx_align_up(w.part, KJX_ALIGNMENT);
	v->facts->part_bytes = kjx_sat_add(v->facts->part_links, w.part_link);
	v->facts->part_cost = w.part_cost;
	if (w.part_cost < units->total / 8)	/* what could be gained is less than what the hand-overs, and caches, lose */
		v->facts->part_bytes = v->facts->part_links = v->facts->part_cost = 0;
	v->facts->plan_bytes = w.plan;
	v->facts->cost = units->total;
	v->facts->flops = flops->total;
	return KJX_OK;
}

static kjx_noinline enum kjx_status walk_with_units(struct kjx_verifier *v, struct tally *units)
{
	struct tally flops;

	flops.total = 0;
	return walk(v, units, &flops);
}

enum kjx_status kjx_verify_code(struct kjx_verifier *v)
{
	struct tally units;

	units.total = 0;
	return walk_with_units(v, &units);
}
