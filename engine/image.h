/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * An image taken apart: typed access to the sections, an iterator over the instructions, and where the parts
 * of each instruction lie. Internal to the engine.
 *
 * Before kjx_verify() has accepted an image only verify*.c may use these, in the order in which it has checked
 * what they read. Afterwards everything here can be used without a further test: the image must not change.
 */
#ifndef KJX_IMAGE_H
#define KJX_IMAGE_H

#include "engine.h"

/** struct kjx_image - sections of a program, as they lie in it */
struct kjx_image {
	const struct kjx_header *header;
	const struct kjx_tensor *tensors;
	const u8 *arguments;			/* ARGS: inputs, then outputs, each struct kjx_argument + dims */
	const u8 *code;
	const struct kjx_uop *uops;
	const u8 *constants;
	u64 argument_bytes, code_bytes, constant_bytes;
	u32 n_tensors, n_inputs, n_outputs, n_insns, n_uops;
};

/** kjx_image_open - take a verified image apart */
void kjx_image_open(struct kjx_image *image, const void *bytes);

/* ---- dtypes and micro-operations ---- */

/* by dtype; 0 where there is no such dtype */
extern const u8 kjx_dtype_size[KJX_DTYPE_COUNT];
extern const u8 kjx_dtype_kind[KJX_DTYPE_COUNT];	/* 'b', 'i', 'u', 'f', 'c' */

/** struct kjx_uop_row - an operation on one dtype, by code; form 0: there is no such row
 * @form:	KJX_FORM_*
 * @result:	dtype of dst; 0 where the instruction says (bitcast) or there is none (store)
 * @weight:	roughly how many additions one element is worth: what fuel is counted in
 * @flops:	arithmetic operations of one element, 0 or 1
 */
struct kjx_uop_row {
	u8 form, result, weight, flops;
};

extern const struct kjx_uop_row kjx_uop_rows[KJX_UOP_CODES];

static inline u32 kjx_uop_op(const struct kjx_uop *uop)
{
	return uop->code >> KJX_DTYPE_BITS;
}

static inline u32 kjx_uop_dtype(const struct kjx_uop *uop)
{
	return uop->code & ((1u << KJX_DTYPE_BITS) - 1);
}

/* ---- arguments ---- */

static inline const u64 *kjx_argument_dims(const struct kjx_argument *a)
{
	return (const u64 *)(a + 1);
}

static inline const struct kjx_argument *kjx_argument_next(const struct kjx_argument *a)
{
	return (const struct kjx_argument *)(kjx_argument_dims(a) + a->rank);
}

/* ---- instructions ---- */

static inline const struct kjx_insn *kjx_insn_first(const struct kjx_image *image)
{
	return (const struct kjx_insn *)image->code;
}

static inline const struct kjx_insn *kjx_insn_end(const struct kjx_image *image)
{
	return (const struct kjx_insn *)(image->code + image->code_bytes);
}

static inline const struct kjx_insn *kjx_insn_next(const struct kjx_insn *insn)
{
	return (const struct kjx_insn *)((const u8 *)insn + insn->length);
}

#define kjx_for_each_insn(insn, image)						\
	for ((insn) = kjx_insn_first(image); (insn) != kjx_insn_end(image);	\
	     (insn) = kjx_insn_next(insn))

/* an operand is followed by its strides; operand i of a row of operands that have @rank strides each */
static inline const s64 *kjx_strides(const struct kjx_operand *o)
{
	return (const s64 *)(o + 1);
}

static inline const struct kjx_operand *kjx_operand_at(const void *first, u32 rank, u32 i)
{
	return (const struct kjx_operand *)((const u8 *)first + (u64)i * (sizeof(struct kjx_operand) + 8ull * rank));
}

/* the u64 dims come right after the fixed part, the operands after the dims */
static inline const u64 *kjx_nest_dims(const struct kjx_nest *n)
{
	return (const u64 *)(n + 1);
}

static inline const struct kjx_operand *kjx_nest_operand(const struct kjx_nest *n, u32 i)
{
	return kjx_operand_at(kjx_nest_dims(n) + n->rank, n->rank, i);
}

static inline u32 kjx_dot_rank(const struct kjx_dot *d)
{
	return (u32)d->nb + d->nm + d->nn + d->nk;
}

static inline const u64 *kjx_dot_dims(const struct kjx_dot *d)
{
	return (const u64 *)(d + 1);
}

