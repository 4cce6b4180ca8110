/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Bodies in single-assignment form. A body of a program writes registers again and again; decoded, each
 * definition has a cell of its own (a pointer), and slots of memory are given to definitions by when they live.
 * So a load can be no more than a pointer into a tensor, and a result can be computed right where it is stored.
 */
#ifndef KJX_SSA_H
#define KJX_SSA_H

#include "plan.h"

#define KJX_LIVE_OUT 0xffff	/* as last use: after the phase */
#define KJX_NO_SLOT 0xffff
#define KJX_PAIR_SLOTS 4	/* that pairs may take beyond the registers of a program */

struct kjx_def {
	u16 last;		/* micro-operation that reads it last, or KJX_LIVE_OUT */
	u16 at;			/* micro-operation that makes it */
	u16 slot;		/* KJX_NO_SLOT: its cell is set otherwise */
	u8 log2_size, wants_slot;
	u8 one;			/* the same value in every lane: any one of them will do */
	u8 point;		/* a splat whose readers are content with the one element */
	u8 gathered;		/* its cell points to its slot, or into a tensor */
	u8 streams;		/* its cell points into a tensor, and stores are to go past the caches */
	u8 row;			/* in tiles.c: what makes it has steps, those of the row before this one */
};

/* the vm's own micro-operations (fn NULL, @c says which); b: the view */
enum kjx_micro_kind {
	KJX_MICRO_LOAD,		/* dst: the view, or a pointer into it; a: the slot to gather into */
	KJX_MICRO_LOAD_COPY,	/* the same, never a pointer: the tensor is written to before the last use */
	KJX_MICRO_LOAD_INTO,	/* likewise, into dst: where the lanes are to be stored */
	KJX_MICRO_SPLAT,	/* dst, slot a: the one element of the view in every lane */
	KJX_MICRO_IOTA32,	/* dst, slot a */
	KJX_MICRO_IOTA64,
	KJX_MICRO_STORE,	/* the view <- a */
	KJX_MICRO_COPY,		/* dst <- a, elements of 1 << b bytes */
	KJX_MICRO_NONE,		/* while decoding: found to be needless */
};

/** struct kjx_ssa - a decoding in progress
 * @slots:	slots in use so far, at most
 * @reg:	definition that a register holds
 * @busy:	slots of definitions that live
 */
struct kjx_ssa {
	const struct kjx_cpu *cpu;
	struct kjx_micro *micro;
	struct kjx_def *def;
	u32 n_micro, n_def, slots;
	u16 reg[KJX_MAX_REGISTERS];
	u8 busy[KJX_MAX_REGISTERS + 2 * KJX_MAX_ACCUMULATORS + 4 + KJX_PAIR_SLOTS];
};

static inline u32 kjx_log2_size(u32 dtype)
{
	return (u32)__builtin_ctz(kjx_dtype_size[dtype]);
}

/* a new definition of @log2_size; it gets a slot when @wants_slot */
u32 kjx_ssa_def(struct kjx_ssa *s, u32 log2_size, bool wants_slot);

/* append a micro-operation; its operands are definitions that it uses (arity of them) */
struct kjx_micro *kjx_ssa_micro(struct kjx_ssa *s, kjx_uop_fn *fn, u32 dst, u32 a, u32 b, u32 c, u32 arity);

/* decode one micro-operation that is not load, store or iota */
void kjx_ssa_uop(struct kjx_ssa *s, const struct kjx_uop *u);

/* give slots to what the micro-operations [first, n_micro) define */
void kjx_ssa_slots(struct kjx_ssa *s, u32 first);

/* one routine instead of two (pairs.def), for the micro-operations [first, n_micro); before slots are given. @tiled: only what tiles
 * have a step for */
void kjx_ssa_pairs(struct kjx_ssa *s, u32 first, bool tiled);

/* log2 of the largest element that @n micro-operations from @u on define */
u32 kjx_uops_log2(const struct kjx_uop *u, u32 n);

#endif
