/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Between the parts of the verifier. The image is read once from front to back; each part believes only what the
 * parts before it have established:
 *
 *	container.c	sections lie inside the image, hashes match, padding and reserved fields are zero
 *	verify_tables.c	arguments and tensors: every tensor lies inside its storage
 *	verify_code.c	walks the instructions, regions, cost
 *	verify_view.c	affine views: bounds, overlap
 *	verify_nest.c, verify_dot.c, verify_index.c, verify_sort.c, verify_scan.c, verify_linalg.c, verify_transform.c, verify_exchange.c,
 *	verify_trace.c	one family of instructions each
 *	verify_body.c	micro-programs
 *	verify_flops.c	arithmetic operations of a verified instruction (work units: plan.c)
 *
 * Numbers: everything that counts bytes or elements is at most KJX_MAX_BYTES = 2^40 once checked, so a sum of a
 * few thousand of them fits an s64; products are formed with kjx_mul_overflows() or saturate.
 * Stack: each frame stays below 1 kB; what is larger is split among the frames of the chain.
 */
#ifndef KJX_VERIFY_H
#define KJX_VERIFY_H

#include "image.h"

/* ARGS records vary in length: the place of every KJX_MARK_STEP-th is kept, so that any is a short walk away */
#define KJX_MARK_STEP 128
#define KJX_MARKS (KJX_MAX_ARGUMENTS / KJX_MARK_STEP)

/** struct kjx_verifier - what is known so far
 * @insn, @number: the instruction at hand; NULL before the code
 * @aliased:	bit i: some output updates input i in place
 * @marks:	[output][k]: offset in ARGS of argument k * KJX_MARK_STEP
 */
struct kjx_verifier {
	struct kjx_image image;
	struct kjx_facts *facts;
	struct kjx_log *log;
	const struct kjx_limits *limits;
	const struct kjx_insn *insn;
	u64 *aliased;
	u32 number;
	u32 marks[2][KJX_MARKS];
};

/* Writes the sentence and hands @status back. Values: see kjx_log_format(). */
enum kjx_status kjx_refuse_with(struct kjx_verifier *v, enum kjx_status status, const char *format, const u64 *values);

#define kjx_refuse(v, status, ...)	kjx_refuse_values(v, status, __VA_ARGS__, 0)
#define kjx_refuse_values(v, status, format, ...) \
	kjx_refuse_with(v, status, format, (const u64[]){ __VA_ARGS__ })

/* return from a function that verifies as soon as a step refuses */
#define KJX_TRY(step)							\
	do {								\
		enum kjx_status kjx_status_of_step = (step);		\
									\
		if (kjx_unlikely(kjx_status_of_step != KJX_OK))		\
			return kjx_status_of_step;			\
	} while (0)

/* ---- container.c ---- */
enum kjx_status kjx_verify_container(struct kjx_verifier *v, const u8 *bytes, u64 n);

/* ---- verify_tables.c ---- */
enum kjx_status kjx_verify_arguments(struct kjx_verifier *v);
enum kjx_status kjx_verify_tensors(struct kjx_verifier *v);
/* argument @number, which exists; arguments have been verified */
const struct kjx_argument *kjx_verified_argument(const struct kjx_verifier *v, u32 output, u32 number);

/* ---- verify_view.c ---- */

/** struct kjx_extent - the bytes of one storage that a view can touch
 * @home:	storage << 32 | index, of the input where an output updates one in place
 * @first, @end: bytes from that storage's start; element 0 of the view lies at @origin
 */
struct kjx_extent {
	u64 home, first, end, origin;
};

enum kjx_status kjx_verify_dims(struct kjx_verifier *v, const u64 *dims, u32 rank);
enum kjx_status kjx_verify_tensor_operand(struct kjx_verifier *v, u32 tensor, u32 operand);
enum kjx_status kjx_verify_strides(struct kjx_verifier *v, const s64 *strides, u32 rank, u32 operand);
enum kjx_status kjx_verify_view(struct kjx_verifier *v, const struct kjx_operand *o, u32 operand, const u64 *dims,
				u32 rank);
