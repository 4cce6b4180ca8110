/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Sorting numbers in vector registers: what sort.c and the cpu tables (ukernels/sort.inc) share.
 *
 * A row becomes an array of signed integers, its keys: either the elements themselves in an order-preserving form, of 4
 * or 8 bytes, or records of 8 bytes, the element's key above its number in the row. No two records are equal, and equal
 * keys are the same element, so how ties fall is no matter but for zeros and NaNs that count as equal: they are written
 * down besides, as they come, and put back in that order at the end.
 *
 * The array is parted about a pivot again and again, from one array to the other (@a, @b), until a segment fits the
 * registers, where a network sorts it into @a. All progress lies in struct kjx_quick: any piece of work can be the last
 * of a slice.
 */
#ifndef KJX_QUICK_H
#define KJX_QUICK_H

#include "port.h"

#define KJX_QUICK_DEPTH 64	/* the shorter half is sorted first: log2(n) are enough */
#define KJX_QUICK_SLACK 1024	/* bytes after each array that may be read */
#define KJX_QUICK_PIECE 8192u	/* elements parted in one go */

/* struct kjx_quick_segment::flags */
#define KJX_QUICK_IN_B	1u	/* it lies in array b */
#define KJX_QUICK_COPY	2u	/* sorted, but in array b */

/** struct kjx_sort_key - how the bits of an element become an unsigned key
 * @mask:	bits that count
 * @sign:	the sign bit; 0 for unsigned
 * @is_float:	sign and magnitude, else two's complement
 * @total:	floats: -0 before +0, NaN by sign; else zeros are equal and NaN is the largest
 * @nan_above:	floats: a magnitude above this is a NaN
 * @nan_is_sign: floats without -0: the sign bit alone is the NaN
 * @flip:	mask for a descending key, else 0
 */
struct kjx_sort_key {
	u64 mask, sign, nan_above, flip;
	bool is_float, total, nan_is_sign;
};

struct kjx_quick_segment {
	u64 first, n;
	u32 flags, zero;
};

/** struct kjx_quick - a sort under way; 64-byte aligned, zero when it begins
 * @depth:	segments left to be sorted
 * @allowance:	elements that may still be parted: when it is used up a heap sorts what is left
 * @open:	the last segment is being parted: @read up to its end is left, from @left to @right is free in the other
 *		array, and what goes to the left is less than @pivot
 * @least:	@pivot is one more than the segment's least key
 * @heap:	1: the last segment becomes a heap, @read of its elements are left; 2: the heap becomes sorted, likewise
 * @zeros, @nans: written down: zeros from the front of their array, NaNs from its end
 * @pad:	samples, and keys that do not fill a register
 */
struct kjx_quick {
	u64 depth, allowance;
	u64 read, left, right;
	s64 pivot;
	u32 open, least, heap, zero;
	u64 zeros, nans;
	struct kjx_quick_segment segment[KJX_QUICK_DEPTH];
	u8 pad[1024] __attribute__((aligned(64)));
};

/** enum kjx_quick_form - what the keys are */
enum kjx_quick_form { KJX_QUICK_32, KJX_QUICK_64, KJX_QUICK_RECORDS };

/** struct kjx_quick_row - a row and its keys
 * @a, @b:	arrays of @n keys
 * @ties:	zeros and NaNs as they come; NULL unless @key tells them not apart
 */
struct kjx_quick_row {
	const struct kjx_sort_key *key;
	void *a, *b, *ties;
	u64 n;
	u32 log2_size;			/* of an element */
	enum kjx_quick_form form;
};

/* can elements be had back from their keys, zeros and NaNs aside? @log2_size: of an element */
static inline bool kjx_quick_inverts(const struct kjx_sort_key *key, u32 log2_size)
{
	return !key->nan_is_sign && key->mask >> ((8u << log2_size) - 1) == 1 && (key->sign || !key->is_float);
}

static inline bool kjx_quick_has_ties(const struct kjx_sort_key *key)
{
	return key->is_float && !key->total;
}

static kjx_always_inline u64 kjx_key_of(const struct kjx_sort_key *k, u64 bits, bool is_float, bool total)
{
	const u64 magnitude = bits & k->mask & ~k->sign, negative = 0 - (u64)!!(bits & k->sign);
	u64 key;

	if (!is_float)
		return ((bits & k->mask) ^ k->sign) ^ k->flip;
	key = ((bits ^ negative) & k->mask & ~k->sign) | (~negative & k->sign);
	if (k->nan_is_sign)	/* there is no -0: its place moves to the top, as that of NaN */
		return (magnitude || !negative ? key - !negative : k->mask) ^ k->flip;
	if (!total) {
		key = magnitude ? key : k->sign;
		key = magnitude > k->nan_above ? k->mask : key;
	}
	return key ^ k->flip;
}

/* of a cpu table */
struct kjx_quick_fns {
	/* keys [first, first + n) into a, from elements @step bytes apart; @in: element 0 */
	void (*build)(struct kjx_quick *q, const struct kjx_quick_row *row, const void *in, s64 step, u64 first, u64 n);
	/* go on with sorting a for about @budget units; returns the units done, it is through when q->depth is zero */
	u64 (*sort)(struct kjx_quick *q, const struct kjx_quick_row *row, u64 budget);
	/* elements [first, first + n) from their keys in a, not records */
	void (*put)(const struct kjx_quick *q, const struct kjx_quick_row *row, void *out, s64 step, u64 first, u64 n);
};

#endif
