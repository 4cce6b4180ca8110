// SPDX-License-Identifier: MIT
/* Buffers: 64-byte aligned memory with an element type and a shape, in one block. */
#include <stdlib.h>
#include <string.h>

#include "capi.h"
#include "cpu.h"

struct dtype {
	const char *name;
	u8 bytes;
	char kind;
};

static const struct dtype dtypes[KJX_DTYPE_COUNT] = {
#define KJX_ROW(NAME, name_, ...) [KJX_DTYPE_##NAME].name = name_,
	KJX_DTYPE_NAMES(KJX_ROW)
#undef KJX_ROW
#define KJX_ROW(NAME, bytes_, kind_) [KJX_DTYPE_##NAME].bytes = bytes_, [KJX_DTYPE_##NAME].kind = kind_,
	KJX_DTYPES(KJX_ROW)
#undef KJX_ROW
};

static const struct dtype *dtype_at(u32 dtype)
{
	return &dtypes[dtype < KJX_DTYPE_COUNT ? dtype : 0];
}

static u32 dtype_named(const char *name)
{
	u32 i;

	for (i = 1; i < KJX_DTYPE_COUNT; i++)
		if (dtypes[i].name && !strcmp(dtypes[i].name, name))
			return i;
	return 0;
}

const char *kjx_dtype_name(u32 dtype)
{
	const char *name = dtype_at(dtype)->name;

	return name ? name : "?";
}

struct kjax_buffer *kjx_buffer_of(u32 dtype, u32 lanes, u32 rank, const u64 *dims)
{
	u32 stacked = lanes > 1, d;
	struct kjax_buffer *buffer;
	u64 bytes = dtype_at(dtype)->bytes, room;

	if (!bytes || rank + stacked > KJX_MAX_RANK + 1)
		return NULL;
	buffer = calloc(1, sizeof(*buffer));
	if (!buffer)
		return NULL;
	buffer->dtype = (u8)dtype;
	buffer->rank = rank + stacked;
	if (stacked)
		buffer->dims[0] = lanes;
	for (d = 0; d < rank; d++)
		buffer->dims[d + stacked] = dims[d];
	for (d = 0; d < buffer->rank; d++)
		if (__builtin_mul_overflow(bytes, buffer->dims[d], &bytes) || bytes > KJX_MAX_BYTES)
			goto fail;
	buffer->bytes = bytes;
	room = (bytes + KJX_ALIGNMENT) & ~(u64)(KJX_ALIGNMENT - 1);
	buffer->data = aligned_alloc(KJX_ALIGNMENT, room);
	if (!buffer->data)
		goto fail;
	memset(buffer->data, 0, room);
	return buffer;
fail:
	free(buffer);
	return NULL;
}

struct kjax_buffer *kjax_buffer_new(const char *dtype, uint32_t rank, const uint64_t *dims)
{
	u32 number = dtype_named(dtype);
	struct kjax_buffer *buffer = rank <= KJX_MAX_RANK ? kjx_buffer_of(number, 1, rank, (const u64 *)dims) : NULL;

	if (!buffer)
		kjx_fail(KJX_BAD_CALL, number ? "no buffer of type %s: the shape is too large, or there is no memory" :
						"no element type is called %s", dtype);
	return buffer;
}

void kjax_buffer_free(struct kjax_buffer *buffer)
{
	if (buffer)
		free(buffer->data);
	free(buffer);
}

void *kjax_buffer_data(const struct kjax_buffer *buffer)
{
	return buffer->data;
}

uint64_t kjax_buffer_bytes(const struct kjax_buffer *buffer)
{
	return buffer->bytes;
}

const char *kjax_buffer_dtype(const struct kjax_buffer *buffer)
{
	return kjx_dtype_name(buffer->dtype);
}

uint32_t kjax_buffer_rank(const struct kjax_buffer *buffer)
{
	return buffer->rank;
}

const uint64_t *kjax_buffer_dims(const struct kjax_buffer *buffer)
{
	return (const uint64_t *)buffer->dims;
}

