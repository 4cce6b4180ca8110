// SPDX-License-Identifier: MIT
/*
 * One run. A short one is a single kjx_run(); a long one goes in slices, between which the clock, the caller's
 * poll function (signals) and nothing else are looked at.
 */
#include "crew.h"

#define SLICE (1u << 22)		/* units: some milliseconds */
#define SLICE_DEADLINE (1u << 17)	/* units between two looks at the clock */

enum kjx_status kjx_slice_run(struct kjx_vm *vm, u64 budget, const struct kjx_run *run)
{
	enum kjx_status status = kjx_run(vm, budget);

	if (kjx_likely(status != KJX_ASKING))
		return status;
	if (run->ask)
		status = run->ask(run->ask_data, vm);
	else if (kjx_asked(vm)->kind == KJX_TRACE_CALL)
		status = KJX_HOST_FAILED;
	else
		status = KJX_OK;
	return status == KJX_OK ? KJX_AGAIN : status;
}

#define WORTH_ROUSING (1u << 19)	/* units of a run's steps in parts */

/* between slices: is it to end? */
static enum kjx_status look_around(const struct kjx_run *run)
{
	if (run->deadline && kjx_now() >= run->deadline)
		return KJX_DEADLINE;
	if (run->poll && run->poll(run->data))
		return KJX_INTERRUPTED;
	return KJX_OK;
}

static enum kjx_status in_slices(struct kjx_vm *vm, const struct kjx_run *run, u32 threads)
{
	u64 slice = run->deadline ? SLICE_DEADLINE : SLICE;
	enum kjx_status status;

	for (;;) {
		status = kjx_slice_run(vm, slice, run);
		if (status == KJX_PARTED) {
			status = kjx_crew_work(vm, threads, look_around, run);
			if (status != KJX_OK)
				return status;
			continue;
		}
		if (status == KJX_WAITING)
			return KJX_LANE_FAILED;	/* one lane has nobody to wait for */
		if (status != KJX_AGAIN)
			return status;
		status = look_around(run);
		if (status != KJX_OK)
			return status;
	}
}

/* the run's steps may be shared out; returns the number of threads */
static u32 share(struct kjx_frame *frame, const struct kjx_run *run)
{
	const struct kjx_program *program = frame->program;
	u32 threads = run->threads && run->threads < program->threads ? run->threads : program->threads;

	if (threads < 2)
		return 1;
	kjx_team_start(frame->vms, &program->facts, frame->team, frame->parts, threads);
	if (program->facts.part_cost >= WORTH_ROUSING)
		kjx_crew_rouse();
	return threads;
}

enum kjx_status kjx_execute(struct kjx_frame *frame, const struct kjx_run *run)
{
	const struct kjx_program *program = frame->program;
	u32 threads = 1;

	if (program->facts.lanes > 1)
		return kjx_execute_lanes(frame, run);
	kjx_start(frame->vms, program->plan, frame->arenas, frame->inputs, frame->outputs, NULL, 0, run->fuel);
	if (program->small && !program->facts.n_traces)	/* the host may take its time */
		return kjx_run(frame->vms, ~0ull);
	if (program->parts)
		threads = share(frame, run);
	return in_slices(frame->vms, run, threads);
}
