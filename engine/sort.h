/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Sorts, decoded. A row (a line along the sorted dim) becomes records, the records are sorted, then every operand is
 * written in their order. A record is a key, mapped to an unsigned integer whose order is the wanted one, and a
 * payload: the element's number in the row. Narrow records are one u64 (key in the upper half), wide ones two. By a single
 * key most rows are sorted by the cpu table (quick.h): narrow records, or keys alone where the key is the sole operand
 * and says all about its element. No floating point anywhere: keys are bits.
 */
#ifndef KJX_SORT_H
#define KJX_SORT_H

#include "plan.h"

#define KJX_SORT_CHUNK 4096u		/* elements between two looks at the budget */
#define KJX_SORT_STRIP 256u		/* comparisons in one run of a comparator */

struct kjx_sort_operand {
	struct kjx_place in, out;
	const s64 *in_strides, *out_strides;	/* bytes, of all dims but the last */
	s64 in_step, out_step;			/* bytes, along the sorted dim */
	u32 log2_size;
	bool in_place;
};

/** struct kjx_sort_plan
 * @n, @rows:	length of a row, number of rows
 * @unit:	work units of one comparison by the body
 * @wide:	records are two words
 * @values:	keys alone
 * @small:	a row is sorted in one go by merging, else by radix
 * @quick:	or by the cpu table, as quick.h says, with @form of keys; @allowance: as there
 * @a, @b, @ties, @work: offsets of the two arrays of records, of the ties of @quick, and of the rest in the scratch
 */
struct kjx_sort_plan {
	u64 n, rows, unit, a, b, ties, work, allowance;
	u32 rank, n_operands, n_keys;
	bool wide, values, small, quick, has_ties;
	enum kjx_quick_form form;
	const u64 *dims;
	struct kjx_sort_key *key;
	struct kjx_sort_operand *operand;
	struct kjx_body body;
};

static kjx_always_inline u64 kjx_record_key(const u64 *records, u64 i, bool wide)
{
	return wide ? records[2 * i] : records[i] >> 32;
}

static kjx_always_inline u64 kjx_record_payload(const u64 *records, u64 i, bool wide)
{
	return wide ? records[2 * i + 1] : (u32)records[i];
}

static kjx_always_inline void kjx_record_copy(u64 *to, u64 i, const u64 *from, u64 j, bool wide)
{
	if (wide) {
		to[2 * i] = from[2 * j];
		to[2 * i + 1] = from[2 * j + 1];
	} else {
		to[i] = from[j];
	}
}

/* the bits of an element of 1, 2, 4 or 8 bytes */
static kjx_always_inline u64 kjx_bits_load(const u8 *at, u32 log2_size)
{
	switch (log2_size) {
	case 0:
		return *at;
	case 1:
		return *(const u16 *)at;
	case 2:
		return *(const u32 *)at;
	default:
		return *(const u64 *)at;
	}
}

/* offset of row number @row in a tensor with these @strides */
s64 kjx_sort_row(const struct kjx_sort_plan *p, const s64 *strides, u64 row);

/* sort_key.c: how elements of @dtype are ordered */
void kjx_sort_key_set(struct kjx_sort_key *key, u32 dtype, bool descending, bool total);

/** kjx_sort_records - (re)build records [first, first + n)
 * @ordered:	the records have payloads: the element that each one names; else element i goes to record i
 */
void kjx_sort_records(const struct kjx_sort_key *key, u64 *records, bool wide, const u8 *in, s64 step, u32 log2_size,
		      u64 first, u64 n, bool ordered);

/* sort_merge.c: stable, in one go; returns the array (@a or @b) that holds the result */
u64 *kjx_sort_merge(u64 *a, u64 *b, u64 n, bool wide);

/* sort_radix.c: digits of the keys, least significant first. counts[digit][256] */
u32 kjx_radix_digits(bool wide);
void kjx_radix_count(u64 (*counts)[256], const u64 *records, u64 first, u64 n, bool wide);
/* turn counts into places; false: all elements have one value of this digit, nothing moves */
bool kjx_radix_places(u64 *counts, u64 n);
void kjx_radix_move(u64 *places, u64 *to, const u64 *from, u64 first, u64 n, u32 digit, bool wide);

/* sort_output.c: write records' elements [first, first + n) of an operand in order, at most; @step: of the destination */
void kjx_sort_gather(u8 *to, s64 to_step, const u8 *from, s64 from_step, u32 log2_size, const u64 *records, bool wide,
		     u64 first, u64 n);
void kjx_sort_copy(u8 *to, s64 to_step, const u8 *from, u32 log2_size, u64 first, u64 n);

/* sort_body.c: by a comparator. Records are wide; only their payloads are used. */
u64 kjx_sort_body_work(const struct kjx_sort *insn);	/* bytes of @work */
u64 kjx_sort_body_unit(const struct kjx_image *image, const struct kjx_sort *insn);	/* work units of a comparison */
void kjx_sort_body_start(u64 *a, u64 *b, u64 first, u64 n);
/* place records [first, first + n) of runs of @width in runs of twice that; returns the rounds of comparisons */
u64 kjx_sort_body_merge(struct kjx_slice *s, const struct kjx_sort_plan *p, u64 row, u64 width, u64 first, u64 n,
			u64 *to, const u64 *from);

#endif
