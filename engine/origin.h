/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * One index, brought into its range by masks, of which the compiler cannot make a branch: an origin (struct kjx_origins). For the cpu
 * tables, which do many at a time, and for the one window of a loop.
 */
#ifndef KJX_ORIGIN_H
#define KJX_ORIGIN_H

#include "cpu.h"

/* all ones where x < 0 */
static kjx_always_inline u64 kjx_negative_mask(s64 x)
{
	u64 mask = (u64)(x >> 63);

	__asm__("" : "+r"(mask));
	return mask;
}

/* all ones where x > limit */
static kjx_always_inline u64 kjx_above_mask(u64 x, u64 limit)
{
	u64 mask;

#if defined(__x86_64__)
	__asm__("cmpq %1, %2\n\tsbbq %0, %0" : "=r"(mask) : "r"(x), "rm"(limit) : "cc");
#else
	mask = 0 - (u64)(x > limit);
	__asm__("" : "+r"(mask));
#endif
	return mask;
}

/* @top: s64s without a sign bit, the upper half counts as the largest */
static kjx_always_inline void kjx_origin_of(s64 *origin, const struct kjx_origins *o, s64 x, bool top, bool skip, bool first)
{
	u64 low, high, outside;
	s64 at;

	if (!top)
		x += (s64)((u64)o->wrap & kjx_negative_mask(x));
	low = kjx_negative_mask(x);
	at = (s64)(((u64)x & ~low) | (top ? low >> 1 : 0));
	high = kjx_negative_mask(o->limit - at);
	outside = high | (top ? 0 : low);
	at = (s64)(((u64)at & ~high) | ((u64)o->limit & high)) * o->step + (first ? 0 : *origin);
	if (skip) {
		if (!first)
			outside |= 0 - (u64)(*origin == KJX_SKIPPED);
		at = (s64)(((u64)at & ~outside) | ((u64)KJX_SKIPPED & outside));
	}
	*origin = at;
}

/* the index at @at, of the type that @o says */
static kjx_always_inline s64 kjx_index_at(const struct kjx_origins *o, const void *at)
{
	switch (o->log2_size | (u32)o->is_signed << 2) {
	case 6:
		return *(const s32 *)at;
	case 7:
	case 3:
		return *(const s64 *)at;
	case 2:
		return *(const u32 *)at;
	case 0:
		return *(const u8 *)at;
	case 1:
		return *(const u16 *)at;
	case 4:
		return *(const s8 *)at;
	default:
		return *(const s16 *)at;
	}
}

/* what the cpu table's origins does, for one window */
static kjx_always_inline void kjx_origin_one(s64 *origin, const struct kjx_origins *o, const void *at, bool skip, bool first)
{
	kjx_origin_of(origin, o, kjx_index_at(o, at), o->log2_size == 3 && !o->is_signed, skip, first);
}

#endif
