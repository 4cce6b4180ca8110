// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * kjax.ko: /dev/kjax, and the module's beginning and end.
 *
 * Opening the device makes an owner, to whom everything that is loaded through that open file is charged. The module
 * cannot be unloaded while any of its file descriptors is open, or another module uses its functions.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "kjax.h"

static int device_open(struct inode *inode, struct file *file)
{
	struct kjax_owner *owner = kjax_owner_new();

	if (!owner)
		return -ENOMEM;
	file->private_data = owner;
	return nonseekable_open(inode, file);
}

static int device_release(struct inode *inode, struct file *file)
{
	kjax_owner_put(file->private_data);
	return 0;
}

static long ioctl_query(const struct kjax_owner *owner, void __user *arg)
{
	struct kjax_query call;
	int ret = kjax_copy_in(&call, sizeof(call), arg);

	if (ret)
		return ret;
	if (memchr_inv(call.reserved, 0, sizeof(call.reserved)))
		return -EINVAL;
	call = (struct kjax_query) {
		.size = call.size,
		.abi_version = KJAX_ABI_VERSION,
		.format_major = KJX_VERSION_MAJOR,
		.format_minor = KJX_VERSION_MINOR,
		.features = KJAX_FEATURE_LANES | KJAX_FEATURE_LIBRARY | KJAX_FEATURE_TRACE,
		.cpus = kjax_fpu_cpus(),
		.lanes = kjax_lanes_count(),
		.max_lanes = KJX_MAX_LANES,
		.memory_used = kjax_memory_used(),
		.memory_limit = kjax_memory_limit(),
		.owner_used = atomic64_read(&owner->used),
		.owner_limit = kjax_owner_limit(),
		.image_limit = kjax_image_limit(),
		.module_version = KJAX_MODULE_VERSION,
	};
	return kjax_copy_out(arg, &call, sizeof(call));
}

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long argument)
{
	void __user *arg = (void __user *)argument;
	struct kjax_owner *owner = file->private_data;

	switch (cmd) {
	case KJAX_IOC_QUERY:
		return ioctl_query(owner, arg);
	case KJAX_IOC_DEVICES:
		return kjax_ioctl_devices(arg);
	case KJAX_IOC_LOAD:
		return kjax_ioctl_load(owner, arg, false);
	case KJAX_IOC_LOAD_LIBRARY:
		return kjax_ioctl_load(owner, arg, true);
	case KJAX_IOC_BUFFER:
		return kjax_ioctl_buffer(owner, arg);
	case KJAX_IOC_PIN:
		return kjax_ioctl_pin(arg);
	case KJAX_IOC_OPEN:
		return kjax_ioctl_open(arg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kjax",
	.fops = &device_fops,
	.mode = 0660,
	.groups = kjax_stats_groups,
};

static int __init kjax_init(void)
{
	int ret;

	kjax_memory_init();
	kjax_fpu_init();
	ret = kjax_lanes_init();
	if (ret)
		return ret;
	ret = misc_register(&device);
	if (ret)
		kjax_lanes_exit();
	return ret;
}

static void __exit kjax_exit(void)
{
	misc_deregister(&device);
	kjax_registry_exit();
	kjax_lanes_exit();
}

module_init(kjax_init);
module_exit(kjax_exit);

MODULE_DESCRIPTION("Verified tensor programs in the kernel");
MODULE_AUTHOR("the kjax authors");
MODULE_VERSION(KJAX_MODULE_VERSION);
MODULE_LICENSE("Dual MIT/GPL");
