// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Libraries: an archive whose programs are all verified and given their memory when it is loaded, so that a look-up
 * later finds a program that is ready to run. The images stay in the archive's one blob.
 */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "kjax.h"

static void library_destroy(struct kjax_library *library)
{
	u32 i;

	for (i = 0; library->programs && i < library->index.n_entries; i++)
		if (library->programs[i])
			kjax_program_put(library->programs[i]);
	kvfree(library->programs);
	kjax_uncharge(library->owner, library->charged);
	kjax_owner_put(library->owner);
	kjax_blob_put(library->blob);
	kfree(library);
}

static void library_free(struct kref *ref)
{
	library_destroy(container_of(ref, struct kjax_library, ref));
}

void kjax_library_put(struct kjax_library *library)
{
	might_sleep();
	kref_put(&library->ref, library_free);
}

static enum kjx_status load_programs(struct kjax_library *library, const struct kjax_load_options *options,
				     struct kjx_log *log, u32 *failed_at, u32 *at)
{
	struct kjax_load_options left = *options;
	struct kjx_variant variant;
	enum kjx_status status;
	u32 i;

	for (i = 0; i < library->index.n_entries; i++) {
		*at = i;
		kjx_library_at(&library->index, i, &variant);
		status = kjax_program_load(library->owner, library->blob, variant.image, variant.bytes, &left, log,
					   failed_at, &library->programs[i]);
		if (status)
			return status;
		if (options->memory_limit) {	/* one limit for all of them; 0 would mean none */
			if (left.memory_limit <= library->programs[i]->charged)
				return KJX_TOO_LARGE;
			left.memory_limit -= library->programs[i]->charged;
		}
		cond_resched();
		if (fatal_signal_pending(current))
			return KJX_INTERRUPTED;
	}
	return KJX_OK;
}

enum kjx_status kjax_library_load(struct kjax_owner *owner, struct kjax_blob *blob,
				  const struct kjax_load_options *options, struct kjx_log *log, u32 *failed_at,
				  u32 *at, struct kjax_library **result)
{
	struct kjax_library *library = kzalloc(sizeof(*library), GFP_KERNEL_ACCOUNT);
	enum kjx_status status;

	if (!library)
		return KJX_NO_MEMORY;
	status = kjx_library_open(blob->data, blob->bytes, &library->index, log);
	if (!status) {
		library->charged = library->index.n_entries * sizeof(*library->programs);
		status = kjax_charge(owner, library->charged);
	}
	if (status) {
		kfree(library);
		return status;
	}
	kref_init(&library->ref);
	kref_get(&owner->ref);
	kref_get(&blob->ref);
	library->owner = owner;
	library->blob = blob;
	library->programs = kvcalloc(library->index.n_entries, sizeof(*library->programs), GFP_KERNEL_ACCOUNT);
	status = library->programs ? load_programs(library, options, log, failed_at, at) : KJX_NO_MEMORY;
	if (status)
		library_destroy(library);
	else
		*result = library;
	return status;
}

struct kjax_program *kjax_library_find(struct kjax_library *library, const char *transformation, const char *function,
				       const char *signature, u32 nth)
{
	u32 at = 0;

	for (;;) {
		at = kjx_library_find(&library->index, function, transformation, signature, at);
		if (at == ~0u)
			return NULL;
		if (!nth--)
			break;
		at++;
	}
	kref_get(&library->programs[at]->ref);
	return library->programs[at];
}

u32 kjax_library_count(struct kjax_library *library, const char *transformation, const char *function,
		       const char *signature)
{
	u32 at = 0, n = 0;

	for (;;) {
		at = kjx_library_find(&library->index, function, transformation, signature, at);
		if (at == ~0u)
			return n;
		at++;
		n++;
	}
}

static int copy_entry(const struct kjax_library *library, struct kjax_entry *call)
{
	struct kjx_variant variant;
	u32 n;

	if (call->reserved)
		return -EINVAL;
	if (call->index >= library->index.n_entries)
		return -ENOENT;
	kjx_library_at(&library->index, call->index, &variant);
	strscpy_pad(call->function, variant.function, sizeof(call->function));
	strscpy_pad(call->transformation, variant.transformation, sizeof(call->transformation));
	call->image_bytes = variant.bytes;
	call->signature_needed = strlen(variant.signature) + 1;
	n = min(call->signature_capacity, call->signature_needed);
	return copy_to_user(u64_to_user_ptr(call->signature), variant.signature, n) ? -EFAULT : 0;
}

static long library_ioctl(struct file *file, unsigned int cmd, unsigned long argument)
{
	void __user *arg = (void __user *)argument;
	struct kjax_entry call;
	int ret;

	if (cmd != KJAX_IOC_ENTRY)
		return -ENOTTY;
	ret = kjax_copy_in(&call, sizeof(call), arg);
	if (ret)
		return ret;
	ret = copy_entry(file->private_data, &call);
	call.status = ret ? KJX_BAD_CALL : KJX_OK;
	return kjax_copy_out(arg, &call, sizeof(call)) ?: ret;
}

static int library_release(struct inode *inode, struct file *file)
{
	kjax_library_put(file->private_data);
	return 0;
}

const struct file_operations kjax_library_fops = {
	.owner = THIS_MODULE,
	.release = library_release,
	.unlocked_ioctl = library_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

struct kjax_library *kjax_library_of(int fd)
{
	struct kjax_library *library = NULL;
	struct file *file = fget(fd);

	if (!file)
		return NULL;
	if (file->f_op == &kjax_library_fops) {
		library = file->private_data;
		kref_get(&library->ref);
	}
	fput(file);
	return library;
}
