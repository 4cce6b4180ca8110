/* SPDX-License-Identifier: (MIT OR GPL-2.0 WITH Linux-syscall-note) */
/*
 * /dev/kjax: verified tensor programs in the kernel.
 *
 * Every object is a file descriptor (close-on-exec): the device itself, a program, a library, a buffer. Closing frees;
 * a run in flight keeps what it uses alive.
 *
 * Every ioctl takes a struct that begins with @size. Fill the whole struct with zeros, then @size and what you mean.
 * A kernel that knows a shorter struct accepts the rest if it is zero (else -E2BIG); one that knows a longer
 * struct takes what is missing as zero and writes back @size bytes at most. Bits and fields that this header does
 * not define must be zero (else -EINVAL).
 *
 * Whenever an ioctl fails for a reason of ours, @status says which (0 is success; the numbers are
 * those of `enum kjx_status`, see docs/errors). It is written back with the errno; before a struct could be read at all
 * (-EFAULT, -E2BIG, -ENOTTY) there is only the errno:
 *
 *	-EINVAL		103 bad_call: malformed request, wrong number of arguments, misaligned or too short buffer
 *	-EBADF		103 bad_call: a file descriptor that is not one of ours, or of another kind
 *	-ENOEXEC	16 to 67: the verifier refused the program or library; the log says why and @failed_at where
 *	-ENOMEM		80 too_large: over a limit, nothing was taken; 102 no_memory: the kernel had none
 *	-EFBIG		81 over_cost
 *	-ETIME		96 out_of_fuel, 97 too_many_trips
 *	-ETIMEDOUT	98 deadline
 *	-EINTR		99 interrupted: a signal arrived; the run is over, it is not restarted
 *	-ECANCELED	100 lane_failed
 *	-EAGAIN		101 no_fpu
 *	-EBUSY		KJAX_EXECUTE_NOWAIT and no arena free
 *	-ENOENT, -EEXIST, -EPERM: names, see KJAX_IOC_PIN
 *
 * After a run that did not end with 0 the outputs, and the inputs updated in place, hold unspecified values.
 */
#ifndef _UAPI_LINUX_KJAX_H
#define _UAPI_LINUX_KJAX_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KJAX_DEVICE_PATH	"/dev/kjax"
#define KJAX_ABI_VERSION	1

#define KJAX_NAME_MAX		64	/* bytes of a name, NUL included */
#define KJAX_RANK_MAX		12

/* The struct's @size, not the ioctl number, tells the version: numbers never change. */
#define KJAX_IOC		0xBC
#define KJAX_IOC_QUERY		_IO(KJAX_IOC, 0x00)	/* device: struct kjax_query */
#define KJAX_IOC_DEVICES	_IO(KJAX_IOC, 0x01)	/* device: struct kjax_devices */
#define KJAX_IOC_LOAD		_IO(KJAX_IOC, 0x02)	/* device: struct kjax_load */
#define KJAX_IOC_LOAD_LIBRARY	_IO(KJAX_IOC, 0x03)	/* device: struct kjax_load */
#define KJAX_IOC_BUFFER		_IO(KJAX_IOC, 0x04)	/* device: struct kjax_buffer */
#define KJAX_IOC_PIN		_IO(KJAX_IOC, 0x05)	/* device: struct kjax_pin */
#define KJAX_IOC_OPEN		_IO(KJAX_IOC, 0x06)	/* device: struct kjax_open */
#define KJAX_IOC_INFO		_IO(KJAX_IOC, 0x20)	/* program: struct kjax_info */
#define KJAX_IOC_EXECUTE	_IO(KJAX_IOC, 0x21)	/* program: struct kjax_execute */
#define KJAX_IOC_TRACE		_IO(KJAX_IOC, 0x22)	/* program: struct kjax_trace */
#define KJAX_IOC_ENTRY		_IO(KJAX_IOC, 0x40)	/* library: struct kjax_entry */

/* kjax_query.features */
#define KJAX_FEATURE_LANES	(1u << 0)	/* programs with more than one lane run concurrently */
#define KJAX_FEATURE_LIBRARY	(1u << 1)	/* KJAX_IOC_LOAD_LIBRARY, KJAX_IOC_OPEN */
#define KJAX_FEATURE_TRACE	(1u << 2)	/* programs may print: KJAX_IOC_TRACE */