/* floats of any width: the engine's own conversion */
static double float_value(u32 dtype, const void *at)
{
	const struct kjx_cpu *cpu = kjx_cpu_select(0, "scalar");
	kjx_uop_fn *widen = cpu->uops[KJX_OP_TO_F32 << KJX_DTYPE_BITS | dtype];
	float value = 0;

	if (widen)
		widen(&value, at, NULL, NULL, 1);
	return (double)value;
}

double kjax_buffer_get(const struct kjax_buffer *buffer, uint64_t index)
{
	const struct dtype *type = dtype_at(buffer->dtype);
	const u8 *at = (const u8 *)buffer->data + index * type->bytes;
	double real;
	s64 value = 0;

	if (index >= buffer->bytes / type->bytes || type->kind == 'c')
		return 0;
	if (buffer->dtype == KJX_DTYPE_F64) {
		memcpy(&real, at, sizeof(real));
		return real;
	}
	if (buffer->dtype == KJX_DTYPE_F32)
		return (double)*(const float *)(const void *)at;
	if (type->kind == 'f')
		return float_value(buffer->dtype, at);
	memcpy(&value, at, type->bytes);
	if (type->kind == 'i')	/* sign: shift the value to the top and back */
		return (double)((s64)((u64)value << (64 - 8 * type->bytes)) >> (64 - 8 * type->bytes));
	return (double)(u64)value;
}

/* does the buffer hold what the slot takes? */
static bool fits(const struct kjax_buffer *buffer, const struct kjx_slot *slot, u32 lanes)
{
	u32 stacked = lanes > 1, d;

	if (!buffer || buffer->dtype != slot->dtype || buffer->rank != slot->rank + stacked ||
	    (stacked && buffer->dims[0] != lanes))
		return false;
	for (d = 0; d < slot->rank; d++)
		if (buffer->dims[d + stacked] != slot->dims[d])
			return false;
	return true;
}

static int run_on_buffers(struct kjx_program *p, struct kjax_buffer *const *inputs, struct kjax_buffer **outputs,
			  const struct kjax_run *run)
{
	u64 n_in = p->facts.n_inputs, n_out = p->facts.n_outputs, lanes = p->facts.lanes, lane, i;
	void **at = calloc(lanes * (n_in + n_out) + 1, sizeof(*at)), **out = at + lanes * n_in;
	int status;

	if (!at)
		return kjx_fail(KJX_NO_MEMORY, "no memory");
	for (lane = 0; lane < lanes; lane++) {
		for (i = 0; i < n_in; i++)
			at[lane * n_in + i] = (u8 *)inputs[i]->data + lane * p->inputs[i].bytes;
		for (i = 0; i < n_out; i++)
			out[lane * n_out + i] = (u8 *)outputs[i]->data + lane * p->outputs[i].bytes;
	}
	status = kjax_program_run((struct kjax_program *)p, (const void *const *)at, out, run);
	free(at);
	return status;
}

int kjax_program_call(struct kjax_program *program, struct kjax_buffer *const *inputs, struct kjax_buffer **outputs,
		      const struct kjax_run *run)
{
	struct kjx_program *p = kjx_inner(program);
	int status = 0;
	u32 i;

	for (i = 0; i < p->facts.n_inputs; i++)
		if (!fits(inputs[i], &p->inputs[i], p->facts.lanes))
			return kjx_fail(KJX_BAD_CALL, "input %u: the buffer has another type or shape than the program takes", i);
	for (i = 0; i < p->facts.n_outputs; i++) {
		outputs[i] = kjx_buffer_of(p->outputs[i].dtype, p->facts.lanes, p->outputs[i].rank, p->outputs[i].dims);
		if (!outputs[i])
			status = kjx_fail(KJX_NO_MEMORY, "no memory for output %u", i);
	}
	if (!status)
		status = run_on_buffers(p, inputs, outputs, run);
	for (i = 0; status && i < p->facts.n_outputs; i++) {
		kjax_buffer_free(outputs[i]);
		outputs[i] = NULL;
	}
	return status;
}
