// SPDX-License-Identifier: MIT
/*
 * Fuzzing the verifier, and holding it to its word.
 *
 * Every input is verified. What is accepted is prepared and run (unless built with KJX_FUZZ_VERIFY_ONLY) in memory of
 * exactly the sizes that the verifier proved, so that the address sanitizer sees any byte beyond them; and
 *
 *	- a run uses no more work units than the proven cost, when there is one
 *	- constants, and inputs that no output updates, are not written to
 *	- however a run is sliced, it computes the same bytes
 *
 * Two drivers: libFuzzer (KJX_FUZZ_LIBFUZZER, with clang), and a main() of its own:
 *
 *	fuzz_verify SECONDS SEED PROGRAM.kjx...
 *
 * which mutates the given programs, and those mutants that were accepted, from a fixed random seed. In the
 * environment: KJX_FUZZ_CPU the table to run on (built with TABLES="scalar avx2 avx512"), KJX_FUZZ_TRACE a file that
 * keeps the program at work.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu.h"
#include "mutate.h"

#define MEMORY (8ull << 20)
#define BUFFERS (1ull << 20)
#define FUEL 100000

static void broken(const char *promise)
{
	fprintf(stderr, "broken promise: %s\n", promise);
	abort();
}

/* 64-byte aligned, exactly @bytes long, zero */
static void *exactly(u64 bytes)
{
	void *p;

	if (posix_memalign(&p, 64, bytes ? bytes : 1))
		abort();
	memset(p, 0, bytes);
	return p;
}

#ifndef KJX_FUZZ_VERIFY_ONLY

/* a buffer as callers have them: aligned to its element and no better, which @pad says */
static u8 *buffer(u64 bytes, u64 pad)
{
	return (u8 *)exactly(pad + bytes) + pad;
}

/** struct call - one set of buffers, by input and by output; an updated input and its output are one buffer */
struct call {
	u8 **in, **out, *updated, *arena;
	u64 *in_bytes, *out_bytes, *in_hash, pad;
};

static u64 argument_bytes(const struct kjx_argument *a)
{
	u64 bytes = kjx_dtype_size[a->dtype];
	u32 k;

	for (k = 0; k < a->rank; k++)
		bytes = kjx_sat_mul(bytes, kjx_argument_dims(a)[k]);
	return bytes;
}

static struct call *open_call(const struct kjx_plan *plan, const struct kjx_facts *f, u64 seed)
{
	struct call *c = calloc(1, sizeof(*c));
	struct random r = { seed | 1 };
	const struct kjx_argument *a;
	const u64 *dims;
	u32 i;
	u64 k;

	c->in = calloc(f->n_inputs, 8);
	c->out = calloc(f->n_outputs, 8);
	c->updated = calloc(f->n_inputs, 1);
	c->in_bytes = calloc(f->n_inputs, 8);
	c->out_bytes = calloc(f->n_outputs, 8);
	c->in_hash = calloc(f->n_inputs, 8);
	c->pad = 16 * below(&r, 4);		/* the largest element */
	for (i = 0; i < f->n_inputs; i++) {
		a = kjx_argument_at(plan, 0, i, &dims);
		c->in_bytes[i] = argument_bytes(a);
		c->in[i] = buffer(c->in_bytes[i], c->pad + kjx_dtype_size[a->dtype]);
		for (k = 0; k < c->in_bytes[i]; k++)
			c->in[i][k] = below(&r, 3) ? (u8)below(&r, 3) : (u8)next(&r);
		c->in_hash[i] = kjx_xxh64(c->in[i], c->in_bytes[i]);
	}
	for (i = 0; i < f->n_outputs; i++) {
		a = kjx_argument_at(plan, 1, i, &dims);
		c->out_bytes[i] = argument_bytes(a);
		c->out[i] = a->alias == KJX_NO_ALIAS ? buffer(c->out_bytes[i], c->pad + kjx_dtype_size[a->dtype]) :
						       c->in[a->alias];
		if (a->alias != KJX_NO_ALIAS)
			c->updated[a->alias] = 1;
	}
	c->arena = exactly(f->arena_bytes);
	return c;
}

