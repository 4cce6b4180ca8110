/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A plan: the instructions of a verified program decoded for one cpu table, in memory that kjx_prepare() fills
 * once and all runs share, read-only. Internal to the engine.
 *
 * A plan holds no address of a run: a view names a place (which pointer table, which entry, which offset), and the
 * working memory of an instruction lies in the lane's scratch, after the program's arena:
 *
 *	arena | links of instructions inside a while (each its own) | scratch of the instruction that runs
 *
 * "Link" is the small part that depends on nothing but the run's addresses (pointers of registers and views). It
 * is computed once when the outermost while is entered, so that an iteration finds it ready; an instruction
 * outside of any while computes it each time, in the scratch. Inside of a while the steps become threaded code
 * (thread.h).
 */
#ifndef KJX_PLAN_H
#define KJX_PLAN_H

#include "cpu.h"
#include "image.h"

/* ---- sizes and cost, for the verifier (see image.h for the first three) ---- */

/** kjx_plan_insn_link - bytes of link; facts.arena_bytes = align64(header.arena) + sum of this over the instructions
 * inside a while + max(kjx_plan_insn_scratch()). A multiple of 64.
 */
u64 kjx_plan_insn_link(const struct kjx_image *image, const struct kjx_insn *insn);

/** kjx_plan_insn_thread - bytes of plan that an instruction inside a while takes as threaded code */
u64 kjx_plan_insn_thread(const struct kjx_image *image, const struct kjx_insn *insn);

/* operations that it becomes, at most */
u64 kjx_plan_insn_ops(const struct kjx_image *image, const struct kjx_insn *insn);

/** kjx_plan_insn_cost - work units that the vm counts when @insn runs once (not what a region in it costs);
 * never less than what it counts, at least 1, saturating
 */
u64 kjx_plan_insn_cost(const struct kjx_image *image, const struct kjx_insn *insn);

/* ---- building: a bump allocator over the caller's memory ---- */

struct kjx_builder {
	const struct kjx_image *image;
	const struct kjx_cpu *cpu;
	u8 *plan, *next;	/* where the plan's memory begins; what of it is free */
	u64 link;		/* offset of the next link from the arena's start */
	const u32 *alias;	/* input that an output updates in place, by output; or KJX_NO_ALIAS */
	u32 in_while;		/* depth */
	u8 region;		/* of the innermost while, if in_while */
	struct kjx_step *rows;	/* first step of the nests by rows that were built last, and the last one's plan */
	const void *last_row;
};

/* @bytes of plan memory, 8-byte aligned, zero */
void *kjx_build(struct kjx_builder *b, u64 bytes);

/* ---- places ---- */

enum kjx_base {
	KJX_BASE_ARENA, KJX_BASE_INPUT, KJX_BASE_OUTPUT, KJX_BASE_CONSTANT,
	KJX_BASE_SCRATCH,		/* of the instruction that runs */
	KJX_BASE_PLAN,
	KJX_BASES
};

/** struct kjx_place - an address of a run, and how large the elements there are */
struct kjx_place {
	u8 base, log2_size;
	u16 zero;
	u32 index;		/* of the input or output */
	s64 offset;		/* bytes */
};

/* the place of element @offset of @tensor */
void kjx_place_set(const struct kjx_image *image, struct kjx_place *place, u32 tensor, s64 offset);

/* may writing tensor @a change bytes of tensor @b? */
bool kjx_may_overlap(const struct kjx_builder *b, u32 a, u32 c);

/* ---- running ---- */

/** struct kjx_slice - one call of kjx_run(); the handlers of instructions get it
 * @spent:	units in this slice; a handler adds what it has done with kjx_spend() and returns KJX_AGAIN when that
 *		says so and it has work left. Its progress is in vm->at[], zero when the instruction begins, and in
 *		its scratch: both survive until the instruction is done.
 * @scratch:	kjx_plan_insn_scratch() bytes, 64-byte aligned, content unknown when the instruction begins
 * @next, @status: threaded code: where it stopped, and why
 * @part:	NULL, or which piece of the step this slice does (part.h)
 * @links:	where the link at @links_at from the arena's start lies: in the arena, or, for a piece, in memory of its own
 */
struct kjx_slice {
	struct kjx_vm *vm;
	const struct kjx_cpu *cpu;
	u64 spent, limit;
	u8 *scratch;
	u8 *const *bases[KJX_BASES];
	const struct kjx_op *next;
	enum kjx_status status;
	struct kjx_part *part;
	u8 *links;
	u64 links_at;
};

