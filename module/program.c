// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Programs: verify an image, prepare its plan, reserve the memory of every run; and the pool of runs.
 *
 * Everything an execution needs is in a struct kjax_run, made here, so that execution allocates nothing. The sum of
 * all sizes is known before the first byte is taken: a program that does not fit is refused whole.
 */
#include <linux/hrtimer.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "kjax.h"

#define RUNS_MAX 256u

/** struct run_layout - sizes of a run's parts, which lie in one allocation in this order; arenas apart */
struct run_layout {
	u64 lanes, board, jobs, pointers, buffers, total;
	u64 arena, arenas;	/* one lane's, all lanes' */
};

static void lay_out(const struct kjx_facts *facts, struct run_layout *l)
{
	u64 lanes = facts->lanes, arguments = (u64)facts->n_inputs + facts->n_outputs;

	/* lanes <= 64, arguments <= 8192, arena_bytes <= 2^41: nothing here can wrap */
	l->lanes = kjx_align_up(sizeof(struct kjax_run), 64);
	l->board = l->lanes + kjx_align_up(lanes * sizeof(struct kjax_lane), 64);
	l->jobs = l->board + (lanes > 1 ? kjx_align_up(sizeof(struct kjx_exchange_board), 64) : 0);
	l->pointers = l->jobs + kjx_align_up((lanes - 1) * sizeof(struct kjax_job), 64);
	l->buffers = l->pointers + lanes * arguments * sizeof(u8 *);
	l->total = PAGE_ALIGN(l->buffers + lanes * arguments * sizeof(struct kjax_buffer_object *));
	l->arena = kjx_align_up(facts->arena_bytes, 128);
	l->arenas = PAGE_ALIGN(lanes * l->arena);
}

static struct kjax_run *run_new(struct kjax_program *program, const struct run_layout *l)
{
	u32 lanes = program->facts.lanes, i;
	struct kjax_run *run = kjax_zalloc(l->total);
	u8 *base = (u8 *)run;

	if (!run)
		return NULL;
	run->arenas = kjax_zalloc(l->arenas);
	if (!run->arenas && l->arenas) {
		vfree(run);
		return NULL;
	}
	run->program = program;
	run->lanes = (void *)(base + l->lanes);
	run->board = lanes > 1 ? (void *)(base + l->board) : NULL;
	run->jobs = (void *)(base + l->jobs);
	run->pointers = (void *)(base + l->pointers);
	run->buffers = (void *)(base + l->buffers);
	run->n_jobs = min(lanes - 1, kjax_lanes_count());
	spin_lock_init(&run->lock);
	init_waitqueue_head(&run->progress);
	for (i = 0; i < lanes; i++)
		run->lanes[i].arena = run->arenas + i * l->arena;
	return run;
}

static void program_destroy(struct kjax_program *program)
{
	u32 i;

	for (i = 0; program->runs && i < program->n_runs; i++) {
		if (!program->runs[i])
			break;
		vfree(program->runs[i]->arenas);
		vfree(program->runs[i]);
	}
	vfree(program->tracer);
	kvfree(program->runs);
	kvfree(program->arguments);
	vfree(program->plan_memory);
	kjax_uncharge(program->owner, program->charged);
	kjax_owner_put(program->owner);
	kjax_blob_put(program->blob);
	kfree(program);
}

static void program_free(struct kref *ref)
{
	program_destroy(container_of(ref, struct kjax_program, ref));
}

void kjax_program_put(struct kjax_program *program)
{
	might_sleep();
	kref_put(&program->ref, program_free);
}

static void describe(struct kjax_program *program)
{
	u32 inputs = program->facts.n_inputs, n = inputs + program->facts.n_outputs, i, k;

	for (i = 0; i < n; i++) {
		struct kjax_argument_fact *fact = &program->arguments[i];
		const struct kjx_argument *a;
		const u64 *dims;

		a = kjx_argument_at(program->plan, i >= inputs, i < inputs ? i : i - inputs, &dims);
		fact->align = kjax_dtype_bytes(a->dtype);
		fact->dtype = a->dtype;
		fact->alias = i < inputs ? KJX_NO_ALIAS : a->alias;
		fact->bytes = fact->align;
		for (k = 0; k < a->rank; k++)
			fact->bytes *= dims[k];		/* verified: at most KJX_MAX_BYTES */
	}
}

/* All the memory that a program takes besides its blob; saturating, the facts are a stranger's wishes. */
static u64 total_bytes(const struct kjx_facts *facts, const struct run_layout *l, u32 n_runs, u32 trace_bytes)
{
	u64 arguments = (u64)(facts->n_inputs + facts->n_outputs) * sizeof(struct kjax_argument_fact);

	arguments += kjax_tracer_bytes(facts, trace_bytes);
	return kjx_sat_add(kjx_sat_add(PAGE_ALIGN(facts->plan_bytes), PAGE_ALIGN(arguments)),
			   kjx_sat_mul(n_runs, kjx_sat_add(l->total, l->arenas)));
}

