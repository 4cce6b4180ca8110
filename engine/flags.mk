# SPDX-License-Identifier: MIT OR GPL-2.0
# Compiler flags of the cpu tables (engine/cpu/*.c), for every build of the engine: one list, because the results
# promise to be bit-identical in user space and in the kernel. Lines are "NAME := words" or "NAME += words", which
# make includes and meson.build parses. No -ffast-math; contraction is off, fused multiply-adds are written out.
# Aliasing is off because a strip holds whatever type the body says.
KJX_CPUS := scalar avx2 avx512
KJX_FP_FLAGS := -O3 -ffreestanding -ffp-contract=off -fno-math-errno -fno-trapping-math -fno-strict-aliasing
# gcc 12 merges the fmsub of an error-free product wrongly when it vectorises straight-line code: no SLP
KJX_FP_FLAGS += -fno-tree-slp-vectorize -Wframe-larger-than=1024
# threaded code relies on sibling calls (thread.h)
KJX_FP_FLAGS += -foptimize-sibling-calls
KJX_FLAGS_scalar := -msse -msse2
KJX_FLAGS_avx2 := -mavx2 -mfma -mf16c -mbmi -mbmi2 -mprefer-vector-width=256
KJX_FLAGS_avx512 := -mavx2 -mfma -mf16c -mbmi -mbmi2 -mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl -mprefer-vector-width=512
include $(dir $(lastword $(MAKEFILE_LIST)))engine.mk
