# SPDX-License-Identifier: MIT
# build/bench/gemm: see gemm.c. Run from the tree's root.
include engine/flags.mk

OUT := build/bench
OBJECTS := $(KJX_CORE:%=$(OUT)/%.o) $(KJX_CPUS:%=$(OUT)/cpu/%.o)

$(OUT)/gemm: bench/gemm.c host/features.c $(OBJECTS)
	$(CC) -std=gnu11 -O2 -Wall -Iengine -Ihost -o $@ $^

$(OUT)/%.o: engine/%.c engine/*.h host/port.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -ffreestanding -fno-strict-aliasing -Iengine -Ihost -c -o $@ $<

$(OUT)/cpu/%.o: engine/cpu/%.c engine/ukernels/*.inc engine/*.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(KJX_FP_FLAGS) $(KJX_FLAGS_$*) -Iengine -Ihost -c -o $@ $<
