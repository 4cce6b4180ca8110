// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The index of a library: accepted whole or not at all, then searched.
 *
 * Entries are sorted, so that a library has one encoding and equal entries are neighbours. Strings are proved
 * to end inside their area, so that what comes after can use them as C strings.
 */
#include "library.h"
#include "image.h"

static int compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (int)(u8)*a - (int)(u8)*b;
}

static enum kjx_status refuse(struct kjx_log *log, enum kjx_status status, const char *why, u64 number)
{
	const u64 values[] = { number, kjx_text(why) };

	kjx_log_format(log, "library entry %u: %s", values);
	return status;
}

static enum kjx_status refuse_whole(struct kjx_log *log, enum kjx_status status, const char *why)
{
	const u64 values[] = { kjx_text(why) };

	kjx_log_format(log, "library: %s", values);
	return status;
}

/* length with NUL of the string at @at, or 0 if it is not one of at most @most bytes */
static u64 string_bytes(const char *strings, u64 area, u64 at, u64 most)
{
	u64 n;

	if (at >= area)
		return 0;
	most = kjx_min(most, area - at);
	for (n = 0; n < most; n++)
		if (!strings[at + n])
			return n + 1;
	return 0;
}

static u64 index_hash(const struct kjx_library_header *header, const u8 *rest, u64 rest_bytes)
{
	struct kjx_library_header zeroed = *header;
	u64 both[2];

	/* one hash of two: the header's copy with a zero in the hash's place, and the rest as it lies */
	zeroed.hash = 0;
	both[0] = kjx_xxh64(&zeroed, sizeof(zeroed));
	both[1] = kjx_xxh64(rest, rest_bytes);
	return kjx_xxh64(both, sizeof(both));
}

static enum kjx_status check_header(const struct kjx_library_header *h, u64 n, struct kjx_log *log)
{
	if (n < sizeof(*h))
		return refuse_whole(log, KJX_TRUNCATED, "shorter than a header");
	if (h->magic[0] != 'K' || h->magic[1] != 'J' || h->magic[2] != 'L' || h->magic[3] != 0x1a)
		return refuse_whole(log, KJX_BAD_MAGIC, "not a kjax library");
	if (h->major != KJX_VERSION_MAJOR || h->minor > KJX_VERSION_MINOR)
		return refuse_whole(log, KJX_BAD_VERSION, "written by a newer or an incompatible kjax");
	if (h->total != n)
		return refuse_whole(log, KJX_TRUNCATED, "longer or shorter than its header says");
	if (h->flags || h->reserved[0] || h->reserved[1] || h->reserved[2])
		return refuse_whole(log, KJX_RESERVED_SET, "a reserved field is not zero");
	if (!h->n_entries || h->n_entries > KJX_LIBRARY_MAX_ENTRIES || n > KJX_MAX_BYTES)
		return refuse_whole(log, KJX_TOO_LARGE, "no entries, or too many");
	if (h->string_bytes > n)
		return refuse_whole(log, KJX_BAD_SECTION, "the strings reach outside the file");
	return KJX_OK;
}

/* entry @i: its strings, its place behind the entry before it, its program behind that one's */
static enum kjx_status check_entry(const struct kjx_library *l, u64 area, u32 i, u64 *end, u64 total,
				   struct kjx_log *log)
{
	const struct kjx_library_entry *e = &l->entries[i], *before = e - 1;
	int order;

	if (e->zero)
		return refuse(log, KJX_RESERVED_SET, "a reserved field is not zero", i);
	if (!string_bytes(l->strings, area, e->function, KJX_LIBRARY_NAME_MAX) ||
	    !string_bytes(l->strings, area, e->transformation, KJX_LIBRARY_NAME_MAX) ||
	    !string_bytes(l->strings, area, e->signature, KJX_LIBRARY_SIGNATURE_MAX))
		return refuse(log, KJX_BAD_SECTION, "a name reaches outside the strings, or is too long", i);
	if (e->offset != *end || !e->bytes || e->bytes % KJX_ALIGNMENT || e->bytes > total - *end)
		return refuse(log, KJX_BAD_SECTION, "its program is not where it should be", i);
	*end += e->bytes;
	if (!i)
		return KJX_OK;
	order = compare(l->strings + before->function, l->strings + e->function);
	if (!order)
		order = compare(l->strings + before->transformation, l->strings + e->transformation);
	if (!order)
		order = compare(l->strings + before->signature, l->strings + e->signature);
	if (order >= 0)
		return refuse(log, KJX_BAD_SECTION, "out of order, or there twice", i);
	return KJX_OK;
}

