// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The container: header, section table, sections. Everything has exactly one place: sections in a fixed order,
 * each at the next multiple of 64, zeros between them, the file ends with the last. So an image that
 * passes has no byte that nobody looked at, and its length is believed only after the bytes are seen to be there.
 */
#include "verify.h"

#define MIN_SECTIONS 5
#define MAX_SECTIONS 8

kjx_static_assert(sizeof(struct kjx_header) == 64);
kjx_static_assert(sizeof(struct kjx_section) == 32);
kjx_static_assert(sizeof(struct kjx_tensor) == 32);
kjx_static_assert(sizeof(struct kjx_argument) == 16);
kjx_static_assert(sizeof(struct kjx_uop) == 8);
kjx_static_assert(sizeof(struct kjx_operand) == 16);
kjx_static_assert(sizeof(struct kjx_nest) == 32);
kjx_static_assert(sizeof(struct kjx_dot) == 24);
kjx_static_assert(sizeof(struct kjx_gather) == 24);
kjx_static_assert(sizeof(struct kjx_index) == 32);
kjx_static_assert(sizeof(struct kjx_sort) == 32);
kjx_static_assert(sizeof(struct kjx_exchange) == 32);
kjx_static_assert(sizeof(struct kjx_value) == 8);
kjx_static_assert(sizeof(struct kjx_trace) == 24);

enum section { TENS, ARGS, CODE, BODY, CNST, META, SHLO, SIGN };

struct section_kind {
	char id[5];
	u8 required;
};

#define KIND(id, required) { #id, required },
static const struct section_kind kinds[] = { KJX_SECTIONS(KIND) };

kjx_static_assert(sizeof(kinds) / sizeof(kinds[0]) == MAX_SECTIONS);

/* header and table with the hash field zero; at most 320 bytes */
static u64 header_hash(const struct kjx_header *h, u64 n)
{
	u64 copy[(sizeof(struct kjx_header) + MAX_SECTIONS * sizeof(struct kjx_section)) / 8];

	kjx_memcpy(copy, h, n);
	((struct kjx_header *)copy)->hash = 0;
	return kjx_xxh64(copy, n);
}

static enum kjx_status verify_header(struct kjx_verifier *v, u64 n)
{
	const struct kjx_header *h = v->image.header;
	u64 table;

	if (kjx_memcmp(h->magic, "KJX\x1a", 4))
		return kjx_refuse(v, KJX_BAD_MAGIC, "the image does not begin with KJX\\x1a");
	if (h->major != KJX_VERSION_MAJOR || h->minor > KJX_VERSION_MINOR)
		return kjx_refuse(v, KJX_BAD_VERSION, "version %u.%u, this engine reads %u.0 to %u.%u", h->major, h->minor,
				  KJX_VERSION_MAJOR, KJX_VERSION_MAJOR, KJX_VERSION_MINOR);
	if (n > KJX_MAX_BYTES)
		return kjx_refuse(v, KJX_TOO_LARGE, "%u bytes, the limit is %u", n, KJX_MAX_BYTES);
	if (h->total > n)
		return kjx_refuse(v, KJX_TRUNCATED, "the header says %u bytes, there are %u", h->total, n);
	if (h->total < n || h->total % KJX_ALIGNMENT)
		return kjx_refuse(v, KJX_BAD_SECTION, "the header says %u bytes, there are %u; it must be a multiple of %u",
				  h->total, n, KJX_ALIGNMENT);
	if (h->n_sections < MIN_SECTIONS || h->n_sections > MAX_SECTIONS)
		return kjx_refuse(v, KJX_BAD_SECTION, "%u sections, there must be %u to %u", h->n_sections, MIN_SECTIONS,
				  MAX_SECTIONS);
	table = sizeof(*h) + h->n_sections * sizeof(struct kjx_section);
	if (table > n)
		return kjx_refuse(v, KJX_TRUNCATED, "the section table ends at byte %u of %u", table, n);
	if (header_hash(h, table) != h->hash)
		return kjx_refuse(v, KJX_BAD_HASH, "the header or the section table is damaged");
	if (h->flags || h->zero || h->reserved[0] || h->reserved[1])
		return kjx_refuse(v, KJX_RESERVED_SET, "a reserved field of the header is not zero");
	if (!h->lanes || h->lanes > KJX_MAX_LANES)
		return kjx_refuse(v, KJX_TOO_LARGE, "%u lanes, there may be 1 to %u", h->lanes, KJX_MAX_LANES);
	if (h->arena > KJX_MAX_BYTES)
		return kjx_refuse(v, KJX_TOO_LARGE, "an arena of %u bytes, the limit is %u", h->arena, KJX_MAX_BYTES);
	return KJX_OK;
}

static bool all_zero(const u8 *p, u64 n)
{
	u8 any = 0;

	while (n--)
		any |= *p++;
	return !any;
}

static enum kjx_status too_many(struct kjx_verifier *v, const char *what, u64 n, u64 limit)
{
	return kjx_refuse(v, KJX_TOO_LARGE, "%u %s, there may be %u", n, kjx_text(what), limit);
}