static inline u8 *kjx_address(const struct kjx_slice *s, const struct kjx_place *p)
{
	return s->bases[p->base][p->index] + p->offset;
}

/* count @units of work; true when the slice is over */
static inline bool kjx_spend(struct kjx_slice *s, u64 units)
{
	s->spent += units;
	return s->spent >= s->limit;
}

/* one entry of the program; pc counts these */
struct kjx_step {
	u8 opcode;
	u8 region;		/* while, do, case, end: which of vm->region[] */
	u16 zero;
	u32 target;		/* do, branch: after the end. end of a case: likewise; of a while: its condition. while: its end */
	const void *plan;	/* struct kjx_nest_plan, ...: by opcode; of an outermost while: struct kjx_thread */
	u64 op;			/* inside of a while: its first operation */
	const struct kjx_split *split;	/* how several threads share it, or NULL */
};

#define KJX_STEP_QUICK 0x80	/* as opcode: a nest that kjx_nest_quick() can run */
#define KJX_STEP_PRODUCT 0x82	/* as opcode: a contraction that has a routine of its own */
#define KJX_STEP_ROWS 0x81	/* as opcode: the first of the nests that run together by rows; target: after them */

/* value of a predicate or branch number */
struct kjx_control {
	struct kjx_place place;
	u64 trips;		/* do: bound, or 0 */
	u32 n_branches, zero;
	u32 target[];		/* case: first step of each branch */
};

struct kjx_plan {
	struct kjx_image image;
	const struct kjx_cpu *cpu;
	const u8 *constants;
	const struct kjx_step *steps;
	const struct kjx_argument **arguments;	/* inputs, then outputs */
	u64 scratch;		/* offset of the scratch from the arena's start */
	u32 n_steps, lanes;
};

/** struct kjx_thread - an outermost while as threaded code
 * @places:	KJX_CELLS for each operation
 * @link_at:	offset of the cells from the arena's start
 */
struct kjx_thread {
	const struct kjx_op *ops;
	const struct kjx_place *places;
	u64 link_at;
	u32 n_ops, region;
};

/* the steps ]@first, @last] of a while, which become at most @most operations */
const struct kjx_thread *kjx_thread_build(struct kjx_builder *b, struct kjx_step *steps, u32 first, u32 last, u64 most);
enum kjx_status kjx_thread_run(struct kjx_slice *s, const struct kjx_thread *t);

/* the step that vm->op calls */
const struct kjx_step *kjx_thread_step(const struct kjx_thread *t, u32 op);

/* vm.c, for threaded code: run a step that is no control flow; link it; the step that a case goes to */
enum kjx_status kjx_step_run(struct kjx_slice *s, const struct kjx_step *step);
void kjx_step_link(struct kjx_slice *s, const struct kjx_step *step);
u32 kjx_choose(const struct kjx_control *c, s32 index);

/* ---- bodies without views: scatter's update and sort's comparator ---- */

/** struct kjx_micro - a micro-operation: fn(cell[dst], cell[a], cell[b], cell[c], n)
 * @fn:		NULL: one of the vm's own, @c says which (KJX_MICRO_*)
 * @cell:	the same for one element in threaded code, or NULL
 * A cell is a pointer: each definition of a register has one of its own.
 */
struct kjx_micro {
	kjx_uop_fn *fn;
	u16 dst, a, b, c;
	kjx_op_fn *cell;
};

/** struct kjx_body - straight-line code on cells
 * @n_entry:	registers that hold something at entry: cells 0 .. n_entry-1, set by the caller before each run
 * @result:	cell of register 0 at the end (may be an entry's cell: nothing is copied)
 * Cells and slots are the caller's memory: n_cells pointers, n_slots times slot_bytes (64-byte aligned).
 */
struct kjx_body {
	u32 n_micro, n_cells, n_slots, n_entry;
	u32 slot_bytes, result, weight, zero;	/* weight: work units of an element */
	const struct kjx_micro *micro;
	const u16 *slot;	/* by cell from n_entry on */
};

/* the sizes of such a body are bounded by these; @strip: most elements of a run */
u64 kjx_body_plan_bytes(u32 n_uops);
u64 kjx_body_scratch(u32 n_uops, u32 n_regs, u32 strip);

/** kjx_body_build - decode @n_uops micro-operations from @first on
 * @dtypes:	of the entry registers; @n_entry of them
 */
void kjx_body_build(struct kjx_builder *b, struct kjx_body *body, u32 first, u32 n_uops, u32 n_regs,
		    const u8 *dtypes, u32 n_entry, u32 strip);

/* point the cells that are not entries at their slots: once before the runs */
void kjx_body_link(const struct kjx_body *body, void **cells, u8 *slots);

