// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What programs print: a ring for each program that does, reserved at load, read through TRACE on the program's fd.
 *
 * A run writes between its FPU sections and never waits: a record that does not fit is dropped and counted. Writers hold a
 * spinlock while they copy. The reader, one at a time, copies to user space without it: what is between tail and head stays
 * until the reader moves the tail.
 *
 * With KJAX_LOAD_TRACE_LOG, or the module parameter trace_log, each record also goes to the kernel's log, rate limited, its
 * numbers written in decimal with integer arithmetic only.
 */
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "image.h"
#include "json.h"
#include "kjax.h"
#include "ring.h"

#define RING_BYTES	(64u << 10)
#define RING_MOST	(1u << 20)	/* a record of that size is copied with interrupts off */
#define LINE		256
#define LOG_ELEMENTS	32

static bool trace_log;
module_param(trace_log, bool, 0644);
MODULE_PARM_DESC(trace_log, "write what programs print to the kernel's log, too");

/** struct kjax_tracer - a program's ring
 * @lock:	@ring but its tail; @runs
 * @reader:	held while a reader copies; the tail is moved under both
 */
struct kjax_tracer {
	spinlock_t lock;
	struct mutex reader;
	struct kjx_ring ring;
	struct ratelimit_state limit;
	u64 runs;
	bool log;
};

_Static_assert(sizeof(struct kjax_trace_record) == sizeof(struct kjx_record), "one layout");
_Static_assert(offsetof(struct kjax_trace_record, values) == offsetof(struct kjx_record, values), "one layout");
_Static_assert(sizeof(struct kjax_trace_value) == sizeof(struct kjx_record_value), "one layout");
_Static_assert(offsetof(struct kjax_trace_value, bytes) == offsetof(struct kjx_record_value, bytes), "one layout");

u64 kjax_tracer_bytes(const struct kjx_facts *facts, u32 wanted)
{
	if (!facts->n_traces)
		return 0;
	return PAGE_ALIGN(sizeof(struct kjax_tracer) + kjx_align_up(wanted ?: RING_BYTES, 8));
}

bool kjax_tracer_ok(u32 wanted)
{
	return wanted <= RING_MOST;
}

struct kjax_tracer *kjax_tracer_new(const struct kjx_facts *facts, u32 wanted, bool log)
{
	struct kjax_tracer *t = kjax_zalloc(kjax_tracer_bytes(facts, wanted));

	if (!t)
		return NULL;
	spin_lock_init(&t->lock);
	mutex_init(&t->reader);
	ratelimit_state_init(&t->limit, 5 * HZ, 20);
	ratelimit_set_flags(&t->limit, RATELIMIT_MSG_ON_RELEASE);
	t->ring.memory = (u8 *)(t + 1);
	t->ring.size = kjx_align_up(wanted ?: RING_BYTES, 8);
	t->log = log;
	return t;
}

u64 kjax_tracer_begin(struct kjax_tracer *t)
{
	unsigned long flags;
	u64 run;

	if (!t)
		return 0;
	spin_lock_irqsave(&t->lock, flags);
	run = ++t->runs;
	spin_unlock_irqrestore(&t->lock, flags);
	return run;
}

static u64 elements_of(const struct kjx_value *v, const u8 *at)
{
	u64 n = 1;
	u32 d;

	for (d = 0; d < v->rank; d++)
		n = kjx_sat_mul(n, kjx_value_dims(v)[d]);
	return at ? n : 0;
}

static void put_text(struct kjax_writer *w, const char *text)
{
	while (*text)
		kjax_json_put(w, *text++);
}

/* " [1.5, 2]", or " (1000 elements)" where a line would be too long */
static void write_value(struct kjax_writer *w, const struct kjx_value *v, const u8 *at)
{
	const struct kjax_shape shape = { .dtype = v->dtype, .rank = v->rank, .dims = kjx_value_dims(v) };
	u64 n = elements_of(v, at);
	char count[32];

	kjax_json_put(w, ' ');
	if (n && n <= LOG_ELEMENTS && kjax_json_has_text(v->dtype)) {
		kjax_json_write(w, &shape, at);
		return;
	}
	snprintf(count, sizeof(count), "(%llu elements)", n);
	put_text(w, count);
}

static void log_values(const struct kjx_vm *vm, u64 run)
{
	const struct kjx_trace *t = kjx_asked(vm);
	const struct kjx_value *v = kjx_value_first(t);
	char line[LINE];
	struct kjax_writer w = { .text = line, .capacity = sizeof(line) - 1 };
	u32 i;

	for (i = 0; i < t->n_inputs && w.needed < sizeof(line); i++, v = kjx_value_next(v))
		write_value(&w, v, kjx_asked_at(vm, i));
	line[min_t(u64, w.needed, sizeof(line) - 1)] = 0;
	pr_info("kjax: run %llu lane %u prints (site %u):%s%s\n", run, vm->lane, t->site, line,
		w.needed >= sizeof(line) ? "..." : "");
}

void kjax_tracer_take(struct kjax_tracer *t, const struct kjx_vm *vm, u64 run)
{
	unsigned long flags;

	spin_lock_irqsave(&t->lock, flags);
	kjx_ring_put(&t->ring, vm, run, ktime_get_ns());
	spin_unlock_irqrestore(&t->lock, flags);
	if ((t->log || READ_ONCE(trace_log)) && __ratelimit(&t->limit))
		log_values(vm, run);
}

static int copy_span(void __user *to, const struct kjx_ring_span *span)
{
	return copy_to_user(to, span->at[0], span->bytes[0]) ||
	       copy_to_user(to + span->bytes[0], span->at[1], span->bytes[1]) ? -EFAULT : 0;
}

static int read_ring(struct kjax_tracer *t, struct kjax_trace *call)
{
	struct kjx_ring_span span;
	unsigned long flags;
	int ret;

	if (mutex_lock_interruptible(&t->reader))
		return -EINTR;
	spin_lock_irqsave(&t->lock, flags);
	call->bytes = kjx_ring_whole(&t->ring, call->capacity, &call->count);
	call->dropped = t->ring.dropped;
	call->next = kjx_ring_next(&t->ring);
	spin_unlock_irqrestore(&t->lock, flags);
	span = kjx_ring_span(&t->ring, call->bytes);
	ret = copy_span(u64_to_user_ptr(call->records), &span);
	spin_lock_irqsave(&t->lock, flags);
	if (!ret)
		kjx_ring_skip(&t->ring, call->bytes);
	call->left = t->ring.head - t->ring.tail;
	spin_unlock_irqrestore(&t->lock, flags);
	mutex_unlock(&t->reader);
	return ret;
}

long kjax_ioctl_trace(struct kjax_program *program, void __user *arg)
{
	struct kjax_trace call;
	int ret = kjax_copy_in(&call, sizeof(call), arg);

	if (ret)
		return ret;
	call.bytes = call.left = call.dropped = 0;
	call.count = call.next = 0;
	call.status = call.flags || call.reserved0 || call.reserved[0] || call.reserved[1] ? KJX_BAD_CALL : KJX_OK;
	if (!call.status && program->tracer) {
		ret = read_ring(program->tracer, &call);
		if (ret)
			return ret;
	}
	return kjax_copy_out(arg, &call, sizeof(call)) ?: kjax_errno(call.status);
}
