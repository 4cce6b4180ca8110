// SPDX-License-Identifier: MIT
/*
 * Open programs and the memory of their runs.
 *
 * One block holds the image (64-byte aligned, since constants are read in place), the plan and the slots. A frame
 * is one block too: pointers, vms, the lanes' meeting place, then one arena a lane, all zero at first. Frames
 * form a list; one of them sits apart in @spare, taken by an exchange, so that a program that one
 * thread runs never touches the lock.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crew.h"

/* units below which a run is over in some microseconds */
#define SMALL_COST 40000

bool kjx_account_charge(struct kjx_account *account, u64 bytes)
{
	u64 used, more;

	if (!account)
		return true;
	used = __atomic_load_n(&account->used, __ATOMIC_RELAXED);
	do {
		if (__builtin_add_overflow(used, bytes, &more) || (account->limit && more > account->limit))
			return false;
	} while (!__atomic_compare_exchange_n(&account->used, &used, more, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

void kjx_account_release(struct kjx_account *account, u64 bytes)
{
	if (account)
		__atomic_fetch_sub(&account->used, bytes, __ATOMIC_RELAXED);
}

u64 kjx_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000u + (u64)now.tv_nsec;
}

static u64 up(u64 bytes)
{
	return (bytes + KJX_ALIGNMENT - 1) & ~(u64)(KJX_ALIGNMENT - 1);
}

/* zeroed and 64-byte aligned; big blocks come as untouched pages. *@block is what to free. */
static u8 *take_memory(u64 bytes, void **block)
{
	u8 *at = bytes < KJX_MAX_BYTES ? calloc(1, bytes + KJX_ALIGNMENT) : NULL;

	*block = at;
	return at ? at + (-(uintptr_t)at & (KJX_ALIGNMENT - 1)) : NULL;
}

/* frame header in front of which the pointer to free is kept */
struct framed {
	struct kjx_frame frame;
	void *block;
};

static u64 frame_head_bytes(const struct kjx_program *program)
{
	const struct kjx_facts *f = &program->facts;
	u64 pointers = (u64)f->lanes * ((u64)f->n_inputs + f->n_outputs) * sizeof(u8 *);
	u64 board = f->lanes > 1 ? up(sizeof(struct kjx_exchange_board)) : 0;
	u64 team = program->parts ? up(kjx_team_bytes(program->threads)) + program->threads * up(f->part_bytes) : 0;

	return up(sizeof(struct framed)) + up(pointers) + f->lanes * up(sizeof(struct kjx_vm)) + board + team;
}

static struct kjx_frame *new_frame(struct kjx_program *program)
{
	const struct kjx_facts *f = &program->facts;
	struct kjx_frame *frame;
	struct framed *framed;
	void *block;
	u8 *at;

	if (!kjx_account_charge(program->account, program->frame_bytes))
		return NULL;
	at = take_memory(program->frame_bytes, &block);
	if (!at) {
		kjx_account_release(program->account, program->frame_bytes);
		return NULL;
	}
	framed = (struct framed *)at;
	framed->block = block;
	frame = &framed->frame;
	frame->program = program;
	at += up(sizeof(*framed));
	frame->inputs = (u8 **)at;
	frame->outputs = frame->inputs + (u64)f->lanes * f->n_inputs;
	at += up((u64)f->lanes * ((u64)f->n_inputs + f->n_outputs) * sizeof(u8 *));
	frame->vms = (struct kjx_vm *)at;
	at += f->lanes * up(sizeof(struct kjx_vm));
	if (f->lanes > 1) {
		frame->board = (struct kjx_exchange_board *)at;
		at += up(sizeof(*frame->board));
	}
	if (program->parts) {
		frame->team = at;
		at += up(kjx_team_bytes(program->threads));
		frame->parts = at;
		at += program->threads * up(f->part_bytes);
	}
	frame->arenas = at;
	return frame;
}

static void free_frame(struct kjx_program *program, struct kjx_frame *frame)
{
	if (!frame)
		return;
	free(((struct framed *)frame)->block);
	kjx_account_release(program->account, program->frame_bytes);
}

struct kjx_frame *kjx_frame_take(struct kjx_program *program)
{
	struct kjx_frame *frame = __atomic_exchange_n(&program->spare, NULL, __ATOMIC_ACQUIRE);

	if (frame)
		return frame;
	pthread_mutex_lock(&program->lock);
	frame = program->idle;
	if (frame)
		program->idle = frame->next;
	pthread_mutex_unlock(&program->lock);
	return frame ? frame : new_frame(program);
}

void kjx_frame_give(struct kjx_program *program, struct kjx_frame *frame)
{
	struct kjx_frame *none = NULL;

	if (__atomic_compare_exchange_n(&program->spare, &none, frame, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&program->lock);
	frame->next = program->idle;
	program->idle = frame;
	pthread_mutex_unlock(&program->lock);
}

static const u8 dtype_sizes[KJX_DTYPE_COUNT] = {
#define KJX_ROW(name, bytes, kind) [KJX_DTYPE_##name] = bytes,
	KJX_DTYPES(KJX_ROW)
#undef KJX_ROW
};

static void fill_slot(struct kjx_slot *slot, const struct kjx_plan *plan, u32 output, u32 number)
{
	const struct kjx_argument *a = kjx_argument_at(plan, output, number, &slot->dims);
	u32 d;

	slot->dtype = a->dtype;
	slot->rank = a->rank;
	slot->size = dtype_sizes[a->dtype % KJX_DTYPE_COUNT];
	slot->alias = output ? a->alias : KJX_NO_ALIAS;
	slot->bytes = slot->size;
	for (d = 0; d < a->rank; d++)	/* verified: the product fits, or is zero */
		slot->bytes *= slot->dims[d];
}

static void fill_slots(struct kjx_program *program)
{
	const struct kjx_facts *f = &program->facts;
	u32 i;

	for (i = 0; i < f->n_inputs; i++)
		fill_slot(&program->inputs[i], program->plan, 0, i);
	for (i = 0; i < f->n_outputs; i++) {
		fill_slot(&program->outputs[i], program->plan, 1, i);
		if (program->outputs[i].alias < f->n_inputs)
			program->inputs[program->outputs[i].alias].alias = i;
	}
}

/* bytes of the block that holds an open program, and where its parts lie */
struct layout {
	u64 image, plan, slots, total;
};

static struct layout lay_out(u64 image_bytes, const struct kjx_facts *f)
{
	struct layout at;

	at.image = up(sizeof(struct kjx_program));
	at.plan = at.image + up(image_bytes);
	at.slots = at.plan + up(f->plan_bytes);
	at.total = at.slots + ((u64)f->n_inputs + f->n_outputs) * sizeof(struct kjx_slot);
	return at;
}

static struct kjx_program *refuse(enum kjx_status *status, enum kjx_status why, void *block)
{
	free(block);
	*status = why;
	return NULL;
}

struct kjx_program *kjx_program_open(const void *image, u64 bytes, const char *cpu, const struct kjx_limits *limits,
				     struct kjx_account *account, struct kjx_facts *facts, struct kjx_log *log,
				     enum kjx_status *status)
{
	const struct kjx_cpu *table = kjx_cpu_select(kjx_host_features(), cpu);
	struct kjx_program *program;
	struct layout at;
	void *copied, *block;
	u8 *base;

	memset(facts, 0, sizeof(*facts));
	facts->failed_at = ~0u;
	if (!table || (limits && limits->threads > KJX_MAX_THREADS))
		return refuse(status, KJX_BAD_CALL, NULL);
	/* the caller's bytes could change under the verifier: it sees the copy that is kept */
	base = take_memory(up(bytes), &copied);
	if (!base)
		return refuse(status, KJX_NO_MEMORY, NULL);
	memcpy(base, image, bytes);
	*status = kjx_verify(base, bytes, limits, facts, log);
	if (*status != KJX_OK)
		return refuse(status, *status, copied);
	at = lay_out(bytes, facts);
	if (!kjx_account_charge(account, at.total))
		return refuse(status, KJX_TOO_LARGE, copied);
	image = base;
	base = take_memory(at.total, &block);
	if (!base) {
		kjx_account_release(account, at.total);
		return refuse(status, KJX_NO_MEMORY, copied);
	}
	program = (struct kjx_program *)base;
	memcpy(base + at.image, image, bytes);
	free(copied);
	program->memory = block;
	program->image = base + at.image;
	program->image_bytes = bytes;
	program->facts = *facts;
	program->cpu = table;
	program->account = account;
	program->charged = at.total;
	program->inputs = (struct kjx_slot *)(base + at.slots);
	program->outputs = program->inputs + facts->n_inputs;
	program->small = !facts->cost_is_open && facts->cost <= SMALL_COST / facts->lanes;
	program->threads = limits ? limits->threads : 0;
	program->parts = program->threads > 1 && facts->lanes == 1 && facts->part_bytes;
	program->frame_bytes = frame_head_bytes(program) + facts->lanes * up(facts->arena_bytes);
	pthread_mutex_init(&program->lock, NULL);
	program->plan = kjx_prepare(program->image, &program->facts, table, base + at.plan);
	fill_slots(program);
	program->spare = new_frame(program);	/* memory that a run needs is had now, or the program is refused */
	if (program->spare && program->parts && !kjx_crew_join(program->threads - 1)) {
		program->parts = false;
		kjx_program_close(program);
		return refuse(status, KJX_NO_MEMORY, NULL);
	}
	if (!program->spare) {
		program->parts = false;		/* nobody has joined */
		kjx_program_close(program);
		return refuse(status, account && account->limit ? KJX_TOO_LARGE : KJX_NO_MEMORY, NULL);
	}
	return program;
}

void kjx_program_close(struct kjx_program *program)
{
	struct kjx_frame *frame, *next;

	if (!program)
		return;
	if (program->parts)
		kjx_crew_leave();
	free_frame(program, program->spare);
	for (frame = program->idle; frame; frame = next) {
		next = frame->next;
		free_frame(program, frame);
	}
	pthread_mutex_destroy(&program->lock);
	kjx_account_release(program->account, program->charged);
	free(program->memory);
}