static void release(const struct kjx_plan *plan, const struct call *c, u32 output, u32 i, u8 *p)
{
	const u64 *dims;

	free(p - c->pad - kjx_dtype_size[kjx_argument_at(plan, output, i, &dims)->dtype]);
}

static void close_call(const struct kjx_plan *plan, struct call *c, const struct kjx_facts *f)
{
	u32 i, k;

	for (i = 0; i < f->n_outputs; i++) {
		bool own = true;

		for (k = 0; k < f->n_inputs; k++)
			own &= c->out[i] != c->in[k];
		if (own)
			release(plan, c, 1, i, c->out[i]);
	}
	for (i = 0; i < f->n_inputs; i++) {
		if (!c->updated[i] && kjx_xxh64(c->in[i], c->in_bytes[i]) != c->in_hash[i])
			broken("an input that no output updates was written to");
		release(plan, c, 0, i, c->in[i]);
	}
	free(c->in);
	free(c->out);
	free(c->updated);
	free(c->in_bytes);
	free(c->out_bytes);
	free(c->in_hash);
	free(c->arena);
	free(c);
}

/* the host's part of a trace: read the inputs, write the outputs, byte by byte */
static void answer(const struct kjx_vm *vm)
{
	const struct kjx_trace *t = kjx_asked(vm);
	const struct kjx_value *v = kjx_value_first(t);
	u8 seen = 0;
	u32 i, d, n = (u32)t->n_inputs + t->n_outputs;

	for (i = 0; i < n; i++, v = kjx_value_next(v)) {
		u8 *at = kjx_asked_at(vm, i);
		u64 bytes = at ? kjx_dtype_size[v->dtype] : 0;

		for (d = 0; at && d < v->rank; d++)
			bytes *= kjx_value_dims(v)[d];
		while (bytes--) {
			if (i < t->n_inputs)
				seen |= at[bytes];
			else
				at[bytes] = (u8)bytes + seen;
		}
	}
}

#define SEATS 3

/* what a team of a single lane needs, or NULL */
static u8 *share(struct kjx_vm *vm, const struct kjx_facts *f)
{
	const u64 bytes = kjx_align_up(kjx_team_bytes(SEATS), 64);
	u8 *memory;

	if (!f->part_bytes || f->lanes > 1 || SEATS * f->part_bytes > MEMORY)
		return NULL;
	memory = exactly(bytes + SEATS * f->part_bytes);
	kjx_team_start(vm, f, memory, memory + bytes, SEATS);
	return memory;
}

/* the step in parts: seats in turn */
static void work(struct kjx_vm *vm, u64 budget)
{
	u32 seat;

	while (!kjx_team_is_done(vm))
		for (seat = SEATS; seat--; budget = budget * 5 + 1)
			kjx_team_work(vm, seat, budget % 50000);
}

/* all lanes in turn until none can go on; the worst status, and a digest of the outputs. @team: steps may be shared out */
static enum kjx_status run(const struct kjx_plan *plan, const struct kjx_facts *f, u64 budget, bool team, u64 *digest, u64 *used)
{
	u8 *shared = NULL;
	struct kjx_exchange_board *board = exactly(sizeof(*board));
	struct kjx_vm *vm = exactly(sizeof(*vm) * f->lanes);
	struct call **calls = calloc(f->lanes, sizeof(*calls));
	enum kjx_status *status = calloc(f->lanes, sizeof(*status)), worst = KJX_OK;
	bool moving = true;
	u32 l, i;

