/* Threads beside Node's: signals are not delivered to them, as they are the program's business. */
#ifndef BLKFERRY_QUIET_THREAD_H
#define BLKFERRY_QUIET_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* 0, or -errno. A detached thread cannot be joined, and need not be. */
int bf_start_thread(pthread_t *thread, bool is_detached, void *(*work)(void *), void *argument);

#endif
