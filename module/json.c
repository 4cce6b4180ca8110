// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Nested JSON lists, without recursion: the shape is known, so brackets are an odometer. Before element i a '[' opens
 * each dim whose later indices are all zero; behind it a ']' closes each dim that has run over.
 *
 * A dim of zero is written as "[]": the dims before it enumerate such empty lists.
 */
#include "json.h"

#include "decimal.h"
#include "gen/isa.h"

/* how a dtype is written: @format NULL: an integer of @bytes */
struct notation {
	const struct kjax_float_format *format;
	u8 bytes, is_signed, bits;
};

static bool notation_of(u32 dtype, struct notation *n)
{
	*n = (struct notation){ 0 };
	switch (dtype) {
	case KJX_DTYPE_I1: *n = (struct notation){ NULL, 1, 0, 1 }; break;
	case KJX_DTYPE_I8: *n = (struct notation){ NULL, 1, 1, 8 }; break;
	case KJX_DTYPE_I16: *n = (struct notation){ NULL, 2, 1, 16 }; break;
	case KJX_DTYPE_I32: *n = (struct notation){ NULL, 4, 1, 32 }; break;
	case KJX_DTYPE_I64: *n = (struct notation){ NULL, 8, 1, 64 }; break;
	case KJX_DTYPE_U8: *n = (struct notation){ NULL, 1, 0, 8 }; break;
	case KJX_DTYPE_U16: *n = (struct notation){ NULL, 2, 0, 16 }; break;
	case KJX_DTYPE_U32: *n = (struct notation){ NULL, 4, 0, 32 }; break;
	case KJX_DTYPE_U64: *n = (struct notation){ NULL, 8, 0, 64 }; break;
	case KJX_DTYPE_F16: *n = (struct notation){ &kjax_f16, 2, 0, 16 }; break;
	case KJX_DTYPE_BF16: *n = (struct notation){ &kjax_bf16, 2, 0, 16 }; break;
	case KJX_DTYPE_F32: *n = (struct notation){ &kjax_f32, 4, 0, 32 }; break;
	case KJX_DTYPE_F64: *n = (struct notation){ &kjax_f64, 8, 0, 64 }; break;
	}
	return n->bytes;
}

bool kjax_json_has_text(u32 dtype)
{
	struct notation n;

	return notation_of(dtype, &n);
}

/* ---- the odometer ---- */

#define RANK 12

struct odometer {
	const u64 *dims;
	u64 index[RANK];
	u32 rank;		/* of the list of elements; the empty dim and what follows it left out */
	bool empty;		/* elements are "[]" */
};

static bool odometer_start(struct odometer *o, const struct kjax_shape *shape)
{
	*o = (struct odometer){ .dims = shape->dims };
	if (shape->rank > RANK)
		return false;
	while (o->rank < shape->rank && shape->dims[o->rank])
		o->rank++;
	o->empty = o->rank < shape->rank;
	return true;
}

/* brackets that open before the current element */
static u32 opening(const struct odometer *o)
{
	u32 n = 0;

	while (n < o->rank && !o->index[o->rank - 1 - n])
		n++;
	return n;
}

/* go to the next element; Return: brackets that close behind the last one, rank at the very end */
static u32 advance(struct odometer *o)
{
	u32 d = o->rank;

	while (d-- > 0) {
		if (++o->index[d] < o->dims[d])
			return o->rank - 1 - d;
		o->index[d] = 0;
	}
	return o->rank;
}

/* ---- reading ---- */

static void skip_space(struct kjax_reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
		r->at++;
}

