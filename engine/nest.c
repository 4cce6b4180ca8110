// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Running a nest's bodies on strips (nest.h); the map mode. Reductions are in reduce.c.
 */
#include "nest.h"

static struct kjx_odometer *odometer(const struct kjx_work *w, const struct kjx_view *v)
{
	return (struct kjx_odometer *)(w->link + v->odometer);
}

/* A gather that is one contiguous piece, or a single element, is only a pointer. */
static void *gather(const struct kjx_cpu *cpu, const struct kjx_nest_plan *p, const struct kjx_work *w,
		    const struct kjx_micro *m, u64 lane, u64 n)
{
	const struct kjx_view *v = &p->views[m->b];
	u8 *cursor = w->cursors[m->b].at, *slot = kjx_slot(p, w, m->a);
	u32 log2 = v->place.log2_size;
	s64 offset, stride;
	u64 run = kjx_view_run(v, odometer(w, v), lane, n, &offset, &stride);

	if (m->c == KJX_MICRO_LOAD && run == n && (stride == 1ll << log2 || n == 1))
		return cursor + offset;
	cpu->move(slot, 1ll << log2, cursor + offset, stride, run, log2);
	if (run < n)
		kjx_view_gather(cpu, v, odometer(w, v), cursor, lane + run, n - run, slot + (run << log2));
	return slot;
}

static kjx_noinline void own_micro(const struct kjx_cpu *cpu, const struct kjx_nest_plan *p, const struct kjx_work *w,
				   const struct kjx_micro *m, u64 lane, u64 n)
{
	const struct kjx_view *v = &p->views[m->b];
	void **cells = w->cells;

	switch ((enum kjx_micro_kind)m->c) {
	case KJX_MICRO_LOAD:
	case KJX_MICRO_LOAD_COPY:
		cells[m->dst] = gather(cpu, p, w, m, lane, n);
		break;
	case KJX_MICRO_LOAD_INTO:
		kjx_view_gather(cpu, v, odometer(w, v), w->cursors[m->b].at, lane, n, cells[m->dst]);
		break;
	case KJX_MICRO_SPLAT:
		kjx_splat(cpu, cells[m->dst], w->cursors[m->b].at, n, v->place.log2_size);
		break;
	case KJX_MICRO_IOTA32:
	case KJX_MICRO_IOTA64:
		kjx_view_iota(cpu, v, odometer(w, v), w->cursors[m->b].value, lane, n,
			      m->c == KJX_MICRO_IOTA32 ? 2 : 3, cells[m->dst]);
		break;
	case KJX_MICRO_STORE:
		if (v->lanes == KJX_LANES_DENSE) {
			u8 *to = w->cursors[m->b].at + (lane << v->place.log2_size);

			if (to != cells[m->a])
				kjx_memcpy(to, cells[m->a], n << v->place.log2_size);
		} else {
			kjx_view_scatter(cpu, v, odometer(w, v), w->cursors[m->b].at, lane, n, cells[m->a]);
		}
		break;
	case KJX_MICRO_COPY:
		if (cells[m->dst] != cells[m->a])
			kjx_memcpy(cells[m->dst], cells[m->a], n << m->b);
		break;
	case KJX_MICRO_NONE:
		break;
	}
}

static kjx_always_inline void run_micros(const struct kjx_cpu *cpu, const struct kjx_nest_plan *p,
					 const struct kjx_phase *phase, const struct kjx_work *w, u64 lane, u64 n)
{
	const struct kjx_micro *m = phase->micro, *end = m + phase->n_micro;
	void **cells = w->cells;

	for (; m != end; m++) {
		if (kjx_likely(m->fn != NULL))
			m->fn(cells[m->dst], cells[m->a], cells[m->b], cells[m->c], n);
		else
			own_micro(cpu, p, w, m, lane, n);
	}
}