	for (l = 0; l < f->lanes; l++) {
		calls[l] = open_call(plan, f, l + 1);
		kjx_start(&vm[l], plan, calls[l]->arena, calls[l]->in, calls[l]->out, board, l, FUEL);
		status[l] = KJX_AGAIN;
	}
	if (team)
		shared = share(vm, f);
	while (moving) {
		moving = false;
		for (l = 0; l < f->lanes; l++) {
			u64 before = vm[l].used, turn = vm[l].turn;

			if (status[l] != KJX_AGAIN && status[l] != KJX_WAITING && status[l] != KJX_ASKING &&
			    status[l] != KJX_PARTED)
				continue;
			status[l] = kjx_run(&vm[l], budget);
			if (status[l] == KJX_ASKING)
				answer(&vm[l]);
			if (status[l] == KJX_PARTED)
				work(&vm[l], budget);
			moving |= status[l] != KJX_WAITING || vm[l].used != before || vm[l].turn != turn;
			if (status[l] > KJX_PARTED)
				board->failed = 1;
		}
	}
	*digest = *used = 0;
	for (l = 0; l < f->lanes; l++) {
		worst = status[l] > worst ? status[l] : worst;
		*used = kjx_max(*used, vm[l].used);
		for (i = 0; i < f->n_outputs; i++)
			*digest = *digest * 31 + kjx_xxh64(calls[l]->out[i], calls[l]->out_bytes[i]);
		close_call(plan, calls[l], f);
	}
	free(shared);
	free(board);
	free(vm);
	free(calls);
	free(status);
	return worst;
}

static void check_run(const void *image, const struct kjx_facts *f)
{
	void *memory = exactly(f->plan_bytes);
	const char *cpu = getenv("KJX_FUZZ_CPU");
	const struct kjx_plan *plan = kjx_prepare(image, f, kjx_cpu_select(~0u, cpu ? cpu : "scalar"), memory);
	u64 whole, sliced, parted, used, again, shared;
	enum kjx_status a = run(plan, f, ~0ull, false, &whole, &used), b = run(plan, f, 97, false, &sliced, &again);
	enum kjx_status c = run(plan, f, 1009, true, &parted, &shared);

	if (a != b)
		broken("a run that is sliced ends otherwise");
	if (a == KJX_OK && whole != sliced)
		broken("a run that is sliced computes something else");
	if (a != c || (a == KJX_OK && (whole != parted || used != shared)))
		broken("a run whose steps are done in parts ends otherwise, or computes or counts something else");
	if (a == KJX_OK && !f->cost_is_open && used > f->cost)
		broken("a run took more work units than the verifier proved");
	if (a == KJX_OUT_OF_FUEL && !f->cost_is_open && f->cost < FUEL)
		broken("a run took more fuel than the verifier proved");
	free(memory);
}

#endif

/* verify @image, @n bytes at 8-byte alignment; true when accepted */
static u32 check(const u8 *image, u64 n)
{
	const struct kjx_limits limits = { .memory = MEMORY };
	char text[300];
	struct kjx_log log = { .text = text, .capacity = sizeof(text) };
	struct kjx_facts f;
	u64 before = kjx_xxh64(image, n);
	enum kjx_status status = kjx_verify(image, n, &limits, &f, &log);

	if (status != KJX_OK && (status < KJX_TRUNCATED || status > KJX_OVER_COST))
		broken("the verifier says ok or a status from 16 to 81");
	if ((status == KJX_OK) != (log.needed == 1) || strlen(text) + 1 != kjx_min(log.needed, sizeof(text)) ||
	    strchr(text, '%'))
		broken("a refusal, and only that, explains itself");
#ifndef KJX_FUZZ_VERIFY_ONLY
	if (status == KJX_OK && (f.input_bytes + f.output_bytes) * f.lanes <= BUFFERS)
		check_run(image, &f);
#endif
	if (kjx_xxh64(image, n) != before)
		broken("the image is never written to");
	return status;
}

