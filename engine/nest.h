/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A nest, decoded.
 *
 * Three modes share one machinery. A strip is a piece of the lanes; the loop dims are counted around it.
 *
 *	map	no loop dims; strips run over all points. By rows (format.h): one loop dim. With long rows and an operand that
 *		has one value a row: all dims but the last are loops.
 *	flat	loops: the outer kept dims; lanes: reduced dims, then inner kept dims (U points, small). A strip holds whole
 *		multiples of U; strips are folded onto each other, then the last one's halves, down to U lanes.
 *	inner	loops: outer kept dims, reduced dims; lanes: inner kept dims. Values are folded lane by lane. When rows are
 *		tiny and many, the outer kept dims become lanes too.
 *
 * The order in which values are combined follows from mode and strip, which follow from the instruction alone.
 *
 * Working memory: cells (a pointer for each definition), a cursor for each view, odometers, loop counters; slots.
 */
#ifndef KJX_NEST_H
#define KJX_NEST_H

#include "part.h"
#include "ssa.h"
#include "view.h"

enum kjx_nest_mode { KJX_NEST_MAP, KJX_NEST_FLAT, KJX_NEST_INNER };

/** struct kjx_shape - how an iteration space is run
 * @order:	its dims, those of one point left out: @n_kept outer loops, @n_red reduced loops, @n_lane lanes
 * @strip:	lanes of a strip (flat: a multiple of @unit)
 * @lanes:	points of the lane dims; @rows, @red: of the two groups of loops; @unit: flat: inner kept points
 * @w_map, ...:	work units of an element in each body
 */
struct kjx_shape {
	u8 mode, n_kept, n_red, n_lane;
	u8 order[KJX_MAX_RANK];
	u32 strip, w_map, w_combine, w_post;
	u64 lanes, rows, red, unit;
};

/* a map that goes through so many bytes finds none of them in a cache the next time (tests set it lower) */
#ifndef KJX_STREAM_BYTES
#define KJX_STREAM_BYTES (24ull << 20)
#endif

#define KJX_LANES_APART 4u	/* threaded code does so few lanes one by one */
#define KJX_LANE_TABLE 64u	/* and has a table of so many at most where they do not lie side by side */

/* cells of its plan, at most */
u64 kjx_nest_cells(const struct kjx_nest *insn);

void kjx_nest_shape(const struct kjx_image *image, const struct kjx_nest *insn, struct kjx_shape *shape);

/* work units of @n lanes through a body: the call of each routine costs about as much as eight elements */
static inline u64 kjx_strip_cost(u64 n, u32 weight)
{
	return (n + 8) * weight;
}

/* work units of a body of that weight on all lanes, strip by strip */
u64 kjx_strips_cost(const struct kjx_shape *shape, u32 weight);

/* work units of folding one strip of @strip lanes in halves */
static inline u64 kjx_halving_cost(u64 strip, u32 weight)
{
	return (strip + 80) * weight;
}

/*
 * Bytes of a slot: whole cache lines or tiles, and one line more, so that slots do not lie a power of two apart. Tiles may spill elements of
 * 16 bits to it, as lanes of 32.
 */
static inline u64 kjx_slot_bytes(u64 strip, u32 log2_size)
{
	if (log2_size == 1 && strip >= KJX_TILE_LANES)
		log2_size = 2;
	return kjx_align_up(strip << log2_size, strip < KJX_TILE_LANES ? 64 : KJX_TILE_BYTES) + (strip > 1 ? 64 : 0);
}

struct kjx_pair {
	u16 cell, what;		/* slot or view */
};

/** struct kjx_phase - a body, decoded
 * @dense:	cells that point at lane p of a dense view: set for each strip
 * @points:	cells that point at the one element of a view, likewise
 */
struct kjx_phase {
	const struct kjx_micro *micro;
	const struct kjx_pair *dense, *points;
	u32 n_micro, n_dense, weight, n_points;
};

#define KJX_NO_CELL 0xffff

struct kjx_fixed {
	u64 cell;
	const void *data;
};

struct kjx_splat {
	u16 cell, view, slot, zero;
};

/* a value that is reduced; entry cells of the bodies: accumulators read i, values n_acc + i, accumulators
 * written 2 * n_acc + i */
struct kjx_acc {
	u16 value;		/* cell of the map body's value */
	u8 log2_size, zero;
};

