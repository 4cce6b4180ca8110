/* SPDX-License-Identifier: MIT */
/*
 * What the host and the agent in the guest say to each other over a virtio-serial port. protocol.py is the
 * host's side of this file; a change of either raises KJAX_AGENT_VERSION.
 *
 * Both directions carry frames: struct frame, then frame.length bytes of records, each a fixed head and its data padded
 * with zeros to 8 bytes. Little-endian. The guest speaks first: a hello (a frame with id 0 and one record), whose
 * data is "version\n release\n machine\n cpu model\n cpu flags\n". After that the host sends requests, and
 * each is answered by one frame of the same id with one answer for each operation. Requests run concurrently, up to
 * AGENT_WORKERS at a time, and are answered in the order in which they end.
 *
 * The operations are those of a debugger's stub (memory, system calls), not those of /dev/kjax: so that the ABI of
 * the module lives in one place on the host. The agent trusts the host. A bad address ends the guest.
 */
#ifndef KJAX_AGENT_H
#define KJAX_AGENT_H

#include <stdint.h>

#define KJAX_AGENT_VERSION	1
#define AGENT_MAGIC		0x31414a4bu	/* "KJA1" */
#define AGENT_MAX_FRAME		(16u << 20)	/* bytes of records */
#define AGENT_MAX_OPS		1024u
#define AGENT_WORKERS		32

/** struct frame - precedes the records
 * @id:		chosen by the host, not 0; the answer's is the request's
 * @count:	records
 * @length:	bytes of records, a multiple of 8
 */
struct frame {
	uint32_t magic, id, count, length;
};

enum {
	OP_WRITE = 1,	/* memory at args[0] <- data */
	OP_READ = 2,	/* data <- args[1] bytes of memory at args[0]; the memory must stay until the answer is sent */
	OP_SYSCALL = 3,	/* value <- system call args[0] with args[1..6], or -errno */
	OP_NOW = 4,	/* u64 at args[0] <- CLOCK_MONOTONIC in ns + args[1] */
	OP_SPAWN = 5,	/* data: argv, each string with its NUL; value <- wait status; data <- its output, cut to 1 MiB */
	OP_CANCEL = 6,	/* interrupt the system call that request args[0] is in; alone in its frame */
};

#define OP_ALWAYS	1u	/* also when an earlier operation of this request failed */

/** struct op - an operation of a request
 * @flags:	OP_ALWAYS
 * @length:	bytes of data, without padding
 */
struct op {
	uint16_t code, flags;
	uint32_t length;
	uint64_t args[7];
};

/** struct answer - what came of it
 * @value:	of the operation, negative errno when it failed; -ECANCELED when it was left out
 */
struct answer {
	uint32_t code, length;
	int64_t value;
};

#endif
