// SPDX-License-Identifier: MIT OR GPL-2.0
/* Short rows: insertion sort of runs, then merges between two arrays. Stable: a right record goes first only if less. */
#include "sort.h"

#define RUN 8u

static kjx_always_inline void insertion(u64 *r, u64 first, u64 end, bool wide)
{
	u64 hold[2] = { 0, 0 }, i, j;

	for (i = first + 1; i < end; i++) {
		kjx_record_copy(hold, 0, r, i, wide);
		for (j = i; j > first && kjx_record_key(r, j - 1, wide) > kjx_record_key(hold, 0, wide); j--)
			kjx_record_copy(r, j, r, j - 1, wide);
		kjx_record_copy(r, j, hold, 0, wide);
	}
}

static kjx_always_inline void merge(u64 *to, const u64 *from, u64 left, u64 right, u64 end, bool wide)
{
	const u64 middle = right;
	u64 at = left;

	while (left < middle && right < end) {
		const bool take = kjx_record_key(from, right, wide) < kjx_record_key(from, left, wide);

		kjx_record_copy(to, at++, from, take ? right : left, wide);
		right += take;
		left += !take;
	}
	for (; left < middle; left++)
		kjx_record_copy(to, at++, from, left, wide);
	for (; right < end; right++)
		kjx_record_copy(to, at++, from, right, wide);
}

static kjx_always_inline u64 *sort(u64 *a, u64 *b, u64 n, bool wide)
{
	u64 width, first, *swap;

	for (first = 0; first < n; first += RUN)
		insertion(a, first, kjx_min(first + RUN, n), wide);
	for (width = RUN; width < n; width *= 2) {
		for (first = 0; first < n; first += 2 * width)
			merge(b, a, first, kjx_min(first + width, n), kjx_min(first + 2 * width, n), wide);
		swap = a;
		a = b;
		b = swap;
	}
	return a;
}

u64 *kjx_sort_merge(u64 *a, u64 *b, u64 n, bool wide)
{
	return wide ? sort(a, b, n, true) : sort(a, b, n, false);
}
