/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The avx2 table: see ukernels/table.inc. */
#define KJX_CPU_TABLE	kjx_cpu_avx2
#define KJX_CPU_NAME	"avx2"
#define KJX_CPU_NEEDS	(KJX_CPU_HAS_AVX2)
#include "../ukernels/table.inc"
