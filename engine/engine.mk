# SPDX-License-Identifier: MIT OR GPL-2.0
# What the engine is made of, for every build of it; included by flags.mk. Lines are "NAME := words" or "NAME += words", which
# meson.build parses too. Objects of KJX_CORE hold no floating point: general registers only, in both builds.
KJX_CORE := body container dot dot_small exchange gather gather_plan gemm_plan hash library linalg log nest pairs plan reduce ring rows select
KJX_CORE += shape status thread thread_again thread_hand thread_plan thread_window trace view vm
KJX_CORE += verify verify_body verify_code verify_dot verify_exchange verify_flops verify_index verify_linalg verify_nest verify_sort verify_tables
KJX_CORE += verify_trace verify_view
KJX_CORE += nest_plan nest_views nest_load nest_place nest_folds nest_layout
KJX_CORE += part part_dot part_nest scan verify_scan tiles tile_build
KJX_CORE += transform verify_transform
KJX_CORE += sort sort_body sort_key sort_merge sort_output sort_radix

# for make only: the files of the core from the tree's root, and those of the cpu tables (engine/cpu/NAME.c, flags
# KJX_FP_FLAGS and KJX_FLAGS_NAME)
KJX_ENGINE = $(KJX_CORE:%=engine/%.c)
KJX_TABLES = $(KJX_CPUS:%=engine/cpu/%.c)
