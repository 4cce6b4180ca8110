// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Bodies: straight-line micro-programs over strip registers. One pass keeps the dtype of what each
 * register holds; a read of a register that holds nothing, or something else than the operation takes, is
 * refused. So a routine never sees a strip of another type, and never memory that this run has not written.
 */
#include "verify.h"

enum kjx_status kjx_verify_body_place(struct kjx_verifier *v, u32 first, u64 n)
{
	u32 there = v->image.n_uops;

	if (n > KJX_MAX_UOPS)
		return kjx_refuse(v, KJX_BAD_BODY, "a body of %u micro-operations, the limit is %u", n, KJX_MAX_UOPS);
	if (first > there || n > there - first)
		return kjx_refuse(v, KJX_BAD_BODY, "micro-operations %u to %u of %u", first, first + n, there);
	return KJX_OK;
}

enum kjx_status kjx_verify_result(struct kjx_verifier *v, const struct kjx_body_state *b, u32 r, u32 dtype)
{
	if (!b->dtype[r])
		return kjx_refuse(v, KJX_BAD_BODY, "the body leaves nothing in register %u", r);
	if (b->dtype[r] != dtype)
		return kjx_refuse(v, KJX_BAD_DTYPE, "the body leaves dtype %u in register %u, it must be %u", b->dtype[r], r,
				  dtype);
	return KJX_OK;
}

static enum kjx_status verify_register(struct kjx_verifier *v, const struct kjx_body_state *b, u32 at, u32 r)
{
	if (r >= b->n_regs)
		return kjx_refuse(v, KJX_BAD_REGISTER, "micro-operation %u: register %u of %u", at, r, b->n_regs);
	if (r < b->locked)
		return kjx_refuse(v, KJX_BAD_REGISTER, "micro-operation %u: register %u belongs to the accumulators", at, r);
	return KJX_OK;
}

static enum kjx_status verify_read(struct kjx_verifier *v, const struct kjx_body_state *b, u32 at, u32 r, u32 dtype)
{
	KJX_TRY(verify_register(v, b, at, r));
	if (!b->dtype[r])
		return kjx_refuse(v, KJX_BAD_REGISTER, "micro-operation %u reads register %u before it is written", at, r);
	if (b->dtype[r] != dtype)
		return kjx_refuse(v, KJX_BAD_DTYPE, "micro-operation %u takes dtype %u, register %u holds %u", at, dtype, r,
				  b->dtype[r]);
	return KJX_OK;
}

static enum kjx_status verify_write(struct kjx_verifier *v, struct kjx_body_state *b, u32 at, u32 r, u32 dtype)
{
	KJX_TRY(verify_register(v, b, at, r));
	b->dtype[r] = (u8)dtype;
	return KJX_OK;
}

static enum kjx_status verify_bitcast(struct kjx_verifier *v, struct kjx_body_state *b, u32 at, const struct kjx_uop *u)
{
	u32 from = kjx_uop_dtype(u), to = u->imm;

	if (to >= KJX_DTYPE_COUNT || !kjx_dtype_size[to])
		return kjx_refuse(v, KJX_BAD_UOP, "micro-operation %u: bitcast to the unknown dtype %u", at, to);
	if (kjx_dtype_size[from] != kjx_dtype_size[to])
		return kjx_refuse(v, KJX_BAD_DTYPE, "micro-operation %u: bitcast of dtype %u to %u of another size", at, from, to);
	/* an i1 is 0 or 1, which the bits of other types are not */
	if (to == KJX_DTYPE_I1 && from != KJX_DTYPE_I1)
		return kjx_refuse(v, KJX_BAD_DTYPE, "micro-operation %u: bitcast of dtype %u to i1", at, from);
	KJX_TRY(verify_read(v, b, at, u->a, from));
	return verify_write(v, b, at, u->dst, to);
}

static bool still_on_reduced(const struct kjx_nest *n, const struct kjx_operand *o)
{
	u32 k;

	for (k = n->red_first; k < (u32)n->red_first + n->red_count; k++)
		if (kjx_strides(o)[k])
			return false;
	return true;
}

/* load, store, iota: the operand's own bounds have been checked with the nest */
static enum kjx_status verify_access(struct kjx_verifier *v, struct kjx_body_state *b, enum kjx_body_kind kind, u32 at,
				     const struct kjx_uop *u)
{
	u32 op = kjx_uop_op(u), dtype = kjx_uop_dtype(u);
	const struct kjx_operand *o;

	if (kind == KJX_BODY_PURE)
		return kjx_refuse(v, KJX_BAD_UOP, "micro-operation %u touches memory in a body that has no views", at);
	if (u->imm >= b->nest->n_operands)
		return kjx_refuse(v, KJX_BAD_OPERAND, "micro-operation %u names operand %u of %u", at, u->imm,
				  b->nest->n_operands);
	o = kjx_nest_operand(b->nest, u->imm);
	if (kind == KJX_BODY_POST && !still_on_reduced(b->nest, o))
		return kjx_refuse(v, KJX_BAD_OPERAND, "micro-operation %u: operand %u moves along dims that are reduced by then", at,
				  u->imm);
	if ((op == KJX_OP_IOTA) != (o->tensor == KJX_NO_TENSOR))
		return kjx_refuse(v, KJX_BAD_OPERAND, "micro-operation %u: operand %u; iotas have no tensor, loads and stores do", at,
				  u->imm);
	if (op == KJX_OP_IOTA)
		return verify_write(v, b, at, u->dst, dtype);
	if (kjx_tensor_dtype(v, o->tensor) != dtype)
		return kjx_refuse(v, KJX_BAD_DTYPE, "micro-operation %u moves dtype %u, operand %u has %u", at, dtype, u->imm,
				  kjx_tensor_dtype(v, o->tensor));
	if (op == KJX_OP_LOAD)
		return verify_write(v, b, at, u->dst, dtype);
	KJX_TRY(verify_read(v, b, at, u->a, dtype));
	KJX_TRY(kjx_verify_writable(v, o->tensor, u->imm));
	*(kind == KJX_BODY_POST ? &b->stored_post : &b->stored) |= 1ull << u->imm;
	return KJX_OK;
}

