// SPDX-License-Identifier: MIT
/*
 * Several lanes: each is a vm of its own; they meet in exchanges, where kjx_run() returns KJX_WAITING instead of
 * blocking. Lane l belongs to thread l % threads; a thread goes round its lanes and gives up the
 * processor for a while when none of them could move. The calling thread is the first. The lanes of a
 * short program all run on it: to start a thread takes longer than such a run.
 *
 * The first lane that fails sets board->failed, which ends the others with KJX_LANE_FAILED; the
 * first failure of another kind is what the caller hears.
 */
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

#define SLICE (1u << 18)	/* units: how long a lane may keep its thread from another one */

struct gang {
	struct kjx_frame *frame;
	const struct kjx_run *run;
	u32 threads;
	u32 status;		/* first failure, or KJX_OK */
};

struct worker {
	struct gang *gang;
	u32 number;
	pthread_t thread;
};

static struct kjx_vm *vm_of(const struct kjx_frame *frame, u32 lane)
{
	u64 stride = (sizeof(struct kjx_vm) + KJX_ALIGNMENT - 1) & ~(u64)(KJX_ALIGNMENT - 1);

	return (struct kjx_vm *)((u8 *)frame->vms + lane * stride);
}

static void fail(struct gang *gang, enum kjx_status status)
{
	u32 ok = KJX_OK;

	/* "another lane failed" never hides the reason: the lane with the reason stored it before setting failed */
	__atomic_compare_exchange_n(&gang->status, &ok, (u32)status, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	__atomic_store_n(&gang->frame->board->failed, 1u, __ATOMIC_RELEASE);
}

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static void pause_a_while(u32 idle_rounds)
{
	const struct timespec nap = { .tv_nsec = 20000 };

	if (idle_rounds < 64)
		relax();
	else if (idle_rounds < 256)
		sched_yield();
	else
		nanosleep(&nap, NULL);
}

/* what the calling thread looks at between slices */
static bool stopped(struct worker *worker)
{
	const struct kjx_run *run = worker->gang->run;

	if (run->deadline && kjx_now() >= run->deadline)
		fail(worker->gang, KJX_DEADLINE);
	else if (!worker->number && run->poll && run->poll(run->data))
		fail(worker->gang, KJX_INTERRUPTED);
	else
		return __atomic_load_n(&worker->gang->frame->board->failed, __ATOMIC_ACQUIRE);
	return true;
}

static void *work(void *data)
{
	struct worker *worker = data;
	struct gang *gang = worker->gang;
	struct kjx_frame *frame = gang->frame;
	u32 lanes = frame->program->facts.lanes, idle_rounds = 0, open, lane;
	bool done[KJX_MAX_LANES] = { false };
	enum kjx_status status;
	bool moved;

	do {
		open = 0;
		moved = false;
		for (lane = worker->number; lane < lanes; lane += gang->threads) {
			if (done[lane])
				continue;
			status = kjx_slice_run(vm_of(frame, lane), SLICE, gang->run);
			if (status == KJX_OK)
				done[lane] = moved = true;
			else if (status == KJX_AGAIN || status == KJX_WAITING)
				open++;
			else
				fail(gang, status);
			moved |= status == KJX_AGAIN;
		}
		idle_rounds = moved ? 0 : idle_rounds + 1;
		if (open && !moved)
			pause_a_while(idle_rounds);
	} while (open && !stopped(worker));
	return NULL;
}

static u32 threads_for(const struct kjx_program *program, const struct kjx_run *run)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	u32 most = run->threads ? run->threads : program->threads ? program->threads : processors > 0 ? (u32)processors : 1;

	if (program->small)
		return 1;
	return most < program->facts.lanes ? most : program->facts.lanes;
}

enum kjx_status kjx_execute_lanes(struct kjx_frame *frame, const struct kjx_run *run)
{
	const struct kjx_facts *facts = &frame->program->facts;
	struct gang gang = { .frame = frame, .run = run, .threads = threads_for(frame->program, run) };
	u64 stride = (facts->arena_bytes + KJX_ALIGNMENT - 1) & ~(u64)(KJX_ALIGNMENT - 1);
	struct worker workers[KJX_MAX_LANES];
	u32 lane, started;

	memset(frame->board, 0, sizeof(*frame->board));
	for (lane = 0; lane < facts->lanes; lane++)
		kjx_start(vm_of(frame, lane), frame->program->plan, frame->arenas + lane * stride,
			  frame->inputs + (u64)lane * facts->n_inputs, frame->outputs + (u64)lane * facts->n_outputs,
			  frame->board, lane, run->fuel);
	for (started = 0; started < gang.threads; started++)
		workers[started] = (struct worker){ .gang = &gang, .number = started };
	for (started = 1; started < gang.threads; started++)
		if (pthread_create(&workers[started].thread, NULL, work, &workers[started]))
			break;
	if (started < gang.threads)
		fail(&gang, KJX_NO_MEMORY);
	work(&workers[0]);
	while (started-- > 1)
		pthread_join(workers[started].thread, NULL);
	return gang.status;
}
