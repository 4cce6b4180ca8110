// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Program file descriptors: INFO and EXECUTE (TRACE is in trace.c).
 *
 * EXECUTE turns slots (buffer fd, offset) into addresses: each is looked up once, checked against what the verifier said
 * of the argument, and its buffer is held until the run has ended, whatever happens to the fd meanwhile.
 */
#include <linux/file.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include "kjax.h"

static const u8 dtype_bytes[KJX_DTYPE_COUNT] = {
#define ROW(name, bytes, kind) [KJX_DTYPE_##name] = bytes,
	KJX_DTYPES(ROW)
#undef ROW
};

u32 kjax_dtype_bytes(u32 dtype)
{
	return dtype < KJX_DTYPE_COUNT ? dtype_bytes[array_index_nospec(dtype, KJX_DTYPE_COUNT)] : 0;
}

static int copy_arguments(const struct kjax_program *program, const struct kjax_info *call)
{
	struct kjax_argument __user *to = u64_to_user_ptr(call->arguments);
	u32 inputs = program->facts.n_inputs, i;

	for (i = 0; i < min(call->capacity, call->count); i++) {
		const struct kjax_argument_fact *fact = &program->arguments[i];
		struct kjax_argument row = { .dtype = fact->dtype, .alias = fact->alias, .bytes = fact->bytes };
		const struct kjx_argument *a;
		const u64 *dims;

		a = kjx_argument_at(program->plan, i >= inputs, i < inputs ? i : i - inputs, &dims);
		row.rank = a->rank;
		memcpy(row.dims, dims, min_t(u32, a->rank, KJAX_RANK_MAX) * sizeof(*dims));
		if (copy_to_user(to + i, &row, sizeof(row)))
			return -EFAULT;
	}
	return 0;
}

static long ioctl_info(struct kjax_program *program, void __user *arg)
{
	const struct kjx_facts *facts = &program->facts;
	struct kjax_info call;
	int ret = kjax_copy_in(&call, sizeof(call), arg);

	if (ret)
		return ret;
	call = (struct kjax_info) {
		.size = call.size,
		.capacity = call.capacity,
		.arguments = call.arguments,
		.count = facts->n_inputs + facts->n_outputs,
		.status = memchr_inv(call.reserved, 0, sizeof(call.reserved)) ? KJX_BAD_CALL : KJX_OK,
		.plan_bytes = facts->plan_bytes,
		.arena_bytes = facts->arena_bytes,
		.constant_bytes = facts->constant_bytes,
		.input_bytes = facts->input_bytes,
		.output_bytes = facts->output_bytes,
		.image_bytes = program->image_bytes,
		.memory = program->charged + program->image_bytes,
		.cost = facts->cost,
		.flops = facts->flops,
		.cost_is_open = facts->cost_is_open,
		.n_inputs = facts->n_inputs,
		.n_outputs = facts->n_outputs,
		.n_instructions = facts->n_instructions,
		.lanes = facts->lanes,
		.cpu = program->cpu,
		.runs = program->n_runs,
		.traces = facts->n_traces,
	};
	if (!call.status) {
		ret = copy_arguments(program, &call);
		if (ret)
			return ret;
	}
	return kjax_copy_out(arg, &call, sizeof(call)) ?: kjax_errno(call.status);
}

/* Fill in pointer @i of a lane from @slot. Return: 0, -EINVAL or -EBADF */
static int resolve(struct kjax_run *run, u32 lane, u32 i, const struct kjax_slot *slot)
{
	const struct kjax_program *program = run->program;
	const struct kjax_argument_fact *fact = &program->arguments[i];
	u32 base = lane * (program->facts.n_inputs + program->facts.n_outputs);
	u8 **pointer = &run->pointers[base + i];
	struct kjax_buffer_object *buffer;

	*pointer = NULL;
	if (slot->reserved || (slot->fd == -1 && slot->offset))
		return -EINVAL;
	if (slot->fd == -1) {
		if (fact->alias != KJX_NO_ALIAS)
			*pointer = run->pointers[base + fact->alias];
		return *pointer || !fact->bytes ? 0 : -EINVAL;
	}
	buffer = kjax_buffer_get(slot->fd);
	if (!buffer)
		return -EBADF;
	run->buffers[base + i] = buffer;
	if (slot->offset % fact->align || slot->offset > buffer->bytes || fact->bytes > buffer->bytes - slot->offset)
		return -EINVAL;
	*pointer = buffer->data + slot->offset;
	if (fact->alias != KJX_NO_ALIAS && *pointer != run->pointers[base + fact->alias])
		return -EINVAL;
	return 0;
}