static inline void kjx_body_run(const struct kjx_body *body, void **cells, u64 n)
{
	const struct kjx_micro *m = body->micro, *end = m + body->n_micro;

	for (; m != end; m++)
		m->fn(cells[m->dst], cells[m->a], cells[m->b], cells[m->c], n);
}

/* work units of one element through @n micro-operations from @first on, at least 1 */
u32 kjx_body_weight(const struct kjx_image *image, u32 first, u32 n);

/* ---- the instructions, each in its own file ---- */

struct kjx_nest_plan;
u64 kjx_nest_plan_bytes(const struct kjx_image *image, const struct kjx_nest *insn);
u64 kjx_nest_scratch(const struct kjx_image *image, const struct kjx_nest *insn);
/* operations of threaded code, and bytes of their tables, at most */
u64 kjx_nest_ops(const struct kjx_image *image, const struct kjx_nest *insn);
u64 kjx_nest_tables(const struct kjx_image *image, const struct kjx_nest *insn);
bool kjx_nest_is_threaded(const struct kjx_nest_plan *p);
u64 kjx_nest_link_bytes(const struct kjx_image *image, const struct kjx_nest *insn);
u64 kjx_nest_cost(const struct kjx_image *image, const struct kjx_nest *insn);
const struct kjx_nest_plan *kjx_nest_build(struct kjx_builder *b, const struct kjx_nest *insn);
/* while building: @next runs together with @p, row by row */
void kjx_nest_join(const struct kjx_nest_plan *p, const struct kjx_nest_plan *next);
bool kjx_nest_is_quick(const struct kjx_nest_plan *p);
void kjx_nest_link(struct kjx_slice *s, const struct kjx_nest_plan *p);
enum kjx_status kjx_nest_run(struct kjx_slice *s, const struct kjx_nest_plan *p);
/* where the link of a nest that has one of its own lies, and those of the nests that are joined to it after it; else 0 */
u64 kjx_nest_link_at(const struct kjx_nest_plan *p);
/* @first and all that are joined to it, row by row */
enum kjx_status kjx_nest_rows_run(struct kjx_slice *s, const struct kjx_nest_plan *first);

/** struct kjx_dot_plan
 * @small:	not NULL: this is all, lhs and rhs are the instruction's and point at the lowest elements
 * @lhs, @rhs:	in the order of gemm
 * @product:	NULL, or the routine that does all of it
 * @cost:	work units, if @small or @product is not NULL
 * @region:	in a loop: of the innermost while. Every other iteration @product goes backwards
 */
struct kjx_dot_plan {
	kjx_product_fn *product;
	const struct kjx_small_dot *small;
	u32 weight, cost;
	struct kjx_place lhs, rhs, out;
	u8 region;
	struct kjx_gemm_plan gemm;	/* its dims, of which little is read, at the end */
};

/* dot_small.c */
bool kjx_dot_is_small(const struct kjx_dot *insn);
u64 kjx_small_dot_bytes(const struct kjx_dot *insn);
void kjx_small_dot_build(struct kjx_small_dot *p, const struct kjx_dot *insn, s64 *low);

/* how a contraction is computed */
void kjx_dot_gemm(struct kjx_gemm_plan *plan, const struct kjx_image *image, const struct kjx_dot *insn);
u64 kjx_dot_plan_bytes(const struct kjx_image *image, const struct kjx_dot *insn);
u64 kjx_dot_scratch(const struct kjx_image *image, const struct kjx_dot *insn);
u64 kjx_dot_cost(const struct kjx_image *image, const struct kjx_dot *insn);
const struct kjx_dot_plan *kjx_dot_build(struct kjx_builder *b, const struct kjx_dot *insn);
enum kjx_status kjx_dot_run(struct kjx_slice *s, const struct kjx_dot_plan *p);

/* run one that has a routine of its own */
static inline void kjx_product_run(struct kjx_slice *s, const struct kjx_dot_plan *p)
{
	p->product(&p->gemm, kjx_address(s, &p->out), kjx_address(s, &p->lhs), kjx_address(s, &p->rhs), s->scratch, s->vm->runs & 1);
	s->spent += p->cost;
}

struct kjx_gather_plan;
/* operations of threaded code, at most */
u64 kjx_gather_ops(const struct kjx_gather *insn);
u64 kjx_gather_plan_bytes(const struct kjx_image *image, const struct kjx_gather *insn);
u64 kjx_gather_scratch(const struct kjx_image *image, const struct kjx_gather *insn);
u64 kjx_gather_cost(const struct kjx_image *image, const struct kjx_gather *insn);
const struct kjx_gather_plan *kjx_gather_build(struct kjx_builder *b, const struct kjx_gather *insn);
enum kjx_status kjx_gather_run(struct kjx_slice *s, const struct kjx_gather_plan *p);
enum kjx_status kjx_scatter_run(struct kjx_slice *s, const struct kjx_gather_plan *p);

