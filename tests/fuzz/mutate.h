/* SPDX-License-Identifier: MIT */
/*
 * Changing programs so that the change gets past the hashes: a mutation alters a few fields, then the hashes are
 * made to match. Fields are hit by size and alignment, with numbers that checks stumble over: ends of ranges,
 * neighbours of powers of two, and values that stand elsewhere in the same program.
 */
#ifndef KJX_FUZZ_MUTATE_H
#define KJX_FUZZ_MUTATE_H

#include "image.h"

struct random {
	u64 state;
};

static inline u64 next(struct random *r)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return r->state * 0x2545F4914F6CDD1Dull;
}

static inline u64 below(struct random *r, u64 n)
{
	return n ? next(r) % n : 0;
}

/* hashes of all sections that lie inside, and of the header */
static inline void repair(u8 *p, u64 n)
{
	struct kjx_header *h = (struct kjx_header *)p;
	struct kjx_section *s = (struct kjx_section *)(h + 1);
	u64 table, k;

	if (n < sizeof(*h))
		return;
	table = sizeof(*h) + kjx_min(h->n_sections, 8) * sizeof(*s);
	for (k = 0; sizeof(*h) + (k + 1) * sizeof(*s) <= kjx_min(table, n); k++)
		if (s[k].offset <= n && s[k].bytes <= n - s[k].offset)
			s[k].hash = kjx_xxh64(p + s[k].offset, s[k].bytes);
	h->hash = 0;
	h->hash = kjx_xxh64(p, kjx_min(table, n));
}

static inline u64 interesting(struct random *r, const u8 *p, u64 n, u64 old)
{
	u64 other;

	switch (below(r, 9)) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return old + 1;
	case 3:
		return old - 1;
	case 4:
		return below(r, 70);
	case 5:
		return (1ull << below(r, 64)) + below(r, 3) - 1;
	case 6:
		return 0 - (1ull << below(r, 64));
	case 7:
		kjx_memcpy(&other, p + 8 * below(r, n / 8), 8);
		return other >> 8 * below(r, 8);
	default:
		return old ^ 1ull << below(r, 64);
	}
}

/* one field of 1, 2, 4 or 8 bytes somewhere; mostly where the verifier has most to do */
static inline void mutate_field(struct random *r, u8 *p, u64 n)
{
	static const u8 weights[] = { 0, 1, 2, 2, 2, 2, 3, 3 };	/* sections TENS ARGS CODE BODY */
	const struct kjx_header *h = (const struct kjx_header *)p;
	const struct kjx_section *s = (const struct kjx_section *)(h + 1);
	u64 size = 1ull << below(r, 4), from = 0, room = n, old = 0, fresh;

	if (below(r, 16) && n >= sizeof(*h) + 4 * sizeof(*s)) {
		s += weights[below(r, sizeof(weights))];
		if (s->bytes && s->offset < n && s->bytes <= n - s->offset) {
			from = s->offset;
			room = s->bytes;
		}
	}
	if (room < 8)
		return;
	from += below(r, room / size) * size;
	kjx_memcpy(&old, p + from, size);
	fresh = interesting(r, p, n, old);
	kjx_memcpy(p + from, &fresh, size);
}

/* swap two pieces of the code of one length, or copy one over the other: instructions in new company */
static inline void mutate_code(struct random *r, u8 *p, u64 n)
{
	const struct kjx_header *h = (const struct kjx_header *)p;
	const struct kjx_section *s = (const struct kjx_section *)(h + 1) + 2;
	u64 words, a, b, length, i, swap = below(r, 2);
	u64 *code;

	if (n < sizeof(*h) + 3 * sizeof(*s) || s->offset % 8 || s->offset > n || s->bytes > n - s->offset || s->bytes < 16)
		return;
	code = (u64 *)(p + s->offset);
	words = s->bytes / 8;
	length = 1 + below(r, kjx_min(words / 2, 24));
	a = below(r, words - length + 1);
	b = below(r, words - length + 1);
	for (i = 0; i < length; i++) {
		u64 x = code[a + i];

		code[a + i] = code[b + i];
		if (swap)
			code[b + i] = x;
	}
}

static inline void mutate(struct random *r, u8 *p, u64 n)
{
	u64 times = 1 + below(r, 3);

	while (times--) {
		if (below(r, 8))
			mutate_field(r, p, n);
		else
			mutate_code(r, p, n);
	}
	repair(p, n);
}

#endif
