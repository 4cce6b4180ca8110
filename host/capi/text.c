// SPDX-License-Identifier: MIT
/*
 * JSON to buffers and back, with the kernel module's own reader and writer, so that both take and give the same text.
 *
 * Arguments are read along the program's flat list of inputs: where the text at hand has exactly the shape of the next
 * input it is that input; otherwise, if it is a list or an object, its members are looked at one by one. So the text
 * may nest as the function's pytrees do, and since the shapes are known there is nothing to guess.
 */
#include <stdlib.h>
#include <string.h>

#include "capi.h"
#include "json.h"

#define MAX_NESTING 32

/* one level of the arguments' text: a list, or an object whose members are taken in the order of their names */
struct level {
	const char *begin;	/* behind the opening bracket */
	const char *last;	/* objects: the name taken last, NULL at first */
	u32 last_bytes;
	bool is_object, started;
};

struct parse {
	struct kjax_reader at;
	const char *text;
	struct level levels[MAX_NESTING];
	u32 depth;
};

static void skip_space(struct kjax_reader *r)
{
	kjax_json_token(r, 0);	/* a C string holds no NUL: this takes white space and nothing else */
}

/* behind the string that begins here, or NULL */
static const char *skip_string(const char *at, const char *end)
{
	if (at == end || *at != '"')
		return NULL;
	for (at++; at < end && *at != '"'; at++)
		if (*at == '\\' && at + 1 < end)
			at++;
	return at < end ? at + 1 : NULL;
}

/* behind the value that begins here: brackets are counted, strings are skipped; NULL when the text ends first */
static const char *skip_value(const char *at, const char *end)
{
	u32 depth = 0;

	for (; at < end; at++) {
		if (*at == '"') {
			at = skip_string(at, end);
			if (!at)
				return NULL;
			at--;
		} else if (*at == '[' || *at == '{') {
			depth++;
		} else if (*at == ']' || *at == '}') {
			if (!depth)
				return at;
			if (!--depth)
				return at + 1;
		} else if (!depth && *at == ',') {
			return at;
		}
	}
	return depth ? NULL : at;
}

static int compare_names(const char *a, u32 a_bytes, const char *b, u32 b_bytes)
{
	int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);

	return order ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

/* put the reader on the object's member with the least name after the last one; false: there is none, or bad text */
static bool next_member(struct parse *p, struct level *level, bool *bad)
{
	const char *end = p->at.end, *best = NULL, *value = NULL, *name, *close;
	struct kjax_reader r = { level->begin, end };
	u32 best_bytes = 0, bytes;

	while (!kjax_json_token(&r, '}')) {
		kjax_json_token(&r, ',');
		skip_space(&r);
		name = r.at + 1;
		close = skip_string(r.at, end);
		*bad = !close;
		if (*bad)
			return false;
		bytes = (u32)(close - 1 - name);
		r.at = close;
		*bad = !kjax_json_token(&r, ':');
		if (*bad)
			return false;
		skip_space(&r);
		if ((!level->last || compare_names(name, bytes, level->last, level->last_bytes) > 0) &&
		    (!best || compare_names(name, bytes, best, best_bytes) < 0)) {
			best = name;
			best_bytes = bytes;
			value = r.at;
		}
		r.at = skip_value(r.at, end);
		*bad = !r.at;
		if (*bad)
			return false;
	}
	p->at.at = best ? value : r.at;
	level->last = best ? best : level->last;
	level->last_bytes = best ? best_bytes : level->last_bytes;
	return best;
}

/* put the reader on the next value inside the open levels, closing those that are done; false: no more, or bad text */
static bool next_value(struct parse *p, bool *bad)
{
	struct level *level;

	*bad = false;
	while (p->depth) {
		level = &p->levels[p->depth - 1];
		if (level->is_object) {
			if (next_member(p, level, bad))
				return true;
			if (*bad)
				return false;
		} else if (!kjax_json_token(&p->at, ']')) {
			if (level->started && !kjax_json_token(&p->at, ',')) {
				*bad = true;
				return false;
			}
			level->started = true;
			return true;
		}
		p->depth--;	/* the reader is behind the closing bracket */
	}
	return false;
}

