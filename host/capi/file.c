// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capi.h"

/* all of @n bytes, or fewer when the file became shorter meanwhile */
static ssize_t read_all(int fd, char *at, size_t n)
{
	size_t done = 0;
	ssize_t got;

	while (done < n) {
		got = read(fd, at + done, n - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (!got)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int kjx_read_file(const char *path, void **bytes, size_t *n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), why;
	struct stat about;
	ssize_t got = -1;
	size_t room;

	*bytes = NULL;
	if (fd >= 0 && !fstat(fd, &about)) {
		if (S_ISREG(about.st_mode)) {
			room = ((size_t)about.st_size + KJX_ALIGNMENT) & ~(size_t)(KJX_ALIGNMENT - 1);
			*bytes = aligned_alloc(KJX_ALIGNMENT, room);
			if (*bytes)
				got = read_all(fd, *bytes, (size_t)about.st_size);
		} else {
			errno = S_ISDIR(about.st_mode) ? EISDIR : EINVAL;
		}
	}
	why = errno;
	if (fd >= 0)
		close(fd);
	if (got < 0) {
		free(*bytes);
		*bytes = NULL;
		return kjx_fail(-why, "%s: %s", path, strerror(why));
	}
	*n = (size_t)got;
	return 0;
}
