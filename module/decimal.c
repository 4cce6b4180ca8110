// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Decimal and binary floating point, exactly.
 *
 * Everything is done on one natural number of up to 2,560 bits, so that nothing is rounded before the end. To divide
 * by 10^k, divide by 10^9 as often as it takes: floor(floor(x/a)/b) = floor(x/(a*b)), and a remainder anywhere means
 * that the quotient is inexact ("sticky"), which is all that rounding needs to know.
 */
#include "decimal.h"

const struct kjax_float_format kjax_f16 = { 11, -14, 16, 5 };
const struct kjax_float_format kjax_bf16 = { 8, -126, 16, 4 };
const struct kjax_float_format kjax_f32 = { 24, -126, 32, 9 };
const struct kjax_float_format kjax_f64 = { 53, -1022, 64, 17 };

#define WORDS 80
#define BILLION 1000000000u

/* @n words in use, the last one not zero; the others are zero */
struct natural {
	u32 n;
	u32 word[WORDS];
};

static void multiply_add(struct natural *x, u32 factor, u32 addend)
{
	u64 carry = addend;
	u32 i;

	for (i = 0; i < x->n; i++) {
		carry += (u64)x->word[i] * factor;
		x->word[i] = carry;
		carry >>= 32;
	}
	if (carry && x->n < WORDS)
		x->word[x->n++] = carry;
}

/* Return: true when there was a remainder. No 64-bit division by a variable: 32-bit kernels have none. */
static bool divide(struct natural *x, u32 by)
{
	u64 rest = 0;
	u32 i;

	for (i = x->n; i-- > 0;) {
		rest = rest << 32 | x->word[i];
		x->word[i] = rest / by;
		rest %= by;
	}
	while (x->n && !x->word[x->n - 1])
		x->n--;
	return rest;
}

static void shift_left(struct natural *x, u32 bits)
{
	u32 words = bits / 32, i;

	for (bits %= 32; bits; bits--)
		multiply_add(x, 2, 0);
	if (!x->n || !words)
		return;
	for (i = x->n; i-- > 0;)
		if (i + words < WORDS)
			x->word[i + words] = x->word[i];
	for (i = 0; i < words; i++)
		x->word[i] = 0;
	x->n = x->n + words < WORDS ? x->n + words : WORDS;
}

static void scale(struct natural *x, u32 power)
{
	for (; power >= 9; power -= 9)
		multiply_add(x, BILLION, 0);
	for (; power; power--)
		multiply_add(x, 10, 0);
}

static bool unscale(struct natural *x, u32 power)
{
	bool sticky = false;

	for (; power >= 9; power -= 9)
		sticky |= divide(x, BILLION);
	for (; power; power--)
		sticky |= divide(x, 10);
	return sticky;
}

static u32 bit_length(const struct natural *x)
{
	return x->n ? 32 * x->n - __builtin_clz(x->word[x->n - 1]) : 0;
}

static u32 bit_at(const struct natural *x, u32 i)
{
	return i / 32 < x->n ? x->word[i / 32] >> i % 32 & 1 : 0;
}

static bool any_below(const struct natural *x, u32 bits)
{
	u32 i;

	for (i = 0; i < bits && i / 32 < x->n; i++)
		if (bit_at(x, i))
			return true;
	return false;
}

/* x / 2^drop to the nearest integer, ties to even; @sticky: x is a little more than it says. The result fits. */
static u64 round_off(const struct natural *x, u32 drop, bool sticky)
{
	u64 value = 0;
	u32 i;

	for (i = bit_length(x); i > drop; i--)
		value = value << 1 | bit_at(x, i - 1);
	if (drop && bit_at(x, drop - 1) && (sticky || any_below(x, drop - 1) || (value & 1)))
		value++;
	return value;
}

static bool is_digit(const char *at, const char *end)
{
	return at < end && *at >= '0' && *at <= '9';
}

static void add_digit(struct kjax_decimal *d, u32 digit, bool fraction)
{
	if (!digit && !d->n_digits) {
		d->exponent -= fraction;	/* a leading zero */
	} else if (d->n_digits < KJAX_DECIMAL_DIGITS) {
		d->digits[d->n_digits++] = digit;
		d->exponent -= fraction;
	} else {
		d->sticky |= digit != 0;
		d->exponent += !fraction;
	}
}

#define EXPONENT_MAX 100000	/* far outside every format, far inside s32 */