static bool open_level(struct parse *p)
{
	bool is_object = !kjax_json_token(&p->at, '[');

	if ((is_object && !kjax_json_token(&p->at, '{')) || p->depth == MAX_NESTING)
		return false;
	p->levels[p->depth++] = (struct level){ .begin = p->at.at, .is_object = is_object };
	return true;
}

/* next input from the text: step over values, opening the lists and objects that are not it */
static int read_one(struct parse *p, struct kjax_buffer *buffer, u32 number)
{
	const struct kjax_shape shape = { .dtype = buffer->dtype, .rank = buffer->rank, .dims = buffer->dims };
	struct kjax_reader start;
	bool bad;

	while (next_value(p, &bad)) {
		start = p->at;
		if (kjax_json_read(&p->at, &shape, buffer->data))
			return 0;
		p->at = start;
		if (!open_level(p))
			return kjx_fail(KJX_BAD_CALL, "argument %u: the text at byte %zd is not an array of the type and shape "
					"that the program takes (%s, rank %u)", number, start.at - p->text,
					kjx_dtype_name(buffer->dtype), buffer->rank);
	}
	if (bad)
		return kjx_fail(KJX_BAD_CALL, "arguments: bad JSON at byte %zd", p->at.at - p->text);
	return kjx_fail(KJX_BAD_CALL, "arguments: the program takes more arrays than the %u in the text", number);
}

static void free_all(struct kjax_buffer **buffers, u32 n)
{
	while (n--) {
		kjax_buffer_free(buffers[n]);
		buffers[n] = NULL;
	}
}

int kjx_read_arguments(const struct kjx_program *program, const char *json, struct kjax_buffer **inputs)
{
	struct parse p = { .at = { json, json + strlen(json) }, .text = json };
	u32 n = program->facts.n_inputs, i;
	bool bad;
	int status = 0;

	skip_space(&p.at);
	if (p.at.at == p.at.end || *p.at.at != '[' || !open_level(&p))
		return kjx_fail(KJX_BAD_CALL, "arguments must be a JSON list, one member for each argument");
	for (i = 0; i < n && !status; i++) {
		inputs[i] = kjx_buffer_of(program->inputs[i].dtype, program->facts.lanes, program->inputs[i].rank,
					  program->inputs[i].dims);
		status = inputs[i] ? read_one(&p, inputs[i], i) : kjx_fail(KJX_NO_MEMORY, "no memory for argument %u", i);
	}
	/* empty containers may follow (pytrees without arrays), other values may not */
	while (!status && next_value(&p, &bad))
		if (!open_level(&p))
			status = kjx_fail(KJX_BAD_CALL, "arguments: the program takes %u arrays, and the text has more", n);
	if (!status && (bad || (skip_space(&p.at), p.at.at != p.at.end)))
		status = kjx_fail(KJX_BAD_CALL, "arguments: bad JSON at byte %zd", p.at.at - json);
	if (status)
		free_all(inputs, i);
	return status;
}

static bool write_list(struct kjax_writer *w, const struct kjax_values *values)
{
	u32 i;

	kjax_json_put(w, '[');
	for (i = 0; i < values->count; i++) {
		const struct kjax_buffer *b = values->at[i];
		const struct kjax_shape shape = { .dtype = b->dtype, .rank = b->rank, .dims = b->dims };

		if (i)
			kjax_json_put(w, ',');
		if (!kjax_json_write(w, &shape, b->data)) {
			kjx_fail(KJX_BAD_CALL, "result %u: %s has no text; kjax_evaluate() gives its bytes", i,
				 kjx_dtype_name(b->dtype));
			return false;
		}
	}
	kjax_json_put(w, ']');
	return true;
}

char *kjx_write_values(const struct kjax_values *values)
{
	struct kjax_writer count = { 0 }, w = { 0 };

	if (!write_list(&count, values))
		return NULL;
	w.text = malloc(count.needed + 1);
	w.capacity = count.needed;
	if (!w.text) {
		kjx_fail(KJX_NO_MEMORY, "no memory for the text of the results");
		return NULL;
	}
	write_list(&w, values);
	w.text[count.needed] = 0;
	return w.text;
}
