/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the engine asks of its host, in the kernel. host/port.h gives the same names in user space and
 * says what they mean; which of the two is meant is decided by the include path.
 *
 * The floating-point translation units include this too, so only headers without inline assembly on vector state and
 * without floating-point-hostile tricks may be named here.
 */
#ifndef KJX_PORT_H
#define KJX_PORT_H

#include <linux/types.h>
#include <linux/compiler.h>
#include <linux/stddef.h>
#include <asm/barrier.h>

#define kjx_static_assert(what)		_Static_assert(what, #what)

/* the builtins become calls of the kernel's own memcpy, memmove, memset and memcmp */
#define kjx_memcpy(to, from, n)		((void)__builtin_memcpy(to, from, n))
#define kjx_memmove(to, from, n)	((void)__builtin_memmove(to, from, n))
#define kjx_memset(at, byte, n)		((void)__builtin_memset(at, byte, n))
#define kjx_memcmp(a, b, n)		__builtin_memcmp(a, b, n)

#define kjx_likely(x)			likely(x)
#define kjx_unlikely(x)			unlikely(x)
#define kjx_always_inline		__always_inline
#define kjx_noinline			noinline

#define kjx_add_overflows(a, b, r)	__builtin_add_overflow(a, b, r)
#define kjx_sub_overflows(a, b, r)	__builtin_sub_overflow(a, b, r)
#define kjx_mul_overflows(a, b, r)	__builtin_mul_overflow(a, b, r)

#define kjx_load_acquire(p)		smp_load_acquire(p)
#define kjx_store_release(p, v)		smp_store_release(p, v)
#define kjx_load_relaxed(p)		READ_ONCE(*(p))
#define kjx_store_relaxed(p, v)		WRITE_ONCE(*(p), v)
#define kjx_fetch_add(p, n)		__atomic_fetch_add(p, n, __ATOMIC_RELAXED)

static inline u64 kjx_index_nospec(u64 index, u64 size)
{
	return index & array_index_mask_nospec(index, size);
}

static inline u64 kjx_min(u64 a, u64 b)
{
	return a < b ? a : b;
}

static inline u64 kjx_max(u64 a, u64 b)
{
	return a > b ? a : b;
}

static inline u64 kjx_sat_add(u64 a, u64 b)
{
	u64 r;

	return __builtin_add_overflow(a, b, &r) ? ~0ull : r;
}

static inline u64 kjx_sat_mul(u64 a, u64 b)
{
	u64 r;

	return __builtin_mul_overflow(a, b, &r) ? ~0ull : r;
}

static inline u64 kjx_align_up(u64 x, u64 to)
{
	return (x + to - 1) & ~(to - 1);
}

#endif