bool kjax_decimal_read(const char **text, const char *end, struct kjax_decimal *d)
{
	const char *at = *text;
	s32 exponent = 0;
	bool minus;

	*d = (struct kjax_decimal){ .integral = true };
	d->negative = at < end && *at == '-';
	at += d->negative;
	if (!is_digit(at, end) || (*at == '0' && is_digit(at + 1, end)))
		return false;
	for (; is_digit(at, end); at++)
		add_digit(d, *at - '0', false);
	if (at < end && *at == '.') {
		d->integral = false;
		if (!is_digit(++at, end))
			return false;
		for (; is_digit(at, end); at++)
			if (d->exponent > -EXPONENT_MAX)
				add_digit(d, *at - '0', true);
	}
	if (at < end && (*at == 'e' || *at == 'E')) {
		d->integral = false;
		at++;
		minus = at < end && *at == '-';
		if (at < end && (*at == '-' || *at == '+'))
			at++;
		if (!is_digit(at, end))
			return false;
		for (; is_digit(at, end); at++)
			if (exponent < EXPONENT_MAX)
				exponent = 10 * exponent + (*at - '0');
		d->exponent += minus ? -exponent : exponent;
	}
	*text = at;
	return true;
}

static void from_digits(struct natural *x, const struct kjax_decimal *d)
{
	u32 i;

	kjx_memset(x, 0, sizeof(*x));
	for (i = 0; i < d->n_digits; i++)
		multiply_add(x, 10, d->digits[i]);
}

static u64 infinity(const struct kjax_float_format *f)
{
	return ((1ull << (f->width - f->precision)) - 1) << (f->precision - 1);
}

u64 kjax_decimal_to_float(const struct kjax_decimal *d, const struct kjax_float_format *f)
{
	u64 sign = (u64)d->negative << (f->width - 1), bits;
	s32 magnitude = d->exponent + (s32)d->n_digits, top, keep, drop;
	bool sticky = d->sticky;
	struct natural x;
	u32 scaled = 0;

	if (!d->n_digits || magnitude < -400)
		return sign;
	if (magnitude > 400)
		return sign | infinity(f);
	from_digits(&x, d);
	if (d->exponent >= 0) {
		scale(&x, d->exponent);
	} else {
		/* 10^k < 2^(4k): at least 64 bits of quotient remain */
		scaled = 64 - 4 * d->exponent;
		if (scaled > 32 * WORDS - 256)
			scaled = 32 * WORDS - 256;
		shift_left(&x, scaled);
		sticky |= unscale(&x, -d->exponent);
	}
	/* the value is x / 2^scaled, in [2^top, 2^(top + 1)) */
	top = (s32)bit_length(&x) - 1 - (s32)scaled;
	keep = top >= f->emin ? f->precision : f->precision - (f->emin - top);
	if (keep < 0)
		return sign;
	drop = (s32)bit_length(&x) - keep;
	if (drop < 0) {
		shift_left(&x, -drop);
		drop = 0;
	}
	bits = round_off(&x, drop, sticky);
	if (top >= f->emin) {
		if (top > 1 - f->emin)
			return sign | infinity(f);
		bits += (u64)(top - f->emin) << (f->precision - 1);	/* a carry goes into the exponent by itself */
	}
	return sign | bits;
}

bool kjax_decimal_to_integer(const struct kjax_decimal *d, u64 *value)
{
	u64 limit = d->negative ? 1ull << 63 : ~0ull, v = 0;
	u32 i;

	if (!d->integral || d->sticky || d->exponent)
		return false;
	for (i = 0; i < d->n_digits; i++)
		if (__builtin_mul_overflow(v, 10ull, &v) || __builtin_add_overflow(v, (u64)d->digits[i], &v))
			return false;
	if (v > limit)
		return false;
	*value = d->negative ? 0 - v : v;
	return true;
}

