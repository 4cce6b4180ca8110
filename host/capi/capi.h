/* SPDX-License-Identifier: MIT */
/*
 * Inside of libkjax (include/kjax/kjax.h):
 *
 *	error.c		the thread's last failure
 *	file.c		a whole file in memory
 *	program.c	programs on the caller's memory
 *	buffer.c	typed buffers, calls on them
 *	text.c		JSON to buffers and back
 *	trace.c		what programs print
 *	registry.c	loaded libraries, and the three functions of the text interface
 */
#ifndef KJX_CAPI_H
#define KJX_CAPI_H

#include "kjax/kjax.h"
#include "program.h"

/* the public program is the host's */
static inline struct kjx_program *kjx_inner(const struct kjax_program *program)
{
	return (struct kjx_program *)program;
}

struct kjax_buffer {
	u64 dims[KJX_MAX_RANK + 1];	/* room for the lanes in front */
	u64 bytes;
	u32 rank;
	u8 dtype;
	void *data;
};

struct kjax_values {
	u32 count;
	struct kjax_buffer *at[];
};

/** kjx_fail - keep a sentence for kjax_error(), printf-like. Return: @status */
__attribute__((format(printf, 2, 3))) int kjx_fail(int status, const char *format, ...);

/** kjx_read_file - @path's bytes, 64-byte aligned, to be freed with free(). Return: 0 or -errno, with kjx_fail() called */
int kjx_read_file(const char *path, void **bytes, size_t *n);

/** struct kjx_listening - a run of a program; the listener may be NULL */
struct kjx_listening {
	struct kjx_listener *listener;
	u64 run;
};

/* trace.c: a run begins; its kjx_run.ask, with that as data; the program is closed */
void kjx_listen_begin(struct kjx_listening *at, const struct kjx_program *program);
enum kjx_status kjx_listen(void *data, const struct kjx_vm *vm);
void kjx_listener_free(struct kjx_program *program);

const char *kjx_dtype_name(u32 dtype);
struct kjax_buffer *kjx_buffer_of(u32 dtype, u32 lanes, u32 rank, const u64 *dims);

/** kjx_read_arguments - buffers for a program's inputs from JSON; all set, or none. */
int kjx_read_arguments(const struct kjx_program *program, const char *json, struct kjax_buffer **inputs);

/** kjx_write_values - JSON list, to be freed; NULL with kjx_fail() called */
char *kjx_write_values(const struct kjax_values *values);

#endif