/* Processor tables: bits of kjax_query.cpus, values of kjax_load.cpu and kjax_info.cpu */
#define KJAX_CPU_BEST		0u
#define KJAX_CPU_SCALAR		1u
#define KJAX_CPU_AVX2		2u
#define KJAX_CPU_AVX512		3u
#define KJAX_CPU_AVX512VNNI	4u
#define KJAX_CPU_BIT(cpu)	(1u << (cpu))

/**
 * struct kjax_query - what this kernel offers
 * @size:		sizeof(struct kjax_query)
 * @abi_version:	KJAX_ABI_VERSION of the module
 * @format_major, @format_minor: newest program format that it reads
 * @features:		KJAX_FEATURE_*
 * @cpus:		KJAX_CPU_BIT() of each table that this processor can run
 * @lanes:		worker threads
 * @max_lanes:		most lanes of a program
 * @memory_used:	bytes of programs and buffers, of everybody
 * @memory_limit:	most of them (module parameter memory_limit)
 * @owner_used:		those loaded through this open file of /dev/kjax
 * @owner_limit:	most of them (module parameter owner_limit)
 * @image_limit:	longest image accepted, bytes
 * @module_version:	as modinfo gives it
 */
struct kjax_query {
	__u32 size;
	__u32 abi_version;
	__u32 format_major;
	__u32 format_minor;
	__u32 features;
	__u32 cpus;
	__u32 lanes;
	__u32 max_lanes;
	__u64 memory_used;
	__u64 memory_limit;
	__u64 owner_used;
	__u64 owner_limit;
	__u64 image_limit;
	char module_version[32];
	__u64 reserved[4];
};

/**
 * struct kjax_device - an accelerator on the PCI bus
 * @vendor, @device, @subsystem_vendor, @subsystem_device: PCI ids
 * @class:	PCI class code, 24 bits: 0x03.... display, 0x12.... processing accelerator, 0x0b40.. co-processor
 * @node:	NUMA node or -1
 * @address:	"0000:00:02.0"
 * @driver:	driver bound to it, or ""
 */
struct kjax_device {
	__u32 vendor;
	__u32 device;
	__u32 subsystem_vendor;
	__u32 subsystem_device;
	__u32 class;
	__s32 node;
	char address[16];
	char driver[32];
};

/**
 * struct kjax_devices - list the accelerators
 * @size:	sizeof(struct kjax_devices)
 * @capacity:	entries of room at @devices
 * @devices:	address of struct kjax_device[@capacity]
 * @count:	out: how many there are; only min(count, capacity) are written
 * @status:	out
 */
struct kjax_devices {
	__u32 size;
	__u32 capacity;
	__u64 devices;
	__u32 count;
	__u32 status;
	__u64 reserved[2];
};

#define KJAX_LOAD_TRACE_LOG	(1u << 0)	/* what it prints goes to the kernel's log, too, rate limited */

/**
 * struct kjax_load - verify and keep a program (KJAX_IOC_LOAD) or a library (KJAX_IOC_LOAD_LIBRARY)
 * @size:		sizeof(struct kjax_load)
 * @flags:		KJAX_LOAD_*
 * @image, @image_bytes: the bytes of a .kjx or .kjl; copied
 * @memory_limit:	refuse (too_large) what needs more bytes than this; 0: the owner's limit decides
 * @cost_limit:		refuse (over_cost) what needs more work units a run; 0: none
 * @log, @log_capacity:	where a refusal explains itself, NUL-terminated; may be 0
 * @log_needed:		out: bytes that the whole text needs, NUL included; 0: no text
 * @cpu:		KJAX_CPU_*; one that this processor cannot run: -EINVAL
 * @runs:		concurrent runs for which arenas are reserved; 0: one
 * @status:		out
 * @failed_at:		out: the instruction at fault, or 0xffffffff
 * @fd:			out: the program or the library, on success; else -1
 * @trace_bytes:	ring for what the program prints, at most 1 MiB; 0: 64 KiB. Of no account where it prints nothing
 * @count:		out: programs in the library; when it was refused: the number of the program at fault
 * The memory is charged to the caller's memory cgroup and to this open file.
 */
