#include "addon_task.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "quiet_thread.h"

/*
 * Threads at once. One for each disk of a crowded host, all attached in one moment; a further one means that the kernel
 * has stopped answering.
 */
#define TASKS_MAX 256

/* Between the two threads: held by the one, by the other's function, and by what is in its queue. */
struct link {
	struct bf_task *task;
	napi_deferred promise;
	/* Held while `function` is used, as Node frees it with its environment, used or not. */
	pthread_mutex_t mutex;
	napi_threadsafe_function function;
	bool is_environment_gone;
	int holders;
};

static atomic_int task_count;

static void let_go(struct link *link)
{
	int holders;

	pthread_mutex_lock(&link->mutex);
	holders = --link->holders;
	pthread_mutex_unlock(&link->mutex);
	if (holders > 0)
		return;
	pthread_mutex_destroy(&link->mutex);
	free(link);
	atomic_fetch_sub(&task_count, 1);
}

/* Whether Node's thread will settle the task. */
static bool hand_over(struct link *link)
{
	bool is_taken = false;

	pthread_mutex_lock(&link->mutex);
	if (!link->is_environment_gone) {
		is_taken = napi_call_threadsafe_function(link->function, link, napi_tsfn_nonblocking) == napi_ok;
		if (is_taken) {
			link->holders++;
			napi_release_threadsafe_function(link->function, napi_tsfn_release);
		}
	}
	pthread_mutex_unlock(&link->mutex);
	return is_taken;
}

static void *run(void *argument)
{
	struct link *link = argument;

	link->task->work(link->task);
	if (!hand_over(link))
		link->task->settle(NULL, link->task, NULL);
	let_go(link);
	return NULL;
}

/* On Node's thread; without an environment if that ended before it came to this. */
static void on_done(napi_env env, napi_value unused, void *context, void *data)
{
	struct link *link = data;

	(void)unused;
	(void)context;
	link->task->settle(env, link->task, link->promise);
	let_go(link);
}

/* The threadsafe function goes away, because it was used or because its environment ends. */
static void on_gone(napi_env env, void *data, void *hint)
{
	struct link *link = data;

	(void)env;
	(void)hint;
	pthread_mutex_lock(&link->mutex);
	link->is_environment_gone = true;
	pthread_mutex_unlock(&link->mutex);
	let_go(link);
}

static napi_value refuse(napi_env env, const char *call, int error)
{
	atomic_fetch_sub(&task_count, 1);
	return bf_throw_errno(env, error, call);
}

napi_value bf_start_task(napi_env env, const char *name, struct bf_task *task)
{
	struct link *link;
	napi_value promise, label;
	pthread_t thread;
	int error;

	if (atomic_fetch_add(&task_count, 1) >= TASKS_MAX)
		return refuse(env, name, EAGAIN);
	link = calloc(1, sizeof(*link));
	if (link == NULL)
		return refuse(env, "malloc", ENOMEM);
	*link = (struct link){ .task = task, .holders = 2 };
	pthread_mutex_init(&link->mutex, NULL);
	napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &label);
	if (napi_create_promise(env, &link->promise, &promise) != napi_ok ||
	    napi_create_threadsafe_function(env, NULL, NULL, label, 0, 1, link, on_gone, NULL, on_done,
					    &link->function) != napi_ok) {
		pthread_mutex_destroy(&link->mutex);
		free(link);
		return refuse(env, "malloc", ENOMEM);
	}
	error = bf_start_thread(&thread, true, run, link);
	if (error == 0)
		return promise;
	napi_release_threadsafe_function(link->function, napi_tsfn_abort);
	/* For the thread that there is not. */
	let_go(link);
	return bf_throw_errno(env, -error, "pthread_create");
}
