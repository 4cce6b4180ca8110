// SPDX-License-Identifier: MIT OR GPL-2.0
/* Long rows: one stable pass for each byte of the keys in which they differ, least significant first. */
#include "sort.h"

u32 kjx_radix_digits(bool wide)
{
	return wide ? 8 : 4;
}

static kjx_always_inline u32 digit_of(const u64 *records, u64 i, u32 digit, bool wide)
{
	return (u8)(kjx_record_key(records, i, wide) >> 8 * digit);
}

static kjx_always_inline void count(u64 (*counts)[256], const u64 *records, u64 first, u64 n, bool wide)
{
	u64 i;
	u32 d;

	for (i = first; i < first + n; i++)
		for (d = 0; d < (wide ? 8u : 4u); d++)
			counts[d][digit_of(records, i, d, wide)]++;
}

void kjx_radix_count(u64 (*counts)[256], const u64 *records, u64 first, u64 n, bool wide)
{
	if (wide)
		count(counts, records, first, n, true);
	else
		count(counts, records, first, n, false);
}

bool kjx_radix_places(u64 *counts, u64 n)
{
	u64 place = 0, here;
	u32 i;

	for (i = 0; i < 256; i++) {
		here = counts[i];
		if (here == n)
			return false;
		counts[i] = place;
		place += here;
	}
	return true;
}

static kjx_always_inline void move(u64 *places, u64 *to, const u64 *from, u64 first, u64 n, u32 digit, bool wide)
{
	u64 i;

	for (i = first; i < first + n; i++)
		kjx_record_copy(to, places[digit_of(from, i, digit, wide)]++, from, i, wide);
}

void kjx_radix_move(u64 *places, u64 *to, const u64 *from, u64 first, u64 n, u32 digit, bool wide)
{
	if (wide)
		move(places, to, from, first, n, digit, true);
	else
		move(places, to, from, first, n, digit, false);
}
