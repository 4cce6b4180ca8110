// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Traces: the run stops with KJX_ASKING, the host looks at the values where they are (kjx_asked_at()), and the next
 * kjx_run() goes on after the instruction. The engine copies nothing: a host that wants a ring, a
 * log or a callback makes it of these addresses.
 */
#include "plan.h"

struct kjx_trace_plan {
	const struct kjx_trace *insn;
	u64 cost;
	struct kjx_place place[];	/* of the values; zero where there is no tensor */
};

static u32 count(const struct kjx_trace *insn)
{
	return (u32)insn->n_inputs + insn->n_outputs;
}

u64 kjx_trace_plan_bytes(const struct kjx_image *image, const struct kjx_trace *insn)
{
	(void)image;
	return sizeof(struct kjx_trace_plan) + count(insn) * sizeof(struct kjx_place);
}

/* what the host will copy, as units; it may be the dearer part of a run that prints a lot */
u64 kjx_trace_cost(const struct kjx_image *image, const struct kjx_trace *insn)
{
	const struct kjx_value *v = kjx_value_first(insn);
	u64 cost = 64;
	u32 i;

	for (i = 0; i < count(insn); i++, v = kjx_value_next(v))
		if (v->tensor != KJX_NO_TENSOR)
			cost = kjx_sat_add(cost, image->tensors[v->tensor].bytes / 8);
	return cost;
}

const struct kjx_trace_plan *kjx_trace_build(struct kjx_builder *b, const struct kjx_trace *insn)
{
	struct kjx_trace_plan *p = kjx_build(b, kjx_trace_plan_bytes(b->image, insn));
	const struct kjx_value *v = kjx_value_first(insn);
	u32 i;

	p->insn = insn;
	p->cost = kjx_trace_cost(b->image, insn);
	for (i = 0; i < count(insn); i++, v = kjx_value_next(v))
		if (v->tensor != KJX_NO_TENSOR)
			kjx_place_set(b->image, &p->place[i], v->tensor, 0);
	return p;
}

enum kjx_status kjx_trace_run(struct kjx_slice *s, const struct kjx_trace_plan *p)
{
	if (s->vm->at[0])
		return KJX_OK;
	s->vm->at[0] = 1;
	kjx_spend(s, p->cost);
	return KJX_ASKING;
}

static const struct kjx_trace_plan *current_plan(const struct kjx_vm *vm)
{
	const struct kjx_step *step = &vm->plan->steps[vm->pc];

	return vm->op ? kjx_thread_step(step->plan, vm->op)->plan : step->plan;
}

const struct kjx_trace *kjx_asked(const struct kjx_vm *vm)
{
	return current_plan(vm)->insn;
}

u8 *kjx_asked_at(const struct kjx_vm *vm, u32 number)
{
	const struct kjx_trace_plan *p = current_plan(vm);
	const struct kjx_value *v = kjx_value_first(p->insn);
	const struct kjx_place *place = &p->place[number];
	u32 i;

	for (i = 0; i < number; i++)
		v = kjx_value_next(v);
	if (v->tensor == KJX_NO_TENSOR)
		return NULL;
	switch (place->base) {
	case KJX_BASE_INPUT:
		return vm->inputs[place->index] + place->offset;
	case KJX_BASE_OUTPUT:
		return vm->outputs[place->index] + place->offset;
	case KJX_BASE_CONSTANT:
		return (u8 *)vm->plan->constants + place->offset;
	default:
		return vm->arena + place->offset;
	}
}
