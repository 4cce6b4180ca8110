// SPDX-License-Identifier: MIT
/*
 * The crew (crew.h): a step in parts is a call. The caller publishes it, works at seat 0 itself, and closes it when no piece is
 * left to be taken; helper number h works at seat h. A helper comes in and goes out by the call's door, a word that holds whether
 * the call is open and how many are inside, so that after closing it the caller has only to wait for those inside: one that comes
 * late finds the door closed. What seats have left undone then is the caller's to do.
 *
 * Helpers wait for the next call's number: for SPIN nanoseconds by looking, then by sleeping on a futex. They are woken
 * only where the work is worth the system call. They block all signals, and take the caller's rounding and denormal modes over with
 * each call, so that it does not matter who computes what.
 *
 * In a child process there are no helpers: the crew is empty there, and is filled again by the first run that wants it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "crew.h"

#define SPIN		40000u		/* nanoseconds that a helper looks out for the next call */
#define SLICE		(1u << 19)	/* work units between two looks at whether to stop */
#define WORTH_WAKING	(1u << 18)	/* work units of a call */
#define POLL		10000000u	/* nanoseconds between two looks at signals */

#define OPEN		0x80000000u	/* of the door; the rest counts who is inside */

/* words that several threads write have a cache line each */
struct crew {
	struct {
		u32 number;		/* of the call: what sleepers sleep on */
		u32 zero[15];
	} call;
	struct {
		u32 door;
		u32 zero[15];
	} door;
	struct {
		u32 busy;		/* a run has the helpers */
		u32 sleepers;
		u32 zero[14];
	} who;
	/* the call, written before the door opens */
	struct kjx_vm *vm;
	u32 threads, stop, modes;
	/* under the lock */
	pthread_mutex_t lock;
	u32 programs, wanted, helpers, quit;
	bool crowded;			/* fewer processors than threads: looking out would take the caller's */
	pthread_t thread[KJX_MAX_THREADS];
};

static struct crew crew = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static u32 get_modes(void)
{
#if defined(__x86_64__)
	return _mm_getcsr() & ~0x3fu;	/* not the flags of what has happened */
#else
	return 0;
#endif
}

static void set_modes(u32 modes)
{
#if defined(__x86_64__)
	if ((_mm_getcsr() & ~0x3fu) != modes)
		_mm_setcsr(modes);
#else
	(void)modes;
#endif
}

static void futex(u32 *word, int op, u32 value)
{
	syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

/* ---- helpers ---- */

/* wait until the call's number is not @seen any more */
static void wait_for_call(u32 seen)
{
	const bool crowded = __atomic_load_n(&crew.crowded, __ATOMIC_RELAXED);
	const u64 until = crowded ? 0 : kjx_now() + SPIN;
	u32 i;

	do {
		for (i = 0; i < 64; i++) {
			if (__atomic_load_n(&crew.call.number, __ATOMIC_ACQUIRE) != seen)
				return;
			relax();
		}
	} while (!crowded && kjx_now() < until);
	__atomic_fetch_add(&crew.who.sleepers, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&crew.call.number, __ATOMIC_SEQ_CST) == seen)
		futex(&crew.call.number, FUTEX_WAIT_PRIVATE, seen);
	__atomic_fetch_sub(&crew.who.sleepers, 1, __ATOMIC_SEQ_CST);
}

