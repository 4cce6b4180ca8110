/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the engine asks of its host, in user space. module/port.h gives the same names in the kernel; which
 * of the two is meant is decided by the include path. Nothing here allocates, locks or calls a library: only
 * the compiler's own headers and builtins (it may turn the memory builtins into calls of memcpy, memset,
 * memmove and memcmp, which every host has).
 */
#ifndef KJX_PORT_H
#define KJX_PORT_H

#include <stdbool.h>
#include <stddef.h>

/* as in the kernel: the 64-bit types are long long everywhere */
typedef unsigned char u8;
typedef signed char s8;
typedef unsigned short u16;
typedef short s16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

#define kjx_static_assert(what)		_Static_assert(what, #what)

#define kjx_memcpy(to, from, n)		((void)__builtin_memcpy(to, from, n))
#define kjx_memmove(to, from, n)	((void)__builtin_memmove(to, from, n))
#define kjx_memset(at, byte, n)		((void)__builtin_memset(at, byte, n))
#define kjx_memcmp(a, b, n)		__builtin_memcmp(a, b, n)

#define kjx_likely(x)			__builtin_expect(!!(x), 1)
#define kjx_unlikely(x)			__builtin_expect(!!(x), 0)
#define kjx_always_inline		inline __attribute__((always_inline))
#define kjx_noinline			__attribute__((noinline))

/* true when the result does not fit; *r holds it wrapped. Both operands and *r of one type. */
#define kjx_add_overflows(a, b, r)	__builtin_add_overflow(a, b, r)
#define kjx_sub_overflows(a, b, r)	__builtin_sub_overflow(a, b, r)
#define kjx_mul_overflows(a, b, r)	__builtin_mul_overflow(a, b, r)

#define kjx_load_acquire(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define kjx_store_release(p, v)		__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define kjx_load_relaxed(p)		__atomic_load_n(p, __ATOMIC_RELAXED)
#define kjx_store_relaxed(p, v)		__atomic_store_n(p, v, __ATOMIC_RELAXED)
#define kjx_fetch_add(p, n)		__atomic_fetch_add(p, n, __ATOMIC_RELAXED)

/** kjx_index_nospec - @index where index < size, else 0, also under speculation */
static inline u64 kjx_index_nospec(u64 index, u64 size)
{
	u64 mask = 0 - (u64)(index < size);

	__asm__("" : "+r"(mask));	/* a data dependency that the compiler cannot turn into a branch */
	return index & mask;
}

static inline u64 kjx_min(u64 a, u64 b)
{
	return a < b ? a : b;
}

static inline u64 kjx_max(u64 a, u64 b)
{
	return a > b ? a : b;
}

/** kjx_sat_add - a + b, or ~0 where that does not fit */
static inline u64 kjx_sat_add(u64 a, u64 b)
{
	u64 r;

	return __builtin_add_overflow(a, b, &r) ? ~0ull : r;
}

/** kjx_sat_mul - a * b, or ~0 where that does not fit */
static inline u64 kjx_sat_mul(u64 a, u64 b)
{
	u64 r;

	return __builtin_mul_overflow(a, b, &r) ? ~0ull : r;
}

/** kjx_align_up - the next multiple of @to, a power of two; @x at most ~0 - to */
static inline u64 kjx_align_up(u64 x, u64 to)
{
	return (x + to - 1) & ~(to - 1);
}

#endif
