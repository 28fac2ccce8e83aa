/*
 * The system calls under the sanitizers: each once where it works and once where it fails.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "file_calls.h"

int main(void)
{
	char path[] = "/tmp/blkferry-file-calls-XXXXXX";
	int fd = mkstemp(path);
	int second;

	assert(fd >= 0);
	assert(ftruncate(fd, 1 << 20) == 0);
	assert(bf_seek(fd, 0, SEEK_DATA) == -ENXIO);
	assert(pwrite(fd, "x", 1, 65536) == 1);
	assert(bf_seek(fd, 0, SEEK_DATA) == 65536);
	assert(bf_seek(fd, 0, SEEK_HOLE) == 0);
	assert(bf_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 4096) == 0);
	assert(bf_seek(fd, 0, SEEK_DATA) == -ENXIO);
	assert(bf_fallocate(-1, 0, 0, 1) == -EBADF);
	assert(bf_seek(-1, 0, SEEK_DATA) == -EBADF);

	second = open(path, O_RDWR);
	assert(second >= 0);
	assert(bf_lock_exclusive(fd) == 0);
	assert(bf_lock_exclusive(second) == -EWOULDBLOCK);
	assert(bf_lock_exclusive(-1) == -EBADF);
	close(fd);
	assert(bf_lock_exclusive(second) == 0);
	close(second);
	unlink(path);
	puts("file_calls: all assertions held");
	return 0;
}