/* sort.c: vm->at[] and the scratch are its own while it runs */
struct kjx_sort_plan;
u64 kjx_sort_plan_bytes(const struct kjx_image *image, const struct kjx_sort *insn);
u64 kjx_sort_scratch(const struct kjx_image *image, const struct kjx_sort *insn);
u64 kjx_sort_cost(const struct kjx_image *image, const struct kjx_sort *insn);
const struct kjx_sort_plan *kjx_sort_build(struct kjx_builder *b, const struct kjx_sort *insn);
enum kjx_status kjx_sort_run(struct kjx_slice *s, const struct kjx_sort_plan *p);

/* transform.c: sizes for the verifier too */
struct kjx_transform_step;
u64 kjx_transform_elements(const struct kjx_transform *insn, u32 operand);	/* of one transform that are read, written */
u64 kjx_transform_roots(const struct kjx_transform *insn);	/* elements, saturating; factors are verified */
u64 kjx_transform_plan_bytes(const struct kjx_image *image, const struct kjx_transform *insn);
u64 kjx_transform_scratch(const struct kjx_image *image, const struct kjx_transform *insn);
u64 kjx_transform_cost(const struct kjx_image *image, const struct kjx_transform *insn);
const struct kjx_transform_step *kjx_transform_build(struct kjx_builder *b, const struct kjx_transform *insn);
enum kjx_status kjx_transform_run(struct kjx_slice *s, const struct kjx_transform_step *p);

/* linalg.c: sizes of operands for the verifier too */
struct kjx_linalg_step;
struct kjx_linalg_kind {
	u8 sizes, flags, n_inputs, n_results;	/* sizes: bit 0 m, 1 n, 2 k */
};
struct kjx_linalg_operand_row {
	u8 kind, element, rows, cols;		/* element 't', 'r', 'c', 'i'; KJX_LINALG_DIM_* */
};
const struct kjx_linalg_kind *kjx_linalg_kind(u32 kind);	/* NULL: no such kind */
u64 kjx_linalg_elements(const struct kjx_linalg *insn, u32 operand);	/* of one batch member; kind and sizes are verified */
u32 kjx_linalg_dtype(const struct kjx_linalg *insn, u32 operand);
u64 kjx_linalg_plan_bytes(const struct kjx_image *image, const struct kjx_linalg *insn);
u64 kjx_linalg_scratch(const struct kjx_image *image, const struct kjx_linalg *insn);
u64 kjx_linalg_cost(const struct kjx_image *image, const struct kjx_linalg *insn);
const struct kjx_linalg_step *kjx_linalg_build(struct kjx_builder *b, const struct kjx_linalg *insn);
enum kjx_status kjx_linalg_run(struct kjx_slice *s, const struct kjx_linalg_step *p);

struct kjx_scan_plan;
u64 kjx_scan_plan_bytes(const struct kjx_image *image, const struct kjx_scan *insn);
u64 kjx_scan_scratch(const struct kjx_image *image, const struct kjx_scan *insn);
u64 kjx_scan_cost(const struct kjx_image *image, const struct kjx_scan *insn);
const struct kjx_scan_plan *kjx_scan_build(struct kjx_builder *b, const struct kjx_scan *insn);
enum kjx_status kjx_scan_run(struct kjx_slice *s, const struct kjx_scan_plan *p);

struct kjx_exchange_plan;
u64 kjx_exchange_plan_bytes(const struct kjx_image *image, const struct kjx_exchange *insn);
u64 kjx_exchange_cost(const struct kjx_image *image, const struct kjx_exchange *insn);
const struct kjx_exchange_plan *kjx_exchange_build(struct kjx_builder *b, const struct kjx_exchange *insn);
enum kjx_status kjx_exchange_run(struct kjx_slice *s, const struct kjx_exchange_plan *p);

struct kjx_trace_plan;
u64 kjx_trace_plan_bytes(const struct kjx_image *image, const struct kjx_trace *insn);
u64 kjx_trace_cost(const struct kjx_image *image, const struct kjx_trace *insn);
const struct kjx_trace_plan *kjx_trace_build(struct kjx_builder *b, const struct kjx_trace *insn);
enum kjx_status kjx_trace_run(struct kjx_slice *s, const struct kjx_trace_plan *p);

#endif
