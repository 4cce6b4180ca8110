// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * kjx_verify(): decides whether an image may run, and reckons what it needs. The order of the parts is the order
 * of belief, see verify.h. Nothing is written but @facts and @log.
 */
#include "verify.h"

static const char *opcode_name(u32 opcode)
{
#define NAME(NAME, name) case KJX_OPCODE_##NAME: return name;
	switch (opcode) {
	KJX_OPCODES(NAME)
	}
	return "?";
}

enum kjx_status kjx_refuse_with(struct kjx_verifier *v, enum kjx_status status, const char *format, const u64 *values)
{
	if (v->insn) {
		const u64 where[] = { v->number, kjx_text(opcode_name(v->insn->opcode)) };

		kjx_log_format(v->log, "instruction %u (%s): ", where);
		v->facts->failed_at = v->number;
	}
	kjx_log_format(v->log, format, values);
	return status;
}

static enum kjx_status verify_limits(struct kjx_verifier *v)
{
	const struct kjx_facts *f = v->facts;
	u64 memory = kjx_sat_add(f->plan_bytes, kjx_sat_mul(f->lanes, f->arena_bytes));

	if (v->limits && v->limits->threads > 1 && f->lanes == 1)
		memory = kjx_sat_add(memory, kjx_sat_mul(v->limits->threads, f->part_bytes));

	if (f->plan_bytes > KJX_MAX_BYTES || f->arena_bytes > KJX_MAX_BYTES || f->part_bytes > KJX_MAX_BYTES)
		return kjx_refuse(v, KJX_TOO_LARGE, "%u bytes of plan and %u of arena, the limit is %u each", f->plan_bytes,
				  f->arena_bytes, KJX_MAX_BYTES);
	if (!v->limits)
		return KJX_OK;
	if (v->limits->memory && memory > v->limits->memory)
		return kjx_refuse(v, KJX_TOO_LARGE, "%u bytes of memory for %u lanes, the limit is %u", memory, f->lanes,
				  v->limits->memory);
	if (v->limits->cost && f->cost > v->limits->cost)
		return kjx_refuse(v, KJX_OVER_COST, "a run of %u work units, the limit is %u", f->cost, v->limits->cost);
	return KJX_OK;
}

static kjx_noinline enum kjx_status verify_program(struct kjx_verifier *v)
{
	u64 aliased[KJX_MAX_ARGUMENTS / 64];

	kjx_memset(aliased, 0, sizeof(aliased));
	v->aliased = aliased;
	KJX_TRY(kjx_verify_arguments(v));
	KJX_TRY(kjx_verify_tensors(v));
	return kjx_verify_code(v);
}

static enum kjx_status verify_image(struct kjx_verifier *v, const void *bytes, u64 n)
{
	const struct kjx_header *h = bytes;
	struct kjx_facts *f = v->facts;

	KJX_TRY(kjx_verify_container(v, bytes, n));
	f->constant_bytes = v->image.constant_bytes;
	f->n_inputs = v->image.n_inputs;
	f->n_outputs = v->image.n_outputs;
	f->n_instructions = v->image.n_insns;
	f->lanes = h->lanes;
	f->arena_bytes = h->arena;
	KJX_TRY(verify_limits(v));		/* before the work: what the header alone says may be too much */
	KJX_TRY(verify_program(v));
	return verify_limits(v);
}

enum kjx_status kjx_verify(const void *image, u64 bytes, const struct kjx_limits *limits, struct kjx_facts *facts,
			   struct kjx_log *log)
{
	struct kjx_verifier v;

	kjx_memset(&v, 0, sizeof(v));
	kjx_memset(facts, 0, sizeof(*facts));
	facts->failed_at = ~0u;
	v.facts = facts;
	v.log = log;
	v.limits = limits;
	v.number = ~0u;
	kjx_log_start(log);
	return verify_image(&v, image, bytes);
}
