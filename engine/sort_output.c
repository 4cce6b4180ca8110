// SPDX-License-Identifier: MIT OR GPL-2.0
/* Elements in their sorted order: by number (gather), from a dense copy (copy). */
#include "sort.h"

struct pair {
	u64 low, high;
};

#define FOR_SIZES(DO)			\
	do {				\
		switch (log2_size) {	\
		case 0:			\
			DO(u8);		\
			break;		\
		case 1:			\
			DO(u16);	\
			break;		\
		case 2:			\
			DO(u32);	\
			break;		\
		case 3:			\
			DO(u64);	\
			break;		\
		default:		\
			DO(struct pair);	\
		}			\
	} while (0)

void kjx_sort_gather(u8 *to, s64 to_step, const u8 *from, s64 from_step, u32 log2_size, const u64 *records, bool wide,
		     u64 first, u64 n)
{
	u64 i;

	to += (s64)first * to_step;
#define GATHER(type)										\
	for (i = first; i < first + n; i++, to += to_step)					\
		*(type *)to = *(const type *)(from + (s64)kjx_record_payload(records, i, wide) * from_step)
	if (wide)
		FOR_SIZES(GATHER);
	else
		FOR_SIZES(GATHER);
}

void kjx_sort_copy(u8 *to, s64 to_step, const u8 *from, u32 log2_size, u64 first, u64 n)
{
	u64 i;

	to += (s64)first * to_step;
#define COPY(type)									\
	for (i = first; i < first + n; i++, to += to_step)				\
		*(type *)to = ((const type *)from)[i]
	FOR_SIZES(COPY);
}
