// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The sentences of a refusal, without a library. Values come as an array of u64, so that nothing here
 * is variadic: a variadic function saves vector registers, which the kernel's general code must not touch.
 */
#include "image.h"

void kjx_log_start(struct kjx_log *log)
{
	if (!log)
		return;
	log->needed = 1;
	if (log->text && log->capacity)
		log->text[0] = 0;
}

static void append(struct kjx_log *log, char c)
{
	u32 at = log->needed - 1;

	if (log->needed == ~0u)
		return;
	if (log->text && log->needed < log->capacity) {
		log->text[at] = c;
		log->text[at + 1] = 0;
	}
	log->needed++;
}

static void append_number(struct kjx_log *log, u64 x)
{
	char digits[20];
	u32 n = 0;

	do {
		digits[n++] = (char)('0' + x % 10);
		x /= 10;
	} while (x);
	while (n)
		append(log, digits[--n]);
}

void kjx_log_format(struct kjx_log *log, const char *format, const u64 *values)
{
	const char *text;

	if (!log)
		return;
	for (; *format; format++) {
		if (*format != '%') {
			append(log, *format);
			continue;
		}
		switch (*++format) {
		case 'd':
			if ((s64)*values < 0) {
				append(log, '-');
				append_number(log, 0 - *values++);
				break;
			}
			append_number(log, *values++);
			break;
		case 's':
			for (text = (const char *)(size_t)*values++; *text; text++)
				append(log, *text);
			break;
		default:
			append_number(log, *values++);
		}
	}
}