void kjx_phase_run(const struct kjx_cpu *cpu, const struct kjx_nest_plan *p, const struct kjx_phase *phase,
		   const struct kjx_work *w, u64 lane, u64 n)
{
	const struct kjx_pair *d = phase->dense, *end = d + phase->n_dense;

	for (; d != end; d++)
		w->cells[d->cell] = w->cursors[d->what].at + (lane << p->views[d->what].place.log2_size);
	for (d = phase->points, end = d + phase->n_points; d != end; d++)
		w->cells[d->cell] = w->cursors[d->what].at;
	run_micros(cpu, p, phase, w, lane, n);
}

void kjx_next_row_run(const struct kjx_nest_plan *p, const struct kjx_work *w)
{
	const struct kjx_move *move = p->moves, *end = move + p->n_moves;
	const struct kjx_micro *m = p->map.micro, *last = m + p->map.n_micro;
	void **cells = w->cells;

	for (; move != end; move++)
		cells[move->cell] = (u8 *)cells[move->cell] + move->step;
	for (; m != last; m++)
		m->fn(cells[m->dst], cells[m->a], cells[m->b], cells[m->c], p->lanes);
}

static void link(struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w)
{
	u32 i;

	for (i = 0; i < p->n_in_slots; i++)
		w->cells[p->in_slots[i].cell] = kjx_slot(p, w, p->in_slots[i].what);
	for (i = 0; i < p->n_fixed; i++)
		w->cells[p->fixed[i].cell] = (void *)p->fixed[i].data;
	if (p->self != KJX_NO_CELL) {
		w->cells[p->self] = w->cells;
		for (i = 0; i <= KJX_TILES_KEPT; i++)
			w->cells[p->kept + i] = w->slots + kjx_kept_at(p, i);
	}
	for (i = 0; i < p->n_views; i++) {
		const struct kjx_view *v = &p->views[i];

		if (v->is_iota)
			w->cursors[i].value = (u64)v->place.offset;
		else
			w->cursors[i].at = kjx_address(s, &v->place);
		if (v->lanes == KJX_LANES_RUNS)
			odometer(w, v)->lane = ~0ull;
	}
	if (p->single)
		for (i = 0; i < p->map.n_dense; i++)
			w->cells[p->map.dense[i].cell] = w->cursors[p->map.dense[i].what].at;
}

void kjx_nest_link(struct kjx_slice *s, const struct kjx_nest_plan *p)
{
	struct kjx_work w = kjx_nest_work(s, p);

	if (p->quick)
		kjx_nest_quick_link(s, p, w.cells);
	else
		link(s, p, &w);
}

static void clear_counters(const struct kjx_nest_plan *p, const struct kjx_work *w)
{
	u32 i;

	for (i = 0; i < (u32)p->n_kept + p->n_red; i++)
		w->counters[i] = 0;
}

/* What many rows read: where it is, if a cache line begins there, else a copy; a vector across two lines takes two accesses. */
static void *row_of_lines(const struct kjx_nest_plan *p, const struct kjx_work *w, const struct kjx_splat *splat)
{
	u8 *from = w->cursors[splat->view].at, *slot = kjx_slot(p, w, splat->slot);

	if (!((u64)from % 64))
		return from;
	kjx_memcpy(slot, from, p->lanes << p->views[splat->view].place.log2_size);
	return slot;
}

static void begin(struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w)
{
	u32 i;

	if (!p->has_link || (s->part && !p->by_rows))
		link(s, p, w);
	for (i = 0; i < p->n_splats; i++) {
		const struct kjx_splat *splat = &p->splats[i];

		if (p->views[splat->view].lanes == KJX_LANES_DENSE)
			w->cells[splat->cell] = row_of_lines(p, w, splat);
		else if (p->views[splat->view].lanes == KJX_LANES_RUNS)
			kjx_view_gather(s->cpu, &p->views[splat->view], odometer(w, &p->views[splat->view]),
					w->cursors[splat->view].at, 0, p->strip, w->cells[splat->cell]);
		else
			kjx_splat(s->cpu, w->cells[splat->cell], w->cursors[splat->view].at, p->strip,
				  p->views[splat->view].place.log2_size);
	}
	if (!p->by_rows) {
		clear_counters(p, w);
		if (s->part)
			kjx_nest_seek(s, p, w);
	}
}

