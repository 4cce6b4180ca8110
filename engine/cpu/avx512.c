/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The avx512 table: see ukernels/table.inc; and avx512vnni, which is the same but for contractions of bytes. The instruction
 * that it adds is written out (gemm_vec.inc), so one object serves both.
 */
#define KJX_CPU_TABLE	kjx_cpu_avx512
#define KJX_CPU_NAME	"avx512"
#define KJX_CPU_NEEDS	(KJX_CPU_HAS_AVX2 | KJX_CPU_HAS_AVX512)
#include "../ukernels/table.inc"

const struct kjx_cpu kjx_cpu_avx512vnni = {
	.name = "avx512vnni",
	.needs = KJX_CPU_NEEDS | KJX_CPU_HAS_VNNI,
	KJX_CPU_ROUTINES(gemm_vnni),
};
