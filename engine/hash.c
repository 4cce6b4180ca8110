// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * XXH64 with seed 0, written from the algorithm's published description (XXH64 of the xxHash specification):
 * four lanes of 8 bytes, each multiplied and rotated, folded together, then the remaining bytes, then an
 * avalanche. It finds damage, not forgery: a program's rights come from the signature and from the verifier.
 */
#include "image.h"

#define PRIME1 0x9E3779B185EBCA87ull
#define PRIME2 0xC2B2AE3D27D4EB4Full
#define PRIME3 0x165667B19E3779F9ull
#define PRIME4 0x85EBCA77C2B2AE63ull
#define PRIME5 0x27D4EB2F165667C5ull

static inline u64 rotate(u64 x, u32 by)
{
	return x << by | x >> (64 - by);
}

/* little-endian loads at any alignment; the format and all supported hosts are little-endian */
static inline u64 load64(const u8 *p)
{
	u64 x;

	kjx_memcpy(&x, p, 8);
	return x;
}

static inline u64 load32(const u8 *p)
{
	u32 x;

	kjx_memcpy(&x, p, 4);
	return x;
}

static inline u64 round_lane(u64 lane, u64 input)
{
	return rotate(lane + input * PRIME2, 31) * PRIME1;
}

static inline u64 merge(u64 hash, u64 lane)
{
	return (hash ^ round_lane(0, lane)) * PRIME1 + PRIME4;
}

static u64 lanes(const u8 **at, const u8 *end)
{
	u64 a = PRIME1 + PRIME2, b = PRIME2, c = 0, d = 0 - PRIME1, hash;
	const u8 *p = *at;

	for (; end - p >= 32; p += 32) {
		a = round_lane(a, load64(p));
		b = round_lane(b, load64(p + 8));
		c = round_lane(c, load64(p + 16));
		d = round_lane(d, load64(p + 24));
	}
	*at = p;
	hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
	hash = merge(hash, a);
	hash = merge(hash, b);
	hash = merge(hash, c);
	return merge(hash, d);
}

u64 kjx_xxh64(const void *bytes, u64 n)
{
	const u8 *p = bytes, *end = p + n;
	u64 hash = n >= 32 ? lanes(&p, end) : PRIME5;

	hash += n;
	for (; end - p >= 8; p += 8)
		hash = rotate(hash ^ round_lane(0, load64(p)), 27) * PRIME1 + PRIME4;
	if (end - p >= 4) {
		hash = rotate(hash ^ load32(p) * PRIME1, 23) * PRIME2 + PRIME3;
		p += 4;
	}
	for (; p < end; p++)
		hash = rotate(hash ^ *p * PRIME5, 11) * PRIME1;
	hash = (hash ^ hash >> 33) * PRIME2;
	hash = (hash ^ hash >> 29) * PRIME3;
	return hash ^ hash >> 32;
}