static int resolve_all(struct kjax_run *run, u64 address, u32 first, u32 n)
{
	const struct kjax_slot __user *from = u64_to_user_ptr(address);
	struct kjax_slot slots[16];
	u32 lane, i;
	int ret;

	for (lane = 0; lane < run->program->facts.lanes; lane++) {
		for (i = 0; i < n; i++) {
			if (!(i % ARRAY_SIZE(slots))) {
				u32 some = min_t(u32, n - i, ARRAY_SIZE(slots));

				if (copy_from_user(slots, from, some * sizeof(*slots)))
					return -EFAULT;
				from += some;
			}
			ret = resolve(run, lane, first + i, &slots[i % ARRAY_SIZE(slots)]);
			if (ret)
				return ret;
		}
	}
	return 0;
}

static void release_all(struct kjax_run *run)
{
	const struct kjx_facts *facts = &run->program->facts;
	u32 n = facts->lanes * (facts->n_inputs + facts->n_outputs), i;

	for (i = 0; i < n; i++) {
		if (run->buffers[i])
			kjax_buffer_put(run->buffers[i]);
		run->buffers[i] = NULL;
	}
}

static int execute(struct kjax_program *program, struct kjax_execute *call)
{
	const struct kjx_facts *facts = &program->facts;
	struct kjax_outcome outcome = { .failed_lane = U32_MAX };
	struct kjax_run *run;
	int ret;

	call->status = KJX_BAD_CALL;
	if ((call->flags & ~KJAX_EXECUTE_NOWAIT) || call->reserved[0] || call->reserved[1] ||
	    call->n_inputs != facts->lanes * facts->n_inputs || call->n_outputs != facts->lanes * facts->n_outputs)
		return -EINVAL;
	call->status = kjax_run_take(program, call->flags & KJAX_EXECUTE_NOWAIT, call->deadline, &run);
	if (call->status)
		return kjax_errno(call->status);
	/* inputs first: outputs are compared with those that they alias */
	ret = resolve_all(run, call->inputs, 0, facts->n_inputs);
	if (!ret)
		ret = resolve_all(run, call->outputs, facts->n_inputs, facts->n_outputs);
	call->status = KJX_BAD_CALL;
	if (!ret) {
		call->status = kjax_run_execute(run, call->fuel ?: U64_MAX, call->deadline, &outcome);
		ret = kjax_errno(call->status);
	}
	release_all(run);
	kjax_run_give(run);
	call->used = outcome.used;
	call->time = outcome.time;
	call->failed_lane = outcome.failed_lane;
	return ret;
}

static long ioctl_execute(struct kjax_program *program, void __user *arg)
{
	struct kjax_execute call;
	int ret = kjax_copy_in(&call, sizeof(call), arg);

	if (ret)
		return ret;
	call.used = call.time = 0;
	call.failed_lane = U32_MAX;
	ret = execute(program, &call);
	return kjax_copy_out(arg, &call, sizeof(call)) ?: ret;
}

static long program_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case KJAX_IOC_INFO:
		return ioctl_info(file->private_data, (void __user *)arg);
	case KJAX_IOC_EXECUTE:
		return ioctl_execute(file->private_data, (void __user *)arg);
	case KJAX_IOC_TRACE:
		return kjax_ioctl_trace(file->private_data, (void __user *)arg);
	default:
		return -ENOTTY;
	}
}

static int program_release(struct inode *inode, struct file *file)
{
	kjax_program_put(file->private_data);
	return 0;
}

const struct file_operations kjax_program_fops = {
	.owner = THIS_MODULE,
	.release = program_release,
	.unlocked_ioctl = program_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

struct kjax_program *kjax_program_of(int fd)
{
	struct kjax_program *program = NULL;
	struct file *file = fget(fd);

	if (!file)
		return NULL;
	if (file->f_op == &kjax_program_fops) {
		program = file->private_data;
		kref_get(&program->ref);
	}
	fput(file);
	return program;
}
