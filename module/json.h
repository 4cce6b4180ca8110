/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Arrays as JSON text: nested lists of numbers of a known dtype and shape. Depends on port.h only. */
#ifndef KJAX_JSON_H
#define KJAX_JSON_H

#include <port.h>	/* by include path: host/ in user-space tests */

/** struct kjax_shape - what an array is
 * @dtype:	KJX_DTYPE_*: i1, 8- to 64-bit integers, f16, bf16, f32, f64
 */
struct kjax_shape {
	u32 dtype, rank;
	const u64 *dims;
};

/** struct kjax_reader - text being read; @end is one past its last byte */
struct kjax_reader {
	const char *at, *end;
};

/** struct kjax_writer - text being written, like snprintf(): @needed counts all of it, without a NUL */
struct kjax_writer {
	char *text;
	u64 capacity, needed;
};

/** kjax_json_token - skip white space, and @c if it is next; false: it is not */
bool kjax_json_token(struct kjax_reader *r, char c);

/** kjax_json_read - a nested list of exactly that shape (a bare value for rank 0) into @data
 * Integers must be in range, i1 takes true, false, 0 and 1; floats take NaN, Infinity and -Infinity too.
 * Return: false at the first thing that does not fit, with @r there
 */
bool kjax_json_read(struct kjax_reader *r, const struct kjax_shape *shape, void *data);

/** kjax_json_write - false for a dtype that has no text (complex, narrow floats) */
bool kjax_json_write(struct kjax_writer *w, const struct kjax_shape *shape, const void *data);
bool kjax_json_has_text(u32 dtype);
void kjax_json_put(struct kjax_writer *w, char c);

#endif
