# SPDX-License-Identifier: MIT OR GPL-2.0
# What the engine is made of: read by the module's Kbuild and by meson.build. Lines are "NAME := words" or "NAME += words".
# Objects of KJX_CORE hold no floating point: both builds compile them with general registers only.
KJX_CORE := container hash library log rows status gemm_plan
KJX_CORE += dot
KJX_CORE += verify verify_body verify_code verify_dot verify_exchange verify_flops verify_index verify_nest
KJX_CORE += verify_sort verify_tables verify_view