bool kjax_json_token(struct kjax_reader *r, char c)
{
	skip_space(r);
	if (r->at >= r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static bool word(struct kjax_reader *r, const char *text)
{
	u64 n = 0;

	while (text[n])
		n++;
	if ((u64)(r->end - r->at) < n || kjx_memcmp(r->at, text, n))
		return false;
	r->at += n;
	return true;
}

static bool read_integer(struct kjax_reader *r, const struct notation *n, u64 *bits)
{
	const char *at = r->at;
	struct kjax_decimal d;
	u64 limit;

	if (n->bits == 1 && (word(r, "true") || word(r, "false"))) {
		*bits = *at == 't';
		return true;
	}
	if (!kjax_decimal_read(&at, r->end, &d) || !kjax_decimal_to_integer(&d, bits))
		return false;
	if (d.negative && *bits) {
		limit = n->is_signed ? 1ull << (n->bits - 1) : 0;
		if (0 - *bits > limit)
			return false;
	} else {
		limit = ~0ull >> (64 - n->bits + n->is_signed);
		if (*bits > limit)
			return false;
	}
	r->at = at;
	return true;
}

static bool read_float(struct kjax_reader *r, const struct kjax_float_format *f, u64 *bits)
{
	u64 infinity = ((1ull << (f->width - f->precision)) - 1) << (f->precision - 1);
	struct kjax_decimal d;

	if (word(r, "NaN"))
		*bits = infinity | 1ull << (f->precision - 2);
	else if (word(r, "Infinity"))
		*bits = infinity;
	else if (word(r, "-Infinity"))
		*bits = infinity | 1ull << (f->width - 1);
	else if (kjax_decimal_read(&r->at, r->end, &d))
		*bits = kjax_decimal_to_float(&d, f);
	else
		return false;
	return true;
}

bool kjax_json_read(struct kjax_reader *r, const struct kjax_shape *shape, void *data)
{
	struct odometer o;
	struct notation n;
	u8 *to = data;
	u64 bits;
	u32 i;

	if (!notation_of(shape->dtype, &n) || !odometer_start(&o, shape))
		return false;
	for (;;) {
		for (i = opening(&o); i > 0; i--)
			if (!kjax_json_token(r, '['))
				return false;
		skip_space(r);
		if (o.empty) {
			if (!kjax_json_token(r, '[') || !kjax_json_token(r, ']'))
				return false;
		} else {
			if (!(n.format ? read_float(r, n.format, &bits) : read_integer(r, &n, &bits)))
				return false;
			kjx_memcpy(to, &bits, n.bytes);		/* little-endian, like the format */
			to += n.bytes;
		}
		i = advance(&o);
		if (i == o.rank)
			break;
		while (i-- > 0)
			if (!kjax_json_token(r, ']'))
				return false;
		if (!kjax_json_token(r, ','))
			return false;
	}
	for (i = 0; i < o.rank; i++)
		if (!kjax_json_token(r, ']'))
			return false;
	return true;
}

/* ---- writing ---- */

void kjax_json_put(struct kjax_writer *w, char c)
{
	if (w->needed < w->capacity)
		w->text[w->needed] = c;
	w->needed++;
}

static void put_text(struct kjax_writer *w, const char *text, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		kjax_json_put(w, text[i]);
}

static void put_integer(struct kjax_writer *w, const struct notation *n, u64 bits)
{
	char digits[20];
	u32 i = 20;

	if (n->is_signed && bits >> (n->bits - 1)) {
		kjax_json_put(w, '-');
		bits = 0 - (bits | ~(~0ull >> (64 - n->bits)));
	}
	do {
		digits[--i] = '0' + bits % 10;
		bits /= 10;
	} while (bits);
	put_text(w, digits + i, 20 - i);
}

static void put_element(struct kjax_writer *w, const struct notation *n, const u8 *from)
{
	char text[KJAX_DECIMAL_TEXT];
	u64 bits = 0;

	kjx_memcpy(&bits, from, n->bytes);
	if (n->format)
		put_text(w, text, kjax_decimal_write(bits, n->format, text));
	else if (n->bits == 1)
		put_text(w, bits ? "true" : "false", bits ? 4 : 5);
	else
		put_integer(w, n, bits);
}

bool kjax_json_write(struct kjax_writer *w, const struct kjax_shape *shape, const void *data)
{
	const u8 *from = data;
	struct odometer o;
	struct notation n;
	u32 i;

	if (!notation_of(shape->dtype, &n) || !odometer_start(&o, shape))
		return false;
	for (;;) {
		for (i = opening(&o); i > 0; i--)
			kjax_json_put(w, '[');
		if (o.empty) {
			put_text(w, "[]", 2);
		} else {
			put_element(w, &n, from);
			from += n.bytes;
		}
		i = advance(&o);
		if (i == o.rank)
			break;
		while (i-- > 0)
			kjax_json_put(w, ']');
		kjax_json_put(w, ',');
	}
	for (i = 0; i < o.rank; i++)
		kjax_json_put(w, ']');
	return true;
}
