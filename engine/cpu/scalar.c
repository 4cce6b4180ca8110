/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The scalar table: see ukernels/table.inc. */
#define KJX_CPU_TABLE	kjx_cpu_scalar
#define KJX_CPU_NAME	"scalar"
#define KJX_CPU_NEEDS	(0)
#include "../ukernels/table.inc"
