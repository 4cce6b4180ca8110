// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * FPU sections: the only place where vector registers are claimed.
 *
 * The vm is resumable, so a long run is many short sections, with the scheduler let in between. Inside a section the vm
 * runs slices of some ten thousand work units; after each the clock is read. The section ends when the next slice would
 * take it past its 50 us (section_us), or when somebody wants this CPU. Slices adapt to about a fifth of that, because a
 * unit of a complex exponential takes far longer than a unit of an addition.
 *
 * Bottom halves are off around a section: softirqs on this CPU, that could want to run programs themselves, then
 * never find the registers in use (measured; since 6.15 kernel_fpu_begin() does the same on its own).
 */
#include <linux/bottom_half.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/moduleparam.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>

#include "kjax.h"
#include "cpu.h"

#define SLICES		5u	/* of a section */
#define BUDGET_MIN	1024ull
#define BUDGET_MAX	(1ull << 26)

static unsigned int section_us = 50;
module_param(section_us, uint, 0644);
MODULE_PARM_DESC(section_us, "microseconds that a run keeps the scheduler out at a time, about (50; 5 to 10000)");

static u32 features;

void kjax_fpu_init(void)
{
	u64 ymm = XFEATURE_MASK_SSE | XFEATURE_MASK_YMM;

	features = 0;
	if (boot_cpu_has(X86_FEATURE_AVX2) && boot_cpu_has(X86_FEATURE_FMA) && boot_cpu_has(X86_FEATURE_F16C) &&
	    boot_cpu_has(X86_FEATURE_BMI1) && boot_cpu_has(X86_FEATURE_BMI2) && cpu_has_xfeatures(ymm, NULL))
		features |= KJX_CPU_HAS_AVX2;
	if (boot_cpu_has(X86_FEATURE_AVX512F) && boot_cpu_has(X86_FEATURE_AVX512BW) &&
	    boot_cpu_has(X86_FEATURE_AVX512CD) && boot_cpu_has(X86_FEATURE_AVX512DQ) &&
	    boot_cpu_has(X86_FEATURE_AVX512VL) && cpu_has_xfeatures(ymm | XFEATURE_MASK_AVX512, NULL))
		features |= KJX_CPU_HAS_AVX512 | (boot_cpu_has(X86_FEATURE_AVX512_VNNI) ? KJX_CPU_HAS_VNNI : 0);
}

static const char *const cpu_names[] = {
	[KJAX_CPU_SCALAR] = "scalar",
	[KJAX_CPU_AVX2] = "avx2",
	[KJAX_CPU_AVX512] = "avx512",
	[KJAX_CPU_AVX512VNNI] = "avx512vnni",
};

const struct kjx_cpu *kjax_fpu_cpu(u32 *which)
{
	const struct kjx_cpu *cpu;
	u32 i;

	if (*which >= ARRAY_SIZE(cpu_names))
		return NULL;
	cpu = kjx_cpu_select(features, cpu_names[*which]);
	for (i = KJAX_CPU_SCALAR; cpu && i < ARRAY_SIZE(cpu_names); i++)
		if (kjx_cpu_select(features, cpu_names[i]) == cpu)
			*which = i;
	return cpu;
}

u32 kjax_fpu_cpus(void)
{
	u32 i, bits = 0;

	for (i = KJAX_CPU_SCALAR; i < ARRAY_SIZE(cpu_names); i++)
		if (kjx_cpu_select(features, cpu_names[i]))
			bits |= KJAX_CPU_BIT(i);
	return bits;
}

bool kjax_fpu_usable(void)
{
	return !in_nmi() && irq_fpu_usable();	/* in this order: irq_fpu_usable() warns in an NMI */
}

/* with preemption off */
static void count(u64 ns)
{
	__this_cpu_inc(kjax_stats.sections);
	__this_cpu_add(kjax_stats.section_ns, ns);
	if (ns > __this_cpu_read(kjax_stats.longest_section_ns))
		__this_cpu_write(kjax_stats.longest_section_ns, ns);
}

enum kjx_status kjax_fpu_section(struct kjx_vm *vm, u64 *budget)
{
	const u64 section_ns = clamp(READ_ONCE(section_us), 5u, 10000u) * NSEC_PER_USEC, slice_ns = section_ns / SLICES;
	bool bh = !irqs_disabled() && !in_hardirq();
	enum kjx_status status;
	u64 start, before, now;

	if (bh)
		local_bh_disable();
	kernel_fpu_begin();
	start = now = ktime_get_ns();
	do {
		before = now;
		status = kjx_run(vm, *budget);
		now = ktime_get_ns();
		if (now - before < slice_ns / 2)
			*budget = min(*budget * 2, BUDGET_MAX);
		else if (now - before > slice_ns * 2)
			*budget = max(*budget / 2, BUDGET_MIN);
	} while (status == KJX_AGAIN && 2 * now - before - start < section_ns && !need_resched());
	count(now - start);
	kernel_fpu_end();
	if (bh)
		local_bh_enable();
	return status;
}
