// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The steps of a run (tile_run.h).
 *
 * Invariant: A holds the result of the last operation that makes numbers, kept tiles definitions that are read later. A definition that
 * is read only until A is overwritten stays there; one that later operations of the run read goes to a kept tile if one is free, else
 * into its strip. What is not a slot (a view that is stored to), or is read by other micro-operations, always goes into its strip.
 *
 * Likewise M and masks. A mask that waits has a kept mask, that of its slot: slots are different for all that live.
 */
#include "tile_run.h"

#define ONES_FROM 4u		/* the first kept tile that may be for one element all along */
#define SPARE 0u		/* the kept mask that is no slot's */
kjx_static_assert((KJX_TILE_SLOTS + 1) * KJX_MASK_BYTES <= KJX_MASKS_TILES * KJX_TILE_BYTES);

static void emit(struct kjx_tiler *t, kjx_tile_fn *whole, kjx_tile_fn *part, u32 cell, u32 other)
{
	struct kjx_tile_step *step = &t->steps[t->n_steps++];

	step[0] = (struct kjx_tile_step) { .fn = whole, .cell = cell, .other = other };
	step[t->most] = (struct kjx_tile_step) { .fn = part, .cell = cell, .other = other };
}

/* the kept tile that begins with the one element @def, or KJX_TILES_KEPT */
static u32 find_kept_one(const struct kjx_tile_run *r, u32 def)
{
	u32 i;

	for (i = 0; i < KJX_TILES_KEPT && !((r->ones >> i & 1) && r->kept[i] == def); i++)
		;
	return i;
}

/* Is it one element, that stays where it is while tiles are done? A strip of copies may have its slot taken over in this run. */
static bool is_one(const struct kjx_tile_run *r, u32 def)
{
	const struct kjx_def *d = kjx_tile_def(r->t, def);

	return find_kept_one(r, def) < KJX_TILES_KEPT || (d->one && (d->point || d->slot == KJX_NO_SLOT));
}

/* the cell of the one element @def */
static u32 cell_of_one(const struct kjx_tile_run *r, u32 def)
{
	u32 i = find_kept_one(r, def);

	return i < KJX_TILES_KEPT ? r->t->kept + i : def;
}

/* does the strip end where its elements do? A slot has room for whole tiles */
static bool is_tensor(const struct kjx_tiler *t, u32 def)
{
	return kjx_tile_def(t, def)->slot == KJX_NO_SLOT || kjx_tile_def(t, def)->gathered;
}

/* by size of elements in strips */
static kjx_tile_fn *const (*moves_of(const struct kjx_tile_run *r, u32 log2))[KJX_TILE_MOVES]
{
	return r->t->ssa->cpu->tiles->moves[log2 == 1 ? KJX_TILE_HALVES : r->log2 - 2];
}

static void move(const struct kjx_tile_run *r, enum kjx_tile_move which, u32 cell)
{
	kjx_tile_fn *const (*fn)[KJX_TILE_MOVES] = moves_of(r, kjx_tile_def(r->t, cell)->log2_size);
	bool tensor = is_tensor(r->t, cell);

	emit(r->t, fn[0][which], fn[tensor][which], cell, 0);
}

static void move_kept(const struct kjx_tile_run *r, enum kjx_tile_move which, u32 kept)
{
	kjx_tile_fn *fn = moves_of(r, r->log2)[0][which];

	emit(r->t, fn, fn, r->t->kept + kept, 0);
}

/* an operation of which one operand, @def, is not in a register, unless the form says so; or both */
static void apply(const struct kjx_tile_run *r, const struct kjx_tile_row *row, u32 form, u32 def, u32 other)
{
	bool tensor = form <= KJX_TILE_ONE_MEMORY && is_tensor(r->t, def);

	emit(r->t, row->fn[form], tensor ? row->part[form] : row->fn[form], def, other);
}

/* the kept tile that holds @def (KJX_TILE_NONE: that is free), or KJX_TILES_KEPT */
static u32 find_kept(const struct kjx_tile_run *r, u32 def)
{
	u32 i;

	for (i = 0; i < KJX_TILES_KEPT && (r->kept[i] != def || (def != KJX_TILE_NONE && (r->ones >> i & 1))); i++)
		;
	return i;
}

static bool is_in_memory(const struct kjx_tile_run *r, u32 def)
{
	return !is_one(r, def) && find_kept(r, def) == KJX_TILES_KEPT;
}

