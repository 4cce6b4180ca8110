// SPDX-License-Identifier: MIT
/*
 * Instructions of one run of a program, in this process (libkjax) and in the kernel (/dev/kjax, all arguments in one mapped
 * buffer, so that nothing is copied). For a guest whose time-stamp counter counts instructions: QEMU with -icount shift=0.
 *
 *	instructions IMAGE INPUTS CALLS		INPUTS: the inputs' bytes, each at a multiple of 64
 *
 * Prints two numbers: instructions of a call in the process, and in the kernel with the system call. The least of CALLS
 * each: interrupts add. Ends with 1 when the results differ in a single bit.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

#include <kjax/kjax.h>
/* two interfaces that one program seldom needs both of: these names are taken */
#undef KJAX_NO_ALIAS
#define kjax_argument kernel_argument
#define kjax_buffer kernel_buffer
#include <linux/kjax.h>
#undef kjax_argument
#undef kjax_buffer

#define CHECK(condition) do { if (!(condition)) fail(#condition, __LINE__); } while (0)
#define MAX 64u

static void fail(const char *what, int line)
{
	fprintf(stderr, "line %d: %s (errno %d; %s)\n", line, what, errno, kjax_error());
	exit(1);
}

static size_t up(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

static void *read_all(const char *path, size_t *bytes)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	void *data;

	CHECK(fd >= 0 && !fstat(fd, &st));
	data = aligned_alloc(64, up(st.st_size + 1));
	CHECK(data && read(fd, data, st.st_size) == st.st_size);
	close(fd);
	*bytes = st.st_size;
	return data;
}

/* the least that the time-stamp counter moves over @calls of @call */
#define LEAST(calls, call) ({								\
	unsigned long long least = ~0ull;						\
	for (int i = 0; i < (calls); i++) {						\
		unsigned long long start = __rdtsc(), spent;				\
		call;									\
		spent = __rdtsc() - start;						\
		least = spent < least ? spent : least;					\
	}										\
	least; })

int main(int argc, char **argv)
{
	size_t image_bytes, input_bytes, at = 0;
	void *image, *given, *inputs[MAX], *outputs[MAX];
	struct kjax_slot in[MAX], out[MAX];
	struct kjax_program *program;
	struct kjax_argument a;
	struct kjax_facts facts;
	unsigned char *shared;
	int device, buffer, calls;
	unsigned int i;

	if (argc != 4)
		return 2;
	image = read_all(argv[1], &image_bytes);
	given = read_all(argv[2], &input_bytes);
	calls = atoi(argv[3]);
	CHECK(!kjax_program_open(image, image_bytes, NULL, &program));
	kjax_program_facts(program, &facts);
	CHECK(facts.lanes == 1 && facts.inputs <= MAX && facts.outputs <= MAX);
	for (i = 0; i < facts.inputs; i++) {
		CHECK(!kjax_program_input(program, i, &a));
		inputs[i] = (unsigned char *)given + at;
		in[i] = (struct kjax_slot) { .offset = at };
		at += up(a.bytes);
	}
	for (i = 0; i < facts.outputs; i++) {
		CHECK(!kjax_program_output(program, i, &a));
		outputs[i] = aligned_alloc(64, up(a.bytes));
		memset(outputs[i], 0, up(a.bytes));
		out[i] = (struct kjax_slot) { .offset = at };
		at += up(a.bytes);
	}

	device = open(KJAX_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	CHECK(device >= 0);
	struct kernel_buffer request = { .size = sizeof(request), .bytes = at };
	struct kjax_load load = { .size = sizeof(load), .image = (unsigned long)image, .image_bytes = image_bytes };

	CHECK(!ioctl(device, KJAX_IOC_BUFFER, &request) && !ioctl(device, KJAX_IOC_LOAD, &load));
	buffer = request.fd;
	shared = mmap(NULL, at, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
	CHECK(shared != MAP_FAILED);
	memcpy(shared, given, input_bytes);
	for (i = 0; i < facts.inputs; i++)
		in[i].fd = buffer;
	for (i = 0; i < facts.outputs; i++)
		out[i].fd = buffer;
	struct kjax_execute run = { .size = sizeof(run), .inputs = (unsigned long)in, .outputs = (unsigned long)out,
				    .n_inputs = facts.inputs, .n_outputs = facts.outputs };
	unsigned long long here = LEAST(calls, CHECK(!kjax_program_run(program, (const void *const *)inputs, outputs, NULL)));
	unsigned long long there = LEAST(calls, CHECK(!ioctl(load.fd, KJAX_IOC_EXECUTE, &run)));

	for (i = 0; i < facts.outputs; i++) {
		CHECK(!kjax_program_output(program, i, &a));
		CHECK(!memcmp(outputs[i], shared + out[i].offset, a.bytes));
	}
	printf("%llu %llu\n", here, there);
	return 0;
}