/* bits of the fields that must be zero: 1 dst, 2 a, 4 b, 8 c, 16 imm */
static u32 unused_fields(u32 op, u32 form)
{
	switch (form) {
	case KJX_FORM_SPECIAL:
		return op == KJX_OP_STORE ? 1 | 4 | 8 : op == KJX_OP_BITCAST ? 4 | 8 : 2 | 4 | 8;
	case KJX_FORM_UNARY:
	case KJX_FORM_TEST:
	case KJX_FORM_CONVERT:
	case KJX_FORM_PART:
		return 4 | 8 | 16;
	case KJX_FORM_BINARY:
	case KJX_FORM_COMPARE:
	case KJX_FORM_JOIN:
		return 8 | 16;
	default:
		return 16;
	}
}

static u32 set_fields(const struct kjx_uop *u)
{
	return (u32)!!u->dst | (u32)!!u->a << 1 | (u32)!!u->b << 2 | (u32)!!u->c << 3 | (u32)!!u->imm << 4;
}

static enum kjx_status verify_uop(struct kjx_verifier *v, struct kjx_body_state *b, enum kjx_body_kind kind, u32 at)
{
	const struct kjx_uop *u = &v->image.uops[at];
	struct kjx_uop_row row = { 0 };
	u32 unused, dtype = kjx_uop_dtype(u), first = dtype;

	if (u->code < KJX_UOP_CODES)
		row = kjx_uop_rows[u->code];
	if (!row.form)
		return kjx_refuse(v, KJX_BAD_UOP, "micro-operation %u: there is no operation %u on dtype %u", at,
				  kjx_uop_op(u), dtype);
	unused = unused_fields(kjx_uop_op(u), row.form);
	if (set_fields(u) & unused)
		return kjx_refuse(v, KJX_BAD_UOP, "micro-operation %u: a field that operation %u does not use is not zero", at,
				  kjx_uop_op(u));
	if (row.form == KJX_FORM_SPECIAL)
		return kjx_uop_op(u) == KJX_OP_BITCAST ? verify_bitcast(v, b, at, u) : verify_access(v, b, kind, at, u);
	if (row.form == KJX_FORM_SELECT)
		first = KJX_DTYPE_I1;
	KJX_TRY(verify_read(v, b, at, u->a, first));
	if (!(unused & 4)) {
		KJX_TRY(verify_read(v, b, at, u->b, dtype));
		}
	if (!(unused & 8)) {
		KJX_TRY(verify_read(v, b, at, u->c, dtype));
		}
	return verify_write(v, b, at, u->dst, row.result);
}

/* operands by form; 0: the vm's own, or no form */
static const u8 arity_of[] = {
	[KJX_FORM_UNARY] = 1, [KJX_FORM_TEST] = 1, [KJX_FORM_CONVERT] = 1, [KJX_FORM_PART] = 1,
	[KJX_FORM_BINARY] = 2, [KJX_FORM_COMPARE] = 2, [KJX_FORM_JOIN] = 2,
	[KJX_FORM_TERNARY] = 3, [KJX_FORM_SELECT] = 3,
};

/*
 * Nearly every micro-operation is right and touches no memory: those pass here, in a few tests. A false says
 * nothing: verify_uop() has the last word, and the words. (Registers that do not exist or are locked hold dtype 0.)
 */
static kjx_always_inline bool plainly_right(struct kjx_body_state *b, const struct kjx_uop *u)
{
	/* b, c, imm; c, imm; imm: by arity */
	static const u64 unused[] = { 0, 0xffffffff00000000, 0xffffff0000000000, 0xffff000000000000 };
	const struct kjx_uop_row *row;
	u32 arity, dtype = kjx_uop_dtype(u);
	u64 fields;

	if (u->code >= KJX_UOP_CODES)
		return false;
	row = &kjx_uop_rows[u->code];
	arity = arity_of[row->form];
	kjx_memcpy(&fields, u, sizeof(fields));
	if (!arity || fields & unused[arity] || (u->dst | u->a | u->b | u->c) >= KJX_MAX_REGISTERS)
		return false;
	if (u->dst >= b->n_regs || u->dst < b->locked ||
	    b->dtype[u->a] != (row->form == KJX_FORM_SELECT ? KJX_DTYPE_I1 : dtype) ||
	    (arity > 1 && b->dtype[u->b] != dtype) || (arity > 2 && b->dtype[u->c] != dtype))
		return false;
	b->dtype[u->dst] = row->result;
	return true;
}

enum kjx_status kjx_verify_body(struct kjx_verifier *v, struct kjx_body_state *b, enum kjx_body_kind kind, u32 first,
				u32 n)
{
	u32 i;

	for (i = first; i < first + n; i++)
		if (!plainly_right(b, &v->image.uops[i]))
			KJX_TRY(verify_uop(v, b, kind, i));
	return KJX_OK;
}
