// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Reductions: values are folded strip onto strip into the accumulators, in flat mode the last strip then in halves.
 *
 * A sum (or another fold of one routine, cpu.h) along long rows goes onto KJX_FOLD_BYTES of accumulators instead: element
 * i onto accumulator i modulo their number, in order; then those in halves. Where the map body ends in tiles (tile.h) these
 * fold the values right where they are made, onto accumulators that begin with what changes nothing: the same bits.
 *
 * Cells of the combine body: accumulators are read through cell i and written through cell 2 * n_acc + i. Usually
 * both point at the accumulator's slot; a row that fits one strip is first folded right from where its values lie.
 *
 * The end of such a fold, from many accumulators to one, is a chain of operations that wait for each other; and a post body of one
 * lane is all calls. So a few neighbouring rows (plan->ends) keep accumulators of their own, end at once, side by side in
 * vectors, and go through the post body as lanes. Each is folded in the same order as alone.
 *
 * Progress: at[1] = lane; at[2] = 1 while accumulators hold something (inner mode: in the middle of the reduced loop), or
 * the number of rows that wait for their end; counters and cursors, in the link, survive between slices. While rows wait, both
 * are those of the first.
 */
#include "nest.h"

static void *acc_slot(const struct kjx_nest_plan *p, const struct kjx_work *w, u32 i)
{
	return kjx_slot(p, w, p->n_slots - p->n_splats - p->n_acc + i);
}

bool kjx_nest_step(const struct kjx_nest_plan *p, const struct kjx_work *w, u32 from, u32 to, u32 group)
{
	u32 n = (u32)p->n_kept + p->n_red, k, i;

	for (k = to; k > from; k--) {
		if (++w->counters[k - 1] < p->loop_dim[k - 1])
			break;
		w->counters[k - 1] = 0;
	}
	for (i = 0; i < p->n_vary; i++) {
		const s64 *delta = p->views[p->vary[i]].delta;

		w->cursors[p->vary[i]].value += (u64)(k > from ? delta[k - 1] : delta[n + group]);
	}
	return k > from;
}

/* the strip's values become the accumulators: pointed at (when the fold reads them before the next strip), or copied */
static void take(const struct kjx_nest_plan *p, const struct kjx_work *w, u64 n, bool copy)
{
	u32 i;

	for (i = 0; i < p->n_acc; i++) {
		void *value = w->cells[p->acc[i].value], *slot = acc_slot(p, w, i);

		if (copy)
			kjx_memcpy(slot, value, n << p->acc[i].log2_size);
		w->cells[i] = copy ? slot : value;
		w->cells[2u * p->n_acc + i] = slot;
	}
}

static void fold(const struct kjx_cpu *cpu, const struct kjx_nest_plan *p, const struct kjx_work *w, u64 n)
{
	u32 i;

	for (i = 0; i < p->n_acc; i++)
		w->cells[p->n_acc + i] = w->cells[p->acc[i].value];
	kjx_phase_run(cpu, p, &p->combine, w, 0, n);
}

/* One accumulator that is folded by one routine: the cells need not be touched. */
static void halve_plain(const struct kjx_nest_plan *p, const struct kjx_work *w, u64 n, u64 unit)
{
	const struct kjx_micro *m = p->combine.micro;
	u32 log2 = p->acc[0].log2_size;
	u8 *from = w->cells[0], *slot = acc_slot(p, w, 0);
	u64 rows = n / unit;

	while (rows > 1) {
		u64 half = rows / 2, up = rows - half, middle = (half * unit) << log2;
		const u8 *upper = from + ((up * unit) << log2);

		m->fn(slot, m->a ? upper : from, m->b ? upper : from, m->c ? upper : from, half * unit);
		if (up > half && from != slot)
			kjx_memcpy(slot + middle, from + middle, unit << log2);
		from = slot;
		rows = up;
	}
	w->cells[0] = from;
}

