// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Threaded code: one window that is one piece in both tensors, as a dynamic slice or update in a loop is.
 *
 * A window of one element that one index says where to find is an operation of the cpu table (ukernels/window.inc); with a body, that
 * combines it with another one: taken, an operation for each micro-operation, put. Longer windows are copied (kjx_op_window).
 */
#include "origin.h"
#include "threader.h"

u64 kjx_gather_ops(const struct kjx_gather *g)
{
	return g->n_uops ? g->n_uops + 3ull : 2;	/* a check, too */
}

/* the operations for a window of one element, or NULL */
static const struct kjx_window_ops *element(const struct kjx_threader *t, const struct kjx_gather_plan *p)
{
	const struct kjx_origins *how = &p->index[0].how;
	u32 by;

	if (p->n_index != 1 || p->n_window || p->n_batch != 1 || p->dim[0] != 1 || p->kind == KJX_KINDS)
		return NULL;
	if (how->log2_size == 2)
		by = how->is_signed ? KJX_BY_I32 : KJX_BY_U32;
	else if (how->log2_size == 3 && how->is_signed)
		by = KJX_BY_I64;
	else
		return NULL;
	return &t->b->cpu->windows[by][p->kind];
}

static void move_element(struct kjx_threader *t, kjx_op_fn *fn, const struct kjx_gather_plan *p, const struct kjx_place *to,
			 const struct kjx_place *from)
{
	struct kjx_place *places = kjx_cells_of(t, kjx_emit(t, fn, &p->index[0].how, 1));

	places[0] = *to;
	places[1] = *from;
	places[2] = places[3] = p->index[0].place;
}

static struct kjx_place scratch_place(const struct kjx_gather_plan *p, u64 offset)
{
	return (struct kjx_place){ .base = KJX_BASE_SCRATCH, .log2_size = p->log2_size, .offset = (s64)offset };
}

/* what cell @cell of the body points at; @old: its first entry */
static struct kjx_place body_place(const struct kjx_gather_plan *p, u32 cell, const struct kjx_place *old)
{
	const struct kjx_body *body = &p->body;

	if (!cell)
		return *old;
	if (cell == 1)
		return p->plain;
	if (cell < body->n_entry)
		return p->splat[cell - 2];
	return scratch_place(p, p->slots + (u64)body->slot[cell - body->n_entry] * body->slot_bytes);
}

static void update_element(struct kjx_threader *t, const struct kjx_gather_plan *p, const struct kjx_window_ops *w)
{
	const struct kjx_body *body = &p->body;
	struct kjx_place old = scratch_place(p, p->slots + (u64)body->n_slots * body->slot_bytes), result;
	u32 i, k;

	move_element(t, w->take, p, &old, &p->windowed);
	for (i = 0; i < body->n_micro; i++) {
		const struct kjx_micro *m = &body->micro[i];
		const u16 cell[KJX_CELLS] = { m->dst, m->a, m->b, m->c };
		struct kjx_place *places = kjx_emit_cell(t, m->cell, m->fn);

		for (k = 0; k < KJX_CELLS; k++)
			places[k] = body_place(p, cell[k], &old);
	}
	result = body_place(p, body->result, &old);
	move_element(t, w->put[p->skip], p, &p->windowed, &result);
	t->piece += 4 + 2ull * p->n_index + 9ull * p->weight + 1;
}

static void copy_window(struct kjx_threader *t, const struct kjx_gather_plan *p)
{
	u64 bytes = (p->n_window ? p->dim[1] : 1) << p->log2_size;
	struct kjx_place *places = kjx_cells_of(t, kjx_emit(t, kjx_op_window, p, bytes));
	u32 i;

	places[0] = p->windowed;
	places[1] = p->plain;
	for (i = 0; i < p->n_index; i++)
		places[2 + i] = p->index[i].place;
}

bool kjx_thread_window(struct kjx_threader *t, const struct kjx_gather_plan *p)
{
	const struct kjx_window_ops *w = element(t, p);
	const u32 first = t->n_ops;

	if (w && p->has_body) {
		update_element(t, p, w);
	} else {
		if (!p->one_window || (p->n_window && !p->rows) || p->n_index > KJX_CELLS - 2)
			return false;
		if (!w)
			copy_window(t, p);
		else if (p->scatter)
			move_element(t, w->put[p->skip], p, &p->windowed, &p->plain);
		else
			move_element(t, w->take, p, &p->plain, &p->windowed);
		t->piece += p->one_window + 1;
	}
	kjx_thread_carry(t, first);
	return true;
}

/* rows of small matrices are a few words */
static inline void copy(const struct kjx_cpu *cpu, u8 *to, const u8 *from, u64 n)
{
	if (n > 64) {
		cpu->copy(to, from, n);
		return;
	}
	for (; n >= 8; n -= 8, to += 8, from += 8)
		__builtin_memcpy(to, from, 8);
	for (; n >= 4; n -= 4, to += 4, from += 4)
		__builtin_memcpy(to, from, 4);
	for (; n; n--)
		*to++ = *from++;
}

const struct kjx_op *kjx_op_window(const struct kjx_op *op, void **cells, struct kjx_slice *s)
{
	const struct kjx_gather_plan *p = op->data;
	u8 *windowed = cells[0];
	s64 origin = 0;
	u32 i;

	for (i = 0; i < p->n_index; i++)
		kjx_origin_one(&origin, &p->index[i].how, cells[2 + i], p->skip, !i);
	if (origin == KJX_SKIPPED)
		KJX_NEXT(op, cells, s);
	windowed += origin;
	if (p->scatter)
		copy(s->cpu, windowed, cells[1], op->n);
	else
		copy(s->cpu, cells[1], windowed, op->n);
	KJX_NEXT(op, cells, s);
}
