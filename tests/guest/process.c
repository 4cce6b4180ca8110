// SPDX-License-Identifier: MIT
/*
 * A process in the guest that uses /dev/kjax by system calls alone, for what needs a process of its own: rights,
 * dying in the middle, memory cgroups, vector registers of threads that run at once.
 *
 *	process rights IMAGE		as user nobody: the node cannot be opened; an open one cannot pin names
 *	process die IMAGE		killed while an endless program of several lanes runs
 *	process memory IMAGE		loads under memory.max from small to large: ENOMEM or success, never a kill
 *	process threads IMAGE N		N threads run x + y (f32[8]) with values of their own, and keep doubles of their own
 * Exit status 0, or a line on stderr and 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kjax.h>

#define CHECK(condition) do { if (!(condition)) fail(#condition, __LINE__); } while (0)

static void fail(const char *what, int line)
{
	fprintf(stderr, "line %d: %s (errno %d)\n", line, what, errno);
	exit(1);
}

static unsigned char *image;
static size_t image_bytes;

static void read_image(const char *path)
{
	int fd = open(path, O_RDONLY);
	struct stat st;

	CHECK(fd >= 0 && !fstat(fd, &st));
	image_bytes = st.st_size;
	image = malloc(image_bytes);
	CHECK(read(fd, image, image_bytes) == (ssize_t)image_bytes);
	close(fd);
}

static int load(int device, struct kjax_load *call)
{
	memset(call, 0, sizeof(*call));
	call->size = sizeof(*call);
	call->image = (unsigned long)image;
	call->image_bytes = image_bytes;
	return ioctl(device, KJAX_IOC_LOAD, call) ? -errno : call->fd;
}

static int new_buffer(int device, size_t bytes)
{
	struct kjax_buffer call = { .size = sizeof(call), .bytes = bytes };

	return ioctl(device, KJAX_IOC_BUFFER, &call) ? -errno : call.fd;
}

static unsigned long long used(int device)
{
	struct kjax_query call = { .size = sizeof(call) };

	CHECK(!ioctl(device, KJAX_IOC_QUERY, &call));
	return call.memory_used;
}

static int rights(void)
{
	struct kjax_pin pin = { .size = sizeof(pin), .name = "mine" };
	struct kjax_load call;
	int device = open(KJAX_DEVICE_PATH, O_RDWR | O_CLOEXEC);

	CHECK(device >= 0);
	CHECK(!setgid(65534) && !setuid(65534));
	CHECK(open(KJAX_DEVICE_PATH, O_RDWR) == -1 && errno == EACCES);
	pin.fd = load(device, &call);	/* loading needs the open node only */
	CHECK(pin.fd >= 0);
	CHECK(fcntl(pin.fd, F_GETFD) == FD_CLOEXEC);
	CHECK(ioctl(device, KJAX_IOC_PIN, &pin) == -1 && errno == EPERM && pin.status == 103);
	return 0;
}

static void run_for_ever(void)
{
	int device = open(KJAX_DEVICE_PATH, O_RDWR | O_CLOEXEC), buffer;
	struct kjax_execute run = { .size = sizeof(run) };
	struct kjax_info info = { .size = sizeof(info) };
	struct kjax_slot slots[64] = { 0 };
	struct kjax_load call;
	unsigned int i;
	int program = load(device, &call);

	CHECK(program >= 0 && !ioctl(program, KJAX_IOC_INFO, &info) && info.lanes <= 64);
	buffer = new_buffer(device, 64 * info.lanes);
	for (i = 0; i < info.lanes; i++)
		slots[i] = (struct kjax_slot){ .fd = buffer, .offset = 64 * i };
	run.outputs = (unsigned long)slots;
	run.n_outputs = info.lanes * info.n_outputs;
	ioctl(program, KJAX_IOC_EXECUTE, &run);
	exit(2);	/* not reached: killed */
}

