// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Decoding of bodies: registers become definitions, definitions get cells and slots (ssa.h).
 *
 * Invariant of the slots: a definition's slot is written by no other micro-operation between its own and its last
 * use. A result may take over the slot of an operand that dies with it, if the elements have one size: routines
 * may be called with dst equal to an operand, but a wider result would run over elements not yet read.
 */
#include "ssa.h"

u32 kjx_ssa_def(struct kjx_ssa *s, u32 log2_size, bool wants_slot)
{
	struct kjx_def *d = &s->def[s->n_def];

	d->last = d->at = (u16)s->n_micro;
	d->slot = KJX_NO_SLOT;
	d->log2_size = (u8)log2_size;
	d->wants_slot = wants_slot;
	return s->n_def++;
}

struct kjx_micro *kjx_ssa_micro(struct kjx_ssa *s, kjx_uop_fn *fn, u32 dst, u32 a, u32 b, u32 c, u32 arity)
{
	struct kjx_micro *m = &s->micro[s->n_micro];
	u16 at = (u16)s->n_micro;

	m->fn = fn;
	m->cell = NULL;
	m->dst = (u16)dst;
	m->a = (u16)a;
	m->b = (u16)b;
	m->c = (u16)c;
	if (arity > 0 && s->def[a].last != KJX_LIVE_OUT)
		s->def[a].last = at;
	if (arity > 1 && s->def[b].last != KJX_LIVE_OUT)
		s->def[b].last = at;
	if (arity > 2 && s->def[c].last != KJX_LIVE_OUT)
		s->def[c].last = at;
	s->n_micro++;
	return m;
}

static u32 arity_of(u32 form)
{
	switch (form) {
	case KJX_FORM_BINARY:
	case KJX_FORM_COMPARE:
	case KJX_FORM_JOIN:
		return 2;
	case KJX_FORM_TERNARY:
	case KJX_FORM_SELECT:
		return 3;
	default:
		return 1;
	}
}

void kjx_ssa_uop(struct kjx_ssa *s, const struct kjx_uop *u)
{
	const struct kjx_uop_row *row = &kjx_uop_rows[u->code];
	u32 op = kjx_uop_op(u), arity = arity_of(row->form);
	u32 a, b, c, dst;

	if (op == KJX_OP_BITCAST || op == KJX_OP_COPY) {	/* the same bits: the same definition */
		s->reg[u->dst] = s->reg[u->a];
		return;
	}
	a = s->reg[u->a];
	b = arity > 1 ? s->reg[u->b] : a;
	c = arity > 2 ? s->reg[u->c] : a;
	dst = kjx_ssa_def(s, kjx_log2_size(row->result), true);
	kjx_ssa_micro(s, s->cpu->uops[u->code], dst, a, b, c, arity)->cell = s->cpu->cells[u->code];
	s->reg[u->dst] = (u16)dst;
}

static void release(struct kjx_ssa *s, u32 def, u32 at)
{
	const struct kjx_def *d = &s->def[def];

	if (d->last == at && d->slot != KJX_NO_SLOT && d->wants_slot)
		s->busy[d->slot] = 0;
}

static void take(struct kjx_ssa *s, struct kjx_def *d)
{
	u32 slot = 0;

	while (s->busy[slot])
		slot++;
	s->busy[slot] = 1;
	d->slot = (u16)slot;
	if (slot >= s->slots)
		s->slots = slot + 1;
}

/* slots around one of the vm's own micro-operations */
static void own_slots(struct kjx_ssa *s, struct kjx_micro *m, u32 at)
{
	struct kjx_def *d = &s->def[m->dst];

	if (m->c == KJX_MICRO_NONE)
		return;
	if (m->c == KJX_MICRO_STORE) {
		release(s, m->a, at);
		return;
	}
	if (d->wants_slot && d->slot == KJX_NO_SLOT) {
		take(s, d);
		if (m->c != KJX_MICRO_COPY)
			m->a = d->slot;
		release(s, m->dst, at);		/* when never read */
	}
	if (m->c == KJX_MICRO_COPY)
		release(s, m->a, at);
}

