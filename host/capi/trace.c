// SPDX-License-Identifier: MIT
/*
 * What programs print: a ring for each program that somebody listens to. Writers are the runs' threads, one lock keeps
 * them and readers apart; a record that does not fit is dropped and counted.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "capi.h"
#include "json.h"
#include "ring.h"

#define RING_MOST	(1ull << 40)

struct kjx_listener {
	pthread_mutex_t lock;
	struct kjx_ring ring;
	u64 runs;
};

_Static_assert(sizeof(struct kjax_record) == sizeof(struct kjx_record), "one layout");
_Static_assert(offsetof(struct kjax_record, values) == offsetof(struct kjx_record, values), "one layout");
_Static_assert(sizeof(struct kjax_record_value) == sizeof(struct kjx_record_value), "one layout");
_Static_assert(offsetof(struct kjax_record_value, bytes) == offsetof(struct kjx_record_value, bytes), "one layout");

void kjx_listener_free(struct kjx_program *program)
{
	struct kjx_listener *l = program->listener;

	program->listener = NULL;
	if (!l)
		return;
	pthread_mutex_destroy(&l->lock);
	free(l->ring.memory);
	free(l);
}

int kjax_program_listen(struct kjax_program *program, uint64_t bytes)
{
	struct kjx_program *p = kjx_inner(program);
	struct kjx_listener *l;

	kjx_listener_free(p);
	if (!bytes || !p->facts.n_traces)
		return 0;
	l = bytes <= RING_MOST ? calloc(1, sizeof(*l)) : NULL;
	if (l) {
		l->ring.size = (bytes + 7) & ~7ull;
		l->ring.memory = calloc(1, l->ring.size);
	}
	if (!l || !l->ring.memory) {
		free(l);
		return kjx_fail(KJX_NO_MEMORY, "no memory for a ring of %llu bytes", (unsigned long long)bytes);
	}
	pthread_mutex_init(&l->lock, NULL);
	p->listener = l;
	return 0;
}

void kjx_listen_begin(struct kjx_listening *at, const struct kjx_program *program)
{
	*at = (struct kjx_listening){ .listener = program->listener };
	if (!at->listener)
		return;
	pthread_mutex_lock(&at->listener->lock);
	at->run = ++at->listener->runs;
	pthread_mutex_unlock(&at->listener->lock);
}

enum kjx_status kjx_listen(void *data, const struct kjx_vm *vm)
{
	const struct kjx_listening *at = data;

	if (!at->listener)
		return KJX_OK;
	pthread_mutex_lock(&at->listener->lock);
	kjx_ring_put(&at->listener->ring, vm, at->run, kjx_now());
	pthread_mutex_unlock(&at->listener->lock);
	return KJX_OK;
}

int kjax_program_read(struct kjax_program *program, void *records, size_t capacity, size_t *bytes, uint64_t *dropped)
{
	struct kjx_listener *l = kjx_inner(program)->listener;
	struct kjx_ring_span span;
	u64 lost;
	u32 count;

	*bytes = 0;
	if (!l)
		return kjx_fail(KJX_BAD_CALL, "nobody listens: kjax_program_listen(), of a program that prints");
	pthread_mutex_lock(&l->lock);
	*bytes = kjx_ring_whole(&l->ring, capacity, &count);
	span = kjx_ring_span(&l->ring, *bytes);
	if (span.bytes[0])
		memcpy(records, span.at[0], span.bytes[0]);
	if (span.bytes[1])
		memcpy((u8 *)records + span.bytes[0], span.at[1], span.bytes[1]);
	kjx_ring_skip(&l->ring, *bytes);
	lost = l->ring.dropped;
	count = kjx_ring_next(&l->ring);
	pthread_mutex_unlock(&l->lock);
	if (dropped)
		*dropped = lost;
	if (!*bytes && count)
		return kjx_fail(KJX_TOO_LARGE, "the next record has %u bytes, the capacity is %zu", count, capacity);
	return 0;
}

const struct kjax_record_value *kjax_record_value(const struct kjax_record *record, uint32_t number)
{
	const struct kjax_record_value *v = (const void *)(record + 1);

	if (number >= record->values)
		return NULL;
	while (number--)
		v = (const void *)((const u8 *)(v + 1) + 8ull * v->rank + ((v->bytes + 7) & ~7ull));
	return v;
}

static bool write_values(struct kjax_writer *w, const struct kjax_record *record)
{
	const struct kjax_record_value *v;
	u32 i;

	kjax_json_put(w, '[');
	for (i = 0; i < record->values; i++) {
		v = kjax_record_value(record, i);
		const u64 *dims = (const u64 *)(v + 1);
		const struct kjax_shape shape = { .dtype = v->dtype, .rank = v->rank, .dims = dims };

		if (i)
			kjax_json_put(w, ',');
		if (!kjax_json_write(w, &shape, dims + v->rank)) {
			kjx_fail(KJX_BAD_CALL, "value %u: %s has no text; kjax_record_value() gives its bytes", i,
				 kjx_dtype_name(v->dtype));
			return false;
		}
	}
	kjax_json_put(w, ']');
	return true;
}

char *kjax_record_text(const struct kjax_record *record)
{
	struct kjax_writer count = { 0 }, w = { 0 };

	if (!write_values(&count, record))
		return NULL;
	w.text = malloc(count.needed + 1);
	w.capacity = count.needed;
	if (!w.text) {
		kjx_fail(KJX_NO_MEMORY, "no memory for the text of a record");
		return NULL;
	}
	write_values(&w, record);
	w.text[count.needed] = 0;
	return w.text;
}

/* META is a section like any other: the table says where it is, and the verifier that it is there */
const char *kjax_program_meta(const struct kjax_program *program, size_t *bytes)
{
	const struct kjx_program *p = kjx_inner(program);
	const struct kjx_header *h = (const struct kjx_header *)p->image;
	const struct kjx_section *s = (const struct kjx_section *)(h + 1);
	u32 i;

	*bytes = 0;
	for (i = 0; i < h->n_sections; i++)
		if (!memcmp(s[i].id, "META", 4)) {
			*bytes = s[i].bytes;
			return (const char *)p->image + s[i].offset;
		}
	return NULL;
}
