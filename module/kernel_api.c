// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The exported functions: by name with text, by reference on the caller's memory. include/kjax/kernel.h
 */
#include <linux/kernel_read_file.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "kjax.h"
#include "json.h"
#include "kjax/kernel.h"

static unsigned long atomic_cost = 200000;
module_param(atomic_cost, ulong, 0644);
MODULE_PARM_DESC(atomic_cost, "most work units of a program that may run where sleeping is forbidden");

/* ---- by reference ---- */

static bool fill_in(struct kjax_run *run, const struct kjax_value *inputs, u32 n_inputs,
		    const struct kjax_value *outputs, u32 n_outputs)
{
	const struct kjax_program *program = run->program;
	const struct kjx_facts *facts = &program->facts;
	u32 n = facts->n_inputs + facts->n_outputs, lane, i;

	for (lane = 0; lane < facts->lanes; lane++) {
		u8 **pointers = run->pointers + lane * n;

		for (i = 0; i < n; i++) {
			const struct kjax_argument_fact *fact = &program->arguments[i];
			const struct kjax_value *v = i < facts->n_inputs ? &inputs[lane * facts->n_inputs + i] :
				&outputs[lane * facts->n_outputs + i - facts->n_inputs];
			u8 *updated = fact->alias == KJX_NO_ALIAS ? NULL : pointers[fact->alias];

			pointers[i] = v->data ?: updated;
			if ((v->dtype && v->dtype != fact->dtype) || (updated && pointers[i] != updated) ||
			    (v->data && v->bytes != fact->bytes) || (fact->bytes && !pointers[i]) ||
			    (unsigned long)pointers[i] % fact->align)
				return false;
		}
	}
	return true;
}

static bool counts_fit(const struct kjax_program *program, u32 n_inputs, u32 n_outputs)
{
	return n_inputs == program->facts.lanes * program->facts.n_inputs &&
	       n_outputs == program->facts.lanes * program->facts.n_outputs;
}

static enum kjx_status execute(struct kjax_program *program, const struct kjax_value *inputs, u32 n_inputs,
			       const struct kjax_value *outputs, u32 n_outputs, const struct kjax_bounds *bounds,
			       struct kjax_outcome *outcome)
{
	static const struct kjax_bounds none;
	enum kjx_status status;
	struct kjax_run *run;

	might_sleep();
	bounds = bounds ?: &none;
	if (!counts_fit(program, n_inputs, n_outputs))
		return KJX_BAD_CALL;
	status = kjax_run_take(program, false, bounds->deadline, &run);
	if (status)
		return status;
	if (fill_in(run, inputs, n_inputs, outputs, n_outputs))
		status = kjax_run_execute(run, bounds->fuel ?: U64_MAX, bounds->deadline, outcome);
	else
		status = KJX_BAD_CALL;
	kjax_run_give(run);
	return status;
}

int kjax_program_execute(struct kjax_program *program, const struct kjax_value *inputs, u32 n_inputs,
			 const struct kjax_value *outputs, u32 n_outputs, const struct kjax_bounds *bounds)
{
	struct kjax_outcome outcome;

	return kjax_errno(execute(program, inputs, n_inputs, outputs, n_outputs, bounds, &outcome));
}
EXPORT_SYMBOL_GPL(kjax_program_execute);

int kjax_program_execute_atomic(struct kjax_program *program, const struct kjax_value *inputs, u32 n_inputs,
				const struct kjax_value *outputs, u32 n_outputs)
{
	const struct kjx_facts *facts = &program->facts;
	enum kjx_status status;
	struct kjax_run *run;

	if (!kjax_fpu_usable())
		return kjax_errno(KJX_NO_FPU);
	if (facts->lanes != 1 || !counts_fit(program, n_inputs, n_outputs))
		return -EINVAL;
	if (facts->cost_is_open || facts->cost > READ_ONCE(atomic_cost))
		return kjax_errno(KJX_OVER_COST);
	status = kjax_run_take(program, true, 0, &run);
	if (status)
		return kjax_errno(status);
	status = KJX_BAD_CALL;
	if (fill_in(run, inputs, n_inputs, outputs, n_outputs))
		status = kjax_run_execute_atomic(run, U64_MAX);
	kjax_run_give(run);
	return kjax_errno(status);
}
EXPORT_SYMBOL_GPL(kjax_program_execute_atomic);