/* A = @def */
static void bring(struct kjx_tile_run *r, u32 def)
{
	u32 kept = find_kept(r, def);

	if (r->a == def)
		return;
	if (kept < KJX_TILES_KEPT)
		move_kept(r, KJX_TILE_GET, kept);
	else if (find_kept_one(r, def) < KJX_TILES_KEPT)
		move_kept(r, KJX_TILE_LOAD_ONE, find_kept_one(r, def));
	else
		move(r, is_one(r, def) ? KJX_TILE_LOAD_ONE : KJX_TILE_LOAD, def);
	r->a = (u16)def;
}

/* the kept mask that holds @def, or SPARE */
static u32 find_mask(const struct kjx_tile_run *r, u32 def)
{
	u32 slot = kjx_tile_def(r->t, def)->slot;

	return slot < KJX_TILE_SLOTS && (r->masks[slot / 64] >> slot % 64 & 1) ? slot + 1 : SPARE;
}

static void move_mask(const struct kjx_tile_run *r, enum kjx_tile_move which, u32 kept)
{
	kjx_tile_fn *fn = r->t->ssa->cpu->tiles->moves[r->log2 - 2][0][which];

	emit(r->t, fn, fn, r->t->kept + KJX_TILES_KEPT, kept * KJX_MASK_BYTES);
}

/* M = @def */
static void bring_mask(struct kjx_tile_run *r, u32 def)
{
	u32 kept = find_mask(r, def);

	if (r->m == def)
		return;
	if (kept != SPARE)
		move_mask(r, KJX_TILE_MASK_GET, kept);
	else
		move(r, is_one(r, def) ? KJX_TILE_MASK_ONE : KJX_TILE_MASK_LOAD, def);
	r->m = (u16)def;
}

/* is @def a strip of halves? Those of the run that were spilled lie there as lanes. */
static bool reads_halves(const struct kjx_tile_run *r, u32 def)
{
	return is_in_memory(r, def) && kjx_tile_def(r->t, def)->log2_size == 1;
}

/* a half of the run that was spilled: lanes in its slot */
static bool is_spilled(const struct kjx_tile_run *r, u32 def)
{
	return is_in_memory(r, def) && kjx_tile_def(r->t, def)->log2_size != 1;
}

/* the selection of lanes instead of halves */
static const struct kjx_tile_row *select_lanes(const struct kjx_tile_run *r)
{
	const struct kjx_tile_row *row = r->t->ssa->cpu->tiles->rows;

	while (row->kind != KJX_TILE_SELECT || row->log2_size != r->log2)
		row++;
	return row;
}

static void operate_on_two(struct kjx_tile_run *r, const struct kjx_tile_row *row, u32 x, u32 y)
{
	bool x_one = is_one(r, x), y_one = is_one(r, y);
	u32 form, kept;

	if (x == y) {
		bring(r, x);
		if (row->fn[KJX_TILE_AA])		/* select: it is this one */
			apply(r, row, KJX_TILE_AA, x, 0);
		return;
	}
	if (row->halves && r->a != x && r->a != y && (is_spilled(r, x) || is_spilled(r, y)))
		bring(r, is_spilled(r, x) ? x : y);
	if (row->halves && is_spilled(r, r->a == x ? y : x))
		row = select_lanes(r);
	if (r->a != x && r->a != y) {
		if (y_one && is_in_memory(r, x)) {
			apply(r, row, KJX_TILE_MEMORY_ONE, x, cell_of_one(r, y));
			return;
		}
		if (x_one && is_in_memory(r, y) && row->fn[KJX_TILE_ONE_MEMORY]) {
			apply(r, row, KJX_TILE_ONE_MEMORY, y, cell_of_one(r, x));
			return;
		}
		bring(r, x_one && !y_one ? y : x);	/* one of them in A: rather a strip than an element */
	}
	if (r->a == x) {
		kept = find_kept(r, y);
		form = kept < KJX_TILES_KEPT ? KJX_TILE_A_KEPT : y_one ? KJX_TILE_A_ONE : KJX_TILE_A_MEMORY;
		apply(r, row, form, kept < KJX_TILES_KEPT ? r->t->kept + kept : cell_of_one(r, y), 0);
	} else {
		kept = find_kept(r, x);
		form = kept < KJX_TILES_KEPT ? KJX_TILE_KEPT_A : x_one ? KJX_TILE_ONE_A : KJX_TILE_MEMORY_A;
		apply(r, row, form, kept < KJX_TILES_KEPT ? r->t->kept + kept : cell_of_one(r, x), 0);
	}
}

