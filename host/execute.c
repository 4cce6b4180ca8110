// SPDX-License-Identifier: MIT
/*
 * One run. A short one is a single kjx_run(); a long one goes in slices, between which the clock, the caller's
 * poll function (signals) and nothing else are looked at.
 */
#include "program.h"

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

static enum kjx_status in_slices(struct kjx_vm *vm, const struct kjx_run *run)
{
	u64 slice = run->deadline ? SLICE_DEADLINE : SLICE;
	enum kjx_status status;

	for (;;) {
		status = kjx_slice_run(vm, slice, run);
		if (status == KJX_WAITING)
			return KJX_LANE_FAILED;	/* one lane has nobody to wait for */
		if (status != KJX_AGAIN)
			return status;
		if (run->deadline && kjx_now() >= run->deadline)
			return KJX_DEADLINE;
		if (run->poll && run->poll(run->data))
			return KJX_INTERRUPTED;
	}
}

enum kjx_status kjx_execute(struct kjx_frame *frame, const struct kjx_run *run)
{
	const struct kjx_program *program = frame->program;

	if (program->facts.lanes > 1)
		return kjx_execute_lanes(frame, run);
	kjx_start(frame->vms, program->plan, frame->arenas, frame->inputs, frame->outputs, NULL, 0, run->fuel);
	if (program->small && !program->facts.n_traces)	/* the host may take its time */
		return kjx_run(frame->vms, ~0ull);
	return in_slices(frame->vms, run);
}
