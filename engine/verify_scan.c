// SPDX-License-Identifier: MIT OR GPL-2.0
/* Scans: an associative operation on one type; the result overlaps nothing but, as the same view, what it replaces. */
#include "verify.h"

static bool is_scanned(u32 op)
{
	switch (op) {
	case KJX_OP_ADD:
	case KJX_OP_MUL:
	case KJX_OP_MAX:
	case KJX_OP_MIN:
	case KJX_OP_AND:
	case KJX_OP_OR:
	case KJX_OP_XOR:
		return true;
	}
	return false;
}

enum kjx_status kjx_verify_scan(struct kjx_verifier *v, const struct kjx_scan *s)
{
	const struct kjx_operand *in, *out;
	const u64 *dims = kjx_scan_dims(s);
	struct kjx_extent read, written;
	u32 dtype = s->code & ((1u << KJX_DTYPE_BITS) - 1), i;

	if (s->rank < 1 || s->rank > KJX_MAX_RANK)
		return kjx_refuse(v, KJX_BAD_RANK, "rank %u, it may be 1 to %u", s->rank, KJX_MAX_RANK);
	KJX_TRY(kjx_verify_length(v, sizeof(*s) + 8ul * s->rank + 2 * (sizeof(*in) + 8ul * s->rank)));
	if (s->zero)
		return kjx_refuse(v, KJX_RESERVED_SET, "a reserved field is not zero");
	if (s->code >= KJX_UOP_CODES || !kjx_uop_rows[s->code].form || !is_scanned(s->code >> KJX_DTYPE_BITS) ||
	    kjx_dtype_kind[dtype] == 'c')
		return kjx_refuse(v, KJX_BAD_UOP, "nothing is scanned by operation %u on dtype %u", s->code >> KJX_DTYPE_BITS,
				  dtype);
	KJX_TRY(kjx_verify_dims(v, dims, s->rank));
	in = kjx_scan_operand(s, 0);
	out = kjx_scan_operand(s, 1);
	for (i = 0; i < 2; i++) {
		const struct kjx_operand *o = kjx_scan_operand(s, i);

		KJX_TRY(kjx_verify_view(v, o, i, dims, s->rank));
		if (kjx_tensor_dtype(v, o->tensor) != dtype)
			return kjx_refuse(v, KJX_BAD_DTYPE, "operand %u has dtype %u, the scan %u", i,
					  kjx_tensor_dtype(v, o->tensor), dtype);
	}
	KJX_TRY(kjx_verify_writable(v, out->tensor, 1));
	KJX_TRY(kjx_verify_injective(v, out, 1, dims, s->rank, 0, 0));
	read = kjx_view_extent(v, in, dims, s->rank);
	written = kjx_view_extent(v, out, dims, s->rank);
	if (kjx_extents_meet(&read, &written) && !kjx_views_equal(v, in, out, dims, s->rank))
		return kjx_refuse(v, KJX_BAD_OVERLAP, "the result overlaps the operand");
	return KJX_OK;
}