static int die(void)
{
	int device = open(KJAX_DEVICE_PATH, O_RDWR | O_CLOEXEC), i, status;
	unsigned long long before = used(device);

	for (i = 0; i < 8; i++) {
		pid_t child = fork();

		if (!child)
			run_for_ever();
		usleep(i * 20000);
		kill(child, SIGKILL);
		CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	CHECK(used(device) == before);
	return 0;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static int memory(void)
{
	int device = open(KJAX_DEVICE_PATH, O_RDWR | O_CLOEXEC), refused = 0, taken = 0;
	unsigned long long before = used(device);
	unsigned long kib;
	char text[64];

	mkdir("/cg", 0755);
	CHECK(!mount("none", "/cg", "cgroup2", 0, NULL) || errno == EBUSY);
	write_file("/cg/cgroup.subtree_control", "+memory");
	CHECK(!mkdir("/cg/small", 0755) || errno == EEXIST);
	snprintf(text, sizeof(text), "%d", getpid());
	write_file("/cg/small/cgroup.procs", text);
	for (kib = 512; kib < 16384; kib += kib / 16) {
		struct kjax_load call;
		int fd, buffer;

		snprintf(text, sizeof(text), "%luK", kib);
		write_file("/cg/small/memory.max", text);
		fd = load(device, &call);
		CHECK(fd >= 0 || (fd == -ENOMEM && call.status == 102 && call.fd == -1));
		buffer = new_buffer(device, 1 << 20);
		CHECK(buffer >= 0 || buffer == -ENOMEM);
		refused += fd < 0;
		taken += fd >= 0;
		if (fd >= 0)
			close(fd);
		if (buffer >= 0)
			close(buffer);
		CHECK(used(device) == before);
	}
	write_file("/cg/cgroup.procs", "0");
	fprintf(stderr, "%d refused, %d taken\n", refused, taken);
	CHECK(refused > 5 && taken > 2);
	return 0;
}

static int program_fd, device_fd;

static void *hammer(void *place)
{
	int buffer = new_buffer(device_fd, 4096), i, k;
	float *x = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0), id = (long)place;
	struct kjax_slot in[2] = { { .fd = buffer }, { .fd = buffer, .offset = 64 } };
	struct kjax_slot out = { .fd = buffer, .offset = 128 };
	struct kjax_execute run = { .size = sizeof(run), .inputs = (unsigned long)in, .outputs = (unsigned long)&out,
				    .n_inputs = 2, .n_outputs = 1 };
	double kept[8];

	CHECK(x != MAP_FAILED);
	for (k = 0; k < 8; k++)
		kept[k] = id + k * 0.125;
	for (i = 0; i < 400; i++) {
		for (k = 0; k < 8; k++) {
			x[k] = id * 1000 + i;
			x[16 + k] = k;
			x[32 + k] = -1;
		}
		/* the system call itself must leave the vector registers alone */
		__asm__ volatile("vmovupd %0, %%ymm6\n\tvmovupd %1, %%ymm7" : : "m"(kept[0]), "m"(kept[4]) : "xmm6", "xmm7");
		register long rax __asm__("rax") = 16;	/* ioctl */
		register long rdi __asm__("rdi") = program_fd;
		register long rsi __asm__("rsi") = KJAX_IOC_EXECUTE;
		register void *rdx __asm__("rdx") = &run;
		__asm__ volatile("syscall" : "+r"(rax) : "r"(rdi), "r"(rsi), "r"(rdx) : "rcx", "r11", "memory");
		double after[8];

		__asm__ volatile("vmovupd %%ymm6, %0\n\tvmovupd %%ymm7, %1" : "=m"(*(double (*)[4])&after[0]),
				 "=m"(*(double (*)[4])&after[4]));
		CHECK(rax == 0 && !memcmp(after, kept, sizeof(kept)));
		for (k = 0; k < 8; k++)
			CHECK(x[32 + k] == id * 1000 + i + k);
	}
	munmap(x, 4096);
	close(buffer);
	return NULL;
}

static int threads(int n)
{
	pthread_t thread[64];
	struct kjax_load call;
	long i;

	device_fd = open(KJAX_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	program_fd = load(device_fd, &call);
	CHECK(program_fd >= 0 && n <= 64);
	for (i = 0; i < n; i++)
		CHECK(!pthread_create(&thread[i], NULL, hammer, (void *)(i + 1)));
	for (i = 0; i < n; i++)
		CHECK(!pthread_join(thread[i], NULL));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	read_image(argv[2]);
	if (!strcmp(argv[1], "rights"))
		return rights();
	if (!strcmp(argv[1], "die"))
		return die();
	if (!strcmp(argv[1], "memory"))
		return memory();
	if (!strcmp(argv[1], "threads") && argc > 3)
		return threads(atoi(argv[3]));
	return 2;
}
