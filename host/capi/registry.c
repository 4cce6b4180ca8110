// SPDX-License-Identifier: MIT
/*
 * Loaded libraries, newest first, and the text interface on them. The list is under a lock; programs are opened
 * when they are first asked for and stay open as long as their library.
 */
#include <stdlib.h>
#include <string.h>

#include "capi.h"
#include "library.h"

struct loaded {
	struct loaded *next;
	char *path;
	void *bytes;
	struct kjx_library library;
	struct kjax_program **programs;	/* by entry; NULL until asked for */
};

static struct loaded *all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static u32 text_threads = 1;

static void free_loaded(struct loaded *l)
{
	u32 i;

	if (!l)
		return;
	for (i = 0; l->programs && i < l->library.n_entries; i++)
		kjax_program_close(l->programs[i]);
	free(l->programs);
	free(l->bytes);
	free(l->path);
	free(l);
}

/* take out of the list what was loaded from @path; NULL when there is none. Under the lock. */
static struct loaded *take_out(const char *path)
{
	struct loaded **at, *found;

	for (at = &all; *at; at = &(*at)->next) {
		found = *at;
		if (!strcmp(found->path, path)) {
			*at = found->next;
			return found;
		}
	}
	return NULL;
}

static int load(const char *path, struct loaded *l)
{
	char text[256] = "";
	struct kjx_log log = { .text = text, .capacity = sizeof(text) };
	enum kjx_status status;
	size_t n;
	int failed = kjx_read_file(path, &l->bytes, &n);

	if (failed)
		return failed;
	status = kjx_library_open(l->bytes, n, &l->library, &log);
	if (status != KJX_OK) {
		l->library.n_entries = 0;
		return kjx_fail((int)status, "%s: %s", path, *text ? text : kjx_status_meaning(status));
	}
	l->programs = calloc(l->library.n_entries, sizeof(*l->programs));
	l->path = strdup(path);
	if (!l->programs || !l->path)
		return kjx_fail(KJX_NO_MEMORY, "%s: no memory", path);
	return 0;
}

int load_jax_library(const char *path)
{
	struct loaded *fresh, *old;
	int status;

	if (!kjx_cpu_select(kjx_host_features(), NULL))
		return kjx_fail(KJX_BAD_CALL, "this machine cannot run any cpu table of this library");
	if (!path)
		return 0;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return kjx_fail(KJX_NO_MEMORY, "%s: no memory", path);
	status = load(path, fresh);
	if (status) {
		free_loaded(fresh);
		return status;
	}
	pthread_mutex_lock(&lock);
	old = take_out(path);
	fresh->next = all;
	all = fresh;
	pthread_mutex_unlock(&lock);
	free_loaded(old);
	return 0;
}

void kjax_unload(void)
{
	struct loaded *list, *next;

	pthread_mutex_lock(&lock);
	list = all;
	all = NULL;
	pthread_mutex_unlock(&lock);
	for (; list; list = next) {
		next = list->next;
		free_loaded(list);
	}
}

void kjax_set_threads(uint32_t threads)
{
	__atomic_store_n(&text_threads, threads ? threads : 1, __ATOMIC_RELAXED);
}

/* the program of an entry, opened now if it was not. Under the lock. */
static int open_entry(struct loaded *l, u32 number, struct kjax_program **program)
{
	struct kjx_variant v;
	int status = 0;

	if (!l->programs[number]) {
		kjx_library_at(&l->library, number, &v);
		status = kjax_program_open(v.image, v.bytes, NULL, &l->programs[number]);
	}
	*program = l->programs[number];
	return status;
}

/* how a look-up goes on: each entry that fits, in turn; @args NULL: the first one will do */
struct look_up {
	const char *transformation, *function, *signature, *args;
	struct kjax_program *program;
	struct kjax_buffer **inputs;
};

/* with arguments, an entry is the one if its program can read them */
static int try_entry(struct loaded *l, u32 number, struct look_up *q)
{
	int status = open_entry(l, number, &q->program);

	if (status || !q->args)
		return status;
	free(q->inputs);
	q->inputs = calloc(kjx_inner(q->program)->facts.n_inputs + 1, sizeof(*q->inputs));
	if (!q->inputs)
		return kjx_fail(KJX_NO_MEMORY, "no memory");
	return kjx_read_arguments(kjx_inner(q->program), q->args, q->inputs);
}

