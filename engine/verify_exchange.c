// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Exchanges between lanes. The table is read by every lane to find its partners' contributions, so each entry is a
 * lane that exists, and a group's places are all taken once: nobody waits for a lane that does not come.
 */
#include "verify.h"

/* places of groups, one bit each: group * group_size + place < lanes <= 64 */
static enum kjx_status verify_groups(struct kjx_verifier *v, const struct kjx_exchange *e, u32 lanes)
{
	const u32 *table = kjx_exchange_table(e);
	u64 taken = 0;
	u32 l;

	if (lanes % e->group_size)
		return kjx_refuse(v, KJX_BAD_OPERAND, "%u lanes cannot form groups of %u", lanes, e->group_size);
	for (l = 0; l < lanes; l++) {
		u32 group = table[l] >> 16, place = table[l] & 0xffff, seat;

		if (place >= e->group_size || group >= lanes / e->group_size)
			return kjx_refuse(v, KJX_BAD_OPERAND, "lane %u is at place %u of group %u", l, place, group);
		seat = group * e->group_size + place;
		if (taken >> seat & 1)
			return kjx_refuse(v, KJX_BAD_OPERAND, "lane %u is at place %u of group %u, which is taken", l, place,
					  group);
		taken |= 1ull << seat;
	}
	return KJX_OK;
}

static enum kjx_status verify_table(struct kjx_verifier *v, const struct kjx_exchange *e, u32 lanes)
{
	const u32 *table = kjx_exchange_table(e);
	u32 l;

	if (lanes % 2 && table[lanes])
		return kjx_refuse(v, KJX_RESERVED_SET, "the padding after the lane table is not zero");
	if (e->kind == KJX_EXCHANGE_ALL_GATHER)
		return verify_groups(v, e, lanes);
	for (l = 0; l < lanes; l++) {
		if (e->kind == KJX_EXCHANGE_LANE_ID && table[l])
			return kjx_refuse(v, KJX_RESERVED_SET, "the lane table is not zero, but nothing is exchanged");
		if (e->kind == KJX_EXCHANGE_PERMUTE && table[l] >= lanes && table[l] != KJX_NO_LANE)
			return kjx_refuse(v, KJX_BAD_OPERAND, "lane %u receives from lane %u of %u", l, table[l], lanes);
	}
	return KJX_OK;
}

static enum kjx_status verify_lane_id(struct kjx_verifier *v, const struct kjx_exchange *e)
{
	if (e->in != KJX_NO_TENSOR)
		return kjx_refuse(v, KJX_BAD_OPERAND, "lane_id has no input, but names tensor %u", e->in);
	if (kjx_tensor_dtype(v, e->out) != KJX_DTYPE_U32)
		return kjx_refuse(v, KJX_BAD_DTYPE, "lane_id gives u32, the tensor has dtype %u", kjx_tensor_dtype(v, e->out));
	if (kjx_tensor_elements(v, e->out) != 1)
		return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "lane_id gives one element, the tensor has %u",
				  kjx_tensor_elements(v, e->out));
	return KJX_OK;
}

enum kjx_status kjx_verify_exchange(struct kjx_verifier *v, const struct kjx_exchange *e)
{
	u32 lanes = v->image.header->lanes;
	const struct kjx_tensor *in, *out;
	struct kjx_extent written, read;
	u64 copies;

	KJX_TRY(kjx_verify_length(v, sizeof(*e) + kjx_align_up(4ul * lanes, 8)));
	if (e->zero)
		return kjx_refuse(v, KJX_RESERVED_SET, "a reserved field is not zero");
	if (e->kind < KJX_EXCHANGE_ALL_GATHER || e->kind > KJX_EXCHANGE_LANE_ID)
		return kjx_refuse(v, KJX_BAD_OPCODE, "unknown kind of exchange %u", e->kind);
	if (!e->group_size || e->group_size > lanes)
		return kjx_refuse(v, KJX_BAD_OPCODE, "groups of %u lanes, there are %u", e->group_size, lanes);
	KJX_TRY(verify_table(v, e, lanes));
	KJX_TRY(kjx_verify_tensor_operand(v, e->out, 1));
	KJX_TRY(kjx_verify_writable(v, e->out, 1));
	if (e->kind == KJX_EXCHANGE_LANE_ID)
		return verify_lane_id(v, e);
	KJX_TRY(kjx_verify_tensor_operand(v, e->in, 0));
	in = &v->image.tensors[e->in];
	out = &v->image.tensors[e->out];
	if (in->dtype != out->dtype)
		return kjx_refuse(v, KJX_BAD_DTYPE, "dtype %u is sent, %u received", in->dtype, out->dtype);
	copies = e->kind == KJX_EXCHANGE_ALL_GATHER ? e->group_size : 1;
	if (out->bytes != in->bytes * copies)		/* both at most 2^40, copies at most 64 */
		return kjx_refuse(v, KJX_OUT_OF_BOUNDS, "%u bytes from each of %u lanes do not fill %u bytes", in->bytes, copies,
				  out->bytes);
	written = kjx_tensor_extent(v, e->out);
	read = kjx_tensor_extent(v, e->in);
	if (kjx_extents_meet(&written, &read))
		return kjx_refuse(v, KJX_BAD_OVERLAP, "what is received overwrites what is sent");
	return KJX_OK;
}