static enum kjx_status reserve(struct kjax_program *program, const struct run_layout *l, u32 n_runs,
			       const struct kjax_load_options *options)
{
	const struct kjx_facts *facts = &program->facts;
	u32 i;

	program->plan_memory = kjax_zalloc(facts->plan_bytes);
	program->arguments = kvcalloc(facts->n_inputs + facts->n_outputs + 1, sizeof(*program->arguments),
				      GFP_KERNEL_ACCOUNT);
	program->runs = kvcalloc(n_runs, sizeof(*program->runs), GFP_KERNEL_ACCOUNT);
	if (!program->plan_memory || !program->arguments || !program->runs)
		return KJX_NO_MEMORY;
	if (facts->n_traces) {
		program->tracer = kjax_tracer_new(facts, options->trace_bytes, options->trace_log);
		if (!program->tracer)
			return KJX_NO_MEMORY;
	}
	for (i = 0; i < n_runs; i++) {
		program->runs[i] = run_new(program, l);
		if (!program->runs[i])
			return KJX_NO_MEMORY;
		list_add_tail(&program->runs[i]->idle, &program->idle);
	}
	return KJX_OK;
}

/* Refuse before anything but the image is taken. */
static enum kjx_status admit(struct kjax_owner *owner, const void *image, u64 bytes,
			     const struct kjax_load_options *options, struct kjx_log *log, struct kjx_facts *facts,
			     struct run_layout *layout, u64 *total)
{
	u64 limit = options->memory_limit ?: U64_MAX;
	struct kjx_limits limits = { .cost = options->cost_limit, .no_calls = 1 };
	enum kjx_status status;

	limits.memory = max(min(limit, kjax_room(owner)), 1ull);
	status = kjx_verify(image, bytes, &limits, facts, log);
	if (status)
		return status;
	lay_out(facts, layout);
	*total = total_bytes(facts, layout, max(options->runs, 1u), options->trace_bytes);
	if (*total > limit)
		return KJX_TOO_LARGE;
	return kjax_charge(owner, *total);
}

enum kjx_status kjax_program_load(struct kjax_owner *owner, struct kjax_blob *blob, const void *image, u64 bytes,
				  const struct kjax_load_options *options, struct kjx_log *log, u32 *failed_at,
				  struct kjax_program **result)
{
	u32 n_runs = max(options->runs, 1u), cpu = options->cpu;
	const struct kjx_cpu *table = kjax_fpu_cpu(&cpu);
	struct kjax_program *program;
	struct run_layout layout;
	enum kjx_status status;

	if (n_runs > RUNS_MAX || !table || !kjax_tracer_ok(options->trace_bytes))
		return KJX_BAD_CALL;
	program = kzalloc(sizeof(*program), GFP_KERNEL_ACCOUNT);
	if (!program)
		return KJX_NO_MEMORY;
	program->facts.failed_at = U32_MAX;
	status = admit(owner, image, bytes, options, log, &program->facts, &layout, &program->charged);
	*failed_at = program->facts.failed_at;
	if (status) {
		kfree(program);
		return status;
	}
	/* from here on program_destroy() undoes everything */
	kref_init(&program->ref);
	kref_get(&owner->ref);
	kref_get(&blob->ref);
	program->owner = owner;
	program->blob = blob;
	program->image = image;
	program->image_bytes = bytes;
	program->cpu = cpu;
	program->budget = 16384;
	program->n_runs = n_runs;
	spin_lock_init(&program->lock);
	INIT_LIST_HEAD(&program->idle);
	init_waitqueue_head(&program->freed);
	status = reserve(program, &layout, n_runs, options);
	if (status) {
		program_destroy(program);
		return status;
	}
	program->plan = kjx_prepare(image, &program->facts, table, program->plan_memory);
	describe(program);
	*result = program;
	return KJX_OK;
}

static struct kjax_run *take(struct kjax_program *program)
{
	struct kjax_run *run;
	unsigned long flags;

	spin_lock_irqsave(&program->lock, flags);
	run = list_first_entry_or_null(&program->idle, struct kjax_run, idle);
	if (run)
		list_del(&run->idle);
	spin_unlock_irqrestore(&program->lock, flags);
	return run;
}

enum kjx_status kjax_run_take(struct kjax_program *program, bool nowait, u64 deadline, struct kjax_run **run)
{
	int ret;

	*run = take(program);
	if (*run)
		return KJX_OK;
	if (nowait)
		return KJX_AGAIN;
	if (deadline) {
		s64 left = deadline - ktime_get_ns();

		if (left <= 0)
			return KJX_DEADLINE;
		ret = wait_event_interruptible_hrtimeout(program->freed, (*run = take(program)), ns_to_ktime(left));
	} else {
		ret = wait_event_interruptible(program->freed, (*run = take(program)));
	}
	if (*run)
		return KJX_OK;
	return ret == -ETIME ? KJX_DEADLINE : KJX_INTERRUPTED;
}

void kjax_run_give(struct kjax_run *run)
{
	struct kjax_program *program = run->program;
	unsigned long flags;

	spin_lock_irqsave(&program->lock, flags);
	list_add(&run->idle, &program->idle);	/* last in, first out: its arena is the warm one */
	spin_unlock_irqrestore(&program->lock, flags);
	wake_up(&program->freed);
}
