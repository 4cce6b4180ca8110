// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Records are multiples of 8 bytes in a ring that is one too, so their first words are never split. Everything else may
 * go around the end.
 */
#include "image.h"
#include "ring.h"

static u64 value_bytes(const struct kjx_value *v, const u8 *at)
{
	u64 bytes = at ? kjx_dtype_size[v->dtype] : 0;
	u32 d;

	for (d = 0; at && d < v->rank; d++)	/* verified: those of its tensor */
		bytes *= kjx_value_dims(v)[d];
	return bytes;
}

/* of a trace's inputs as a record, saturating */
static u64 record_bytes(const struct kjx_vm *vm, const struct kjx_trace *t)
{
	const struct kjx_value *v = kjx_value_first(t);
	u64 bytes = sizeof(struct kjx_record);
	u32 i;

	for (i = 0; i < t->n_inputs; i++, v = kjx_value_next(v)) {
		bytes += sizeof(struct kjx_record_value) + 8ull * v->rank;
		bytes = kjx_sat_add(bytes, kjx_align_up(value_bytes(v, kjx_asked_at(vm, i)), 8));
	}
	return bytes;
}

static void write(struct kjx_ring *ring, const void *from, u64 n)
{
	u64 at = ring->head % ring->size, first = kjx_min(n, ring->size - at);

	kjx_memcpy(ring->memory + at, from, first);
	kjx_memcpy(ring->memory, (const u8 *)from + first, n - first);
	ring->head += n;
}

static void write_value(struct kjx_ring *ring, const struct kjx_value *v, const u8 *at)
{
	struct kjx_record_value head = { .dtype = v->dtype, .rank = v->rank, .bytes = value_bytes(v, at) };
	const u64 zeros = 0;

	write(ring, &head, sizeof(head));
	write(ring, kjx_value_dims(v), 8ull * v->rank);
	if (!head.bytes)
		return;
	write(ring, at, head.bytes);
	write(ring, &zeros, kjx_align_up(head.bytes, 8) - head.bytes);
}

bool kjx_ring_put(struct kjx_ring *ring, const struct kjx_vm *vm, u64 run, u64 time)
{
	const struct kjx_trace *t = kjx_asked(vm);
	const struct kjx_value *v = kjx_value_first(t);
	u64 bytes = record_bytes(vm, t);
	struct kjx_record head = {
		.bytes = (u32)bytes, .site = t->site, .sequence = ring->sequence++, .run = run, .time = time,
		.lane = vm->lane, .values = t->n_inputs,
	};
	u32 i;

	if (bytes > ring->size - (ring->head - ring->tail) || bytes > ~0u) {
		ring->dropped++;
		return false;
	}
	write(ring, &head, sizeof(head));
	for (i = 0; i < t->n_inputs; i++, v = kjx_value_next(v))
		write_value(ring, v, kjx_asked_at(vm, i));
	return true;
}

static u32 record_at(const struct kjx_ring *ring, u64 tail)
{
	if (tail == ring->head)
		return 0;
	return ((const struct kjx_record *)(ring->memory + tail % ring->size))->bytes;
}

u32 kjx_ring_next(const struct kjx_ring *ring)
{
	return record_at(ring, ring->tail);
}

u64 kjx_ring_whole(const struct kjx_ring *ring, u64 capacity, u32 *count)
{
	u64 bytes = 0;
	u32 next;

	for (*count = 0; (next = record_at(ring, ring->tail + bytes)) && next <= capacity - bytes; ++*count)
		bytes += next;
	return bytes;
}

struct kjx_ring_span kjx_ring_span(const struct kjx_ring *ring, u64 bytes)
{
	u64 at = ring->tail % ring->size, first = kjx_min(bytes, ring->size - at);

	return (struct kjx_ring_span){ { ring->memory + at, ring->memory }, { first, bytes - first } };
}
