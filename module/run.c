// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Execution: sections, lanes, and everything that ends a run early.
 *
 * A program of one lane runs on the caller's thread. Of one with more, the caller's thread and the worker
 * threads (lanes.c) each do the same: pick a lane that can go on, run it section by section until it ends or waits
 * for others in an exchange, put it back, pick again. A waiting lane holds no thread, so any number
 * of threads, one included, brings any number of lanes to their end: there is nothing to deadlock on.
 *
 * A lane that waits can go on when the board has changed since its last slice began (its turns posted and read only
 * ever grow, so their sum tells). The engine wakes nobody; the thread that ran a section does, when it has
 * posted or read something in it.
 *
 * Invariants: a lane's vm is touched by the thread that took it only. @left counts the lanes that have not ended. Once
 * @stop is set nobody picks a lane any more; the first one to set it decides the run's status.
 */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/sched/signal.h>

#include "kjax.h"

#define POLL_NS		(20 * NSEC_PER_USEC)	/* look for progress this long before sleeping */
#define NAP_NS		(10 * NSEC_PER_MSEC)	/* then look at the deadline at least this often */

static void stop(struct kjax_run *run, enum kjx_status status, u32 lane)
{
	unsigned long flags;

	spin_lock_irqsave(&run->lock, flags);
	if (!run->stop) {
		WRITE_ONCE(run->stop, status);
		run->failed_lane = lane;
	}
	spin_unlock_irqrestore(&run->lock, flags);
	if (run->board)
		kjx_store_release(&run->board->failed, 1);
	wake_up_all(&run->progress);
}

/* What may end a run between two sections. Only the caller has signals. */
static enum kjx_status interrupted(const struct kjax_run *run)
{
	if (run->caller == current && signal_pending(current))
		return KJX_INTERRUPTED;
	if (run->deadline && ktime_get_ns() >= run->deadline)
		return KJX_DEADLINE;
	return KJX_OK;
}

/* a lane has come to a trace: take note of it, and it can go on */
static enum kjx_status taken(struct kjax_run *run, const struct kjx_vm *vm, enum kjx_status status)
{
	if (status != KJX_ASKING)
		return status;
	kjax_tracer_take(run->program->tracer, vm, run->number);
	return KJX_AGAIN;
}

static enum kjx_status run_alone(struct kjax_run *run)
{
	struct kjax_program *program = run->program;
	u64 budget = READ_ONCE(program->budget);
	enum kjx_status status;

	for (;;) {
		status = interrupted(run);
		if (status)
			break;
		if (!kjax_fpu_usable()) {
			status = KJX_NO_FPU;
			break;
		}
		status = taken(run, &run->lanes[0].vm, kjax_fpu_section(&run->lanes[0].vm, &budget));
		if (status != KJX_AGAIN)
			break;
		cond_resched();
	}
	WRITE_ONCE(program->budget, budget);
	/* a single lane has nobody to wait for: the verifier sees to it */
	return WARN_ON_ONCE(status == KJX_WAITING) ? KJX_LANE_FAILED : status;
}

static u64 lane_progress(const struct kjax_run *run, u32 lane)
{
	return kjx_load_acquire(&run->board->lane[lane].posted) + kjx_load_acquire(&run->board->lane[lane].read);
}

static u64 board_progress(const struct kjax_run *run)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < run->program->facts.lanes; i++)
		sum += lane_progress(run, i);
	return sum;
}

static bool can_go(const struct kjax_lane *lane, u64 progress)
{
	return !lane->taken && (!lane->waiting || lane->seen != progress);
}

/* Without the lock, as a hint; pick() decides. */
static bool something_to_do(const struct kjax_run *run)
{
	u64 progress;
	u32 i;

	if (READ_ONCE(run->stop) || !READ_ONCE(run->left))
		return true;
	progress = board_progress(run);
	for (i = 0; i < run->program->facts.lanes; i++)
		if (!READ_ONCE(run->lanes[i].taken) &&
		    (!READ_ONCE(run->lanes[i].waiting) || READ_ONCE(run->lanes[i].seen) != progress))
			return true;
	return false;
}

/* Return: a lane's number, or -1 when none can go on now. */
static int pick(struct kjax_run *run)
{
	u64 progress = board_progress(run);
	unsigned long flags;
	int found = -1;
	u32 i;

	spin_lock_irqsave(&run->lock, flags);
	for (i = 0; !run->stop && i < run->program->facts.lanes; i++) {
		if (can_go(&run->lanes[i], progress)) {
			run->lanes[i].taken = true;
			found = i;
			break;
		}
	}
	spin_unlock_irqrestore(&run->lock, flags);
	return found;
}

