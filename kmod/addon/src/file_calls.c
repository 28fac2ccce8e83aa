#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64

#include "file_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

int bf_fallocate(int fd, int mode, int64_t offset, int64_t length)
{
	while (fallocate(fd, mode, offset, length) != 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int64_t bf_seek(int fd, int64_t offset, int whence)
{
	off_t position = lseek(fd, offset, whence);

	return position < 0 ? -errno : position;
}

int bf_lock_exclusive(int fd)
{
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}
