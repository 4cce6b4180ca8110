// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Keys of a sort. Two's complement becomes unsigned by turning the sign bit over; sign and magnitude by turning over
 * the sign bit of positive and all bits of negative numbers. Both leave every bit of the element recoverable, but
 * where zeros or NaNs count as equal the key forgets them: then the payload still names the element.
 */
#include "sort.h"

void kjx_sort_key_set(struct kjx_sort_key *key, u32 dtype, bool descending, bool total)
{
	const u32 bits = 8u * kjx_dtype_size[dtype];
	const u8 kind = kjx_dtype_kind[dtype];

	kjx_memset(key, 0, sizeof(*key));
	key->mask = bits == 64 ? ~0ull : (1ull << bits) - 1;
	key->is_float = kind == 'f';
	key->total = total;
	key->sign = kind == 'i' || kind == 'f' ? 1ull << (bits - 1) : 0;
	key->nan_above = ~0ull;
	switch (dtype) {
	case KJX_DTYPE_F16:
		key->nan_above = 0x7c00;
		break;
	case KJX_DTYPE_BF16:
		key->nan_above = 0x7f80;
		break;
	case KJX_DTYPE_F32:
		key->nan_above = 0x7f800000;
		break;
	case KJX_DTYPE_F64:
		key->nan_above = 0x7ff0000000000000ull;
		break;
	case KJX_DTYPE_F8E4M3FN:
		key->nan_above = 0x7e;
		break;
	case KJX_DTYPE_F8E5M2:
		key->nan_above = 0x7c;
		break;
	case KJX_DTYPE_F8E4M3:
		key->nan_above = 0x78;
		break;
	case KJX_DTYPE_F8E3M4:
		key->nan_above = 0x70;
		break;
	case KJX_DTYPE_F8E4M3B11FNUZ:
	case KJX_DTYPE_F8E4M3FNUZ:
	case KJX_DTYPE_F8E5M2FNUZ:
		key->nan_is_sign = true;
		break;
	case KJX_DTYPE_F8E8M0FNU:
		key->sign = 0;
		key->nan_above = 0xfe;
		break;
	case KJX_DTYPE_F4E2M1FN:
		key->mask = 0xf;
		key->sign = 0x8;
		break;
	case KJX_DTYPE_F6E2M3FN:
	case KJX_DTYPE_F6E3M2FN:
		key->mask = 0x3f;
		key->sign = 0x20;
		break;
	}
	key->flip = descending ? key->mask : 0;
}

static kjx_always_inline void build(const struct kjx_sort_key *k, u64 *records, bool wide, const u8 *in, s64 step,
				    u32 log2_size, u64 first, u64 n, bool ordered, bool is_float, bool total)
{
	u64 i;

	for (i = first; i < first + n; i++) {
		const u64 number = ordered ? kjx_record_payload(records, i, wide) : i;
		const u64 bits = kjx_bits_load(in + (s64)number * step, log2_size);
		const u64 key = kjx_key_of(k, bits, is_float, total);

		if (wide) {
			records[2 * i] = key;
			records[2 * i + 1] = number;
		} else {
			records[i] = key << 32 | number;
		}
	}
}

void kjx_sort_records(const struct kjx_sort_key *key, u64 *records, bool wide, const u8 *in, s64 step, u32 log2_size,
		      u64 first, u64 n, bool ordered)
{
	/* the common ones get loops of their own */
	if (!wide && log2_size == 2 && !ordered && key->is_float && !key->total)
		build(key, records, false, in, step, 2, first, n, false, true, false);
	else if (!wide && log2_size == 2 && !ordered && !key->is_float)
		build(key, records, false, in, step, 2, first, n, false, false, false);
	else
		build(key, records, wide, in, step, log2_size, first, n, ordered, key->is_float, key->total);
}