struct kjax_load {
	__u32 size;
	__u32 flags;
	__u64 image;
	__u64 image_bytes;
	__u64 memory_limit;
	__u64 cost_limit;
	__u64 log;
	__u32 log_capacity;
	__u32 log_needed;
	__u32 cpu;
	__u32 runs;
	__u32 status;
	__u32 failed_at;
	__s32 fd;
	__u32 count;
	__u32 trace_bytes;
	__u32 reserved0;
	__u64 reserved;
};

/**
 * struct kjax_buffer - memory shared with programs
 * @size:	sizeof(struct kjax_buffer)
 * @flags:	0
 * @bytes:	in: how many (not 0). The memory is zero at first; mmap(MAP_SHARED) the fd at offset 0.
 * @status:	out
 * @fd:		out: the buffer, on success; else -1
 */
struct kjax_buffer {
	__u32 size;
	__u32 flags;
	__u64 bytes;
	__u32 status;
	__s32 fd;
	__u64 reserved[2];
};

#define KJAX_PIN_REPLACE	(1u << 0)	/* take the name over; runs of the old program end undisturbed */
#define KJAX_PIN_REMOVE		(1u << 1)	/* give the name up; @fd must be -1 */

/**
 * struct kjax_pin - give a program or a library a name that kernel callers and KJAX_IOC_OPEN find
 * @size:	sizeof(struct kjax_pin)
 * @flags:	KJAX_PIN_*
 * @fd:		a program or library fd
 * @status:	out
 * @name:	1 to 63 visible ASCII characters, NUL-padded
 * Needs CAP_SYS_ADMIN (-EPERM). -EEXIST: the name is taken; -ENOENT: there is none to remove.
 * A pinned object outlives its fd. The functions of a pinned library are found by (transformation, function).
 */
struct kjax_pin {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 status;
	char name[KJAX_NAME_MAX];
	__u64 reserved[2];
};

/**
 * struct kjax_open - a program fd of what is pinned, or of what a library holds
 * @size:		sizeof(struct kjax_open)
 * @flags:		0
 * @library:		a library fd to look in, or -1: what is pinned
 * @fd:			out: a program fd; else -1
 * @status:		out
 * @signature_bytes, @signature: types of the arguments, "f32[31,256],i32[]", without a NUL; 0: the first variant
 * @transformation:	"jit", "grad", "jit(vmap(grad))", ...; "": @function is a pinned program's own name
 * @function:		name of the function
 */
struct kjax_open {
	__u32 size;
	__u32 flags;
	__s32 library;
	__s32 fd;
	__u32 status;
	__u32 signature_bytes;
	char transformation[KJAX_NAME_MAX];
	char function[KJAX_NAME_MAX];
	__u64 signature;
	__u64 reserved;
};

/**
 * struct kjax_entry - a variant in a library
 * @size:		sizeof(struct kjax_entry)
 * @index:		in: 0 .. count-1; past the end: -ENOENT
 * @status:		out
 * @transformation, @function: out
 * @image_bytes:	out
 * @signature, @signature_capacity: where to write the types of the arguments, NUL-terminated; may be 0
 * @signature_needed:	out: its true size, NUL included
 */
struct kjax_entry {
	__u32 size;
	__u32 index;
	__u32 status;
	__u32 signature_capacity;
	__u64 image_bytes;
	char transformation[KJAX_NAME_MAX];
	char function[KJAX_NAME_MAX];
	__u64 signature;
	__u32 signature_needed;
	__u32 reserved;
};

#define KJAX_NO_ALIAS	0xffffffffu

/**
 * struct kjax_argument - an input or output of a program
 * @dtype:	KJX_DTYPE_* of the format
 * @rank:	dims used
 * @alias:	outputs: the input whose buffer it updates in place, or KJAX_NO_ALIAS
 * @bytes:	length of the buffer; 0 when a dim is 0
 */
struct kjax_argument {
	__u32 dtype;
	__u32 rank;
	__u32 alias;
	__u32 reserved0;
	__u64 bytes;
	__u64 dims[KJAX_RANK_MAX];
};

/**
 * struct kjax_info - what the verifier proved about a program
 * @size:		sizeof(struct kjax_info)
 * @capacity:		entries of room at @arguments; 0: only the facts
 * @arguments:		address of struct kjax_argument[@capacity]: inputs, then outputs of one lane
 * @count:		out: n_inputs + n_outputs; only min(count, capacity) are written
 * @status:		out
 * the rest:		out: see struct kjx_facts; @memory: bytes charged; @cpu: the table that it runs on;
 *			@runs: runs that can be in flight; @image_bytes: length of the image; @traces: instructions that print
 */
