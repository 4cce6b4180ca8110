// SPDX-License-Identifier: MIT
/*
 * The guest's only process: init, and the host's hands in the guest (agent.h).
 *
 * The main thread reads frames and queues them; workers, started when all others are busy, run their
 * operations in order and answer. A worker that a queue entry is given to owns it until it is answered. One lock guards the
 * queue and the table of what runs (for OP_CANCEL), another the sending side of the port. When the port hangs
 * up, the host is gone: the machine stops. Linked statically: nothing else is in the initramfs but drivers.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

#define PORT		"/dev/vport0p1"
#define PORT_WAIT_MS	30000
#define SPAWN_OUTPUT	(1u << 20)
#define PAD8(n)		(((n) + 7u) & ~7u)

struct request {
	struct request *next;
	struct frame frame;
	uint8_t *records;
};

static int port = -1;
static pthread_mutex_t send_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_filled = PTHREAD_COND_INITIALIZER;
static struct request *queue_head, **queue_tail = &queue_head;
static unsigned int idle, waiting, workers;
static struct {
	uint32_t id;
	pthread_t thread;
} running[AGENT_WORKERS];

static void stop(const char *format, ...)
{
	va_list list;

	if (format) {
		va_start(list, format);
		fprintf(stderr, "kjax-agent: ");
		vfprintf(stderr, format, list);
		fprintf(stderr, "\n");
		va_end(list);
	}
	reboot(RB_AUTOBOOT);	/* QEMU runs with -no-reboot: this ends it */
	_exit(1);
}

static void read_exactly(void *to, size_t bytes)
{
	uint8_t *at = to;

	while (bytes) {
		ssize_t n = read(port, at, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			stop(NULL);
		at += n;
		bytes -= n;
	}
}

static void write_exactly(const uint8_t *at, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(port, at, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			stop("the port is closed: %s", strerror(errno));
		at += n;
		bytes -= n;
	}
}

/* Each write to the port costs an exit to QEMU, whatever its length: small parts are gathered first. */
static void send_all(const struct iovec *parts, int count)
{
	static uint8_t gathered[32768];
	size_t held = 0;

	pthread_mutex_lock(&send_lock);
	for (int i = 0; i < count; i++) {
		if (held + parts[i].iov_len > sizeof(gathered)) {
			write_exactly(gathered, held);
			held = 0;
		}
		if (parts[i].iov_len > sizeof(gathered)) {
			write_exactly(parts[i].iov_base, parts[i].iov_len);
		} else if (parts[i].iov_len) {
			memcpy(gathered + held, parts[i].iov_base, parts[i].iov_len);
			held += parts[i].iov_len;
		}
	}
	write_exactly(gathered, held);
	pthread_mutex_unlock(&send_lock);
}

/* --- operations ------------------------------------------------------------------------------------------------ */

static int64_t do_syscall(const uint64_t *a)
{
	long result = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);

	return result == -1 ? -errno : result;
}

static int64_t do_now(const uint64_t *a)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	*(uint64_t *)a[0] = t.tv_sec * 1000000000ull + t.tv_nsec + a[1];
	return 0;
}

