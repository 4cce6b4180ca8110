// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The accelerators that the kernel sees: display controllers, processing accelerators and co-processors on the
 * PCI bus, with the driver that holds them. Only a list: their memory and queues belong to those drivers.
 */
#include <linux/pci.h>
#include <linux/uaccess.h>

#include "kjax.h"

static bool is_accelerator(u32 class)
{
	return class >> 16 == PCI_BASE_CLASS_DISPLAY || class >> 16 == 0x12 || class >> 8 == PCI_CLASS_PROCESSOR_CO;
}

static void describe(struct pci_dev *pdev, struct kjax_device *row)
{
	*row = (struct kjax_device) {
		.vendor = pdev->vendor,
		.device = pdev->device,
		.subsystem_vendor = pdev->subsystem_vendor,
		.subsystem_device = pdev->subsystem_device,
		.class = pdev->class,
		.node = dev_to_node(&pdev->dev),
	};
	strscpy(row->address, pci_name(pdev), sizeof(row->address));
	/* the lock keeps the driver bound while its name is read; a device that is just being probed has none yet */
	if (device_trylock(&pdev->dev)) {
		if (pdev->dev.driver)
			strscpy(row->driver, pdev->dev.driver->name, sizeof(row->driver));
		device_unlock(&pdev->dev);
	}
}

static int list(struct kjax_devices *call)
{
	struct kjax_device __user *to = u64_to_user_ptr(call->devices);
	struct pci_dev *pdev = NULL;
	struct kjax_device row;

	for_each_pci_dev(pdev) {
		if (!is_accelerator(pdev->class))
			continue;
		describe(pdev, &row);
		if (call->count < call->capacity && copy_to_user(to + call->count, &row, sizeof(row))) {
			pci_dev_put(pdev);
			return -EFAULT;
		}
		call->count++;
	}
	return 0;
}

long kjax_ioctl_devices(void __user *arg)
{
	struct kjax_devices call;
	int ret = kjax_copy_in(&call, sizeof(call), arg);

	if (ret)
		return ret;
	call.count = 0;
	call.status = call.reserved[0] || call.reserved[1] ? KJX_BAD_CALL : KJX_OK;
	ret = call.status ? -EINVAL : list(&call);
	return kjax_copy_out(arg, &call, sizeof(call)) ?: ret;
}