/* significand * 2^exponent to @n digits, rounded: an integer in [10^(n-1), 10^n), times 10^*@power */
static u64 to_digits(u64 significand, s32 exponent, u32 n, s32 *power)
{
	u32 length = 64 - __builtin_clzll(significand), i;
	s32 estimate = ((s32)length - 1 + exponent) * 30103;
	s32 log10 = estimate >= 0 ? estimate / 100000 : -((99999 - estimate) / 100000);
	u64 low = 1, value;
	struct natural x;

	for (i = 1; i < n; i++)
		low *= 10;
	for (;;) {
		s32 t = (s32)n - 1 - log10;
		bool sticky = false;

		kjx_memset(&x, 0, sizeof(x));
		x.word[0] = significand;
		x.word[1] = significand >> 32;
		x.n = x.word[1] ? 2 : 1;
		if (t >= 0)
			scale(&x, t);
		/* one bit more, to round by */
		if (exponent >= -1)
			shift_left(&x, exponent + 1);
		if (t < 0)
			sticky = unscale(&x, -t);
		value = round_off(&x, exponent >= -1 ? 1 : -exponent, sticky);
		if (value >= 10 * low)
			log10++;
		else if (value < low)
			log10--;
		else
			break;
	}
	*power = log10 - ((s32)n - 1);
	return value;
}

static u32 write_number(char *text, u64 value, u32 min_digits)
{
	char digits[20];
	u32 n = 0, i;

	do {
		digits[n++] = '0' + value % 10;
		value /= 10;
	} while (value || n < min_digits);
	for (i = 0; i < n; i++)
		text[i] = digits[n - 1 - i];
	return n;
}

/* digits * 10^power, plain where that is short, else with an exponent */
static u32 lay_out(char *text, u64 value, s32 power)
{
	char digits[20];
	u32 n = write_number(digits, value, 1), at = 0;
	s32 point = (s32)n + power;	/* digits before the point */

	if (point > 0 && point <= 16) {
		for (at = 0; (s32)at < point; at++)
			text[at] = at < n ? digits[at] : '0';
		text[at++] = '.';
		if ((s32)n <= point)
			text[at++] = '0';
		for (; point < (s32)n; point++)
			text[at++] = digits[point];
	} else if (point <= 0 && point > -4) {
		text[at++] = '0';
		text[at++] = '.';
		for (; point < 0; point++)
			text[at++] = '0';
		kjx_memcpy(text + at, digits, n);
		at += n;
	} else {
		text[at++] = digits[0];
		if (n > 1) {
			text[at++] = '.';
			kjx_memcpy(text + at, digits + 1, n - 1);
			at += n - 1;
		}
		text[at++] = 'e';
		text[at++] = point - 1 < 0 ? '-' : '+';
		at += write_number(text + at, point - 1 < 0 ? 1 - point : point - 1, 2);
	}
	return at;
}

static u32 write_word(char *text, const char *word)
{
	u32 n = 0;

	for (; word[n]; n++)
		text[n] = word[n];
	text[n] = 0;
	return n;
}

static void read_back(struct kjax_decimal *d, u64 value, s32 power)
{
	char digits[20];
	u32 i;

	*d = (struct kjax_decimal){ .exponent = power };
	d->n_digits = write_number(digits, value, 1);
	for (i = 0; i < d->n_digits; i++)
		d->digits[i] = digits[i] - '0';
}

u32 kjax_decimal_write(u64 bits, const struct kjax_float_format *f, char text[KJAX_DECIMAL_TEXT])
{
	u64 magnitude = bits & ((1ull << (f->width - 1)) - 1), significand, value;
	u32 biased = magnitude >> (f->precision - 1), minus = bits >> (f->width - 1) & 1, n;
	struct kjax_decimal d;
	s32 power;

	if (magnitude > infinity(f))
		return write_word(text, "NaN");
	text[0] = '-';
	text += minus;
	if (magnitude == infinity(f))
		return minus + write_word(text, "Infinity");
	if (!magnitude)
		return minus + write_word(text, "0.0");
	significand = magnitude & ((1ull << (f->precision - 1)) - 1);
	if (biased)
		significand |= 1ull << (f->precision - 1);
	/* of a normal number any text of three digits less survives the way there and back, so a shorter
	 * one shows as trailing zeros */
	for (n = biased && f->digits > 5 ? f->digits - 3 : 1; ; n++) {
		value = to_digits(significand, (s32)(biased ? biased - 1 : 0) + f->emin - (f->precision - 1), n, &power);
		read_back(&d, value, power);
		if (n == f->digits || kjax_decimal_to_float(&d, f) == magnitude)
			break;
		/* below a power of two floats lie closer together: the nearest text may miss it, the next one up not */
		read_back(&d, ++value, power);
		if (kjax_decimal_to_float(&d, f) == magnitude)
			break;
	}
	for (; !(value % 10); value /= 10)
		power++;
	n = lay_out(text, value, power);
	text[n] = 0;
	return minus + n;
}