struct kjax_program *kjax_program_find(const char *transformation, const char *function, const char *signature)
{
	return kjax_registry_find(transformation ?: "", function, signature, 0) ?: ERR_PTR(-ENOENT);
}
EXPORT_SYMBOL_GPL(kjax_program_find);

void kjax_program_release(struct kjax_program *program)
{
	kjax_program_put(program);
}
EXPORT_SYMBOL_GPL(kjax_program_release);

/* ---- libraries ---- */

static int blob_from(const void *bytes, size_t n, struct kjax_blob **blob)
{
	enum kjx_status status = n ? kjax_blob_new(&kjax_kernel_owner, n, blob) : KJX_TRUNCATED;

	if (!status)
		memcpy((*blob)->data, bytes, n);
	return kjax_errno(status);
}

static int blob_from_file(const char *path, struct kjax_blob **blob)
{
	void *bytes = NULL;
	ssize_t n;
	int ret;

	n = kernel_read_file_from_path(path, 0, &bytes, min_t(u64, kjax_image_limit(), INT_MAX), NULL,
				       READING_UNKNOWN);
	if (n < 0)
		return n == -EFBIG ? -ENOMEM : n;
	ret = blob_from(bytes, n, blob);
	vfree(bytes);
	return ret;
}

/* takes the blob over */
static struct kjax_library *library_from(const char *name, struct kjax_blob *blob)
{
	struct kjax_load_options options = { .runs = num_online_cpus() };
	u32 failed_at, at = 0;
	struct kjx_log log = { 0 };
	struct kjax_library *library;
	enum kjx_status status;
	int ret;

	status = kjax_library_load(&kjax_kernel_owner, blob, &options, &log, &failed_at, &at, &library);
	kjax_blob_put(blob);
	if (status)
		return ERR_PTR(kjax_errno(status));
	ret = kjax_registry_pin(name, NULL, library, true);
	if (ret) {
		kjax_library_put(library);
		return ERR_PTR(ret);
	}
	return library;
}

struct kjax_library *load_jax_library_from(const char *name, const void *bytes, size_t n)
{
	struct kjax_blob *blob;
	int ret = blob_from(bytes, n, &blob);

	return ret ? ERR_PTR(ret) : library_from(name, blob);
}
EXPORT_SYMBOL_GPL(load_jax_library_from);

struct kjax_library *load_jax_library(const char *path)
{
	struct kjax_blob *blob;
	int ret = blob_from_file(path, &blob);

	return ret ? ERR_PTR(ret) : library_from(kbasename(path), blob);
}
EXPORT_SYMBOL_GPL(load_jax_library);

void unload_jax_library(struct kjax_library *library)
{
	kjax_registry_unpin_library(library);
	kjax_library_put(library);
}
EXPORT_SYMBOL_GPL(unload_jax_library);

/* ---- by name, with text ---- */

/** struct text_call - an execution whose arguments come as text
 * @arguments:	for each argument of the program its shape as text has it (lanes first), and where it lies
 * @values:	as kjax_program_execute() takes them: inputs of all lanes, then outputs of all lanes
 */
struct text_call {
	struct kjax_program *program;
	struct kjax_value *values;
	u8 *memory;
	u64 charged;
};

static u32 n_arguments(const struct kjax_program *program)
{
	return program->facts.n_inputs + program->facts.n_outputs;
}

