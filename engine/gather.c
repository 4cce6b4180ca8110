// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Gather and scatter: for each batch point a window whose origin is read from index tensors.
 *
 * Origins are computed for a block of batch points along the innermost batch dim, then the windows are moved, piece
 * by piece. The cpu table brings an index into its range by masks, never by a branch, so that no speculated access
 * leaves the tensor; the origin of a window to leave out is 2^63, which no address added to it makes one of memory.
 * In a scatter the batch points take effect one after the other.
 *
 * Progress: at[0] = 1 when begun; the rest is struct kjx_gather_state, in the scratch.
 */
#include "gather.h"
#include "origin.h"
#include "part.h"

/* the batch dim's points, those of a piece end earlier */
static u64 batch_end(const struct kjx_slice *s, const struct kjx_gather_plan *p, u32 d)
{
	return s->part && !d ? s->part->to : p->dim[d];
}

static void compute_origins(struct kjx_slice *s, const struct kjx_gather_plan *p, struct kjx_gather_state *st)
{
	u32 inner = p->n_batch - 1u, i;

	st->points = kjx_min(p->elements ? KJX_GATHER_ELEMENTS : KJX_GATHER_BLOCK, batch_end(s, p, inner) - st->batch[inner]);
	st->point = 0;
	if (p->elements)
		return;
	if (!p->n_index)
		kjx_memset(st->origin, 0, st->points * sizeof(st->origin[0]));
	for (i = 0; i < p->n_index; i++) {
		const struct kjx_component *c = &p->index[i];

		s->cpu->origins(st->origin, &c->how, kjx_address(s, &c->place) + st->component[i], c->stride[inner],
				st->points, p->skip, !i);
	}
}

/* the block is done: on to the next; false after the last */
static bool next_block(const struct kjx_slice *s, const struct kjx_gather_plan *p, struct kjx_gather_state *st)
{
	u64 step = st->points;
	u32 d, i;

	for (d = p->n_batch; d--; step = 1) {
		st->batch[d] += step;
		st->windowed += (s64)step * p->windowed_stride[d];
		st->plain += (s64)step * p->plain_stride[d];
		for (i = 0; i < p->n_index; i++)
			st->component[i] += (s64)step * p->index[i].stride[d];
		if (st->batch[d] < batch_end(s, p, d))
			return true;
		st->batch[d] = 0;
		st->windowed -= (s64)p->dim[d] * p->windowed_stride[d];
		st->plain -= (s64)p->dim[d] * p->plain_stride[d];
		for (i = 0; i < p->n_index; i++)
			st->component[i] -= (s64)p->dim[d] * p->index[i].stride[d];
	}
	return false;
}

/* n elements of the windowed tensor become body(those, updates) */
static void update(struct kjx_slice *s, const struct kjx_gather_plan *p, u8 *old, s64 old_stride, const u8 *new,
		   s64 new_stride, u64 n)
{
	const s64 size = 1ll << p->log2_size;
	void **cells = (void **)(s->scratch + kjx_align_up(sizeof(struct kjx_gather_state), 64));
	u8 *aside = s->scratch + p->slots + (u64)p->body.n_slots * p->body.slot_bytes;
	u8 *to = old;

	if (n > 1 && old_stride != size) {
		s->cpu->move(aside, size, old, old_stride, n, p->log2_size);
		to = aside;
	}
	if (n > 1 && new_stride != size) {
		u8 *second = aside + kjx_align_up((u64)p->run << p->log2_size, 64);

		s->cpu->move(second, size, new, new_stride, n, p->log2_size);
		new = second;
	}
	cells[0] = to;
	cells[1] = (void *)new;
	if (p->in_place)
		cells[p->body.result] = to;
	kjx_body_run(&p->body, cells, n);
	if (cells[p->body.result] != old)
		s->cpu->move(old, n > 1 ? old_stride : size, cells[p->body.result], size, n, p->log2_size);
}

static void move(struct kjx_slice *s, const struct kjx_gather_plan *p, u8 *windowed, s64 windowed_stride, u8 *plain,
		 s64 plain_stride, u64 n)
{
	if (!p->scatter)
		s->cpu->move(plain, plain_stride, windowed, windowed_stride, n, p->log2_size);
	else if (!p->has_body)
		s->cpu->move(windowed, windowed_stride, plain, plain_stride, n, p->log2_size);
	else
		update(s, p, windowed, windowed_stride, plain, plain_stride, n);
}