/** struct kjx_nest_plan
 * @by_rows:	each run is for one point of the outermost loop
 * @has_link:	the link is its own, at @link_at from the arena's start; else in the scratch
 * @joined:	by rows: the next one that runs together with it, or NULL
 * @cursors, @odometers, @counters, @slots: offsets; the first three in the link, slots in the scratch
 * @in_slots, @fixed, @splats: cells to be set when linking; splats (one element, a pattern of a length that divides the
 *		strip's, in every strip the same, or a strip that is the same in every row) are filled at each execution
 * @single:	a map of a single strip: linked cells stay right
 * @plain:	one accumulator, and the combine body is one binary operation on it and the value
 * @fold:	plain, rows of one kept lane, and there is a routine that folds whole strips; or NULL
 * @tile_fold:	likewise for KJX_FOLD_BYTES of accumulators, where strips are as long; or NULL
 * @folded:	the map body folds onto the accumulators itself
 * @ends:	rows (points of the innermost kept loop) whose folds end together and go through the post body as lanes, at most;
 *		their accumulators come after the kept tiles. 1: each row by itself
 * @moves:	when each row is one strip, and its map body nothing but routines: what sets its cells for the next row; or NULL.
 *		One more, that of the accumulators where the body folds onto those of rows that end together
 * @next_rows:	then, where the body is one run of tiles: rows that the cpu table does in one call, at most; or 0
 * @steps:	and the cell of its first step
 * @row_bytes:	bytes of a row of its tiles
 * @whole_rows:	where the map body only loads what is folded: rows that the cpu table folds in one call, at most; or 0
 * @whole:	and the view that is loaded
 * @row_cost:	work units of a row's map and combine bodies
 * @self:	cell that points at the cells themselves: for tiles; or KJX_NO_CELL
 * @kept:	then the first of KJX_TILES_KEPT cells that point at the kept tiles, which come after the slots; one more: kept masks
 * @streams:	stores may go past the caches
 * @quick:	single, and nothing but routines on cells that linking can set
 * @threaded:	single, and threaded code can do it
 * @places:	quick or threaded in a while: of each cell
 * @cell_view:	likewise: the view, plus one, that a cell is filled from
 */
struct kjx_nest_plan {
	u8 mode, n_acc, n_kept, n_red;
	u8 single, quick, plain, n_vary;
	u8 by_rows, has_link, threaded, folded;
	u8 streams, zero[7];
	u16 self, kept, ends, n_moves;
	u16 next_rows, whole_rows, steps, whole;
	u64 row_bytes, row_cost;
	u32 strip, n_cells, n_views;
	u64 lanes, unit, red;
	u64 cost;			/* of a single strip */
	const struct kjx_place *places;
	const u8 *cell_view;
	struct kjx_phase map, combine, post;
	const u64 *loop_dim;
	const struct kjx_view *views;
	const u8 *vary;			/* views whose cursor moves with the loops */
	const struct kjx_pair *in_slots;
	const struct kjx_fixed *fixed;
	const struct kjx_splat *splats;
	const struct kjx_move *moves;
	u32 n_in_slots, n_fixed, n_splats, n_slots;
	u32 slot_bytes, cursors, counters, slots;
	u64 link_at;
	kjx_fold_fn *fold;
	const struct kjx_tile_fold *tile_fold;
	const struct kjx_nest_plan *joined;
	struct kjx_acc acc[KJX_MAX_ACCUMULATORS];
};

/* the working memory of a nest in this slice */
struct kjx_work {
	void **cells;
	union kjx_cursor *cursors;
	u64 *counters;
	u8 *link, *slots;
};

static inline struct kjx_work kjx_nest_work(const struct kjx_slice *s, const struct kjx_nest_plan *p)
{
	u8 *link = p->has_link ? s->links + (p->link_at - s->links_at) : s->scratch;

	return (struct kjx_work) {
		.cells = (void **)link,
		.cursors = (union kjx_cursor *)(link + p->cursors),
		.counters = (u64 *)(link + p->counters),
		.link = link,
		.slots = s->scratch + p->slots,
	};
}

static inline u8 *kjx_slot(const struct kjx_nest_plan *p, const struct kjx_work *w, u32 slot)
{
	return w->slots + (u64)slot * p->slot_bytes;
}

/* offset of kept tile @i from the first slot; the kept masks come after the last one */
static inline u64 kjx_kept_at(const struct kjx_nest_plan *p, u32 i)
{
	return (u64)p->n_slots * p->slot_bytes + i * KJX_TILE_BYTES;
}

/* accumulators of row @row of those that end together */
static inline u8 *kjx_end_slot(const struct kjx_nest_plan *p, const struct kjx_work *w, u64 row)
{
	return w->slots + kjx_kept_at(p, KJX_TILES_KEPT + KJX_MASKS_TILES) + row * KJX_FOLD_BYTES;
}

/* set the cells of a quick nest */
static inline void kjx_nest_quick_link(const struct kjx_slice *s, const struct kjx_nest_plan *p, void **cells)
{
	const struct kjx_place *place = p->places;
	u32 i;

	for (i = 0; i < p->n_cells; i++)
		cells[i] = kjx_address(s, &place[i]);
}