struct kjax_info {
	__u32 size;
	__u32 capacity;
	__u64 arguments;
	__u32 count;
	__u32 status;
	__u64 plan_bytes;
	__u64 arena_bytes;
	__u64 constant_bytes;
	__u64 input_bytes;
	__u64 output_bytes;
	__u64 image_bytes;
	__u64 memory;
	__u64 cost;
	__u64 flops;
	__u32 cost_is_open;
	__u32 n_inputs;
	__u32 n_outputs;
	__u32 n_instructions;
	__u32 lanes;
	__u32 cpu;
	__u32 runs;
	__u32 traces;
	__u64 reserved[4];
};

/**
 * struct kjax_slot - where an argument lies
 * @fd:		a buffer fd; -1 for an argument of no bytes, and for an output that updates an input in place
 *		(naming the input's own fd and offset says the same)
 * @offset:	bytes from the buffer's start, a multiple of the element size
 */
struct kjax_slot {
	__s32 fd;
	__u32 reserved;
	__u64 offset;
};

#define KJAX_EXECUTE_NOWAIT	(1u << 0)	/* -EBUSY instead of waiting for an arena */

/**
 * struct kjax_execute - run a program once and wait for its end
 * @size:	sizeof(struct kjax_execute)
 * @flags:	KJAX_EXECUTE_*
 * @inputs:	address of struct kjax_slot[@n_inputs]: lane 0's inputs, then lane 1's, ...
 * @outputs:	likewise
 * @n_inputs, @n_outputs: lanes times the program's
 * @fuel:	work units after which each lane ends with out_of_fuel; 0: no limit
 * @deadline:	CLOCK_MONOTONIC nanoseconds after which the run ends with deadline; 0: none
 * @used:	out: work units used, all lanes together
 * @time:	out: nanoseconds from the first slice to the last
 * @status:	out
 * @failed_lane: out: lane that failed first, or 0xffffffff
 * Slots may overlap: the values are then unspecified, memory outside the slots is never touched.
 */
struct kjax_execute {
	__u32 size;
	__u32 flags;
	__u64 inputs;
	__u64 outputs;
	__u32 n_inputs;
	__u32 n_outputs;
	__u64 fuel;
	__u64 deadline;
	__u64 used;
	__u64 time;
	__u32 status;
	__u32 failed_lane;
	__u64 reserved[2];
};

/**
 * struct kjax_trace - read what the program's runs have printed, oldest first, and remove it
 * @size:	sizeof(struct kjax_trace)
 * @flags:	0
 * @records, @capacity: where records are written, and its length in bytes; only whole records are
 * @bytes:	out: bytes written
 * @left:	out: bytes that are still in the ring
 * @dropped:	out: records that were lost since the program was loaded, because the ring was full
 * @count:	out: records written
 * @next:	out: bytes of the first of the records that were there, 0 if there was none: a @capacity below it reads nothing
 * @status:	out
 * A run never waits for a reader. Records are removed when they have been written to @records.
 */
struct kjax_trace {
	__u32 size;
	__u32 flags;
	__u64 records;
	__u64 capacity;
	__u64 bytes;
	__u64 left;
	__u64 dropped;
	__u32 count;
	__u32 next;
	__u32 status;
	__u32 reserved0;
	__u64 reserved[2];
};

/**
 * struct kjax_trace_record - one print; @values times struct kjax_trace_value follow
 * @bytes:	of the record with all that follows, a multiple of 8
 * @site:	which print of the program it is: position in "sites" of the image's META, which has the format
 * @sequence:	prints before this one, dropped ones included
 * @run:	executions begun before the one that it belongs to, plus one
 * @time:	CLOCK_MONOTONIC nanoseconds
 * @lane:	that printed
 */
struct kjax_trace_record {
	__u32 bytes;
	__u32 site;
	__u64 sequence;
	__u64 run;
	__u64 time;
	__u32 lane;
	__u32 values;
};

/**
 * struct kjax_trace_value - __u64 dims[@rank] follow, then the data in C order, then zeros up to a multiple of 8
 * @dtype:	KJX_DTYPE_* of the format
 * @rank:	dims
 * @bytes:	of the data
 */
struct kjax_trace_value {
	__u32 dtype;
	__u32 rank;
	__u64 bytes;
};

#endif
