// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Memory: who pays, how much there may be, and where it comes from.
 *
 * All memory of a program is charged before it is taken, to two counters of ours (the owner's, the module's) and by
 * the allocator to the memory cgroup of the task that loads. Execution takes none. A charge is an atomic add
 * that is taken back when it went over a limit, so two racing loads can refuse each other but never exceed.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "kjax.h"

static unsigned long memory_limit;
module_param(memory_limit, ulong, 0644);
MODULE_PARM_DESC(memory_limit, "most bytes of programs and buffers, of everybody (0 at load: half of the memory)");

static unsigned long owner_limit;
module_param(owner_limit, ulong, 0644);
MODULE_PARM_DESC(owner_limit, "most bytes loaded through one open file (0 at load: half of memory_limit)");

static unsigned long image_limit = 256ul << 20;
module_param(image_limit, ulong, 0644);
MODULE_PARM_DESC(image_limit, "longest program or library, bytes");

static atomic64_t used;

struct kjax_owner kjax_kernel_owner = { .ref = KREF_INIT(1) };

void kjax_memory_init(void)
{
	if (!memory_limit)
		memory_limit = (totalram_pages() / 2) << PAGE_SHIFT;
	if (!owner_limit)
		owner_limit = memory_limit / 2;
}

u64 kjax_memory_used(void)
{
	return atomic64_read(&used);
}

u64 kjax_memory_limit(void)
{
	return READ_ONCE(memory_limit);
}

u64 kjax_owner_limit(void)
{
	return READ_ONCE(owner_limit);
}

u64 kjax_image_limit(void)
{
	return READ_ONCE(image_limit);
}

struct kjax_owner *kjax_owner_new(void)
{
	struct kjax_owner *owner = kzalloc(sizeof(*owner), GFP_KERNEL_ACCOUNT);

	if (owner)
		kref_init(&owner->ref);
	return owner;
}

static void owner_free(struct kref *ref)
{
	struct kjax_owner *owner = container_of(ref, struct kjax_owner, ref);

	WARN_ON_ONCE(atomic64_read(&owner->used));
	kfree(owner);
}

void kjax_owner_put(struct kjax_owner *owner)
{
	kref_put(&owner->ref, owner_free);	/* the kernel's own holds itself: it never gets there */
}

static bool charge(atomic64_t *counter, u64 bytes, u64 limit)
{
	/* both are below 2^63: bytes is at most KJX_MAX_BYTES-sized sums, the counter is below its limit */
	if (bytes <= limit && atomic64_add_return(bytes, counter) <= limit)
		return true;
	if (bytes <= limit)
		atomic64_sub(bytes, counter);
	return false;
}

enum kjx_status kjax_charge(struct kjax_owner *owner, u64 bytes)
{
	/* the kernel's own programs are under the module's limit only */
	u64 limit = owner == &kjax_kernel_owner ? kjax_memory_limit() : kjax_owner_limit();

	if (bytes > S64_MAX / 2 || !charge(&owner->used, bytes, limit))
		return KJX_TOO_LARGE;
	if (!charge(&used, bytes, kjax_memory_limit())) {
		atomic64_sub(bytes, &owner->used);
		return KJX_TOO_LARGE;
	}
	return KJX_OK;
}

void kjax_uncharge(struct kjax_owner *owner, u64 bytes)
{
	atomic64_sub(bytes, &used);
	atomic64_sub(bytes, &owner->used);
}

u64 kjax_room(struct kjax_owner *owner)
{
	u64 limit = owner == &kjax_kernel_owner ? kjax_memory_limit() : kjax_owner_limit();
	u64 mine = atomic64_read(&owner->used), all = kjax_memory_used();
	u64 room = mine < limit ? limit - mine : 0;

	return all < kjax_memory_limit() ? min(room, kjax_memory_limit() - all) : 0;
}

void *kjax_zalloc(u64 bytes)
{
	if (!bytes || bytes > (u64)totalram_pages() << PAGE_SHIFT)
		return NULL;
	/* MAYFAIL: a cgroup at its limit gets an error, not the OOM killer */
	return __vmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
}

enum kjx_status kjax_blob_new(struct kjax_owner *owner, u64 bytes, struct kjax_blob **result)
{
	enum kjx_status status;
	struct kjax_blob *blob;

	if (bytes > kjax_image_limit())
		return KJX_TOO_LARGE;
	status = kjax_charge(owner, bytes);
	if (status)
		return status;
	blob = kzalloc(sizeof(*blob), GFP_KERNEL_ACCOUNT);
	if (!blob)
		goto uncharge;
	blob->data = kjax_zalloc(bytes);
	if (!blob->data)
		goto free;
	kref_init(&blob->ref);
	kref_get(&owner->ref);
	blob->owner = owner;
	blob->bytes = bytes;
	*result = blob;
	return KJX_OK;
free:
	kfree(blob);
uncharge:
	kjax_uncharge(owner, bytes);
	return KJX_NO_MEMORY;
}

static void blob_free(struct kref *ref)
{
	struct kjax_blob *blob = container_of(ref, struct kjax_blob, ref);

	vfree(blob->data);
	kjax_uncharge(blob->owner, blob->bytes);
	kjax_owner_put(blob->owner);
	kfree(blob);
}

void kjax_blob_put(struct kjax_blob *blob)
{
	kref_put(&blob->ref, blob_free);
}
