/*
 * Work that may take long, each on a thread of its own, which settles a promise.
 *
 * Not on the threads of libuv's pool, as the kernel may keep one for minutes: there are four of them, and files are
 * synced and names looked up on them, which may be what the kernel waits for.
 */
#ifndef BLKFERRY_ADDON_TASK_H
#define BLKFERRY_ADDON_TASK_H

#include "addon_value.h"

struct bf_task {
	/* On the task's thread. */
	void (*work)(struct bf_task *task);
	/*
	 * Afterwards on Node's: resolves or rejects the promise, and frees the task. If the environment (a Worker) has ended
	 * meanwhile, it is called without one, on any thread, and only frees.
	 */
	void (*settle)(napi_env env, struct bf_task *task, napi_deferred promise);
};

/* Returns the promise; NULL with an exception pending if no thread can be had: the task is the caller's then. */
napi_value bf_start_task(napi_env env, const char *name, struct bf_task *task);

#endif
