/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* A run of micro-operations on its way to tiles: found in tiles.c, written down as steps in tile_build.c. */
#ifndef KJX_TILE_RUN_H
#define KJX_TILE_RUN_H

#include "nest.h"

#define KJX_TILE_NONE	0xffff	/* no definition */
#define KJX_TILE_NEVER	0xfffe	/* read last: not at all */
#define KJX_TILE_SLOTS	(sizeof(((struct kjx_ssa *)0)->busy))

/** struct kjx_tile_run - the micro-operations [@first, @end), elements of 1 << @log2 bytes
 * @a, @m, @kept:	definitions in A, M and kept tiles
 * @ones:	kept tiles that begin with one element and hold no more
 * @masks:	slots whose definitions have a kept mask
 */
struct kjx_tile_run {
	struct kjx_tiler *t;
	u32 first, end, log2;
	u16 a, m, kept[KJX_TILES_KEPT];
	u8 ones;
	u64 masks[(KJX_TILE_SLOTS + 63) / 64];
};

static inline struct kjx_def *kjx_tile_def(const struct kjx_tiler *t, u32 def)
{
	return &t->ssa->def[def];
}

/* NULL: it is no step */
static inline const struct kjx_tile_row *kjx_tile_row_of(const struct kjx_tiler *t, u32 at)
{
	const struct kjx_micro *m = &t->ssa->micro[at];
	u32 row = m->fn ? kjx_tile_def(t, m->dst)->row : 0;

	return row ? &t->ssa->cpu->tiles->rows[row - 1] : NULL;
}

static inline bool kjx_tile_makes_mask(const struct kjx_tile_row *row)
{
	return row->kind == KJX_TILE_COMPARE || row->kind == KJX_TILE_TEST || row->kind == KJX_TILE_LOGIC || row->kind == KJX_TILE_MASK;
}

/** kjx_tile_build - the steps of a run, as one micro-operation in place of its first */
void kjx_tile_build(struct kjx_tile_run *run);

#endif