/* windows of one element: the rest of the block at once */
static u64 elements(struct kjx_slice *s, const struct kjx_gather_plan *p, struct kjx_gather_state *st, u8 *windowed,
		    u8 *plain)
{
	const u32 inner = p->n_batch - 1u;
	const s64 windowed_stride = p->windowed_stride[inner], plain_stride = p->plain_stride[inner];
	u64 n = st->points, i;

	if (p->elements) {
		const struct kjx_component *c = p->index;
		const struct kjx_elements e = {
			.windowed = windowed, .plain = plain, .windowed_stride = windowed_stride, .plain_stride = plain_stride,
			.how = &c->how, .index = kjx_address(s, &c->place) + st->component[0], .index_stride = c->stride[inner],
			.update = p->update, .origin = st->origin, .log2_size = p->log2_size, .skip = p->skip,
		};

		s->cpu->elements(&e, n);
	} else if (p->update)
		p->update(windowed, windowed_stride, st->origin, plain, plain_stride, n);
	else if (!p->scatter)
		s->cpu->pick(plain, plain_stride, windowed, windowed_stride, st->origin, n, p->log2_size);
	else
		for (i = 0; i < n; i++, windowed += windowed_stride, plain += plain_stride)
			if (st->origin[i] != KJX_SKIPPED)
				move(s, p, windowed + st->origin[i], 0, plain, 0, 1);
	st->point = n;
	return n * 9 * p->weight;
}

/* windows that are one short dense run, copied or combined with: some of those that are left of the block */
static u64 rows(const struct kjx_slice *s, const struct kjx_gather_plan *p, struct kjx_gather_state *st, u8 *windowed, u8 *plain)
{
	const u32 inner = p->n_batch - 1u;
	const u64 n = p->dim[p->n_batch], bytes = n << p->log2_size;
	const u64 some = KJX_GATHER_RUN / (n * p->weight), end = kjx_min(st->points, st->point + some + 1), first = st->point;
	const struct kjx_micro *m = p->body.micro;
	u64 j = first;

	windowed += (s64)j * p->windowed_stride[inner];
	plain += (s64)j * p->plain_stride[inner];
	for (; j < end; j++, windowed += p->windowed_stride[inner], plain += p->plain_stride[inner]) {
		if (st->origin[j] == KJX_SKIPPED)
			continue;
		if (p->has_body) {
			u8 *const cell[] = { windowed + st->origin[j], plain };

			m->fn(cell[0], cell[m->a], cell[m->b], cell[m->c], n);
		} else if (p->scatter)
			s->cpu->copy(windowed + st->origin[j], plain, bytes);
		else
			s->cpu->copy(plain, windowed + st->origin[j], bytes);
	}
	st->point = j;
	return (j - first) * (n + 8) * p->weight;
}

/* the next piece of the window at hand, or of the next one when this one is through */
static u64 piece(struct kjx_slice *s, const struct kjx_gather_plan *p, struct kjx_gather_state *st, u8 *windowed, u8 *plain)
{
	const u32 first = p->n_batch, inner = p->n_window - 1u;
	const s64 windowed_stride = p->windowed_stride[first + inner], plain_stride = p->plain_stride[first + inner];
	const s64 origin = st->origin[st->point], j = (s64)st->point;
	u64 n = kjx_min(p->run, p->dim[first + inner] - st->window[inner]);
	u32 d;

	if (origin == KJX_SKIPPED) {
		st->point++;
		return 1;
	}
	windowed += origin + j * p->windowed_stride[first - 1] + st->in_windowed;
	plain += j * p->plain_stride[first - 1] + st->in_plain;
	move(s, p, windowed, windowed_stride, plain, plain_stride, n);
	st->window[inner] += n;
	st->in_windowed += (s64)n * windowed_stride;
	st->in_plain += (s64)n * plain_stride;
	for (d = inner; st->window[d] == p->dim[first + d]; d--) {
		st->window[d] = 0;
		st->in_windowed -= (s64)p->dim[first + d] * p->windowed_stride[first + d];
		st->in_plain -= (s64)p->dim[first + d] * p->plain_stride[first + d];
		if (!d) {
			st->point++;
			break;
		}
		st->window[d - 1]++;
		st->in_windowed += p->windowed_stride[first + d - 1];
		st->in_plain += p->plain_stride[first + d - 1];
	}
	return (n + 8) * p->weight;
}

