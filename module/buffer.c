// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Buffers: memory that user space maps and programs read and write, so that arguments are not copied.
 *
 * User space can change a buffer while a program reads it. That is safe: values decide nothing about addresses
 * but through clamps that the engine applies to its own copy of them.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "kjax.h"

static void buffer_free(struct kref *ref)
{
	struct kjax_buffer_object *buffer = container_of(ref, struct kjax_buffer_object, ref);

	vfree(buffer->data);
	kjax_uncharge(buffer->owner, PAGE_ALIGN(buffer->bytes));
	kjax_owner_put(buffer->owner);
	kfree(buffer);
}

void kjax_buffer_put(struct kjax_buffer_object *buffer)
{
	kref_put(&buffer->ref, buffer_free);
}

static int buffer_release(struct inode *inode, struct file *file)
{
	kjax_buffer_put(file->private_data);
	return 0;
}

/* The mapping holds the file, hence the buffer and its charge, until it is gone. */
static int buffer_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct kjax_buffer_object *buffer = file->private_data;
	u64 pages = PAGE_ALIGN(buffer->bytes) >> PAGE_SHIFT, n = vma_pages(vma), i;

	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff > pages || n > pages - vma->vm_pgoff)
		return -EINVAL;
	kjax_vma_fixed(vma);
	for (i = 0; i < n; i++) {
		struct page *page = vmalloc_to_page(buffer->data + ((vma->vm_pgoff + i) << PAGE_SHIFT));
		int ret = vm_insert_page(vma, vma->vm_start + (i << PAGE_SHIFT), page);

		if (ret)
			return ret;
		if (!(i % 1024))
			cond_resched();
	}
	return 0;
}

static const struct file_operations buffer_fops = {
	.owner = THIS_MODULE,
	.release = buffer_release,
	.mmap = buffer_mmap,
};

struct kjax_buffer_object *kjax_buffer_get(int fd)
{
	struct kjax_buffer_object *buffer = NULL;
	struct file *file = fget(fd);

	if (!file)
		return NULL;
	if (file->f_op == &buffer_fops) {
		buffer = file->private_data;
		kref_get(&buffer->ref);
	}
	fput(file);
	return buffer;
}

static enum kjx_status buffer_new(struct kjax_owner *owner, u64 bytes, struct kjax_buffer_object **result)
{
	struct kjax_buffer_object *buffer;
	enum kjx_status status;

	if (!bytes)
		return KJX_BAD_CALL;
	if (bytes > KJX_MAX_BYTES)
		return KJX_TOO_LARGE;
	status = kjax_charge(owner, PAGE_ALIGN(bytes));
	if (status)
		return status;
	buffer = kzalloc(sizeof(*buffer), GFP_KERNEL_ACCOUNT);
	if (buffer)
		buffer->data = kjax_zalloc(PAGE_ALIGN(bytes));
	if (!buffer || !buffer->data) {
		kfree(buffer);
		kjax_uncharge(owner, PAGE_ALIGN(bytes));
		return KJX_NO_MEMORY;
	}
	kref_init(&buffer->ref);
	kref_get(&owner->ref);
	buffer->owner = owner;
	buffer->bytes = bytes;
	*result = buffer;
	return KJX_OK;
}

long kjax_ioctl_buffer(struct kjax_owner *owner, void __user *arg)
{
	struct kjax_buffer_object *buffer;
	struct kjax_buffer call;
	int ret = kjax_copy_in(&call, sizeof(call), arg);

	if (ret)
		return ret;
	call.fd = -1;
	call.status = KJX_BAD_CALL;
	if (!call.flags && !call.reserved[0] && !call.reserved[1])
		call.status = buffer_new(owner, call.bytes, &buffer);
	ret = kjax_errno(call.status);
	if (!ret) {
		ret = kjax_fd_install("[kjax-buffer]", &buffer_fops, buffer, arg, &call, sizeof(call), &call.fd);
		if (ret)
			kjax_buffer_put(buffer);
		return ret;
	}
	return kjax_copy_out(arg, &call, sizeof(call)) ?: ret;
}