/* the tensor may be written to */
enum kjx_status kjx_verify_writable(struct kjx_verifier *v, u32 tensor, u32 operand);
/* no element is visited twice; dims in [skip_first, skip_first + skip_count) are left out */
enum kjx_status kjx_verify_injective(struct kjx_verifier *v, const struct kjx_operand *o, u32 operand, const u64 *dims,
				     u32 rank, u32 skip_first, u32 skip_count);
/* for verified views */
struct kjx_extent kjx_view_extent(const struct kjx_verifier *v, const struct kjx_operand *o, const u64 *dims, u32 rank);
/* the extent's home, which alone tells most views apart */
u64 kjx_tensor_home(const struct kjx_verifier *v, u32 tensor);
struct kjx_extent kjx_tensor_extent(const struct kjx_verifier *v, u32 tensor);
bool kjx_extents_meet(const struct kjx_extent *a, const struct kjx_extent *b);
/* same element at every point */
bool kjx_views_equal(const struct kjx_verifier *v, const struct kjx_operand *a, const struct kjx_operand *b,
		     const u64 *dims, u32 rank);
/* lowest and highest value of offset + sum(index * stride); false when that leaves +-2^62 */
bool kjx_affine_range(s64 offset, const s64 *strides, const u64 *dims, u32 rank, s64 *lowest, s64 *highest);

static inline u32 kjx_tensor_dtype(const struct kjx_verifier *v, u32 tensor)
{
	return v->image.tensors[tensor].dtype;
}

static inline u64 kjx_tensor_elements(const struct kjx_verifier *v, u32 tensor)
{
	const struct kjx_tensor *t = &v->image.tensors[tensor];

	return t->bytes >> __builtin_ctz(kjx_dtype_size[t->dtype]);	/* sizes are powers of two */
}

/* ---- verify_body.c ---- */

enum kjx_body_kind {
	KJX_BODY_MAP,		/* may load, store, iota */
	KJX_BODY_POST,		/* likewise, by views that stand still on reduced dims */
	KJX_BODY_PURE,		/* registers only */
};

/** struct kjx_body_state - what registers hold
 * @nest:	whose operands load, store and iota name; NULL when there are none
 * @n_regs:	registers that exist
 * @locked:	registers below this one must not be touched
 * @dtype:	of what each register holds, 0 = nothing yet
 * @stored, @stored_post: bit i: operand i is written by a map, post body
 */
struct kjx_body_state {
	const struct kjx_nest *nest;
	u32 n_regs, locked;
	u64 stored, stored_post;
	u8 dtype[KJX_MAX_REGISTERS];
};

enum kjx_status kjx_verify_body_place(struct kjx_verifier *v, u32 first, u64 n);
enum kjx_status kjx_verify_body(struct kjx_verifier *v, struct kjx_body_state *b, enum kjx_body_kind kind, u32 first,
				u32 n);
/* register @r must hold @dtype at the end of a body */
enum kjx_status kjx_verify_result(struct kjx_verifier *v, const struct kjx_body_state *b, u32 r, u32 dtype);

/* ---- instructions ---- */
enum kjx_status kjx_verify_length(struct kjx_verifier *v, u64 needed);
enum kjx_status kjx_verify_nest(struct kjx_verifier *v, const struct kjx_nest *n);
enum kjx_status kjx_verify_dot(struct kjx_verifier *v, const struct kjx_dot *d);
enum kjx_status kjx_verify_gather(struct kjx_verifier *v, const struct kjx_gather *g);
enum kjx_status kjx_verify_sort(struct kjx_verifier *v, const struct kjx_sort *s);
enum kjx_status kjx_verify_linalg(struct kjx_verifier *v, const struct kjx_linalg *l);
enum kjx_status kjx_verify_transform(struct kjx_verifier *v, const struct kjx_transform *t);
enum kjx_status kjx_verify_scan(struct kjx_verifier *v, const struct kjx_scan *s);
enum kjx_status kjx_verify_exchange(struct kjx_verifier *v, const struct kjx_exchange *e);
enum kjx_status kjx_verify_trace(struct kjx_verifier *v, const struct kjx_trace *t);
enum kjx_status kjx_verify_code(struct kjx_verifier *v);

/* ---- verify_flops.c ---- */

/* arithmetic operations of one run of a verified instruction, saturating at ~0 */
u64 kjx_insn_flops(const struct kjx_image *image, const struct kjx_insn *insn);

#endif
