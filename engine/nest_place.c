// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Decoding of a nest: which loads and stores of a body need no copy.
 *
 * A load of a dense view is a pointer that moves with the strips. A store to one vanishes when the micro-operation that makes its
 * value, be it a load that gathers or an iota, can write right there.
 *
 * What makes this delicate is a tensor that is both loaded and stored (in place; the verifier has seen that the
 * views are the same). Such a load stays a pointer only if no store hits the tensor before the pointer's last
 * use; and a value is made in place only if every such load comes before it and is last used by it at the latest.
 */
#include "nest_decode.h"

/* is one of the tensors that a view may touch written to after micro-operation @from and before @to? */
static bool written_between(const struct kjx_decoder *d, u32 view, u32 from, u32 to)
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

/* does micro-operation @at write its result lane by lane where it is told to? Else it is a pointer, or a strip filled once */
static bool writes_lanes(const struct kjx_decoder *d, u32 at, bool post)
{
	const struct kjx_micro *m = &d->ssa.micro[at];
	u32 lanes;

	if (m->fn || m->c == KJX_MICRO_IOTA32 || m->c == KJX_MICRO_IOTA64)
		return true;
	lanes = d->views[m->b].lanes;
	return (m->c == KJX_MICRO_LOAD || m->c == KJX_MICRO_LOAD_COPY) && !kjx_is_one_lane(d, post) &&
	       (lanes == KJX_LANES_RUNS || lanes == KJX_LANES_STRIDED);
}

/* may the value of store @at be made right in the tensor, in the phase that begins at @first? */
static bool in_place(const struct kjx_decoder *d, u32 first, u32 at, bool post)
{
	const struct kjx_micro *store = &d->ssa.micro[at];
	const struct kjx_def *value = &d->ssa.def[store->a];
	u32 view = store->b, i;

	if (!kjx_is_one_lane(d, post) && d->views[view].lanes != KJX_LANES_DENSE)
		return false;
	if (!value->wants_slot || value->at < first || !writes_lanes(d, value->at, post) || d->stored_at[view] != at)
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

static void dense(struct kjx_decoder *d, u32 def, u32 view)
{
	d->pairs[d->n_pairs++] = (struct kjx_pair) { .cell = (u16)def, .what = (u16)view };
	d->ssa.def[def].wants_slot = 0;
	d->ssa.def[def].streams = d->streams >> view & 1;
}

/* a load or store of a dense view that has to copy: a routine, with a cell that points into the view */
static void copy_dense(struct kjx_decoder *d, struct kjx_micro *m)
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
void kjx_decode_places(struct kjx_decoder *d, u32 first, bool post)
{
	struct kjx_ssa *s = &d->ssa;
	struct kjx_micro *m, *end = s->micro + s->n_micro;

	for (m = s->micro + first; m != end; m++)
		if (!m->fn && m->c == KJX_MICRO_LOAD &&
		    written_between(d, m->b, (u32)(m - s->micro), s->def[m->dst].last))
			m->c = KJX_MICRO_LOAD_COPY;
	for (m = s->micro + first; m != end; m++) {
		if (!m->fn && m->c == KJX_MICRO_STORE && in_place(d, first, (u32)(m - s->micro), post)) {
			struct kjx_micro *maker = &s->micro[s->def[m->a].at];

			if (!maker->fn && maker->c <= KJX_MICRO_LOAD_COPY)
				maker->c = KJX_MICRO_LOAD_INTO;
			dense(d, m->a, m->b);
			m->c = KJX_MICRO_NONE;
		}
	}
	for (m = s->micro + first; m != end; m++) {
		if (m->fn || m->c == KJX_MICRO_NONE || m->c == KJX_MICRO_COPY || m->c == KJX_MICRO_IOTA32 ||
		    m->c == KJX_MICRO_IOTA64 || !(kjx_is_one_lane(d, post) || d->views[m->b].lanes == KJX_LANES_DENSE))
			continue;
		if (m->c == KJX_MICRO_LOAD) {
			dense(d, m->dst, m->b);
			m->c = KJX_MICRO_NONE;
		} else {
			copy_dense(d, m);
		}
	}
}
