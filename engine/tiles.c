// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Runs of micro-operations become tiles (tile.h). Input: a decoded body, its definitions placed: what each micro-operation
 * reads and writes is right when they run in order, whole strips at a time. They all work element by element on elements of
 * one size, and their strips are the same or apart; so a run of them may as well be done tile by tile.
 *
 * A slot may hold bytes of a mask or halves, and numbers later. Numbers are wider: those of a tile would run over bytes of later tiles, if a
 * run read these bytes and wrote the numbers. So such a run ends before (overruns()). The other way round the bytes hit what has
 * been read.
 */
#include "tile_run.h"

#define RUN_TRIES 4u

/* a single element that no strip stands for, whoever reads it */
static bool stays_one(const struct kjx_tiler *t, u32 def)
{
	return kjx_tile_def(t, def)->one && kjx_tile_def(t, def)->slot == KJX_NO_SLOT;
}

static void find_rows(struct kjx_tiler *t, u32 first, u32 n)
{
	const struct kjx_tile_row *rows = t->ssa->cpu->tiles->rows;
	const struct kjx_micro *m = t->ssa->micro + first, *end = m + n;
	u32 row;

	for (; m != end; m++) {
		for (row = 0; m->fn && rows[row].strip && rows[row].strip != m->fn; row++)
			;
		if (!m->fn || !rows[row].strip || (rows[row].kind == KJX_TILE_WIDEN && kjx_tile_def(t, m->a)->one) ||
		    (rows[row].kind >= KJX_TILE_BY_ONE && !stays_one(t, m->b)) ||
		    (rows[row].kind == KJX_TILE_BY_TWO && !stays_one(t, m->c)))
			continue;
		kjx_tile_def(t, m->dst)->row = (u8)(row + 1);
	}
}

/* may a run begin with it? Not with masks from memory alone: bytes are better done as such */
static bool begins(const struct kjx_tile_row *row)
{
	return row && row->log2_size;
}

/* where definitions are read last, by place of the micro-operation; and splats that have other readers than steps */
static void find_uses(struct kjx_tiler *t, u32 first, u32 n)
{
	struct kjx_ssa *s = t->ssa;
	u32 at, k;

	for (k = 0; k < s->n_def; k++)
		if (s->def[k].last != KJX_LIVE_OUT)
			s->def[k].last = KJX_TILE_NEVER;
	t->value_last = KJX_TILE_NEVER;
	for (at = first; at < first + n; at++) {
		const struct kjx_micro *m = &s->micro[at];
		u16 from[3] = { m->a, m->b, m->c };
		bool step = begins(kjx_tile_row_of(t, at));

		if (!m->fn && m->c == KJX_MICRO_LOAD)
			s->def[m->dst].gathered = 1;
		for (k = 0; k < (m->fn ? 3u : m->c >= KJX_MICRO_STORE); k++) {
			s->def[from[k]].point &= step;
			if (s->def[from[k]].last != KJX_LIVE_OUT)
				s->def[from[k]].last = (u16)at;
			if (from[k] == t->value)
				t->value_last = (u16)at;
		}
	}
}

/* splats that only steps read need no strip; returns how many micro-operations are left */
static u32 point(struct kjx_tiler *t, u32 first, u32 n)
{
	struct kjx_micro *m = t->ssa->micro + first;
	u32 i, kept = 0;

	for (i = 0; i < n; i++) {
		if (!m[i].fn && m[i].c == KJX_MICRO_SPLAT && kjx_tile_def(t, m[i].dst)->point)
			t->points[t->n_points++] = (struct kjx_pair) { .cell = m[i].dst, .what = m[i].b };
		else
			m[kept++] = m[i];
	}
	return kept;
}

/*
 * Is @def a mask or a half that one of the operations [@first, @end) makes? Then nobody finds it in its slot but later runs; within the
 * run masks are kept, and halves lanes like any other.
 */
static bool is_own(const struct kjx_tiler *t, u32 first, u32 end, u32 def)
{
	for (; first < end; first++)
		if (t->ssa->micro[first].dst == def)
			return kjx_tile_def(t, def)->log2_size == 1 || kjx_tile_makes_mask(kjx_tile_row_of(t, first));
	return false;
}

/*
 * Would the result of operation @at, numbers in a slot, run over bytes or halves that a run [@first, @end) reads, or they over it? It is not
 * in its slot while there are kept tiles for all, unless it is read after the run.
 */
static bool overruns(const struct kjx_tiler *t, u32 first, u32 at, u32 end)
{
	const struct kjx_micro *m = t->ssa->micro;
	const struct kjx_def *result = kjx_tile_def(t, m[at].dst);
	u32 i, k;

	if (!result->log2_size || result->slot == KJX_NO_SLOT ||
	    (end - first <= KJX_TILES_KEPT && (result->last == KJX_TILE_NEVER || result->last < end)))
		return false;
	for (i = first; i < at; i++) {
		const u16 defs[4] = { m[i].a, m[i].b, m[i].c, m[i].dst };

		for (k = 0; k < 4; k++)
			if (kjx_tile_def(t, defs[k])->log2_size < 2 && kjx_tile_def(t, defs[k])->slot == result->slot && !is_own(t, first, at, defs[k]))
				return true;
	}
	return false;
}

/* Where a run [@first, @end) has to end, @end at the latest. That results are read after it makes it shorter still: seldom more than once. */
static u32 end_of(const struct kjx_tiler *t, u32 first, u32 end)
{
	u32 at, tries;

	for (tries = 0, at = first; at < end; at++) {
		if (!overruns(t, first, at, tries < RUN_TRIES ? end : KJX_LIVE_OUT))
			continue;
		end = at;
		at = first;
		tries++;
	}
	return end;
}

/* Does a run pay? Two operations do; one does that saves filling a strip, or storing what is folded, or that needs one element alone. */
static bool pays(const struct kjx_tile_run *r)
{
	const struct kjx_micro *m = &r->t->ssa->micro[r->first];

	return r->end - r->first > 1 || kjx_tile_def(r->t, m->a)->point || kjx_tile_def(r->t, m->b)->point || kjx_tile_def(r->t, m->c)->point ||
	       (r->t->fold && m->dst == r->t->value) || kjx_tile_row_of(r->t, r->first)->kind >= KJX_TILE_BY_ONE;
}

u32 kjx_tile(struct kjx_tiler *t, u32 first, u32 n)
{
	struct kjx_micro *m = t->ssa->micro;
	u32 at, kept = first, i;

	find_rows(t, first, n);
	find_uses(t, first, n);
	n = point(t, first, n);
	find_uses(t, first, n);
	for (at = first; at < first + n;) {
		struct kjx_tile_run r = { .t = t, .first = at, .end = at, .a = KJX_TILE_NONE, .m = KJX_TILE_NONE };
		const struct kjx_tile_row *row = kjx_tile_row_of(t, at);

		r.log2 = begins(row) ? row->log2_size : 0;
		while (r.log2 && row && (!row->log2_size || row->log2_size == r.log2)) {
			r.end++;
			row = r.end < first + n ? kjx_tile_row_of(t, r.end) : NULL;
		}
		r.end = end_of(t, at, r.end);
		for (i = 0; i < KJX_TILES_KEPT; i++)
			r.kept[i] = KJX_TILE_NONE;
		if (r.end > at && pays(&r))
			kjx_tile_build(&r);
		at = r.end > at ? r.end : at + 1;
	}
	for (at = first; at < first + n; at++)
		if (m[at].fn || m[at].c != KJX_MICRO_NONE)
			m[kept++] = m[at];
	return kept - first;
}