/* Shape of argument @i as text has it. @dims: room for KJAX_RANK_MAX + 1 */
static bool text_shape(const struct kjax_program *program, u32 i, u64 *dims, struct kjax_shape *shape)
{
	u32 inputs = program->facts.n_inputs, lanes = program->facts.lanes;
	const struct kjx_argument *a;
	const u64 *from;

	a = kjx_argument_at(program->plan, i >= inputs, i < inputs ? i : i - inputs, &from);
	if (a->rank + (lanes > 1) > KJAX_RANK_MAX)
		return false;
	dims[0] = lanes;
	memcpy(dims + (lanes > 1), from, a->rank * sizeof(*dims));
	*shape = (struct kjax_shape){ a->dtype, a->rank + (lanes > 1), dims };
	return true;
}

/* Where argument @i begins: all lanes of it lie behind each other, as in the text. */
static u8 *text_data(const struct text_call *call, u32 i)
{
	const struct kjax_program *program = call->program;
	u64 at = 0;
	u32 k;

	if (program->arguments[i].alias != KJX_NO_ALIAS)
		i = program->arguments[i].alias;
	for (k = 0; k < i; k++)
		at += ALIGN(program->arguments[k].bytes * program->facts.lanes, 64);
	return call->memory + at;
}

static enum kjx_status text_reserve(struct text_call *call)
{
	const struct kjax_program *program = call->program;
	u32 lanes = program->facts.lanes, n = n_arguments(program), i, lane;
	u64 bytes = 64;

	/* each argument is at most 2^40 bytes, there are at most 2^13 of them and 2^6 lanes: no wrap */
	for (i = 0; i < n; i++)
		bytes += ALIGN(program->arguments[i].bytes * lanes, 64);
	call->charged = bytes;
	if (kjax_charge(&kjax_kernel_owner, bytes)) {
		call->charged = 0;
		return KJX_TOO_LARGE;
	}
	call->memory = kjax_zalloc(bytes);
	call->values = kvcalloc((u64)n * lanes + 1, sizeof(*call->values), GFP_KERNEL_ACCOUNT);
	if (!call->memory || !call->values)
		return KJX_NO_MEMORY;
	for (i = 0; i < n; i++) {
		bool output = i >= program->facts.n_inputs;
		u32 row = output ? program->facts.n_outputs : program->facts.n_inputs;
		u32 first = output ? program->facts.n_inputs * lanes + i - program->facts.n_inputs : i;

		for (lane = 0; lane < lanes; lane++) {
			struct kjax_value *v = &call->values[first + lane * row];

			v->bytes = program->arguments[i].bytes;
			v->data = text_data(call, i) + lane * v->bytes;
		}
	}
	return KJX_OK;
}

static void text_release(struct text_call *call)
{
	vfree(call->memory);
	kvfree(call->values);
	kjax_uncharge(&kjax_kernel_owner, call->charged);
}

static int text_read(const struct text_call *call, const char *args)
{
	struct kjax_reader r = { args, args + strlen(args) };
	u64 dims[KJAX_RANK_MAX + 1];
	struct kjax_shape shape;
	u32 i;

	if (!kjax_json_token(&r, '['))
		return -EINVAL;
	for (i = 0; i < call->program->facts.n_inputs; i++) {
		if (i && !kjax_json_token(&r, ','))
			return -EINVAL;
		if (!text_shape(call->program, i, dims, &shape) || !kjax_json_has_text(shape.dtype))
			return -EOPNOTSUPP;
		if (!kjax_json_read(&r, &shape, text_data(call, i)))
			return -EINVAL;
	}
	if (!kjax_json_token(&r, ']'))
		return -EINVAL;
	kjax_json_token(&r, ' ');
	return r.at == r.end ? 0 : -EINVAL;
}

static bool text_write(const struct text_call *call, struct kjax_writer *w)
{
	u32 inputs = call->program->facts.n_inputs, i;
	u64 dims[KJAX_RANK_MAX + 1];
	struct kjax_shape shape;

	kjax_json_put(w, '[');
	for (i = inputs; i < n_arguments(call->program); i++) {
		if (i > inputs)
			kjax_json_put(w, ',');
		if (!text_shape(call->program, i, dims, &shape) ||
		    !kjax_json_write(w, &shape, text_data(call, i)))
			return false;
	}
	kjax_json_put(w, ']');
	kjax_json_put(w, 0);
	return true;
}