/* One of the masks in M, the other one kept; which is which does not matter. */
static void operate_on_masks(struct kjx_tile_run *r, const struct kjx_tile_row *row, u32 x, u32 y)
{
	u32 kept;

	if (r->m == y || (r->m != x && find_mask(r, y) == SPARE)) {
		u32 was = x;

		x = y;
		y = was;
	}
	bring_mask(r, x);
	kept = find_mask(r, y);
	if (kept == SPARE) {
		kept = find_mask(r, x);
		if (kept == SPARE)
			move_mask(r, KJX_TILE_MASK_PUT, SPARE);
		bring_mask(r, y);
	}
	emit(r->t, row->fn[KJX_TILE_A_KEPT], row->fn[KJX_TILE_A_KEPT], r->t->kept + KJX_TILES_KEPT, kept * KJX_MASK_BYTES);
}

static void operate(struct kjx_tile_run *r, const struct kjx_tile_row *row, const struct kjx_micro *m)
{
	switch ((enum kjx_tile_kind)row->kind) {
	case KJX_TILE_BINARY:
	case KJX_TILE_COMPARE:
		operate_on_two(r, row, m->a, m->b);
		return;
	case KJX_TILE_SELECT:
		bring_mask(r, m->a);
		operate_on_two(r, row, m->b, m->c);
		return;
	case KJX_TILE_LOGIC:
		operate_on_masks(r, row, m->a, m->b);
		return;
	case KJX_TILE_UNARY:
	case KJX_TILE_TEST:
		if (row->fn[KJX_TILE_A_MEMORY] && r->a != m->a && reads_halves(r, m->a)) {
			apply(r, row, KJX_TILE_A_MEMORY, m->a, 0);
			return;
		}
		bring(r, m->a);
		break;
	case KJX_TILE_NUMBER:
	case KJX_TILE_MASK:
		bring_mask(r, m->a);
		break;
	case KJX_TILE_WIDEN:
		apply(r, row, KJX_TILE_A_MEMORY, m->a, 0);
		return;
	case KJX_TILE_NARROW:
		bring(r, m->a);
		apply(r, row, KJX_TILE_A_MEMORY, m->dst, 0);
		return;
	case KJX_TILE_BY_ONE:
	case KJX_TILE_BY_TWO:
		bring(r, m->a);
		emit(r->t, row->fn[KJX_TILE_A_ONE], row->fn[KJX_TILE_A_ONE], m->b, m->c);
		return;
	}
	apply(r, row, KJX_TILE_AA, m->a, 0);
}

/* Is @def, now in A (M), still there when operation @at is through? See operate(). */
static bool leaves_a(const struct kjx_tile_run *r, u32 at, u32 def)
{
	const struct kjx_tile_row *row = kjx_tile_row_of(r->t, at);
	const struct kjx_micro *m = &r->t->ssa->micro[at];

	if (find_kept_one(r, m->dst) < KJX_TILES_KEPT)
		return true;
	if (row->kind == KJX_TILE_NARROW)
		return m->a == def;
	if (!kjx_tile_makes_mask(row))
		return false;
	if (row->kind == KJX_TILE_LOGIC || row->kind == KJX_TILE_MASK || m->a == def || m->b == def)
		return true;
	return row->kind == KJX_TILE_COMPARE && ((is_one(r, m->b) && is_in_memory(r, m->a)) ||
						 (is_one(r, m->a) && is_in_memory(r, m->b)));
}

static bool leaves_m(const struct kjx_tile_run *r, u32 at, u32 def)
{
	const struct kjx_tile_row *row = kjx_tile_row_of(r->t, at);

	if (kjx_tile_makes_mask(row))
		return false;
	return (row->kind != KJX_TILE_SELECT && row->kind != KJX_TILE_NUMBER) || r->t->ssa->micro[at].a == def;
}

/* does a later operation of the run read @def, the result of @at, when it is no longer in A (M)? */
static bool waits(const struct kjx_tile_run *r, u32 at, u32 def, u32 last, bool (*leaves)(const struct kjx_tile_run *r, u32 at, u32 def))
{
	u32 i;

	for (i = at + 1; last != KJX_TILE_NEVER && i < last; i++)
		if (!leaves(r, i, def))
			return true;
	return false;
}