/* run a quick nest */
static inline void kjx_nest_quick(struct kjx_slice *s, const struct kjx_nest_plan *p)
{
	const struct kjx_micro *m = p->map.micro, *end = m + p->map.n_micro;
	void **cells = (void **)(s->vm->arena + p->link_at);
	u64 n = p->lanes;

	if (!p->has_link) {
		cells = (void **)s->scratch;
		kjx_nest_quick_link(s, p, cells);
	}
	for (; m != end; m++)
		m->fn(cells[m->dst], cells[m->a], cells[m->b], cells[m->c], n);
	s->spent += p->cost;
}

/** struct kjx_tiler - where runs of micro-operations become tiles (tiles.c)
 * @kept:	first of KJX_TILES_KEPT + 1 cells, where there is @self
 * @steps:	memory for @most = kjx_tile_steps(map micro-operations) of them on whole tiles, then as many on parts
 * @n_steps:	used so far
 * @fixed:	new cells that point at steps; @self: as in struct kjx_nest_plan
 * @points:	new cells that point at single elements
 * @fold:	how the value in cell @value is folded onto the accumulators of cell @acc; NULL: not by steps. @folded: it is
 */
struct kjx_tiler {
	struct kjx_ssa *ssa;
	struct kjx_tile_step *steps;
	struct kjx_fixed *fixed;
	struct kjx_pair *points;
	const struct kjx_tile_fold *fold;
	u32 n_steps, most, n_fixed, n_points;
	u16 self, value, acc, value_last, folded, kept;
};

static inline u64 kjx_tile_steps(u64 n_map)
{
	return 7 * n_map + 1;
}

/* make tiles of the @n micro-operations from @first on; returns how many are left */
u32 kjx_tile(struct kjx_tiler *t, u32 first, u32 n);

/* make of @m a copy of elements of 1 << @log2 bytes */
void kjx_copy_micro(const struct kjx_cpu *cpu, struct kjx_micro *m, u32 log2);

/* run a body on @n lanes from @lane on */
void kjx_phase_run(const struct kjx_cpu *cpu, const struct kjx_nest_plan *p, const struct kjx_phase *phase,
		   const struct kjx_work *w, u64 lane, u64 n);

/* rows that are left of the innermost kept loop (and of the slice's piece), where the counters are */
static inline u64 kjx_rows_left(const struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w)
{
	u32 loop = p->n_kept - 1u;
	u64 end = p->loop_dim[loop];

	if (p->by_rows && !loop)
		return 1;
	if (s->part && !p->by_rows && !loop)
		end = kjx_min(end, s->part->to);
	return end - w->counters[loop];
}

/* cursors @rows steps of the innermost kept loop on */
static inline void kjx_rows_skip(const struct kjx_nest_plan *p, const struct kjx_work *w, u64 rows)
{
	u32 i;

	for (i = 0; rows && i < p->n_vary; i++)
		w->cursors[p->vary[i]].value += rows * (u64)p->views[p->vary[i]].delta[p->n_kept - 1u];
}

/* the map body on the row after that which its cells are set for (p->moves) */
void kjx_next_row_run(const struct kjx_nest_plan *p, const struct kjx_work *w);

/* after a step of the kept loops: has one of dim 0 begun? */
static inline bool kjx_row_is_over(const struct kjx_nest_plan *p, const struct kjx_work *w)
{
	u32 i;

	for (i = 1; i < p->n_kept; i++)
		if (w->counters[i])
			return false;
	return true;
}

/* Step the loops [from, to) of @group (0: kept, 1: reduced); false when they are through, and at their beginning again. */
bool kjx_nest_step(const struct kjx_nest_plan *p, const struct kjx_work *w, u32 from, u32 to, u32 group);

/* ---- pieces (part.h) ---- */

/* is it cut by strips of lanes, not by points of the outermost loop? */
static inline bool kjx_nest_is_cut_by_strips(const struct kjx_nest_plan *p)
{
	return !p->by_rows && !p->n_kept && p->mode != KJX_NEST_FLAT;
}

/* where the slice's lanes end */
static inline u64 kjx_nest_end(const struct kjx_slice *s, const struct kjx_nest_plan *p)
{
	return s->part && kjx_nest_is_cut_by_strips(p) ? kjx_min(p->lanes, s->part->to * p->strip) : p->lanes;
}

/* after a step of the kept loops: has the slice's last point of the outermost one been done? */
static inline bool kjx_nest_is_over(const struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w)
{
	return s->part && !p->by_rows && p->n_kept && w->counters[0] == s->part->to;
}

/* from the beginning on to the slice's first point */
void kjx_nest_seek(const struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w);

enum kjx_status kjx_reduce_run(struct kjx_slice *s, const struct kjx_nest_plan *p, const struct kjx_work *w);

#endif
