/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What differs between the kernels that the module builds for, 6.1 and newer. Each goes away when its version
 * is no longer supported.
 */
#ifndef KJAX_COMPAT_H
#define KJAX_COMPAT_H

#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/version.h>

/* the mapping keeps its size, and core dumps leave it out */
static inline void kjax_vma_fixed(struct vm_area_struct *vma)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
#else
	vma->vm_flags |= VM_DONTEXPAND | VM_DONTDUMP;
#endif
}

/* a running worker thread "kjax/CPU", bound to that CPU */
static inline struct kthread_worker *kjax_worker_on(int cpu)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
	return kthread_run_worker_on_cpu(cpu, 0, "kjax/%u");
#else
	return kthread_create_worker_on_cpu(cpu, 0, "kjax/%u", cpu);
#endif
}

#endif
