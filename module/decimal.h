/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Decimal text to floating-point bits and back, in integer arithmetic: usable where vector registers are not.
 * Depends on port.h only.
 */
#ifndef KJAX_DECIMAL_H
#define KJAX_DECIMAL_H

#include <port.h>	/* by include path: host/ in user-space tests */

#define KJAX_DECIMAL_DIGITS 64		/* further digits count for rounding only */
#define KJAX_DECIMAL_TEXT 32		/* bytes that kjax_decimal_write() may write, NUL included */

/** struct kjax_decimal - a JSON number as written: digits * 10^exponent
 * @sticky:	digits that are not all zero were cut off
 * @integral:	written without fraction and exponent
 */
struct kjax_decimal {
	s32 exponent;
	u32 n_digits;
	bool negative, sticky, integral;
	u8 digits[KJAX_DECIMAL_DIGITS];
};

/** struct kjax_float_format - an IEEE binary format
 * @precision:	bits of the significand, the hidden one included (at most 53)
 * @emin:	exponent of the smallest normal number
 * @digits:	decimal digits that tell any two values apart
 */
struct kjax_float_format {
	u8 precision;
	s16 emin;
	u8 width, digits;
};

extern const struct kjax_float_format kjax_f16, kjax_bf16, kjax_f32, kjax_f64;

/** kjax_decimal_read - parse the JSON number at *@text and move *@text behind it; false: there is none */
bool kjax_decimal_read(const char **text, const char *end, struct kjax_decimal *d);

/** kjax_decimal_to_float - the nearest value, ties to even, as bits; overflow gives infinity */
u64 kjax_decimal_to_float(const struct kjax_decimal *d, const struct kjax_float_format *format);

/** kjax_decimal_to_integer - false when it is no integer, or not in [-2^63, 2^64) ; *@value is its two's complement */
bool kjax_decimal_to_integer(const struct kjax_decimal *d, u64 *value);

/** kjax_decimal_write - the shortest text (of at most 17 digits) that reads back as the same bits
 * NaN, Infinity and -Infinity as Python's json writes them. Return: its length
 */
u32 kjax_decimal_write(u64 bits, const struct kjax_float_format *format, char text[KJAX_DECIMAL_TEXT]);

#endif