/* fold the accumulators' upper half onto the lower until @unit lanes are left of @n, a multiple of it */
static void halve(const struct kjx_cpu *cpu, const struct kjx_nest_plan *p, const struct kjx_work *w, u64 n, u64 unit)
{
	u64 rows = n / unit;

	while (rows > 1) {
		u64 half = rows / 2, up = rows - half;
		u32 i;

		for (i = 0; i < p->n_acc; i++)
			w->cells[p->n_acc + i] = (u8 *)w->cells[i] + ((up * unit) << p->acc[i].log2_size);
		kjx_phase_run(cpu, p, &p->combine, w, 0, half * unit);
		for (i = 0; i < p->n_acc; i++) {
			u8 *slot = acc_slot(p, w, i), *from = w->cells[i];
			u64 middle = (half * unit) << p->acc[i].log2_size;

			if (up > half && from != slot)
				kjx_memcpy(slot + middle, from + middle, unit << p->acc[i].log2_size);
			w->cells[i] = slot;
		}
		rows = up;
	}
}

/* the strip that begins at @lane is folded by one routine, and the last one of a row to a single value */
static void fold_strip(const struct kjx_nest_plan *p, const struct kjx_work *w, u64 lane, u64 n)
{
	u64 width = kjx_min(KJX_FOLD_BYTES >> p->acc[0].log2_size, p->strip);
	bool last = lane + n == p->lanes;

	w->cells[0] = acc_slot(p, w, 0);
	if (!p->folded)
		p->fold(w->cells[0], w->cells[p->acc[0].value], n, width,
			(lane ? 0 : KJX_FOLD_FIRST) | (last && !p->tile_fold ? KJX_FOLD_LAST : 0));
	if (last && p->tile_fold)
		p->tile_fold->end(w->cells[0]);
}

static enum kjx_status flat(struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w)
{
	u64 *at = s->vm->at;

	for (;;) {
		bool over = false;

		while (at[1] < p->lanes) {
			u64 n = kjx_min(p->strip, p->lanes - at[1]);

			if (p->folded && !at[1]) {
				w->cells[2] = acc_slot(p, w, 0);
				p->tile_fold->begin(w->cells[2], 1);
			}
			kjx_phase_run(s->cpu, p, &p->map, w, at[1], n);
			if (p->fold)
				fold_strip(p, w, at[1], n);
			else if (!at[1])
				take(p, w, n, n < p->lanes);
			else
				fold(s->cpu, p, w, n);
			over = kjx_spend(s, kjx_strip_cost(n, p->map.weight + p->combine.weight));
			at[1] += n;
			if (over && at[1] < p->lanes)
				return KJX_AGAIN;
		}
		if (!p->fold && p->plain)
			halve_plain(p, w, p->strip, p->unit);
		else if (!p->fold)
			halve(s->cpu, p, w, p->strip, p->unit);
		kjx_phase_run(s->cpu, p, &p->post, w, 0, p->unit);
		over = kjx_spend(s, kjx_halving_cost(p->strip, p->combine.weight) +
				    kjx_strip_cost(p->unit, p->post.weight));
		at[1] = 0;
		if (!kjx_nest_step(p, w, 0, p->n_kept, 0) || (p->by_rows && kjx_row_is_over(p, w)) ||
		    kjx_nest_is_over(s, p, w))
			return KJX_OK;
		if (over)
			return KJX_AGAIN;
	}
}

/* the next strip of row @row, whose first the cursors are at: true when the slice is over */
static bool fold_next(struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w, u64 row, bool again)
{
	u64 *at = s->vm->at, n = kjx_min(p->strip, p->lanes - at[1]);
	u8 *acc = kjx_end_slot(p, w, row);

	w->cells[2] = acc;
	if (p->folded && !at[1])
		p->tile_fold->begin(acc, 1);
	if (again)
		kjx_next_row_run(p, w);
	else
		kjx_phase_run(s->cpu, p, &p->map, w, at[1], n);
	if (!p->folded)
		p->fold(acc, w->cells[p->acc[0].value], n, KJX_FOLD_BYTES >> p->acc[0].log2_size, at[1] ? 0 : KJX_FOLD_FIRST);
	at[1] += n;
	if (at[1] == p->lanes) {
		at[1] = 0;
		at[2]++;
	}
	return kjx_spend(s, kjx_strip_cost(n, p->map.weight + p->combine.weight));
}