/* is definition @dst needed where other micro-operations find it? */
static bool is_read_elsewhere(const struct kjx_tile_run *r, u32 dst, u32 last)
{
	return kjx_tile_def(r->t, dst)->slot == KJX_NO_SLOT || last == KJX_LIVE_OUT || (last != KJX_TILE_NEVER && last >= r->end);
}

/* Elements that are converted for this run alone: one element of a kept tile each. That is done for each tile again, and leaves A alone. */
static void keep_ones(struct kjx_tile_run *r)
{
	u32 at, i = KJX_TILES_KEPT;

	for (at = r->first; at < r->end && i > ONES_FROM; at++) {
		const struct kjx_tile_row *row = kjx_tile_row_of(r->t, at);
		const struct kjx_micro *m = &r->t->ssa->micro[at];
		u32 last = kjx_tile_def(r->t, m->dst)->last;

		if (row->kind != KJX_TILE_UNARY || !row->fn[KJX_TILE_A_ONE] || !is_one(r, m->a) || last == KJX_TILE_NEVER ||
		    is_read_elsewhere(r, m->dst, last))
			continue;
		r->kept[--i] = m->dst;
		r->ones |= (u8)(1u << i);
	}
}

/* what becomes of the result of operation @at, which is in A */
static void keep(struct kjx_tile_run *r, u32 at)
{
	struct kjx_tiler *t = r->t;
	u32 dst = t->ssa->micro[at].dst, last = kjx_tile_def(t, dst)->last, i;

	r->a = (u16)dst;
	if (t->fold && dst == t->value) {
		emit(t, t->fold->fn, t->fold->part, t->acc, 0);
		t->folded = 1;
		last = t->value_last;
	}
	if (is_read_elsewhere(r, dst, last)) {
		/* what is read again had better stay near */
		move(r, kjx_tile_def(t, dst)->streams && (last == KJX_TILE_NEVER || (last == at + 1 && last < r->end)) ? KJX_TILE_STREAM : KJX_TILE_STORE, dst);
	} else if (waits(r, at, dst, last, leaves_a)) {
		i = find_kept(r, KJX_TILE_NONE);
		if (i < KJX_TILES_KEPT) {
			move_kept(r, KJX_TILE_PUT, i);
			r->kept[i] = (u16)dst;
			r->ones &= (u8)~(1u << i);
		} else {
			kjx_tile_def(t, dst)->log2_size = (u8)r->log2;	/* halves are spilled as lanes (tiles.c) */
			move(r, KJX_TILE_STORE, dst);
		}
	}
}

/* likewise, in M */
static void keep_mask(struct kjx_tile_run *r, u32 at)
{
	u32 dst = r->t->ssa->micro[at].dst, last = kjx_tile_def(r->t, dst)->last, slot = kjx_tile_def(r->t, dst)->slot;

	r->m = (u16)dst;
	if (slot < KJX_TILE_SLOTS)
		r->masks[slot / 64] &= ~(1ull << slot % 64);
	if (is_read_elsewhere(r, dst, last)) {
		move(r, KJX_TILE_MASK_STORE, dst);
	} else if (waits(r, at, dst, last, leaves_m)) {
		move_mask(r, KJX_TILE_MASK_PUT, slot + 1);
		r->masks[slot / 64] |= 1ull << slot % 64;
	}
}

/* Steps [@first, @end) on whole tiles: a pair, or a pair of it and the next one, gets a function that does all it stands for. */
static void join(struct kjx_tiler *t, u32 first, u32 end)
{
	const struct kjx_tile_pair *pair;
	u32 next;

	for (; first < end; first = next) {
		kjx_tile_fn **fn = &t->steps[first].fn;

		for (next = first + 1; next < end; next++) {
			for (pair = t->ssa->cpu->tiles->pairs; pair->fn; pair++)
				if (pair->first == *fn && pair->second == t->steps[next].fn)
					break;
			if (!pair->fn)
				break;
			*fn = pair->fn;
		}
	}
}