enum kjx_status kjx_library_open(const void *bytes, u64 n, struct kjx_library *library, struct kjx_log *log)
{
	const struct kjx_library_header *h = bytes;
	enum kjx_status status;
	u64 index, end;
	u32 i;

	kjx_log_start(log);
	status = check_header(h, n, log);
	if (status != KJX_OK)
		return status;
	index = sizeof(*h) + (u64)h->n_entries * sizeof(struct kjx_library_entry);
	/* both terms are at most 2^40 */
	end = kjx_align_up(index + h->string_bytes, KJX_ALIGNMENT);
	if (end > n)
		return refuse_whole(log, KJX_TRUNCATED, "the index reaches outside the file");
	library->bytes = bytes;
	library->entries = (const struct kjx_library_entry *)(library->bytes + sizeof(*h));
	library->strings = (const char *)(library->bytes + index);
	library->n_entries = h->n_entries;
	if (index_hash(h, library->bytes + sizeof(*h), end - sizeof(*h)) != h->hash)
		return refuse_whole(log, KJX_BAD_HASH, "the bytes of the index do not match their hash");
	for (i = 0; i < h->n_entries; i++) {
		status = check_entry(library, h->string_bytes, i, &end, n, log);
		if (status != KJX_OK)
			return status;
	}
	if (end != n)
		return refuse_whole(log, KJX_BAD_SECTION, "bytes after the last program");
	return KJX_OK;
}

void kjx_library_at(const struct kjx_library *library, u32 number, struct kjx_variant *variant)
{
	const struct kjx_library_entry *e = &library->entries[kjx_index_nospec(number, library->n_entries)];

	variant->function = library->strings + e->function;
	variant->transformation = library->strings + e->transformation;
	variant->signature = library->strings + e->signature;
	variant->image = library->bytes + e->offset;
	variant->bytes = e->bytes;
}

u32 kjx_library_find(const struct kjx_library *library, const char *function, const char *transformation,
		     const char *signature, u32 from)
{
	char name[KJX_LIBRARY_NAME_MAX];
	struct kjx_variant v;
	u32 i;

	if (!kjx_transformation_normalise(transformation, name))
		return ~0u;
	for (i = from; i < library->n_entries; i++) {
		kjx_library_at(library, i, &v);
		if (!compare(v.function, function) && !compare(v.transformation, name) &&
		    (!signature || !compare(v.signature, signature)))
			return i;
	}
	return ~0u;
}

/* what is read of a transformation, and what is written of its one spelling */
struct chain {
	const char *at;
	char *out;
	u32 n, depth;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static char next(struct chain *c)
{
	while (is_space(*c->at))
		c->at++;
	return *c->at;
}

static bool put(struct chain *c, char byte)
{
	if (c->n + 1 >= KJX_LIBRARY_NAME_MAX)
		return false;
	c->out[c->n++] = byte;
	return true;
}

/* one name with its options; a bare jit is read and not written */
static bool link(struct chain *c)
{
	const char *first;
	bool is_jit;

	next(c);
	first = c->at;
	while (is_name(*c->at))
		c->at++;
	if (c->at == first)
		return false;
	is_jit = c->at - first == 3 && first[0] == 'j' && first[1] == 'i' && first[2] == 't' && next(c) != '[';
	if (is_jit)
		return true;
	if (c->depth++ && !put(c, '('))
		return false;
	for (; first < c->at && is_name(*first); first++)
		if (!put(c, *first))
			return false;
	if (next(c) != '[')
		return true;
	do {
		if (!next(c) || !put(c, *c->at))
			return false;
	} while (*c->at++ != ']');
	return true;
}

bool kjx_transformation_normalise(const char *text, char *out)
{
	struct chain c = { .at = text, .out = out };
	u32 open = 0;

	for (;;) {
		if (!link(&c))
			return false;
		if (next(&c) != '(')
			break;
		c.at++;
		open++;
	}
	while (open--) {
		if (next(&c) != ')')
			return false;
		c.at++;
	}
	if (next(&c))
		return false;
	if (!c.depth)
		return put(&c, 'j') && put(&c, 'i') && put(&c, 't') && (out[c.n] = 0, true);
	while (--c.depth)
		if (!put(&c, ')'))
			return false;
	out[c.n] = 0;
	return true;
}
