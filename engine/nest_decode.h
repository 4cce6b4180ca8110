/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Decoding of a nest, shared between the files that do it (nest_plan.c). Internal to them.
 */
#ifndef KJX_NEST_DECODE_H
#define KJX_NEST_DECODE_H

#include "nest.h"

/* a decoding in progress */
struct kjx_decoder {
	struct kjx_builder *b;
	const struct kjx_nest *insn;
	struct kjx_shape shape;
	struct kjx_nest_plan *plan;
	struct kjx_view *views;
	struct kjx_ssa ssa;
	u64 *clash;		/* by view: the stored views that may touch its memory */
	u64 streams;		/* the views that are stored to past the caches */
	u16 *stored_at;		/* by view: the store in this phase, or SEVERAL, or NONE */
	u16 *cell;		/* by view: the definition that holds its one element, or NONE */
	struct kjx_pair *pairs;	/* dense ones of all phases, then in_slots */
	u32 n_pairs;
	struct kjx_fixed *fixed;
	struct kjx_splat *splats;
	bool tiled;		/* the map body becomes tiles where it can */
};

#define NONE 0xffff
#define SEVERAL 0xfffe

/* ---- nest_views.c ---- */

void kjx_decode_views(struct kjx_decoder *d);

/* which stored views may touch the memory of each view */
void kjx_decode_clashes(struct kjx_decoder *d);

/* which views are better stored to past the caches */
void kjx_decode_streams(struct kjx_decoder *d);

/* ---- nest_load.c ---- */

void kjx_decode_load(struct kjx_decoder *d, const struct kjx_uop *u, bool post);
void kjx_decode_iota(struct kjx_decoder *d, const struct kjx_uop *u);
void kjx_decode_store(struct kjx_decoder *d, const struct kjx_uop *u);

/* Does a body on lanes that are always just lane 0 see one element, whatever the strides? (Rows that end together: nest_folds.c.) */
bool kjx_is_one_lane(const struct kjx_decoder *d, bool post);

/* ---- nest_place.c ---- */

/* Loads and stores of the phase from micro-operation @first on: which are only pointers */
void kjx_decode_places(struct kjx_decoder *d, u32 first, bool post);

/* ---- nest_folds.c ---- */

/* what there is for the combine body */
void kjx_decode_folds(struct kjx_decoder *d);

/* once the map body is as it will run */
void kjx_decode_moves(struct kjx_decoder *d);
void kjx_decode_rows(struct kjx_decoder *d);

/* ---- nest_layout.c ---- */

void kjx_decode_layout(struct kjx_decoder *d);

/* may it run as threaded code; as one loop over routines? */
void kjx_decode_class(struct kjx_decoder *d);

#endif
