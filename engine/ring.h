/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A ring of records, one for each trace that a host took note of. Bounded: what does not fit is dropped and counted.
 * The host provides the memory, and keeps writers and the reader's last step apart.
 *
 * A record: struct kjx_record, then for each value { struct kjx_record_value, u64 dims[rank], its bytes padded to 8 }.
 */
#ifndef KJX_RING_H
#define KJX_RING_H

#include "engine.h"

/** struct kjx_record - a trace of a run
 * @bytes:	of the whole record, a multiple of 8
 * @site:	of the trace instruction: position in META's "sites"
 * @sequence:	traces taken before this one, dropped ones included: a gap is a drop
 * @run:	number of the run that it belongs to, from 1 on
 * @time:	of the host's clock, nanoseconds
 * @lane:	that ran it
 * @values:	arrays that follow
 */
struct kjx_record {
	u32 bytes, site;
	u64 sequence, run, time;
	u32 lane, values;
};

/** struct kjx_record_value - @rank u64 dims follow, then @bytes of data in C order, then zeros up to a multiple of 8 */
struct kjx_record_value {
	u32 dtype, rank;
	u64 bytes;
};

/** struct kjx_ring - @head and @tail count bytes ever written and read; zero at first
 * @size:	bytes of @memory, a multiple of 8
 */
struct kjx_ring {
	u8 *memory;
	u64 size, head, tail, sequence, dropped;
};

/** kjx_ring_put - keep the values of the trace at which @vm asks; @run and @time as in the record
 * Return: false when there was no room: counted in @dropped. Cost: the record's bytes are copied.
 */
bool kjx_ring_put(struct kjx_ring *ring, const struct kjx_vm *vm, u64 run, u64 time);

/** kjx_ring_next - bytes of the oldest record; 0: the ring is empty */
u32 kjx_ring_next(const struct kjx_ring *ring);

/** struct kjx_ring_span - where the oldest @bytes of a ring lie: one piece, or two around its end */
struct kjx_ring_span {
	const u8 *at[2];
	u64 bytes[2];
};

/** kjx_ring_whole - bytes of the records from the oldest on that fit in @capacity together; @count: how many */
u64 kjx_ring_whole(const struct kjx_ring *ring, u64 capacity, u32 *count);
struct kjx_ring_span kjx_ring_span(const struct kjx_ring *ring, u64 bytes);

static inline void kjx_ring_skip(struct kjx_ring *ring, u64 bytes)
{
	ring->tail += bytes;
}

#endif
