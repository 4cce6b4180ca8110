// SPDX-License-Identifier: MIT OR GPL-2.0
/* The cpu tables of this build, best first. */
#include "cpu.h"

static const struct kjx_cpu *const tables[] = {
#if defined(__x86_64__)
	&kjx_cpu_avx512vnni,
	&kjx_cpu_avx512,
	&kjx_cpu_avx2,
#endif
	&kjx_cpu_scalar,
};

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

const struct kjx_cpu *kjx_cpu_select(u32 features, const char *name)
{
	u32 i;

	for (i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		if (!(tables[i]->needs & ~features) && (!name || same(name, tables[i]->name)))
			return tables[i];
	return NULL;
}

const char *kjx_cpu_name(const struct kjx_cpu *cpu)
{
	return cpu->name;
}