#ifdef KJX_FUZZ_LIBFUZZER

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);
size_t LLVMFuzzerCustomMutator(u8 *data, size_t n, size_t most, unsigned int seed);
size_t LLVMFuzzerMutate(u8 *data, size_t n, size_t most);

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	u8 *image = malloc(n ? n : 1);

	memcpy(image, data, n);
	check(image, n);
	free(image);
	return 0;
}

size_t LLVMFuzzerCustomMutator(u8 *data, size_t n, size_t most, unsigned int seed)
{
	struct random r = { seed * 0x9E3779B97F4A7C15ull | 1 };

	if (n < 64 || !below(&r, 8)) {
		n = LLVMFuzzerMutate(data, n, most);
		if (below(&r, 2))
			repair(data, n);
		return n;
	}
	mutate(&r, data, n);
	return n;
}

#else

#define POOL 256	/* programs in the pool: those given, and accepted mutants in turn */

struct pool {
	u8 *image[POOL];
	u64 bytes[POOL];
	u32 n, given;
};

static void keep(struct pool *pool, struct random *r, const u8 *image, u64 n)
{
	u32 at = pool->n < POOL ? pool->n++ : pool->given + (u32)below(r, POOL - pool->given);

	free(pool->image[at]);
	pool->image[at] = malloc(n);
	memcpy(pool->image[at], image, n);
	pool->bytes[at] = n;
}

/* programs without code have nothing to vary */
static bool at_work(const u8 *image)
{
	struct kjx_image parts;

	kjx_image_open(&parts, image);
	return parts.n_insns && parts.code_bytes >= 16;
}

static void read_program(struct pool *pool, const char *path)
{
	FILE *f = fopen(path, "rb");
	static u8 buffer[1 << 20];
	struct random none = { 1 };
	u64 n;

	if (!f) {
		perror(path);
		exit(2);
	}
	n = fread(buffer, 1, sizeof(buffer), f);
	fclose(f);
	if (pool->n == POOL / 2 || n == sizeof(buffer)) {
		fprintf(stderr, "%s: too many programs, or too large a one\n", path);
		exit(2);
	}
	keep(pool, &none, buffer, n);
	pool->given = pool->n;
}

int main(int count, char **words)
{
	static struct pool pool;
	static u64 seen[128];
	struct random r;
	u64 runs = 0, began = (u64)time(NULL), seconds;
	u32 i, status;

	if (count < 4) {
		fprintf(stderr, "usage: %s SECONDS SEED PROGRAM.kjx...\n", words[0]);
		return 2;
	}
	seconds = strtoull(words[1], NULL, 10);
	r.state = strtoull(words[2], NULL, 10) * 0x9E3779B97F4A7C15ull | 1;
	for (i = 3; i < (u32)count; i++) {
		read_program(&pool, words[i]);
		if (check(pool.image[pool.n - 1], pool.bytes[pool.n - 1]) != KJX_OK) {
			fprintf(stderr, "%s is refused\n", words[i]);
			return 1;
		}
	}
	while ((u64)time(NULL) - began < seconds) {
		u32 at = (u32)below(&r, below(&r, 2) ? pool.given : pool.n);
		u64 n = pool.bytes[at];
		u8 *image = malloc(n);
		FILE *f;

		memcpy(image, pool.image[at], n);
		mutate(&r, image, n);
		if (getenv("KJX_FUZZ_TRACE")) {	/* what a crash was about */
			f = fopen(getenv("KJX_FUZZ_TRACE"), "wb");
			fwrite(image, 1, n, f);
			fclose(f);
		}
		status = check(image, n);
		seen[status]++;
		if (status == KJX_OK && at_work(image))
			keep(&pool, &r, image, n);
		free(image);
		runs++;
	}
	printf("%llu programs", runs);
	for (i = 0; i < 128; i++)
		if (seen[i])
			printf(", %s %llu", kjx_status_name(i), seen[i]);
	printf("\n");
	return 0;
}

#endif