/* Run a program and gather what it says. *@out is malloc'ed, *@length its bytes. */
static int64_t do_spawn(char *argv_data, uint32_t length, uint8_t **out, uint32_t *out_length)
{
	static char *const environment[] = { "PATH=/bin:/", NULL };
	char *argv[64], *at = argv_data, *end = argv_data + length;
	posix_spawn_file_actions_t actions;
	int pipes[2], status, error, n = 0;
	uint8_t scrap[4096];
	ssize_t got;
	pid_t pid;

	if (!length || end[-1])
		return -EINVAL;
	for (; at < end && n < 63; at += strlen(at) + 1)
		argv[n++] = at;
	argv[n] = NULL;
	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], 1);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], 2);
	error = posix_spawn(&pid, argv[0], &actions, NULL, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	close(pipes[1]);
	if (error) {
		close(pipes[0]);
		return -error;
	}
	*out = malloc(SPAWN_OUTPUT);
	for (;;) {
		uint32_t room = *out ? SPAWN_OUTPUT - *out_length : 0;

		got = room ? read(pipes[0], *out + *out_length, room) : read(pipes[0], scrap, sizeof(scrap));
		if (got < 0 && errno == EINTR) {	/* OP_CANCEL */
			kill(pid, SIGKILL);
			continue;
		}
		if (got <= 0)
			break;
		if (room)
			*out_length += got;
	}
	close(pipes[0]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status;
}

/* Fill in @answer for @op; its data is *@data, to be freed by the caller when *@owned. */
static void run_op(struct op *op, uint8_t *op_data, struct answer *answer, uint8_t **data, int *owned)
{
	switch (op->code) {
	case OP_WRITE:
		memcpy((void *)op->args[0], op_data, op->length);
		break;
	case OP_READ:
		*data = (uint8_t *)op->args[0];
		answer->length = op->args[1];
		break;
	case OP_SYSCALL:
		answer->value = do_syscall(op->args);
		break;
	case OP_NOW:
		answer->value = do_now(op->args);
		break;
	case OP_SPAWN:
		*owned = 1;
		answer->value = do_spawn((char *)op_data, op->length, data, &answer->length);
		break;
	default:
		answer->value = -ENOSYS;
	}
}

static void run_request(struct request *request)
{
	static const uint8_t zeros[8];
	uint32_t count = request->frame.count, n = 0, failed = 0;
	uint8_t *at = request->records, *end = at + request->frame.length;
	struct answer *answers = calloc(count, sizeof(*answers));
	struct iovec *parts = calloc(3 * count + 1, sizeof(*parts));
	uint8_t **owned = calloc(count, sizeof(*owned));
	struct frame head = { AGENT_MAGIC, request->frame.id, count, 0 };

	if (!answers || !parts || !owned)
		stop("out of memory");
	parts[n++] = (struct iovec){ &head, sizeof(head) };
	for (uint32_t i = 0; i < count; i++) {
		struct op *op = (struct op *)at;
		uint8_t *data = NULL;
		int own = 0;

		if ((size_t)(end - at) < sizeof(*op) || PAD8((uint64_t)op->length) > (size_t)(end - at) - sizeof(*op))
			stop("a broken frame from the host");
		answers[i].code = op->code;
		if (failed && !(op->flags & OP_ALWAYS))
			answers[i].value = -ECANCELED;
		else
			run_op(op, at + sizeof(*op), &answers[i], &data, &own);
		failed |= answers[i].value < 0;
		owned[i] = own ? data : NULL;
		parts[n++] = (struct iovec){ &answers[i], sizeof(answers[i]) };
		if (answers[i].length) {
			parts[n++] = (struct iovec){ data, answers[i].length };
			parts[n++] = (struct iovec){ (void *)zeros, PAD8(answers[i].length) - answers[i].length };
		}
		head.length += sizeof(answers[i]) + PAD8(answers[i].length);
		at += sizeof(*op) + PAD8(op->length);
	}
	send_all(parts, n);
	for (uint32_t i = 0; i < count; i++)
		free(owned[i]);
	free(owned);
	free(parts);
	free(answers);
}

/* --- workers --------------------------------------------------------------------------------------------------- */

static void *work(void *place)
{
	unsigned int self = (uintptr_t)place;

	for (;;) {
		struct request *request;

		pthread_mutex_lock(&queue_lock);
		idle++;
		while (!queue_head)
			pthread_cond_wait(&queue_filled, &queue_lock);
		idle--;
		waiting--;
		request = queue_head;
		queue_head = request->next;
		if (!queue_head)
			queue_tail = &queue_head;
		running[self].id = request->frame.id;
		running[self].thread = pthread_self();
		pthread_mutex_unlock(&queue_lock);

		run_request(request);

		pthread_mutex_lock(&queue_lock);
		running[self].id = 0;
		pthread_mutex_unlock(&queue_lock);
		free(request->records);
		free(request);
	}
	return NULL;
}

static void enqueue(struct request *request)
{
	pthread_t thread;

	pthread_mutex_lock(&queue_lock);
	*queue_tail = request;
	queue_tail = &request->next;
	waiting++;
	if (waiting > idle && workers < AGENT_WORKERS) {
		if (!pthread_create(&thread, NULL, work, (void *)(uintptr_t)workers))
			workers++;
		else if (!workers)
			stop("no thread");
	}
	pthread_cond_signal(&queue_filled);
	pthread_mutex_unlock(&queue_lock);
}

/* The signal ends a sleeping system call with EINTR; a system call that is not entered yet misses it: the host repeats. */
static void cancel(uint32_t id)
{
	pthread_mutex_lock(&queue_lock);
	for (int i = 0; i < AGENT_WORKERS; i++)
		if (running[i].id == id)
			pthread_kill(running[i].thread, SIGUSR1);
	pthread_mutex_unlock(&queue_lock);
}

static void on_cancel(int signal)
{
	(void)signal;
}

static void serve(void)
{
	for (;;) {
		struct request *request = calloc(1, sizeof(*request));
		struct frame *frame;
		struct op *first;

		if (!request)
			stop("out of memory");
		frame = &request->frame;
		read_exactly(frame, sizeof(*frame));
		if (frame->magic != AGENT_MAGIC || !frame->id || !frame->count || frame->count > AGENT_MAX_OPS ||
		    frame->length > AGENT_MAX_FRAME || frame->length < frame->count * sizeof(struct op))
			stop("a broken frame from the host");
		request->records = aligned_alloc(64, (frame->length + 63u) & ~63u);
		if (!request->records)
			stop("out of memory for a frame of %u bytes", frame->length);
		read_exactly(request->records, frame->length);
		first = (struct op *)request->records;
		if (first->code == OP_CANCEL) {
			struct answer answer = { OP_CANCEL, 0, 0 };
			struct frame head = { AGENT_MAGIC, frame->id, 1, sizeof(answer) };
			struct iovec parts[] = { { &head, sizeof(head) }, { &answer, sizeof(answer) } };

			cancel(first->args[0]);
			send_all(parts, 2);
			free(request->records);
			free(request);
			continue;
		}
		enqueue(request);
	}
}

/* --- start ----------------------------------------------------------------------------------------------------- */

static void load_driver(const char *folder, const char *name)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		stop("driver %s: %s", name, strerror(errno));
	close(fd);
	unlink(path);
}

