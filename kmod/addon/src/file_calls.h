/*
 * The system calls on files that Node has no door for. Plain C without Node in it, so that the memory
 * tests can run them alone. Each returns 0 (or a position) on success and -errno on failure.
 */
#ifndef BLKFERRY_FILE_CALLS_H
#define BLKFERRY_FILE_CALLS_H

#include <stddef.h>
#include <stdint.h>

/* fallocate(2), repeated when a signal interrupts it. */
int bf_fallocate(int fd, int mode, int64_t offset, int64_t length);

/*
 * preadv2(2) with RWF_NOWAIT: the bytes that could be had without waiting for a disk, perhaps fewer than asked for.
 * -EAGAIN: none of them; -EOPNOTSUPP: the file system does not know.
 */
int64_t bf_read_cached(int fd, void *buffer, size_t length, int64_t offset);

/* lseek(2) with SEEK_DATA or SEEK_HOLE: the position, or -errno (-ENXIO: nothing of it up to the end). */
int64_t bf_seek(int fd, int64_t offset, int whence);

/*
 * Where data lies from the offset on, up to the end: first byte and end of each piece, as pairs, at most `pairs_max`; the
 * last may reach beyond the end. Returns how many pairs, or -errno.
 */
int bf_data_runs(int fd, int64_t offset, int64_t end, int64_t *positions, int pairs_max);

/* flock(2), exclusive and without waiting: -EWOULDBLOCK if somebody else holds it. */
int bf_lock_exclusive(int fd);

/* renameat2(2) with RENAME_EXCHANGE: each of two files gets the other's name, at one moment. */
int bf_exchange_names(const char *first, const char *second);

#endif