/* operand 0 is lhs, 1 rhs, 2 out */
static inline const struct kjx_operand *kjx_dot_operand(const struct kjx_dot *d, u32 i)
{
	return kjx_operand_at(kjx_dot_dims(d) + kjx_dot_rank(d), kjx_dot_rank(d), i);
}

static inline u32 kjx_gather_rank(const struct kjx_gather *g)
{
	return (u32)g->n_batch + g->n_window;
}

static inline const u64 *kjx_gather_dims(const struct kjx_gather *g)
{
	return (const u64 *)(g + 1);
}

/* operand 0 is the windowed one, 1 the plain one */
static inline const struct kjx_operand *kjx_gather_operand(const struct kjx_gather *g, u32 i)
{
	return kjx_operand_at(kjx_gather_dims(g) + kjx_gather_rank(g), kjx_gather_rank(g), i);
}

static inline const struct kjx_index *kjx_gather_index(const struct kjx_gather *g, u32 i)
{
	const u8 *first = (const u8 *)kjx_gather_operand(g, 2);

	return (const struct kjx_index *)(first + (u64)i * (sizeof(struct kjx_index) + 8ull * g->n_batch));
}

static inline const struct kjx_operand *kjx_gather_splat(const struct kjx_gather *g, u32 i)
{
	return (const struct kjx_operand *)kjx_gather_index(g, g->n_index) + i;
}

static inline const s64 *kjx_index_strides(const struct kjx_index *x)
{
	return (const s64 *)(x + 1);
}

static inline const u64 *kjx_sort_dims(const struct kjx_sort *s)
{
	return (const u64 *)(s + 1);
}

/* @out 0: input view i, 1: output view i */
static inline const struct kjx_operand *kjx_sort_operand(const struct kjx_sort *s, u32 i, u32 out)
{
	return kjx_operand_at(kjx_sort_dims(s) + s->rank, s->rank, 2 * i + out);
}

static inline const struct kjx_operand *kjx_linalg_operand(const struct kjx_linalg *l, u32 i)
{
	return (const struct kjx_operand *)(l + 1) + i;
}

/* operand 0 is read, 1 written */
static inline const struct kjx_operand *kjx_transform_operand(const struct kjx_transform *t, u32 i)
{
	return kjx_operand_at(t + 1, 3, i);
}

static inline const u64 *kjx_scan_dims(const struct kjx_scan *s)
{
	return (const u64 *)(s + 1);
}

/* operand 0 is read, 1 written */
static inline const struct kjx_operand *kjx_scan_operand(const struct kjx_scan *s, u32 i)
{
	return kjx_operand_at(kjx_scan_dims(s) + s->rank, s->rank, i);
}

static inline const u32 *kjx_exchange_table(const struct kjx_exchange *e)
{
	return (const u32 *)(e + 1);
}

/* ---- what the plan and the scratch of an instruction take ----
 *
 * plan.c has these; verify.c sums them up, saturating. They are pure integer functions of an instruction that has
 * been verified (all others in the image may still be wrong), at most KJX_MAX_BYTES each.
 *
 *	kjx_plan_base_bytes()		the plan's head and whatever it needs once for each argument and tensor
 *	kjx_plan_insn_bytes()		the plan's part for one instruction
 *	kjx_plan_insn_scratch()		bytes of scratch, after the arena, while that instruction runs
 *
 * facts.plan_bytes = base + sum(insn bytes); facts.arena_bytes = align64(header.arena) + max(scratch).
 */
u64 kjx_plan_base_bytes(const struct kjx_image *image);
u64 kjx_plan_insn_bytes(const struct kjx_image *image, const struct kjx_insn *insn);
u64 kjx_plan_insn_scratch(const struct kjx_image *image, const struct kjx_insn *insn);

/* ---- log.c ----
 *
 * kjx_log_format() appends to the log's text. %u: a u64; %d: a u64 that holds an s64; %s: kjx_text() of a string.
 * log->needed counts all of it, log->text gets what fits and always ends in NUL.
 */
void kjx_log_start(struct kjx_log *log);
void kjx_log_format(struct kjx_log *log, const char *format, const u64 *values);

static inline u64 kjx_text(const char *string)
{
	return (u64)(size_t)string;
}

/* ---- hash.c ---- */
u64 kjx_xxh64(const void *bytes, u64 n);

#endif
