# SPDX-License-Identifier: MIT
# build/bench/uops: see uops.c. Run from the tree's root.
include engine/flags.mk

OUT := build/bench
OBJECTS := $(KJX_CPUS:%=$(OUT)/cpu/%.o)

$(OUT)/uops: bench/uops.c $(OBJECTS)
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Iengine -Ihost -o $@ $^

$(OUT)/cpu/%.o: engine/cpu/%.c engine/ukernels/*.inc engine/*.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(KJX_FP_FLAGS) $(KJX_FLAGS_$*) -Iengine -Ihost -c -o $@ $<