/* Rows of one strip each, as many as the innermost loop has; counters and cursors are those of the last one when it returns. */
static bool map_rows(struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w)
{
	u64 left = kjx_rows_left(s, p, w), done = 1, n;
	bool over;

	kjx_phase_run(s->cpu, p, &p->map, w, 0, p->lanes);
	for (over = kjx_spend(s, p->row_cost); done < left && !over; done += n) {
		n = 1;
		if (p->next_rows) {
			n = kjx_min(p->next_rows, left - done);
			s->cpu->tiles->next(w->cells[p->steps], w->cells, p->row_bytes, n, p->moves, p->n_moves);
		} else {
			kjx_next_row_run(p, w);
		}
		over = kjx_spend(s, n * p->row_cost);
	}
	w->counters[p->n_kept - 1u] += done - 1;
	kjx_rows_skip(p, w, done - 1);
	return over;
}

static enum kjx_status run(struct kjx_slice *s, const struct kjx_nest_plan *p)
{
	struct kjx_work w = kjx_nest_work(s, p);
	const u64 end = kjx_nest_end(s, p);
	u64 *at = s->vm->at;	/* begun, lane */

	if (!at[0]) {
		begin(s, p, &w);
		if (p->single) {
			run_micros(s->cpu, p, &p->map, &w, 0, p->lanes);
			kjx_spend(s, p->cost);
			return KJX_OK;
		}
		at[0] = 1;
	}
	if (p->mode != KJX_NEST_MAP)
		return kjx_reduce_run(s, p, &w);
	for (;;) {
		u64 n = kjx_min(p->strip, end - at[1]);
		bool over;

		if (p->moves) {
			over = map_rows(s, p, &w);
		} else {
			kjx_phase_run(s->cpu, p, &p->map, &w, at[1], n);
			over = kjx_spend(s, kjx_strip_cost(n, p->map.weight));
		}
		at[1] += n;
		if (at[1] == end) {
			at[1] = 0;
			if (!kjx_nest_step(p, &w, 0, p->n_kept, 0) || (p->by_rows && kjx_row_is_over(p, &w)) ||
			    kjx_nest_is_over(s, p, &w))
				return KJX_OK;
		}
		if (over)
			return KJX_AGAIN;
	}
}

enum kjx_status kjx_nest_run(struct kjx_slice *s, const struct kjx_nest_plan *p)
{
	enum kjx_status status = run(s, p);

	if (p->streams)
		s->cpu->tiles->settle();	/* another processor may go on from here */
	return status;
}

/* vm->at[3]: runs of single rows that are over */
enum kjx_status kjx_nest_rows_run(struct kjx_slice *s, const struct kjx_nest_plan *first)
{
	u64 *at = s->vm->at, members = 0, total, member;
	const struct kjx_nest_plan *p;

	for (p = first; p; p = p->joined, members++) {
		struct kjx_work w = kjx_nest_work(s, p);

		if (at[0] | at[3])
			continue;
		kjx_nest_link(s, p);
		clear_counters(p, &w);
		if (s->part)
			kjx_nest_seek(s, p, &w);
	}
	total = (s->part ? s->part->to - s->part->from : first->loop_dim[0]) * members;
	for (p = first, member = at[3] % members; member; member--)
		p = p->joined;
	for (;;) {
		enum kjx_status status = kjx_nest_run(s, p);

		if (status != KJX_OK)
			return status;
		at[0] = at[1] = at[2] = 0;
		if (++at[3] == total)
			break;
		p = p->joined ? p->joined : first;
		if (s->spent >= s->limit)
			return KJX_AGAIN;
	}
	if (!s->part || !s->part->from)		/* once, whoever does the rest */
		s->spent += members - 1;
	return KJX_OK;
}