static int find(struct look_up *q)
{
	int status = kjx_fail(KJX_BAD_CALL, "no loaded library has %s of %s%s%s", q->transformation, q->function,
			      q->signature ? " for " : "", q->signature ? q->signature : "");
	struct loaded *l;
	bool found = false;
	u32 i;

	pthread_mutex_lock(&lock);
	for (l = all; l && !found; l = l->next) {
		for (i = 0; !found; i++) {
			i = kjx_library_find(&l->library, q->function, q->transformation, q->signature, i);
			if (i == ~0u)
				break;
			status = try_entry(l, i, q);
			found = !status;
		}
	}
	pthread_mutex_unlock(&lock);
	if (!found) {
		free(q->inputs);
		q->inputs = NULL;
	}
	return status;
}

int kjax_program_find(const char *transformation, const char *function, const char *signature,
		      struct kjax_program **program)
{
	struct look_up q = { .transformation = transformation, .function = function, .signature = signature };
	int status = find(&q);

	*program = status ? NULL : q.program;
	return status;
}

static void free_inputs(struct kjax_program *program, struct kjax_buffer **inputs)
{
	u32 i;

	for (i = 0; i < kjx_inner(program)->facts.n_inputs; i++)
		kjax_buffer_free(inputs[i]);
	free(inputs);
}

/* run on @inputs, which are freed */
static int evaluate(struct kjax_program *program, struct kjax_buffer **inputs, struct kjax_values **values)
{
	const struct kjax_run run = { .size = sizeof(run), .threads = __atomic_load_n(&text_threads, __ATOMIC_RELAXED) };
	u32 n = kjx_inner(program)->facts.n_outputs;
	struct kjax_values *made = calloc(1, sizeof(*made) + n * sizeof(*made->at));
	int status = made ? kjax_program_call(program, inputs, made->at, &run) : kjx_fail(KJX_NO_MEMORY, "no memory");

	free_inputs(program, inputs);
	if (status) {
		free(made);
		return status;
	}
	made->count = n;
	*values = made;
	return 0;
}

int kjax_evaluate(const char *transformation, const char *function, const char *args, struct kjax_values **values)
{
	struct look_up q = { .transformation = transformation, .function = function, .args = args };
	int status = find(&q);

	*values = NULL;
	return status ? status : evaluate(q.program, q.inputs, values);
}

uint32_t kjax_values_count(const struct kjax_values *values)
{
	return values->count;
}

const struct kjax_buffer *kjax_values_at(const struct kjax_values *values, uint32_t number)
{
	return number < values->count ? values->at[number] : NULL;
}

void kjax_values_free(struct kjax_values *values)
{
	u32 i;

	for (i = 0; values && i < values->count; i++)
		kjax_buffer_free(values->at[i]);
	free(values);
}

static char *as_text(int status, struct kjax_values *values)
{
	char *text = status ? NULL : kjx_write_values(values);

	kjax_values_free(values);
	return text;
}

char *execute_jax_transformation(const char *transformation, const char *function, const char *args)
{
	struct kjax_values *values;
	int status = kjax_evaluate(transformation, function, args, &values);

	return as_text(status, values);
}

/* a program file: opened for this run only */
static int evaluate_file(const char *path, const char *args, struct kjax_values **values)
{
	struct kjax_program *program;
	struct kjax_buffer **inputs;
	int status = kjax_program_load(path, NULL, &program);

	*values = NULL;
	if (status)
		return status;
	inputs = calloc(kjx_inner(program)->facts.n_inputs + 1, sizeof(*inputs));
	status = inputs ? kjx_read_arguments(kjx_inner(program), args, inputs) : kjx_fail(KJX_NO_MEMORY, "no memory");
	if (status)
		free(inputs);
	else
		status = evaluate(program, inputs, values);
	kjax_program_close(program);
	return status;
}

char *execute_jax_program(const char *program)
{
	size_t n = strcspn(program, " \t\n");
	const char *args = program + n + strspn(program + n, " \t\n");
	char *name = strndup(program, n);
	struct kjax_values *values = NULL;
	int status;

	if (!name) {
		kjx_fail(KJX_NO_MEMORY, "no memory");
		return NULL;
	}
	if (!*args)
		args = "[]";
	if (strchr(name, '/') || (n > 4 && !strcmp(name + n - 4, ".kjx")))
		status = evaluate_file(name, args, &values);
	else
		status = kjax_evaluate("jit", name, args, &values);
	free(name);
	return as_text(status, values);
}
