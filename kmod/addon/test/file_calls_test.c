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
#include <string.h>
#include <unistd.h>

#include "errno_name.h"
#include "file_calls.h"

/* Two files change names; a name that is not there leaves the other as it was. */
static void test_exchange(void)
{
	char first[] = "/tmp/blkferry-file-calls-XXXXXX";
	char second[] = "/tmp/blkferry-file-calls-XXXXXX";
	int fd = mkstemp(first);
	int other = mkstemp(second);
	char letter;

	assert(fd >= 0 && other >= 0);
	assert(write(fd, "1", 1) == 1 && write(other, "2", 1) == 1);
	close(other);
	assert(bf_exchange_names(first, second) == 0);
	other = open(first, O_RDONLY);
	assert(read(other, &letter, 1) == 1 && letter == '2');
	close(other);
	close(fd);
	unlink(second);
	assert(bf_exchange_names(first, second) == -ENOENT);
	assert(access(first, F_OK) == 0);
	unlink(first);
}

/* What is in the page cache is read, what is not is not waited for; both where the file system can tell. */
static void test_read_cached(void)
{
	char path[] = "/tmp/blkferry-file-calls-XXXXXX";
	int fd = mkstemp(path);
	char bytes[4096];
	int64_t count;

	assert(fd >= 0);
	memset(bytes, 'x', sizeof(bytes));
	assert(pwrite(fd, bytes, sizeof(bytes), 0) == sizeof(bytes));
	memset(bytes, 0, sizeof(bytes));
	count = bf_read_cached(fd, bytes, sizeof(bytes), 0);
	if (count == -EOPNOTSUPP) {
		printf("file_calls_test: /tmp does not know RWF_NOWAIT: not tested\n");
	} else {
		assert(count == sizeof(bytes) && bytes[0] == 'x' && bytes[4095] == 'x');
		assert(bf_read_cached(fd, bytes, sizeof(bytes), 4095) == 1);
		assert(bf_read_cached(fd, bytes, sizeof(bytes), 4096) == 0);
		assert(fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
		count = bf_read_cached(fd, bytes, sizeof(bytes), 0);
		/* A memory file system cannot give its pages up. */
		assert(count == -EAGAIN || count == sizeof(bytes));
	}
	assert(bf_read_cached(-1, bytes, 1, 0) == -EBADF);
	close(fd);
	unlink(path);
}

/* Data of one page between two holes; only what is asked for is looked for. */
static void test_data_runs(void)
{
	char path[] = "/tmp/blkferry-file-calls-XXXXXX";
	int fd = mkstemp(path);
	int64_t found[4];
	char page[4096];

	assert(fd >= 0);
	memset(page, 'x', sizeof(page));
	assert(ftruncate(fd, 1 << 20) == 0);
	assert(bf_data_runs(fd, 0, 1 << 20, found, 2) == 0);
	assert(pwrite(fd, page, sizeof(page), 65536) == sizeof(page));
	assert(pwrite(fd, page, sizeof(page), 262144) == sizeof(page));
	assert(bf_data_runs(fd, 0, 1 << 20, found, 2) == 2);
	assert(found[0] == 65536 && found[1] >= 65536 + 4096 && found[2] == 262144 && found[3] >= 262144 + 4096);
	assert(bf_data_runs(fd, 0, 1 << 20, found, 1) == 1 && found[0] == 65536);
	assert(bf_data_runs(fd, 0, 65536, found, 2) == 0);
	assert(bf_data_runs(fd, 66000, 66001, found, 2) == 1 && found[0] == 66000);
	assert(bf_data_runs(fd, 0, 1 << 20, found, 0) == 0);
	assert(bf_data_runs(-1, 0, 1, found, 2) == -EBADF);
	close(fd);
	unlink(path);
}

static void test_errno_names(void)
{
	assert(strcmp(bf_errno_name(ENOSPC), "ENOSPC") == 0);
	assert(strcmp(bf_errno_name(EXDEV), "EXDEV") == 0);
	assert(strcmp(bf_errno_name(0), "EUNKNOWN") == 0);
	assert(strcmp(bf_errno_name(-1), "EUNKNOWN") == 0);
}

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
	test_exchange();
	test_read_cached();
	test_data_runs();
	test_errno_names();
	puts("file_calls: all assertions held");
	return 0;
}
