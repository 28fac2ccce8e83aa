#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64

#include "file_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* linux/fs.h, which does not go together with some versions of sys/mount.h; part of the kernel's ABI. */
#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

int bf_fallocate(int fd, int mode, int64_t offset, int64_t length)
{
	while (fallocate(fd, mode, offset, length) != 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int64_t bf_read_cached(int fd, void *buffer, size_t length, int64_t offset)
{
	struct iovec piece = {.iov_base = buffer, .iov_len = length};
	ssize_t count;

	do {
		count = preadv2(fd, &piece, 1, offset, RWF_NOWAIT);
	} while (count < 0 && errno == EINTR);
	return count < 0 ? -errno : count;
}

int64_t bf_seek(int fd, int64_t offset, int whence)
{
	off_t position = lseek(fd, offset, whence);

	return position < 0 ? -errno : position;
}

int bf_data_runs(int fd, int64_t offset, int64_t end, int64_t *positions, int pairs_max)
{
	int count = 0;

	while (offset < end && count < pairs_max) {
		int64_t data = bf_seek(fd, offset, SEEK_DATA);

		if (data == -ENXIO || data >= end)
			break;
		if (data < 0)
			return (int)data;
		offset = bf_seek(fd, data, SEEK_HOLE);
		if (offset < 0)
			return (int)offset;
		positions[2 * count] = data;
		positions[2 * count + 1] = offset;
		count++;
	}
	return count;
}

int bf_lock_exclusive(int fd)
{
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int bf_exchange_names(const char *first, const char *second)
{
	/* By its number, because not every C library has a function for it. */
	return syscall(SYS_renameat2, AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE) == 0 ? 0 : -errno;
}