/* @n rows by one routine, whose cells are at the row before them: true when the slice is over */
static bool next_rows(struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w, u64 n)
{
	u64 *at = s->vm->at;

	p->tile_fold->begin(kjx_end_slot(p, w, at[2]), n);
	s->cpu->tiles->next(w->cells[p->steps], w->cells, p->row_bytes, n, p->moves, p->n_moves + 1u);
	at[2] += n;
	return kjx_spend(s, n * p->row_cost);
}

/* the rows up to @rows: false when the slice is over */
static bool fold_rows(struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w, u64 rows)
{
	const u64 *at = s->vm->at;
	bool over = false, again = false;

	for (; at[2] < rows && !over; again = p->moves != NULL) {
		u64 row = at[2];

		if (again && p->next_rows) {
			over = next_rows(s, p, w, kjx_min(p->next_rows, rows - row));
			continue;
		}
		if (!again)
			kjx_rows_skip(p, w, row);
		over = fold_next(s, p, w, row, again);
		if (!again)
			kjx_rows_skip(p, w, 0 - row);
	}
	return !over;
}

static enum kjx_status together(struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w)
{
	u64 *at = s->vm->at;

	for (;;) {
		u64 rows = kjx_min(p->whole_rows ? p->whole_rows : p->ends, kjx_rows_left(s, p, w));
		bool over;

		w->cells[0] = kjx_end_slot(p, w, 0);
		if (p->whole_rows) {
			p->tile_fold->rows(w->cells[0], w->cursors[p->whole].at, p->views[p->whole].delta[p->n_kept - 1u], p->lanes,
					   rows);
			kjx_spend(s, rows * p->row_cost);
		} else if (!fold_rows(s, p, w, rows)) {
			return KJX_AGAIN;
		} else {
			p->tile_fold->ends(w->cells[0], rows);
		}
		kjx_phase_run(s->cpu, p, &p->post, w, 0, rows);
		over = kjx_spend(s, rows * (kjx_halving_cost(p->strip, p->combine.weight) +
					    kjx_strip_cost(1, p->post.weight)));
		at[2] = 0;
		kjx_rows_skip(p, w, rows - 1);
		w->counters[p->n_kept - 1u] += rows - 1;
		if (!kjx_nest_step(p, w, 0, p->n_kept, 0) || (p->by_rows && kjx_row_is_over(p, w)) ||
		    kjx_nest_is_over(s, p, w))
			return KJX_OK;
		if (over)
			return KJX_AGAIN;
	}
}

static enum kjx_status inner(struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w)
{
	u32 first = p->n_kept, end = first + p->n_red;
	const u64 lanes = kjx_nest_end(s, p);
	u64 *at = s->vm->at;

	for (;;) {
		u64 n = kjx_min(p->strip, lanes - at[1]);
		bool over;

		for (;;) {
			kjx_phase_run(s->cpu, p, &p->map, w, at[1], n);
			if (!at[2])
				take(p, w, n, p->red > 1);
			else
				fold(s->cpu, p, w, n);
			over = kjx_spend(s, kjx_strip_cost(n, p->map.weight + p->combine.weight));
			at[2] = 1;
			if (!kjx_nest_step(p, w, first, end, 1))
				break;
			if (over)
				return KJX_AGAIN;
		}
		kjx_phase_run(s->cpu, p, &p->post, w, at[1], n);
		over |= kjx_spend(s, kjx_strip_cost(n, p->post.weight));
		at[2] = 0;
		at[1] += n;
		if (at[1] == lanes) {
			at[1] = 0;
			if (!kjx_nest_step(p, w, 0, p->n_kept, 0) || (p->by_rows && kjx_row_is_over(p, w)) ||
			    kjx_nest_is_over(s, p, w))
				return KJX_OK;
		}
		if (over)
			return KJX_AGAIN;
	}
}

enum kjx_status kjx_reduce_run(struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w)
{
	if (p->ends > 1)
		return together(s, p, w);
	return p->mode == KJX_NEST_FLAT ? flat(s, p, w) : inner(s, p, w);
}
