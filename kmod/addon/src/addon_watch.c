/*
 * The Node-API face of nbd_watch.h. Three threads take part: a task's, which may wait for the kernel and joins the
 * group; the watch's own, which listens; and Node's, where everything of JavaScript happens.
 */
#include "addon.h"

#include <errno.h>
#include <stdlib.h>

#include "addon_task.h"
#include "nbd_watch.h"

/* Events that Node's thread has not come to. They are hints: a further one tells nothing new. */
#define EVENTS_MAX 64

struct watch_task {
	struct bf_task task;
	struct bf_nbd_watch *watch;
	napi_threadsafe_function events;
	int outcome;
	struct bf_failure failure;
};

/* A watch that listens; kept for as long as JavaScript has the function that ends it. */
struct listener {
	/* NULL once it has ended. */
	struct bf_nbd_watch *watch;
	napi_threadsafe_function events;
	bool is_forgotten;
};

/* On the watch's thread. */
static void on_link_dead(void *context, uint32_t index)
{
	napi_call_threadsafe_function(context, (void *)(uintptr_t)index, napi_tsfn_nonblocking);
}

/* On Node's thread; without an environment when that ends. */
static void deliver(napi_env env, napi_value on_event, void *context, void *data)
{
	napi_value event, value, receiver, unused, error;
	bool is_thrown;

	(void)context;
	if (env == NULL)
		return;
	napi_create_object(env, &event);
	napi_create_string_utf8(env, "link-dead", NAPI_AUTO_LENGTH, &value);
	napi_set_named_property(env, event, "kind", value);
	napi_create_uint32(env, (uint32_t)(uintptr_t)data, &value);
	napi_set_named_property(env, event, "index", value);
	napi_get_undefined(env, &receiver);
	napi_call_function(env, receiver, on_event, 1, &event, &unused);
	/* Without this it would become a warning of deprecation. */
	if (napi_is_exception_pending(env, &is_thrown) == napi_ok && is_thrown &&
	    napi_get_and_clear_last_exception(env, &error) == napi_ok)
		napi_fatal_exception(env, error);
}

/* Also called when the environment ends, before it frees what the listener's thread uses. */
static void end_listening(void *data)
{
	struct listener *listener = data;

	if (listener->watch != NULL) {
		bf_nbd_watch_end(listener->watch);
		free(listener->watch);
		listener->watch = NULL;
		/* What was told and not delivered stays so. */
		napi_release_threadsafe_function(listener->events, napi_tsfn_abort);
	}
	if (listener->is_forgotten)
		free(listener);
}

static napi_value call_end(napi_env env, napi_callback_info info)
{
	void *data;

	if (napi_get_cb_info(env, info, NULL, NULL, NULL, &data) != napi_ok)
		return NULL;
	if (((struct listener *)data)->watch != NULL)
		napi_remove_env_cleanup_hook(env, end_listening, data);
	end_listening(data);
	return NULL;
}

/* JavaScript has no way left to end it. One that listens goes on until the environment ends. */
static void on_forgotten(napi_env env, void *data, void *hint)
{
	struct listener *listener = data;

	(void)env;
	(void)hint;
	listener->is_forgotten = true;
	if (listener->watch == NULL)
		free(listener);
}

static void join_group(struct bf_task *task)
{
	struct watch_task *joining = (struct watch_task *)task;

	joining->outcome = bf_nbd_watch_open(joining->watch, &joining->failure);
}

/* Starts to listen. Returns the function that ends it; NULL with the failure filled in. */
static napi_value begin_listening(napi_env env, struct watch_task *joining)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	napi_value end;
	int error = 0;

	if (listener == NULL) {
		bf_nbd_watch_close(joining->watch);
		error = -ENOMEM;
	} else {
		error = bf_nbd_watch_begin(joining->watch, on_link_dead, joining->events);
	}
	if (error != 0) {
		free(listener);
		joining->failure = (struct bf_failure){ .error = -error, .call = "pthread_create" };
		return NULL;
	}
	*listener = (struct listener){ .watch = joining->watch, .events = joining->events };
	napi_add_env_cleanup_hook(env, end_listening, listener);
	napi_create_function(env, "endWatch", NAPI_AUTO_LENGTH, call_end, listener, &end);
	napi_add_finalizer(env, end, listener, on_forgotten, NULL, NULL);
	return end;
}

static void settle(napi_env env, struct bf_task *task, napi_deferred promise)
{
	struct watch_task *joining = (struct watch_task *)task;
	const struct bf_failure *failure = &joining->failure;
	napi_value end = NULL;

	if (env == NULL) {
		if (joining->outcome == 0)
			bf_nbd_watch_close(joining->watch);
	} else if (joining->outcome == 0) {
		end = begin_listening(env, joining);
	}
	if (end != NULL) {
		napi_resolve_deferred(env, promise, end);
	} else {
		free(joining->watch);
		if (env != NULL) {
			napi_release_threadsafe_function(joining->events, napi_tsfn_abort);
			napi_reject_deferred(env, promise,
					     bf_errno_error(env, failure->error, failure->call, failure->words));
		}
	}
	free(joining);
}

static napi_value call_watch(napi_env env, napi_callback_info info)
{
	napi_value arguments[ARGUMENTS_MAX], label, promise;
	struct watch_task *joining;
	napi_valuetype type;

	if (bf_take_arguments(env, info, 1, 1, arguments) != 0)
		return NULL;
	if (napi_typeof(env, arguments[0], &type) != napi_ok || type != napi_function) {
		napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "the argument must be a function");
		return NULL;
	}
	joining = calloc(1, sizeof(*joining));
	if (joining != NULL)
		joining->watch = calloc(1, sizeof(*joining->watch));
	napi_create_string_utf8(env, "nbdWatch", NAPI_AUTO_LENGTH, &label);
	if (joining == NULL || joining->watch == NULL ||
	    napi_create_threadsafe_function(env, arguments[0], NULL, label, EVENTS_MAX, 1, NULL, NULL, NULL, deliver,
					    &joining->events) != napi_ok) {
		if (joining != NULL)
			free(joining->watch);
		free(joining);
		return bf_throw_errno(env, ENOMEM, "malloc");
	}
	joining->task = (struct bf_task){ .work = join_group, .settle = settle };
	/* Listening alone is no reason for a process to go on. */
	napi_unref_threadsafe_function(env, joining->events);
	promise = bf_start_task(env, "nbdWatch", &joining->task);
	if (promise == NULL) {
		napi_release_threadsafe_function(joining->events, napi_tsfn_abort);
		free(joining->watch);
		free(joining);
	}
	return promise;
}

void bf_export_watch(napi_env env, napi_value exports)
{
	bf_export_function(env, exports, "nbdWatch", call_watch);
}
