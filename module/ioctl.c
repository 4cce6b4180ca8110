// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What all ioctls share: extensible structs in and out, statuses as errno, new file descriptors; and LOAD.
 */
#include <linux/anon_inodes.h>
#include <linux/ctype.h>
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kjax.h"

int kjax_errno(enum kjx_status status)
{
	switch (status) {
	case KJX_OK:
		return 0;
	case KJX_TOO_LARGE:
	case KJX_NO_MEMORY:
		return -ENOMEM;
	case KJX_OVER_COST:
		return -EFBIG;
	case KJX_OUT_OF_FUEL:
	case KJX_TOO_MANY_TRIPS:
		return -ETIME;
	case KJX_DEADLINE:
		return -ETIMEDOUT;
	case KJX_INTERRUPTED:
		return -EINTR;
	case KJX_LANE_FAILED:
		return -ECANCELED;
	case KJX_NO_FPU:
		return -EAGAIN;
	case KJX_AGAIN:		/* no idle run, and the caller would not wait */
		return -EBUSY;
	case KJX_BAD_CALL:
		return -EINVAL;
	default:
		return status >= KJX_TRUNCATED && status < KJX_TOO_LARGE ? -ENOEXEC : -EINVAL;
	}
}

int kjax_copy_in(void *to, size_t known, const void __user *from)
{
	u32 size;
	int ret;

	if (get_user(size, (const u32 __user *)from))
		return -EFAULT;
	if (size < known)	/* version 1: nothing shorter has ever been */
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(to, known, from, size);
	*(u32 *)to = size;	/* the field could have changed since */
	return ret;
}

int kjax_copy_out(void __user *to, const void *from, size_t known)
{
	u32 size = *(const u32 *)from;

	return copy_to_user(to, from, min_t(size_t, size, known)) ? -EFAULT : 0;
}

bool kjax_name_ok(const char name[KJAX_NAME_MAX], bool transformation)
{
	u32 n = strnlen(name, KJAX_NAME_MAX), i;

	if (n == KJAX_NAME_MAX || (!n && !transformation))
		return false;
	for (i = 0; i < n; i++)
		if (!isascii(name[i]) || !(isgraph(name[i]) || (transformation && isspace(name[i]))))
			return false;
	return !memchr_inv(name + n, 0, KJAX_NAME_MAX - n);
}

int kjax_fd_install(const char *name, const struct file_operations *fops, void *object, void __user *arg, void *call,
		    size_t known, s32 *fd)
{
	struct file *file;
	int ret, number = get_unused_fd_flags(O_CLOEXEC);

	if (number < 0)
		return number;
	/* tell first: an installed descriptor cannot be taken back */
	*fd = number;
	ret = kjax_copy_out(arg, call, known);
	if (ret)
		goto unused;
	file = anon_inode_getfile(name, fops, object, O_RDWR);
	if (!IS_ERR(file)) {
		fd_install(number, file);
		return 0;
	}
	ret = PTR_ERR(file);
unused:
	put_unused_fd(number);
	*fd = -1;
	kjax_copy_out(arg, call, known);
	return ret;
}

static enum kjx_status copy_image(struct kjax_owner *owner, const struct kjax_load *call, struct kjax_blob **result)
{
	struct kjax_blob *blob;
	enum kjx_status status;

	if (!call->image_bytes)
		return KJX_TRUNCATED;
	status = kjax_blob_new(owner, call->image_bytes, &blob);
	if (status)
		return status;
	if (copy_from_user(blob->data, u64_to_user_ptr(call->image), call->image_bytes)) {
		kjax_blob_put(blob);
		return KJX_BAD_CALL;
	}
	*result = blob;
	return KJX_OK;
}

static int copy_log(struct kjax_load *call, struct kjx_log *log)
{
	u32 n = min3(log->needed, log->capacity, call->log_capacity);

	call->log_needed = log->needed;
	return n && copy_to_user(u64_to_user_ptr(call->log), log->text, n) ? -EFAULT : 0;
}

#define LOG_BYTES 1024		/* a refusal is a sentence */

long kjax_ioctl_load(struct kjax_owner *owner, void __user *arg, bool library)
{
	struct kjax_load_options options;
	struct kjax_blob *blob = NULL;
	struct kjx_log log = { .capacity = LOG_BYTES };
	struct kjax_load call;
	u32 cpu;
	union {
		struct kjax_program *program;
		struct kjax_library *library;
		void *any;
	} object;
	int ret = kjax_copy_in(&call, sizeof(call), arg);

	if (ret)
		return ret;
	call.fd = -1;
	call.failed_at = U32_MAX;
	call.count = 0;
	call.log_needed = 0;
	call.status = KJX_BAD_CALL;
	cpu = call.cpu;
	if ((call.flags & ~KJAX_LOAD_TRACE_LOG) || call.reserved0 || call.reserved || !kjax_tracer_ok(call.trace_bytes) || !kjax_fpu_cpu(&cpu))
		goto out;
	options = (struct kjax_load_options) { call.memory_limit, call.cost_limit, cpu, call.runs, call.trace_bytes,
						 call.flags & KJAX_LOAD_TRACE_LOG };

	call.status = copy_image(owner, &call, &blob);
	if (call.status)
		goto out;
	log.text = kzalloc(LOG_BYTES, GFP_KERNEL_ACCOUNT);
	if (!log.text)
		log.capacity = 0;
	if (library)
		call.status = kjax_library_load(owner, blob, &options, &log, &call.failed_at, &call.count,
						&object.library);
	else
		call.status = kjax_program_load(owner, blob, blob->data, blob->bytes, &options, &log, &call.failed_at,
						&object.program);
	kjax_blob_put(blob);
	ret = copy_log(&call, &log);
	kfree(log.text);
	if (call.status)
		goto out;
	call.count = library ? object.library->index.n_entries : 1;
	if (!ret)
		ret = kjax_fd_install(library ? "[kjax-library]" : "[kjax-program]",
				      library ? &kjax_library_fops : &kjax_program_fops, object.any, arg, &call,
				      sizeof(call), &call.fd);
	if (ret && library)
		kjax_library_put(object.library);
	else if (ret)
		kjax_program_put(object.program);
	return ret;
out:
	return kjax_copy_out(arg, &call, sizeof(call)) ?: kjax_errno(call.status);
}