static bool come_in(void)
{
	u32 door = __atomic_load_n(&crew.door.door, __ATOMIC_RELAXED);

	while (door & OPEN)
		if (__atomic_compare_exchange_n(&crew.door.door, &door, door + 1, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

static void go_out(void)
{
	__atomic_fetch_sub(&crew.door.door, 1, __ATOMIC_RELEASE);
}

static void help(u32 seat)
{
	if (!come_in())
		return;
	if (seat < crew.threads) {
		set_modes(crew.modes);
		while (kjx_team_work(crew.vm, seat, SLICE) == KJX_AGAIN &&
		       !__atomic_load_n(&crew.stop, __ATOMIC_RELAXED))
			;
	}
	go_out();
}

static void *helper(void *data)
{
	const u32 seat = (u32)(uintptr_t)data;
	u32 seen = __atomic_load_n(&crew.call.number, __ATOMIC_ACQUIRE);

	/* who comes to life in the middle of a call may as well help */
	while (!__atomic_load_n(&crew.quit, __ATOMIC_ACQUIRE)) {
		help(seat);
		wait_for_call(seen);
		seen = __atomic_load_n(&crew.call.number, __ATOMIC_ACQUIRE);
	}
	return NULL;
}

static void announce(bool wake)
{
	__atomic_fetch_add(&crew.call.number, 1, __ATOMIC_SEQ_CST);
	if (wake && __atomic_load_n(&crew.who.sleepers, __ATOMIC_SEQ_CST))
		futex(&crew.call.number, FUTEX_WAKE_PRIVATE, KJX_MAX_THREADS);
}

/* ---- coming and going, under the lock ---- */

static bool start_helpers(u32 wanted)
{
	sigset_t all, before;
	cpu_set_t usable;
	bool started = true, crowded;

	crowded = sched_getaffinity(0, sizeof(usable), &usable) || (u32)CPU_COUNT(&usable) <= wanted;
	__atomic_store_n(&crew.crowded, crowded, __ATOMIC_RELAXED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (started && crew.helpers < wanted) {
		started = !pthread_create(&crew.thread[crew.helpers], NULL, helper, (void *)(uintptr_t)(crew.helpers + 1));
		if (started)
			__atomic_store_n(&crew.helpers, crew.helpers + 1, __ATOMIC_RELAXED);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

static void stop_helpers(void)
{
	__atomic_store_n(&crew.quit, 1u, __ATOMIC_RELEASE);
	announce(true);
	while (crew.helpers) {
		__atomic_store_n(&crew.helpers, crew.helpers - 1, __ATOMIC_RELAXED);
		pthread_join(crew.thread[crew.helpers], NULL);
	}
	__atomic_store_n(&crew.quit, 0u, __ATOMIC_RELAXED);
}

static void before_fork(void)
{
	pthread_mutex_lock(&crew.lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&crew.lock);
}

static void in_child(void)
{
	crew.helpers = crew.quit = 0;
	crew.door.door = crew.who.busy = crew.who.sleepers = 0;
	pthread_mutex_init(&crew.lock, NULL);
}

bool kjx_crew_join(u32 helpers)
{
	static bool handles_forks;
	bool joined;

	pthread_mutex_lock(&crew.lock);
	if (!handles_forks)
		handles_forks = !pthread_atfork(before_fork, in_parent, in_child);
	joined = handles_forks && start_helpers(helpers);
	if (joined) {
		crew.programs++;
		if (crew.wanted < helpers)
			__atomic_store_n(&crew.wanted, helpers, __ATOMIC_RELAXED);
	} else if (!crew.programs) {
		stop_helpers();
	}
	pthread_mutex_unlock(&crew.lock);
	return joined;
}

void kjx_crew_leave(void)
{
	pthread_mutex_lock(&crew.lock);
	if (!--crew.programs) {
		__atomic_store_n(&crew.wanted, 0u, __ATOMIC_RELAXED);
		stop_helpers();
	}
	pthread_mutex_unlock(&crew.lock);
}

/* ---- calls ---- */

void kjx_crew_rouse(void)
{
	if (kjx_unlikely(__atomic_load_n(&crew.helpers, __ATOMIC_RELAXED) <
			 __atomic_load_n(&crew.wanted, __ATOMIC_RELAXED))) {	/* in a child process */
		pthread_mutex_lock(&crew.lock);
		if (crew.helpers < crew.wanted)
			start_helpers(crew.wanted);	/* if not, the run is done alone: nothing but time depends on it */
		pthread_mutex_unlock(&crew.lock);
	}
	if (__atomic_load_n(&crew.who.sleepers, __ATOMIC_RELAXED) && !__atomic_load_n(&crew.who.busy, __ATOMIC_RELAXED))
		announce(true);
}

static void open_call(struct kjx_vm *vm, u32 threads)
{
	crew.vm = vm;
	crew.threads = threads;
	crew.modes = get_modes();
	__atomic_store_n(&crew.stop, 0u, __ATOMIC_RELAXED);
	__atomic_store_n(&crew.door.door, OPEN, __ATOMIC_RELEASE);
	announce(kjx_team_cost(vm) >= WORTH_WAKING);
}

static void pause_a_while(u32 round)
{
	if (round < 2000 && !__atomic_load_n(&crew.crowded, __ATOMIC_RELAXED))
		relax();
	else
		sched_yield();
}

/* Close the call and wait for those inside; after a time that signals may not be left alone any longer they are told to stop. */
static void close_call(u64 last_poll)
{
	u32 round;

	__atomic_fetch_and(&crew.door.door, ~OPEN, __ATOMIC_RELAXED);
	for (round = 0; __atomic_load_n(&crew.door.door, __ATOMIC_ACQUIRE); round++) {
		pause_a_while(round);
		if (round % 4096 == 4095 && kjx_now() - last_poll >= POLL)
			__atomic_store_n(&crew.stop, 1u, __ATOMIC_RELAXED);
	}
}

/* seat 0, until nothing is left to be taken, or it is time to look around */
static void work(struct kjx_vm *vm, const struct kjx_run *run, u64 last_poll)
{
	while (kjx_team_work(vm, 0, SLICE) == KJX_AGAIN) {
		const u64 now = run->deadline || run->poll ? kjx_now() : 0;

		if ((run->deadline && now >= run->deadline) || (run->poll && now - last_poll >= POLL)) {
			__atomic_store_n(&crew.stop, 1u, __ATOMIC_RELAXED);
			return;
		}
	}
}

/* with the helpers, if nobody else has them */
static bool work_together(struct kjx_vm *vm, u32 threads, const struct kjx_run *run, u64 last_poll)
{
	u32 nobody = 0;

	if (!__atomic_compare_exchange_n(&crew.who.busy, &nobody, 1u, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	open_call(vm, threads);
	work(vm, run, last_poll);
	close_call(last_poll);
	__atomic_store_n(&crew.who.busy, 0u, __ATOMIC_RELEASE);
	return true;
}

enum kjx_status kjx_crew_work(struct kjx_vm *vm, u32 threads, enum kjx_status (*poll)(const struct kjx_run *run),
			      const struct kjx_run *run)
{
	enum kjx_status status;
	u64 last_poll = run->deadline || run->poll ? kjx_now() : 0;
	u32 seat;

	work_together(vm, threads, run, last_poll);
	while (!kjx_team_is_done(vm)) {
		status = poll(run);
		if (status != KJX_OK)
			return status;
		last_poll = kjx_now();
		/* what others have left amid a piece, then what nobody has taken */
		for (seat = threads; seat-- > 1;)
			kjx_team_work(vm, seat, SLICE);
		if (!kjx_team_is_done(vm) && !work_together(vm, threads, run, last_poll))
			kjx_team_work(vm, 0, SLICE);
	}
	return KJX_OK;
}