/* record counts must agree with the length where records have one */
static enum kjx_status take_section(struct kjx_verifier *v, enum section kind, const struct kjx_section *s,
				    const u8 *at)
{
	struct kjx_image *image = &v->image;
	u64 record = 0;

	switch (kind) {
	case TENS:
		image->tensors = (const struct kjx_tensor *)at;
		image->n_tensors = s->count;
		record = sizeof(struct kjx_tensor);
		if (s->count > KJX_MAX_TENSORS)
			return too_many(v, "tensors", s->count, KJX_MAX_TENSORS);
		break;
	case ARGS:
		image->arguments = at;
		image->argument_bytes = s->bytes;
		image->n_inputs = s->count >> 16;
		image->n_outputs = s->count & 0xffff;
		if (image->n_inputs > KJX_MAX_ARGUMENTS)
			return too_many(v, "inputs", image->n_inputs, KJX_MAX_ARGUMENTS);
		if (image->n_outputs > KJX_MAX_ARGUMENTS)
			return too_many(v, "outputs", image->n_outputs, KJX_MAX_ARGUMENTS);
		return KJX_OK;
	case CODE:
		image->code = at;
		image->code_bytes = s->bytes;
		image->n_insns = s->count;
		return KJX_OK;
	case BODY:
		image->uops = (const struct kjx_uop *)at;
		image->n_uops = s->count;
		record = sizeof(struct kjx_uop);
		break;
	case CNST:
		image->constants = at;
		image->constant_bytes = s->bytes;
		break;
	default:
		break;
	}
	if (!record && s->count)
		return kjx_refuse(v, KJX_RESERVED_SET, "section %s counts %u records, it has none",
				  kjx_text(kinds[kind].id), s->count);
	if (record && s->bytes != s->count * record)
		return kjx_refuse(v, KJX_BAD_SECTION, "section %s has %u bytes for %u records of %u",
				  kjx_text(kinds[kind].id), s->bytes, s->count, record);
	return KJX_OK;
}

static enum kjx_status verify_section(struct kjx_verifier *v, enum section kind, const struct kjx_section *s, u64 at)
{
	const u8 *bytes = (const u8 *)v->image.header;
	const char *id = kinds[kind].id;
	u64 total = v->image.header->total, end;

	if (s->offset != at)
		return kjx_refuse(v, KJX_BAD_SECTION, "section %s begins at %u, it must begin at %u", kjx_text(id), s->offset,
				  at);
	if (at > total || s->bytes > total - at)
		return kjx_refuse(v, KJX_BAD_SECTION, "section %s has %u bytes at %u, the image ends at %u", kjx_text(id),
				  s->bytes, at, total);
	end = at + s->bytes;
	if (kjx_xxh64(bytes + at, s->bytes) != s->hash)
		return kjx_refuse(v, KJX_BAD_HASH, "section %s is damaged", kjx_text(id));
	/* total is a multiple of 64 too, so the padding is inside the image */
	if (!all_zero(bytes + end, kjx_align_up(end, KJX_ALIGNMENT) - end))
		return kjx_refuse(v, KJX_RESERVED_SET, "the padding after section %s is not zero", kjx_text(id));
	return take_section(v, kind, s, bytes + at);
}

enum kjx_status kjx_verify_container(struct kjx_verifier *v, const u8 *bytes, u64 n)
{
	const struct kjx_header *h = (const struct kjx_header *)bytes;
	const struct kjx_section *s = (const struct kjx_section *)(h + 1);
	u64 at, table;
	u32 kind, seen = 0;

	if (!bytes || n < sizeof(*h))
		return kjx_refuse(v, KJX_TRUNCATED, "%u bytes, a header has %u", n, sizeof(*h));
	v->image.header = h;
	KJX_TRY(verify_header(v, n));
	table = sizeof(*h) + h->n_sections * sizeof(*s);
	at = kjx_align_up(table, KJX_ALIGNMENT);
	if (at > h->total)
		return kjx_refuse(v, KJX_TRUNCATED, "the first section begins at %u, the image ends at %u", at, h->total);
	if (!all_zero(bytes + table, at - table))
		return kjx_refuse(v, KJX_RESERVED_SET, "the padding after the section table is not zero");
	for (kind = 0; kind < MAX_SECTIONS; kind++) {
		if (seen == h->n_sections || kjx_memcmp(s[seen].id, kinds[kind].id, 4)) {
			if (kinds[kind].required)
				return kjx_refuse(v, KJX_BAD_SECTION, "section %s is missing or out of order",
						  kjx_text(kinds[kind].id));
			continue;
		}
		KJX_TRY(verify_section(v, kind, &s[seen], at));
		at = kjx_align_up(at + s[seen].bytes, KJX_ALIGNMENT);
		seen++;
	}
	if (seen != h->n_sections)
		return kjx_refuse(v, KJX_BAD_SECTION, "section %u is unknown, repeated or out of order", seen);
	if (at != h->total)
		return kjx_refuse(v, KJX_BAD_SECTION, "the sections end at %u, the image at %u", at, h->total);
	return KJX_OK;
}

/* the same walk for an image that has passed: only the places are wanted */
void kjx_image_open(struct kjx_image *image, const void *bytes)
{
	const struct kjx_header *h = bytes;
	const struct kjx_section *s = (const struct kjx_section *)(h + 1);
	const u8 *at = bytes;

	kjx_memset(image, 0, sizeof(*image));
	image->header = h;
	image->tensors = (const struct kjx_tensor *)(at + s[TENS].offset);
	image->n_tensors = s[TENS].count;
	image->arguments = at + s[ARGS].offset;
	image->argument_bytes = s[ARGS].bytes;
	image->n_inputs = s[ARGS].count >> 16;
	image->n_outputs = s[ARGS].count & 0xffff;
	image->code = at + s[CODE].offset;
	image->code_bytes = s[CODE].bytes;
	image->n_insns = s[CODE].count;
	image->uops = (const struct kjx_uop *)(at + s[BODY].offset);
	image->n_uops = s[BODY].count;
	image->constants = at + s[CNST].offset;
	image->constant_bytes = s[CNST].bytes;
}
