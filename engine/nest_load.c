// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Decoding of a nest: loads, iotas and stores of a body, as they come.
 *
 * A load of one element, or of a pattern that fits every strip, is a strip filled once for each execution, or while preparing
 * when it is a constant; so is a strip that many rows read, where it does not begin on a cache line. A load of a dense view is a
 * pointer if nest_place.c finds that it may be one; anything else is gathered.
 */
#include "nest_decode.h"

#define ROWS_PER_COPY 16u

static void own_micro(struct kjx_decoder *d, u32 kind, u32 dst, u32 view)
{
	kjx_ssa_micro(&d->ssa, NULL, dst, 0, view, kind, 0);
}

bool kjx_is_one_lane(const struct kjx_decoder *d, bool post)
{
	return d->shape.lanes == 1 || (post && d->shape.mode == KJX_NEST_FLAT && d->shape.unit == 1);
}

/* strips that are the same in every execution: the plan keeps them */
static void fix(struct kjx_decoder *d, u32 def, const void *data)
{
	struct kjx_fixed *f = &d->fixed[d->plan->n_fixed++];

	f->cell = def;
	f->data = data;
	d->ssa.def[def].wants_slot = 0;
}

static void fix_constant(struct kjx_decoder *d, u32 def, const struct kjx_view *v)
{
	const u8 *from = d->b->image->constants + v->place.offset;
	u64 size = 1ull << v->place.log2_size, n = d->shape.strip, i;
	u8 *strip = kjx_build(d->b, n * size);

	for (i = 0; i < n; i++)
		kjx_memcpy(strip + i * size, from, size);
	fix(d, def, strip);
}

static void fix_iota(struct kjx_decoder *d, u32 def, const struct kjx_view *v, u32 log2)
{
	struct kjx_odometer o = { .lane = ~0ull };
	u8 *strip = kjx_build(d->b, (u64)d->shape.strip << log2);
	u64 lane;
	s64 offset, stride;

	for (lane = 0; lane < d->shape.strip; lane++) {
		u64 value;

		kjx_view_run(v, &o, lane, 1, &offset, &stride);
		value = (u64)v->place.offset + (u64)offset;
		if (log2 == 2)
			((u32 *)strip)[lane] = (u32)value;
		else
			((u64 *)strip)[lane] = value;
	}
	fix(d, def, strip);
}

static bool same_in_every_strip(const struct kjx_decoder *d, const struct kjx_view *v)
{
	u64 period = kjx_view_period(v);

	return v->lanes == KJX_LANES_SCALAR || (period && !(d->shape.strip % period) && d->shape.strip < d->shape.lanes);
}

/* a strip that is all of a row, the same one for each of so many rows that a copy costs little */
static bool same_in_every_row(const struct kjx_decoder *d, const struct kjx_view *v)
{
	return v->lanes == KJX_LANES_DENSE && d->tiled && d->shape.n_kept && !d->shape.n_red && d->shape.strip == d->shape.lanes &&
	       d->plan->loop_dim[d->shape.n_kept - 1u] >= ROWS_PER_COPY;
}

void kjx_decode_load(struct kjx_decoder *d, const struct kjx_uop *u, bool post)
{
	const struct kjx_view *v = &d->views[u->imm];
	bool column = !post && same_in_every_row(d, v);
	bool still = (column || same_in_every_strip(d, v)) && !v->in_loops && !d->clash[u->imm];
	u32 def;

	if (still && d->cell[u->imm] != NONE) {
		d->ssa.reg[u->dst] = d->cell[u->imm];
		return;
	}
	def = kjx_ssa_def(&d->ssa, v->place.log2_size, true);
	d->ssa.reg[u->dst] = (u16)def;
	d->ssa.def[def].one = v->lanes == KJX_LANES_SCALAR;
	if ((kjx_is_one_lane(d, post) && !(still && post && d->plan->ends > 1)) || (v->lanes == KJX_LANES_DENSE && !still)) {
		own_micro(d, KJX_MICRO_LOAD, def, u->imm);
	} else if (still) {
		d->cell[u->imm] = (u16)def;
		d->ssa.def[def].last = KJX_LIVE_OUT;
		if (v->place.base == KJX_BASE_CONSTANT && v->lanes == KJX_LANES_SCALAR) {
			fix_constant(d, def, v);
		} else {
			struct kjx_splat *splat = &d->splats[d->plan->n_splats++];

			d->ssa.def[def].wants_slot = 0;
			splat->cell = (u16)def;
			splat->view = u->imm;
		}
	} else {
		own_micro(d, v->lanes == KJX_LANES_SCALAR ? KJX_MICRO_SPLAT : KJX_MICRO_LOAD, def, u->imm);
		d->ssa.def[def].point = v->lanes == KJX_LANES_SCALAR && !d->clash[u->imm];
	}
}

void kjx_decode_iota(struct kjx_decoder *d, const struct kjx_uop *u)
{
	const struct kjx_view *v = &d->views[u->imm];
	u32 log2 = kjx_log2_size(kjx_uop_dtype(u));
	u32 def = kjx_ssa_def(&d->ssa, log2, true);

	d->ssa.reg[u->dst] = (u16)def;
	if (d->cell[u->imm] == NONE && !v->in_loops &&
	    (d->shape.lanes == d->shape.strip || (d->shape.mode == KJX_NEST_MAP && same_in_every_strip(d, v)))) {
		d->cell[u->imm] = (u16)def;	/* one such strip for each view: its bytes are counted */
		d->ssa.def[def].last = KJX_LIVE_OUT;
		fix_iota(d, def, v, log2);
		return;
	}
	own_micro(d, log2 == 2 ? KJX_MICRO_IOTA32 : KJX_MICRO_IOTA64, def, u->imm);
}

void kjx_decode_store(struct kjx_decoder *d, const struct kjx_uop *u)
{
	u16 *at = &d->stored_at[u->imm];

	*at = *at == NONE ? (u16)d->ssa.n_micro : SEVERAL;
	kjx_ssa_micro(&d->ssa, NULL, 0, d->ssa.reg[u->a], u->imm, KJX_MICRO_STORE, 1);
}