/* Steps from @first on, on a part of a tile: one function for all of them, if there is one. */
static void join_list(struct kjx_tiler *t, u32 first)
{
	struct kjx_tile_step *steps = &t->steps[first + t->most];
	const u32 n = t->n_steps - first;
	const struct kjx_tile_list *list;
	u32 i;

	if (n > KJX_TILE_LIST)
		return;
	for (list = t->ssa->cpu->tiles->lists; list->fn; list++) {
		for (i = 0; i < n && steps[i].fn == list->steps[i]; i++)
			;
		if (i == n) {
			steps->fn = list->fn;
			return;
		}
	}
}

/* the last step, on from which is the first of the next tile: what was to be the last one itself where it can */
static void finish(struct kjx_tile_run *r, u32 first)
{
	struct kjx_tiler *t = r->t;
	kjx_tile_fn *const *fn = t->ssa->cpu->tiles->moves[r->log2 - 2][0];
	kjx_tile_fn *const *halves = t->ssa->cpu->tiles->moves[KJX_TILE_HALVES][0];
	struct kjx_tile_step *last = &t->steps[t->n_steps - 1];
	kjx_tile_fn *const whole = last->fn;

	if (last->fn == fn[KJX_TILE_STORE])
		last->fn = fn[KJX_TILE_STORE_LAST];
	else if (last->fn == halves[KJX_TILE_STORE])
		last->fn = halves[KJX_TILE_STORE_LAST];
	else if (last->fn == fn[KJX_TILE_STREAM])
		last->fn = fn[KJX_TILE_STREAM_LAST];
	else if (last->fn == fn[KJX_TILE_MASK_STORE])
		last->fn = fn[KJX_TILE_MASK_STORE_LAST];
	else if (t->fold && last->fn == t->fold->fn)
		last->fn = t->fold->last;
	if (last->fn != whole)		/* others, whose results nobody reads, may have an element there */
		last->other = t->n_steps - 1 - first;
	join(t, first, t->n_steps);
	emit(t, fn[KJX_TILE_END], t->ssa->cpu->tiles->moves[r->log2 - 2][1][KJX_TILE_END], 0, 0);
	t->steps[t->n_steps - 1].other = t->n_steps - 1 - first;
	join_list(t, first);
}

void kjx_tile_build(struct kjx_tile_run *r)
{
	struct kjx_tiler *t = r->t;
	const struct kjx_tiles *tiles = t->ssa->cpu->tiles;
	struct kjx_fixed *f = &t->fixed[t->n_fixed++];
	struct kjx_micro *m = t->ssa->micro;
	u32 at, i, head = t->n_steps;

	f->data = &t->steps[head];
	emit(t, NULL, NULL, t->most, 0);
	f->cell = kjx_ssa_def(t->ssa, 3, false);
	if (t->self == KJX_NO_CELL) {
		t->self = (u16)kjx_ssa_def(t->ssa, 3, false);
		t->kept = (u16)kjx_ssa_def(t->ssa, 3, false);
		for (at = 1; at <= KJX_TILES_KEPT; at++)
			kjx_ssa_def(t->ssa, 3, false);
	}
	keep_ones(r);
	for (at = r->first; at < r->end; at++) {
		const struct kjx_tile_row *row = kjx_tile_row_of(t, at);
		const u32 one = find_kept_one(r, m[at].dst);

		if (one < KJX_TILES_KEPT)
			emit(t, row->fn[KJX_TILE_A_ONE], row->fn[KJX_TILE_A_ONE], cell_of_one(r, m[at].a), t->kept + one);
		else
			operate(r, row, &m[at]);
		for (i = 0; i < KJX_TILES_KEPT; i++)
			if (r->kept[i] != KJX_TILE_NONE && kjx_tile_def(t, r->kept[i])->last <= at)
				r->kept[i] = KJX_TILE_NONE;
		if (one < KJX_TILES_KEPT)
			continue;
		if (kjx_tile_makes_mask(row))
			keep_mask(r, at);
		else if (row->kind != KJX_TILE_NARROW)	/* it is where it belongs */
			keep(r, at);
	}
	finish(r, head + 1);
	for (at = r->first + 1; at < r->end; at++) {
		m[at].fn = NULL;
		m[at].c = KJX_MICRO_NONE;
	}
	m += r->first;
	m->fn = r->log2 == 2 ? tiles->run : tiles->run64;
	m->cell = NULL;
	m->dst = m->a = m->c = (u16)f->cell;
	m->b = t->self;
}
