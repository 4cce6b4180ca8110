/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The avx512 table: see ukernels/table.inc. */
#define KJX_CPU_TABLE	kjx_cpu_avx512
#define KJX_CPU_NAME	"avx512"
#define KJX_CPU_NEEDS	(KJX_CPU_HAS_AVX2 | KJX_CPU_HAS_AVX512)
#include "../ukernels/table.inc"