void kjx_ssa_slots(struct kjx_ssa *s, u32 first)
{
	u32 i, k;

	for (i = first; i < s->n_micro; i++) {
		struct kjx_micro *m = &s->micro[i];
		struct kjx_def *d = &s->def[m->dst];
		u16 from[3] = { m->a, m->b, m->c };
		bool fresh = d->wants_slot && d->slot == KJX_NO_SLOT;

		if (!m->fn) {
			own_slots(s, m, i);
			continue;
		}
		for (k = 0; k < 3; k++)
			if (s->def[from[k]].log2_size == d->log2_size)
				release(s, from[k], i);
		if (fresh)
			take(s, d);
		for (k = 0; k < 3; k++)
			if (s->def[from[k]].log2_size != d->log2_size)
				release(s, from[k], i);
		if (fresh)
			release(s, m->dst, i);		/* when never read */
	}
}

u32 kjx_uops_log2(const struct kjx_uop *u, u32 n)
{
	u32 log2 = 0;

	for (; n; n--, u++) {
		const struct kjx_uop_row *row = &kjx_uop_rows[u->code];

		if (row->result && kjx_log2_size(row->result) > log2)
			log2 = kjx_log2_size(row->result);
	}
	return log2;
}

u32 kjx_body_weight(const struct kjx_image *image, u32 first, u32 n)
{
	const struct kjx_uop *u = image->uops + first;
	u32 w = 0;

	for (; n; n--, u++)
		w += kjx_uop_rows[u->code].weight;
	return w ? w : 1;
}

/* ---- bodies without views ---- */

static u64 slot_bytes(u32 log2, u32 strip)
{
	return kjx_align_up((u64)strip << log2, 64);
}

u64 kjx_body_plan_bytes(u32 n_uops)
{
	u64 cells = KJX_MAX_REGISTERS + (u64)n_uops;

	return n_uops * sizeof(struct kjx_micro) + cells * (sizeof(struct kjx_def) + sizeof(u16)) + 32;
}

u64 kjx_body_scratch(u32 n_uops, u32 n_regs, u32 strip)
{
	return kjx_align_up((KJX_MAX_REGISTERS + (u64)n_uops) * sizeof(void *), 64) + (n_regs + 1) * slot_bytes(4, strip);
}

void kjx_body_build(struct kjx_builder *b, struct kjx_body *body, u32 first, u32 n_uops, u32 n_regs,
		    const u8 *dtypes, u32 n_entry, u32 strip)
{
	const struct kjx_uop *u = b->image->uops + first;
	struct kjx_ssa s;
	u16 *slot;
	u32 i;

	kjx_memset(&s, 0, sizeof(s));
	s.cpu = b->cpu;
	s.micro = kjx_build(b, n_uops * sizeof(*s.micro));
	s.def = kjx_build(b, ((u64)n_entry + n_uops) * sizeof(*s.def));
	for (i = 0; i < n_entry; i++)
		s.reg[i] = (u16)kjx_ssa_def(&s, kjx_log2_size(dtypes[i]), false);
	for (i = 0; i < n_uops; i++)
		kjx_ssa_uop(&s, &u[i]);
	s.def[s.reg[0]].last = KJX_LIVE_OUT;
	kjx_ssa_slots(&s, 0);

	slot = kjx_build(b, (s.n_def - n_entry) * sizeof(*slot));
	for (i = n_entry; i < s.n_def; i++)
		slot[i - n_entry] = s.def[i].slot;
	*body = (struct kjx_body) {
		.n_micro = s.n_micro, .n_cells = s.n_def, .n_slots = s.slots, .n_entry = n_entry,
		.slot_bytes = (u32)slot_bytes(kjx_uops_log2(u, n_uops), strip),
		.result = s.reg[0], .weight = kjx_body_weight(b->image, first, n_uops),
		.micro = s.micro, .slot = slot,
	};
	(void)n_regs;
}

void kjx_body_link(const struct kjx_body *body, void **cells, u8 *slots)
{
	u32 i;

	for (i = body->n_entry; i < body->n_cells; i++)
		cells[i] = slots + (u64)body->slot[i - body->n_entry] * body->slot_bytes;
}
