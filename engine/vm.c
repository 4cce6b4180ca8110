// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The interpreter: steps one after the other, in slices.
 *
 * Invariants between steps: vm->at[] is zero; vm->region[d].trips counts the iterations of the while at depth d. A
 * handler that returns KJX_AGAIN, KJX_WAITING, KJX_ASKING or KJX_PARTED is called again for the same step with vm->at[] and its
 * scratch as it left them. Work is counted at the same places however a run is sliced, so running out of fuel is reproducible.
 */
#include "nest.h"

void kjx_start(struct kjx_vm *vm, const struct kjx_plan *plan, void *arena, u8 *const *inputs, u8 *const *outputs,
	       struct kjx_exchange_board *board, u32 lane, u64 fuel)
{
	vm->plan = plan;
	vm->arena = arena;
	vm->inputs = inputs;
	vm->outputs = outputs;
	vm->board = board;
	vm->team = NULL;
	vm->fuel = fuel;
	vm->used = 0;
	vm->lane = lane;
	vm->pc = 0;
	vm->op = 0;
	vm->status = KJX_OK;
	vm->turn = 0;
	vm->runs++;
	kjx_memset(vm->at, 0, sizeof(vm->at));
}

void kjx_step_link(struct kjx_slice *s, const struct kjx_step *step)
{
	if (step->opcode == KJX_OPCODE_NEST)
		kjx_nest_link(s, step->plan);
}

u32 kjx_choose(const struct kjx_control *c, s32 index)
{
	u64 n = c->n_branches;
	/* negative ones are large; clamped without a branch: what is speculated stays in the table */
	u64 in_range = kjx_index_nospec((u32)index, n);
	u64 outside = 0 - (u64)((u32)index >= n);

	return c->target[in_range | (outside & (n - 1))];
}

enum kjx_status kjx_step_run(struct kjx_slice *s, const struct kjx_step *step)
{
	enum kjx_status status;

	if (step->split && s->vm->team && kjx_team_step(s, step, &status))
		return status;
	switch (step->opcode) {
	case KJX_OPCODE_NEST:
		return kjx_nest_run(s, step->plan);
	case KJX_STEP_ROWS:
		return kjx_nest_rows_run(s, step->plan);
	case KJX_OPCODE_WHILE:		/* an outermost one */
		return kjx_thread_run(s, step->plan);
	case KJX_OPCODE_DOT:
		return kjx_dot_run(s, step->plan);
	case KJX_OPCODE_GATHER:
		return kjx_gather_run(s, step->plan);
	case KJX_OPCODE_SCATTER:
		return kjx_scatter_run(s, step->plan);
	case KJX_OPCODE_SORT:
		return kjx_sort_run(s, step->plan);
	case KJX_OPCODE_SCAN:
		return kjx_scan_run(s, step->plan);
	case KJX_OPCODE_TRANSFORM:
		return kjx_transform_run(s, step->plan);
	case KJX_OPCODE_LINALG:
		return kjx_linalg_run(s, step->plan);
	case KJX_OPCODE_TRACE:
		return kjx_trace_run(s, step->plan);
	default:
		return kjx_exchange_run(s, step->plan);
	}
}

static enum kjx_status run_steps(struct kjx_slice *s)
{
	struct kjx_vm *vm = s->vm;
	const struct kjx_step *steps = vm->plan->steps, *step;
	const u32 n = vm->plan->n_steps;
	u32 pc = vm->pc;
	enum kjx_status status = KJX_OK;

	while (pc != n) {
		if (s->spent >= s->limit) {
			status = KJX_AGAIN;
			break;
		}
		step = &steps[pc];
		switch (step->opcode) {
		case KJX_STEP_QUICK:
			kjx_nest_quick(s, step->plan);
			s->spent++;
			pc++;
			continue;
		case KJX_STEP_PRODUCT:
			kjx_product_run(s, step->plan);
			s->spent++;
			pc++;
			continue;
		case KJX_OPCODE_CASE:
			s->spent++;
			pc = kjx_choose(step->plan, *(const s32 *)kjx_address(s, &((const struct kjx_control *)step->plan)->place));
			continue;
		case KJX_OPCODE_BRANCH:
		case KJX_OPCODE_END:		/* of a case */
			s->spent++;
			pc = step->target;
			continue;
		default:
			status = kjx_step_run(s, step);
		}
		if (status != KJX_OK)
			break;
		s->spent++;
		pc = step->opcode == KJX_OPCODE_WHILE ? step->target + 1 : step->opcode == KJX_STEP_ROWS ? step->target : pc + 1;
		if (vm->at[0] | vm->at[1] | vm->at[2] | vm->at[3])
			kjx_memset(vm->at, 0, sizeof(vm->at));
	}
	vm->pc = pc;
	return status;
}

enum kjx_status kjx_run(struct kjx_vm *vm, u64 budget)
{
	struct kjx_slice s = {
		.vm = vm,
		.cpu = vm->plan->cpu,
		.limit = kjx_min(kjx_max(budget, 1), vm->fuel),
		.scratch = vm->arena + vm->plan->scratch,
		.links = vm->arena,
		.bases = { (u8 *const *)&vm->arena, vm->inputs, vm->outputs, (u8 *const *)&vm->plan->constants },
	};
	enum kjx_status status;

	s.bases[KJX_BASE_SCRATCH] = &s.scratch;
	s.bases[KJX_BASE_PLAN] = (u8 *const *)&vm->plan;
	if (vm->status != KJX_OK)
		return vm->status;
	status = run_steps(&s);
	vm->used += s.spent;
	if (vm->fuel != ~0ull) {
		vm->fuel -= kjx_min(s.spent, vm->fuel);
		if (status == KJX_AGAIN && !vm->fuel)
			status = KJX_OUT_OF_FUEL;
	}
	if (status > KJX_PARTED)
		vm->status = status;
	return status;
}
