/*
 * What a process does to itself, for one that plays disks. Plain C without Node in it. Each returns 0 (or what
 * is said) on success and -errno on failure.
 */
#ifndef BLKFERRY_PROCESS_CALLS_H
#define BLKFERRY_PROCESS_CALLS_H

#include <stdbool.h>
#include <stdint.h>

/* prctl(PR_SET_IO_FLUSHER) of the calling thread. */
int bf_set_io_flusher(bool on);
/* 1 or 0. -EPERM: the kernel tells only those with CAP_SYS_RESOURCE; -EINVAL: it does not know it (before 5.6). */
int bf_is_io_flusher(void);

/* prctl(PR_SET_DUMPABLE, 0): no core dump of this process, whatever its limits and its handler. */
int bf_forbid_core_dumps(void);

/*
 * getrusage(2): how often the calling thread gave the processor up to wait for something. Not counted is when it was made
 * to wait, because others had their turn.
 */
int64_t bf_times_slept(void);

/* mlock2(MLOCK_ONFAULT). */
int bf_lock_pages(uintptr_t address, uint64_t length);

/*
 * execve(2); returns only on failure, and leaves everything as it was then. The new program has the standard
 * streams, although they are close-on-exec, and no signals blocked.
 */
int bf_replace_process(const char *path, char *const arguments[], char *const environment[]);

#endif