static void put_back(struct kjax_run *run, struct kjax_lane *lane, enum kjx_status status, u64 seen)
{
	unsigned long flags;
	bool last = false;

	spin_lock_irqsave(&run->lock, flags);
	if (status == KJX_OK) {
		last = !--run->left;	/* stays taken */
	} else {
		lane->waiting = status == KJX_WAITING;
		lane->seen = seen;
		lane->taken = false;
	}
	spin_unlock_irqrestore(&run->lock, flags);
	if (last)
		wake_up_all(&run->progress);
}

/* Run a lane until it ends, waits, or the run is stopped. */
static void run_lane(struct kjax_run *run, u32 number, u64 *budget)
{
	struct kjax_lane *lane = &run->lanes[number];
	enum kjx_status status;
	u64 seen, mine;

	do {
		status = interrupted(run);
		if (!status && !kjax_fpu_usable())
			status = KJX_NO_FPU;
		if (status || READ_ONCE(run->stop))
			break;
		seen = board_progress(run);
		mine = lane_progress(run, number);
		status = taken(run, &lane->vm, kjax_fpu_section(&lane->vm, budget));
		if (mine != lane_progress(run, number))
			wake_up_all(&run->progress);
		cond_resched();
	} while (status == KJX_AGAIN);

	if (status == KJX_OK && READ_ONCE(run->stop))
		return;
	if (status == KJX_OK || status == KJX_WAITING)
		put_back(run, lane, status, seen);
	else
		stop(run, status, number);
}

static void wait_for_progress(struct kjax_run *run)
{
	u64 now = ktime_get_ns(), until = now + POLL_NS, nap = NAP_NS;
	enum kjx_status status;

	while (!something_to_do(run) && now < until) {
		cpu_relax();
		now = ktime_get_ns();
	}
	if (run->deadline)
		nap = now < run->deadline ? min(nap, run->deadline - now) : 1;
	if (wait_event_interruptible_hrtimeout(run->progress, something_to_do(run), ns_to_ktime(nap))) {
		status = interrupted(run);
		if (status)
			stop(run, status, U32_MAX);
	}
}

void kjax_run_join(struct kjax_run *run)
{
	u64 budget = READ_ONCE(run->program->budget);

	while (!READ_ONCE(run->stop) && READ_ONCE(run->left)) {
		int lane = pick(run);

		if (lane < 0)
			wait_for_progress(run);
		else
			run_lane(run, lane, &budget);
	}
	WRITE_ONCE(run->program->budget, budget);
}

static void start(struct kjax_run *run, u64 fuel)
{
	const struct kjx_facts *facts = &run->program->facts;
	u32 i, arguments = facts->n_inputs + facts->n_outputs;

	if (run->board)
		memset(run->board, 0, sizeof(*run->board));
	for (i = 0; i < facts->lanes; i++) {
		struct kjax_lane *lane = &run->lanes[i];
		u8 **inputs = run->pointers + i * arguments;

		lane->taken = lane->waiting = false;
		lane->seen = 0;
		kjx_start(&lane->vm, run->program->plan, lane->arena, inputs, inputs + facts->n_inputs, run->board, i,
			  fuel);
	}
	run->number = kjax_tracer_begin(run->program->tracer);
	run->left = facts->lanes;
	run->stop = KJX_OK;
	run->failed_lane = U32_MAX;
}

enum kjx_status kjax_run_execute(struct kjax_run *run, u64 fuel, u64 deadline, struct kjax_outcome *outcome)
{
	u32 lanes = run->program->facts.lanes, i;
	u64 begin = ktime_get_ns();
	enum kjx_status status;

	run->caller = current;
	run->deadline = deadline;
	start(run, fuel);
	if (lanes == 1) {
		status = run_alone(run);
		if (status)
			run->failed_lane = 0;
	} else {
		kjax_lanes_queue(run);
		kjax_run_join(run);
		kjax_lanes_cancel(run);
		status = run->stop;
	}
	outcome->used = 0;
	for (i = 0; i < lanes; i++)
		outcome->used += run->lanes[i].vm.used;
	outcome->time = ktime_get_ns() - begin;
	outcome->failed_lane = run->failed_lane;
	this_cpu_inc(kjax_stats.runs);
	if (status)
		this_cpu_inc(kjax_stats.failed);
	return status;
}

enum kjx_status kjax_run_execute_atomic(struct kjax_run *run, u64 fuel)
{
	u64 budget = U64_MAX;
	enum kjx_status status;

	if (!kjax_fpu_usable())
		return KJX_NO_FPU;
	start(run, fuel);
	do {	/* with this budget only traces come between sections */
		status = taken(run, &run->lanes[0].vm, kjax_fpu_section(&run->lanes[0].vm, &budget));
	} while (status == KJX_AGAIN);
	this_cpu_inc(kjax_stats.runs);
	if (status)
		this_cpu_inc(kjax_stats.failed);
	return status;
}
