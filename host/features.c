// SPDX-License-Identifier: MIT
/* Which vector registers a program may use: the processor has them, and the operating system saves them. */
#include "program.h"

#if defined(__x86_64__)
#include <cpuid.h>

#define BITS(x, mask) (((x) & (mask)) == (mask))

static u64 saved_registers(void)
{
	u32 low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (u64)high << 32 | low;
}

u32 kjx_host_features(void)
{
	const u32 avx = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
	const u32 avx2 = bit_AVX2 | bit_BMI | bit_BMI2;
	const u32 avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
	u32 a, b, c, d, b7, c7, d7, found = 0;
	u64 saved;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !BITS(c, avx) || !__get_cpuid_count(7, 0, &a, &b7, &c7, &d7))
		return 0;
	saved = saved_registers();
	if (BITS(saved, 0x06ull) && BITS(b7, avx2))
		found |= KJX_CPU_HAS_AVX2;
	if ((found & KJX_CPU_HAS_AVX2) && BITS(saved, 0xe6ull) && BITS(b7, avx512))
		found |= KJX_CPU_HAS_AVX512 | (BITS(c7, bit_AVX512VNNI) ? KJX_CPU_HAS_VNNI : 0);
	return found;
}
#else
u32 kjx_host_features(void)
{
	return 0;
}
#endif