/* The drivers are numbered in the order of their dependencies. */
static void load_drivers(const char *folder)
{
	struct dirent **list;
	int n = scandir(folder, &list, NULL, alphasort);

	for (int i = 0; i < n; i++)
		if (list[i]->d_name[0] != '.')
			load_driver(folder, list[i]->d_name);
}

/* The value of a line of /proc/cpuinfo, "" when there is none. */
static void cpuinfo(const char *key, char *value, size_t room)
{
	static char line[8192];
	FILE *file = fopen("/proc/cpuinfo", "re");

	value[0] = 0;
	while (file && fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');

		if (colon && !strncmp(line, key, strlen(key))) {
			snprintf(value, room, "%s", colon + 1 + (colon[1] == ' '));
			value[strcspn(value, "\n")] = 0;
			break;
		}
	}
	if (file)
		fclose(file);
}

static void say_hello(void)
{
	static char text[12288], model[256], flags[8192];
	struct frame head = { AGENT_MAGIC, 0, 1, 0 };
	struct answer answer = { 0, 0, 0 };
	struct utsname system;
	struct iovec parts[3] = { { &head, sizeof(head) }, { &answer, sizeof(answer) }, { text, 0 } };

	uname(&system);
	cpuinfo("model name", model, sizeof(model));
	cpuinfo("flags", flags, sizeof(flags));
	answer.length = snprintf(text, sizeof(text), "%d\n%s\n%s\n%s\n%s\n", KJAX_AGENT_VERSION, system.release,
				 system.machine, model, flags);
	parts[2].iov_len = PAD8(answer.length);
	head.length = sizeof(answer) + parts[2].iov_len;
	send_all(parts, 3);
}

int main(void)
{
	const struct sigaction cancelled = { .sa_handler = on_cancel };	/* no SA_RESTART */
	int console;

	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/tmp", 01777);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	console = open("/dev/console", O_RDWR);
	for (int fd = 0; fd < 3 && console >= 0; fd++)
		dup2(console, fd);
	if (console > 2)
		close(console);
	sigaction(SIGUSR1, &cancelled, NULL);
	signal(SIGPIPE, SIG_IGN);
	load_drivers("/drivers");
	for (int ms = 0; port < 0; ms += 2) {
		port = open(PORT, O_RDWR | O_CLOEXEC);
		if (port < 0 && ms >= PORT_WAIT_MS)
			stop("no " PORT ": %s", strerror(errno));
		if (port < 0)
			usleep(2000);
	}
	say_hello();
	serve();
}
