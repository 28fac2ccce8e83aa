#define _GNU_SOURCE

#include "process_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/prctl.h and linux/mman.h; headers of older systems do not have them. Part of the kernel's ABI. */
#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif
#define LOCK_WHEN_TOUCHED 1

#define STANDARD_STREAMS 3

int bf_set_io_flusher(bool on)
{
	return prctl(PR_SET_IO_FLUSHER, on ? 1UL : 0UL, 0UL, 0UL, 0UL) == 0 ? 0 : -errno;
}

int bf_is_io_flusher(void)
{
	int is_flusher = prctl(PR_GET_IO_FLUSHER, 0UL, 0UL, 0UL, 0UL);

	return is_flusher >= 0 ? is_flusher : -errno;
}

int bf_forbid_core_dumps(void)
{
	return prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL) == 0 ? 0 : -errno;
}

int64_t bf_times_slept(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : -errno;
}

int bf_lock_pages(uintptr_t address, uint64_t length)
{
	if (length > SIZE_MAX)
		return -ENOMEM;
	/* By its number, because not every C library has a function for it. */
	return syscall(SYS_mlock2, address, (size_t)length, LOCK_WHEN_TOUCHED) == 0 ? 0 : -errno;
}

/*
 * Node marks what it inherits close-on-exec when it starts. `saved` takes the flags as they were, -1 for a
 * stream that is closed.
 */
static void keep_standard_streams(int saved[STANDARD_STREAMS])
{
	for (int fd = 0; fd < STANDARD_STREAMS; fd++) {
		saved[fd] = fcntl(fd, F_GETFD);
		if (saved[fd] >= 0)
			fcntl(fd, F_SETFD, saved[fd] & ~FD_CLOEXEC);
	}
}

static void restore_standard_streams(const int saved[STANDARD_STREAMS])
{
	for (int fd = 0; fd < STANDARD_STREAMS; fd++) {
		if (saved[fd] >= 0)
			fcntl(fd, F_SETFD, saved[fd]);
	}
}

int bf_replace_process(const char *path, char *const arguments[], char *const environment[])
{
	int error, saved[STANDARD_STREAMS];
	sigset_t none, before;

	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, &before);
	keep_standard_streams(saved);
	execve(path, arguments, environment);
	error = errno;
	restore_standard_streams(saved);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}
