#define _GNU_SOURCE

#include "quiet_thread.h"

#include <signal.h>

/* The deepest of them has a request of 2 KiB and its answers on it. */
#define STACK_SIZE (256 * 1024)

int bf_start_thread(pthread_t *thread, bool is_detached, void *(*work)(void *), void *argument)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int error = pthread_attr_init(&attributes);

	if (error != 0)
		return -error;
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, is_detached ? PTHREAD_CREATE_DETACHED : PTHREAD_CREATE_JOINABLE);
	sigfillset(&all);
	/* A thread begins with its maker's mask. */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(thread, &attributes, work, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -error;
}