/* The result and its text in one allocation; written twice, the first time to see how long it is. */
static struct kjax_result *text_result(const struct text_call *call, const struct kjax_outcome *outcome)
{
	struct kjax_writer w = { 0 };
	struct kjax_result *result;

	if (!text_write(call, &w))
		return ERR_PTR(-EOPNOTSUPP);
	result = kvzalloc(sizeof(*result) + w.needed, GFP_KERNEL_ACCOUNT);
	if (!result)
		return ERR_PTR(-ENOMEM);
	w = (struct kjax_writer){ .text = (char *)(result + 1), .capacity = w.needed };
	text_write(call, &w);
	*result = (struct kjax_result){ w.text, w.needed - 1, outcome->used, outcome->time };
	return result;
}

static struct kjax_result *run_text(struct kjax_program *program, const char *args)
{
	struct text_call call = { .program = program };
	struct kjax_result *result = NULL;
	struct kjax_outcome outcome;
	u32 inputs = program->facts.n_inputs * program->facts.lanes;
	int ret = kjax_errno(text_reserve(&call));

	if (!ret)
		ret = text_read(&call, args ?: "[]");
	if (!ret)
		ret = kjax_errno(execute(program, call.values, inputs, call.values + inputs,
					 program->facts.n_outputs * program->facts.lanes, NULL, &outcome));
	if (!ret)
		result = text_result(&call, &outcome);
	text_release(&call);
	return ret ? ERR_PTR(ret) : result;
}

struct kjax_result *execute_jax_transformation(const char *transformation, const char *function, const char *args)
{
	struct kjax_result *result = ERR_PTR(-ENOENT);
	struct kjax_program *program;
	u32 nth = 0;

	if (!*transformation)
		return ERR_PTR(-EINVAL);
	/* variants differ in the types of their arguments: the first that can read @args is meant */
	for (;;) {
		program = kjax_registry_find(transformation, function, NULL, nth++);
		if (!program)
			return result;
		result = run_text(program, args);
		kjax_program_put(program);
		if (result != ERR_PTR(-EINVAL))
			return result;
	}
}
EXPORT_SYMBOL_GPL(execute_jax_transformation);

static struct kjax_program *program_from_file(const char *path)
{
	struct kjax_load_options options = { 0 };
	struct kjx_log log = { 0 };
	struct kjax_program *program;
	struct kjax_blob *blob;
	enum kjx_status status;
	u32 failed_at;
	int ret = blob_from_file(path, &blob);

	if (ret)
		return ERR_PTR(ret);
	status = kjax_program_load(&kjax_kernel_owner, blob, blob->data, blob->bytes, &options, &log, &failed_at,
				   &program);
	kjax_blob_put(blob);
	return status ? ERR_PTR(kjax_errno(status)) : program;
}

struct kjax_result *execute_jax_program(const char *text)
{
	size_t n = strcspn(text, " \t\n");
	struct kjax_program *program;
	struct kjax_result *result;
	const char *args = skip_spaces(text + n);
	char *name;

	if (!n || n >= PATH_MAX)
		return ERR_PTR(-EINVAL);
	name = kstrndup(text, n, GFP_KERNEL);
	if (!name)
		return ERR_PTR(-ENOMEM);
	program = *name == '/' ? program_from_file(name) : kjax_program_find(NULL, name, NULL);
	kfree(name);
	if (IS_ERR(program))
		return ERR_CAST(program);
	result = run_text(program, *args ? args : NULL);
	kjax_program_put(program);
	return result;
}
EXPORT_SYMBOL_GPL(execute_jax_program);

void kjax_result_free(struct kjax_result *result)
{
	if (!IS_ERR_OR_NULL(result))
		kvfree(result);
}
EXPORT_SYMBOL_GPL(kjax_result_free);