/* once before the first update: cells in their places, splats spread out */
static void begin_updates(struct kjx_slice *s, const struct kjx_gather_plan *p)
{
	void **cells = (void **)(s->scratch + kjx_align_up(sizeof(struct kjx_gather_state), 64));
	u8 *at = s->scratch + p->slots + (u64)p->body.n_slots * p->body.slot_bytes;
	const u64 room = kjx_align_up(16ull * p->run, 64);
	u32 i;

	kjx_body_link(&p->body, cells, s->scratch + p->slots);
	at += 2 * room;
	for (i = 0; i < p->n_splats; i++, at += room) {
		const struct kjx_place *splat = &p->splat[i];

		s->cpu->move(at, 1ll << splat->log2_size, kjx_address(s, splat), 0, p->run, splat->log2_size);
		cells[2 + i] = at;
	}
	kjx_spend(s, (u64)p->n_splats * p->run);
}

/* some of what is left of the block; returns the work units */
static u64 proceed(struct kjx_slice *s, const struct kjx_gather_plan *p, struct kjx_gather_state *st, u8 *windowed,
		   u8 *plain)
{
	if (!p->n_window)
		return elements(s, p, st, windowed, plain);
	if (p->rows)
		return rows(s, p, st, windowed, plain);
	return piece(s, p, st, windowed, plain);
}

/* one window of few runs: a dynamic slice or update in a loop has no time for progress */
static void one_window(struct kjx_slice *s, const struct kjx_gather_plan *p, u8 *windowed, u8 *plain)
{
	const u32 inner = p->n_batch + p->n_window - 1u;
	u64 runs = p->n_window > 1 ? p->dim[inner - 1] : 1, n = p->n_window ? p->dim[inner] : 1;
	s64 origin = 0;
	u32 i;

	for (i = 0; i < p->n_index; i++)
		kjx_origin_one(&origin, &p->index[i].how, kjx_address(s, &p->index[i].place), p->skip, !i);
	if (origin == KJX_SKIPPED)
		return;
	for (windowed += origin; runs--;) {
		move(s, p, windowed, p->windowed_stride[inner], plain, p->plain_stride[inner], n);
		if (!runs)
			break;
		windowed += p->windowed_stride[inner - 1];
		plain += p->plain_stride[inner - 1];
	}
}

/* on to point @from of the outermost batch dim */
static void seek(const struct kjx_gather_plan *p, struct kjx_gather_state *st, u64 from)
{
	u32 i;

	st->batch[0] = from;
	st->windowed = (s64)from * p->windowed_stride[0];
	st->plain = (s64)from * p->plain_stride[0];
	for (i = 0; i < p->n_index; i++)
		st->component[i] = (s64)from * p->index[i].stride[0];
}

enum kjx_status kjx_gather_run(struct kjx_slice *s, const struct kjx_gather_plan *p)
{
	struct kjx_gather_state *st = (struct kjx_gather_state *)s->scratch;
	u8 *windowed = kjx_address(s, &p->windowed), *plain = kjx_address(s, &p->plain);

	if (p->one_window) {
		one_window(s, p, windowed, plain);
		kjx_spend(s, p->one_window);
		return KJX_OK;
	}
	if (!s->vm->at[0]) {
		s->vm->at[0] = 1;
		kjx_memset(st, 0, offsetof(struct kjx_gather_state, origin));
		if (p->has_body)
			begin_updates(s, p);
		if (s->part)
			seek(p, st, s->part->from);
	}
	for (;;) {
		bool over = false;

		if (st->point == st->points) {
			compute_origins(s, p, st);
			over = kjx_spend(s, st->points * (4 + 2ull * p->n_index));
		}
		while (st->point < st->points) {
			if (over)
				return KJX_AGAIN;
			over = kjx_spend(s, proceed(s, p, st, windowed + st->windowed, plain + st->plain));
		}
		if (!next_block(s, p, st))
			return KJX_OK;
		if (over)
			return KJX_AGAIN;
	}
}

enum kjx_status kjx_scatter_run(struct kjx_slice *s, const struct kjx_gather_plan *p)
{
	return kjx_gather_run(s, p);
}
