// SPDX-License-Identifier: MIT
/* Programs on the caller's memory: checks, then one frame, one run. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "capi.h"

/* copy what the caller's struct has of ours; what it has more of must be zero */
static bool take_struct(void *ours, size_t size, const void *theirs)
{
	const u8 *bytes = theirs;
	size_t given, i;

	memset(ours, 0, size);
	if (!theirs)
		return true;
	memcpy(&given, theirs, sizeof(given));
	if (given < sizeof(given))
		return false;
	for (i = size; i < given; i++)
		if (bytes[i])
			return false;
	memcpy(ours, theirs, given < size ? given : size);
	return true;
}

int kjax_program_open(const void *image, size_t bytes, const struct kjax_options *options, struct kjax_program **program)
{
	struct kjax_options wanted;
	struct kjx_limits limits = { .no_calls = 1 };
	struct kjx_facts facts;
	enum kjx_status status;
	char text[512] = "";
	struct kjx_log log = { .text = text, .capacity = sizeof(text) };
	struct kjx_program *open;

	*program = NULL;
	if (!take_struct(&wanted, sizeof(wanted), options))
		return kjx_fail(KJX_BAD_CALL, "options: size is not set, or something is that this libkjax does not know");
	limits.memory = wanted.memory_limit;
	limits.threads = wanted.threads;
	if (wanted.threads > KJX_MAX_THREADS)
		return kjx_fail(KJX_BAD_CALL, "%u threads: there may be %u", wanted.threads, KJX_MAX_THREADS);
	open = kjx_program_open(image, bytes, wanted.cpu, &limits, NULL, &facts, &log, &status);
	if (open) {
		*program = (struct kjax_program *)open;
		return 0;
	}
	if (status == KJX_BAD_CALL)
		return kjx_fail(status, "this machine cannot run cpu table %s", wanted.cpu);
	return kjx_fail((int)status, "%s: %s", kjx_status_name(status), *text ? text : kjx_status_meaning(status));
}

int kjax_program_load(const char *path, const struct kjax_options *options, struct kjax_program **program)
{
	size_t n;
	void *bytes;
	int status = kjx_read_file(path, &bytes, &n);

	*program = NULL;
	if (!status)
		status = kjax_program_open(bytes, n, options, program);
	free(bytes);
	return status;
}

void kjax_program_close(struct kjax_program *program)
{
	if (program)
		kjx_listener_free(kjx_inner(program));
	kjx_program_close(kjx_inner(program));
}

const char *kjax_program_cpu(const struct kjax_program *program)
{
	return kjx_cpu_name(kjx_inner(program)->cpu);
}

void kjax_program_facts(const struct kjax_program *program, struct kjax_facts *facts)
{
	const struct kjx_facts *f = &kjx_inner(program)->facts;

	*facts = (struct kjax_facts){
		.plan_bytes = f->plan_bytes, .arena_bytes = f->arena_bytes, .constant_bytes = f->constant_bytes,
		.input_bytes = f->input_bytes, .output_bytes = f->output_bytes, .cost = f->cost, .flops = f->flops,
		.cost_is_open = f->cost_is_open, .inputs = f->n_inputs, .outputs = f->n_outputs,
		.instructions = f->n_instructions, .lanes = f->lanes, .part_bytes = f->part_bytes,
	};
}

static int describe(const struct kjx_slot *slots, u32 n, u32 number, struct kjax_argument *argument)
{
	const struct kjx_slot *slot = &slots[number];

	if (number >= n)
		return kjx_fail(KJX_BAD_CALL, "there are %u of them, number %u is none", n, number);
	*argument = (struct kjax_argument){
		.dtype = kjx_dtype_name(slot->dtype), .dims = (const uint64_t *)slot->dims, .bytes = slot->bytes,
		.rank = slot->rank, .align = slot->size, .alias = slot->alias,
	};
	return 0;
}

int kjax_program_input(const struct kjax_program *program, uint32_t number, struct kjax_argument *argument)
{
	const struct kjx_program *p = kjx_inner(program);

	return describe(p->inputs, p->facts.n_inputs, number, argument);
}

int kjax_program_output(const struct kjax_program *program, uint32_t number, struct kjax_argument *argument)
{
	const struct kjx_program *p = kjx_inner(program);

	return describe(p->outputs, p->facts.n_outputs, number, argument);
}

/* set *@pointers to what the caller gave for one lane; false when one cannot be used */
static bool take_pointers(const struct kjx_slot *slots, u32 n, const void *const *given, u8 **pointers)
{
	u32 i;

	for (i = 0; i < n; i++) {
		if (slots[i].bytes && (!given[i] || ((uintptr_t)given[i] & (slots[i].size - 1u))))
			return false;
		pointers[i] = (u8 *)given[i];
	}
	return true;
}

/* outputs that update an input: the run sees one buffer for both */
static void join_aliases(const struct kjx_program *p, u8 **inputs, u8 *const *outputs)
{
	u32 i;

	for (i = 0; i < p->facts.n_outputs; i++) {
		const struct kjx_slot *slot = &p->outputs[i];

		if (slot->alias == KJX_NO_ALIAS || !slot->bytes)
			continue;
		if (outputs[i] != inputs[slot->alias])
			memcpy(outputs[i], inputs[slot->alias], slot->bytes);
		inputs[slot->alias] = outputs[i];
	}
}

int kjax_program_run(struct kjax_program *program, const void *const *inputs, void *const *outputs,
		     const struct kjax_run *options)
{
	struct kjx_program *p = kjx_inner(program);
	u64 n_in = p->facts.n_inputs, n_out = p->facts.n_outputs;
	struct kjx_run run = { .fuel = ~0ull };
	struct kjx_listening listening;
	enum kjx_status status = KJX_OK;
	struct kjx_frame *frame;
	struct kjax_run wanted;
	u32 lane;

	if (options) {
		if (!take_struct(&wanted, sizeof(wanted), options))
			return kjx_fail(KJX_BAD_CALL, "run: size is not set, or something is that this libkjax does not know");
		run.fuel = wanted.fuel ? wanted.fuel : ~0ull;
		run.deadline = wanted.timeout_ns ? kjx_now() + wanted.timeout_ns : 0;
		run.threads = wanted.threads;
	}
	if (!run.threads && p->facts.lanes > 1)		/* no thread that nobody asked for */
		run.threads = p->threads ? p->threads : 1;
	frame = kjx_frame_take(p);
	if (!frame)
		return kjx_fail(KJX_NO_MEMORY, "no memory for one more run of this program at the same time");
	for (lane = 0; lane < p->facts.lanes && status == KJX_OK; lane++) {
		if (!take_pointers(p->inputs, p->facts.n_inputs, inputs + lane * n_in, frame->inputs + lane * n_in) ||
		    !take_pointers(p->outputs, p->facts.n_outputs, (const void *const *)outputs + lane * n_out,
				   frame->outputs + lane * n_out))
			status = KJX_BAD_CALL;
		else
			join_aliases(p, frame->inputs + lane * n_in, frame->outputs + lane * n_out);
	}
	if (status == KJX_OK && p->facts.n_traces) {
		kjx_listen_begin(&listening, p);
		run.ask = kjx_listen;
		run.ask_data = &listening;
	}
	if (status == KJX_OK)
		status = kjx_execute(frame, &run);
	kjx_frame_give(p, frame);
	return status == KJX_OK ? 0 : kjx_fail((int)status, "%s: %s", kjx_status_name(status), kjx_status_meaning(status));
}
