/* The Node-API face of file_calls.h. */
#define _GNU_SOURCE

#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "addon_task.h"
#include "file_calls.h"

static napi_value call_fallocate(napi_env env, napi_callback_info info)
{
	int64_t given[4];
	int result;

	if (bf_read_integers(env, info, 4, 2, given) != 0)
		return NULL;
	result = bf_fallocate((int)given[0], (int)given[1], given[2], given[3]);
	return result < 0 ? bf_throw_errno(env, -result, "fallocate") : NULL;
}

struct fallocate_task {
	struct bf_task task;
	int fd, mode, outcome;
	int64_t offset, length;
};

static void make_fallocate(struct bf_task *task)
{
	struct fallocate_task *asked = (struct fallocate_task *)task;

	asked->outcome = bf_fallocate(asked->fd, asked->mode, asked->offset, asked->length);
}

static void settle_fallocate(napi_env env, struct bf_task *task, napi_deferred promise)
{
	struct fallocate_task *asked = (struct fallocate_task *)task;
	napi_value nothing;

	if (env != NULL && asked->outcome == 0) {
		napi_get_undefined(env, &nothing);
		napi_resolve_deferred(env, promise, nothing);
	} else if (env != NULL) {
		napi_reject_deferred(env, promise, bf_errno_error(env, -asked->outcome, "fallocate", ""));
	}
	free(asked);
}

static napi_value call_fallocate_away(napi_env env, napi_callback_info info)
{
	struct fallocate_task *asked;
	napi_value promise;
	int64_t given[4];

	if (bf_read_integers(env, info, 4, 2, given) != 0)
		return NULL;
	asked = malloc(sizeof(*asked));
	if (asked == NULL)
		return bf_throw_errno(env, ENOMEM, "malloc");
	*asked = (struct fallocate_task){
		.task = { .work = make_fallocate, .settle = settle_fallocate },
		.fd = (int)given[0],
		.mode = (int)given[1],
		.offset = given[2],
		.length = given[3],
	};
	promise = bf_start_task(env, "fallocateAway", &asked->task);
	if (promise == NULL)
		free(asked);
	return promise;
}

static napi_value seek(napi_env env, napi_callback_info info, int whence)
{
	int64_t given[2], position;
	napi_value result;

	if (bf_read_integers(env, info, 2, 1, given) != 0)
		return NULL;
	position = bf_seek((int)given[0], given[1], whence);
	if (position < 0 && position != -ENXIO)
		return bf_throw_errno(env, (int)-position, "lseek");
	napi_create_double(env, position < 0 ? -1.0 : (double)position, &result);
	return result;
}

static napi_value call_seek_data(napi_env env, napi_callback_info info)
{
	return seek(env, info, SEEK_DATA);
}

static napi_value call_seek_hole(napi_env env, napi_callback_info info)
{
	return seek(env, info, SEEK_HOLE);
}

/* More make one call take long. */
#define PAIRS_MAX 1024

struct runs_task {
	struct bf_task task;
	int fd, pairs_max, count;
	int64_t offset, end;
	int64_t positions[2 * PAIRS_MAX];
};

static void find_runs(struct bf_task *task)
{
	struct runs_task *asked = (struct runs_task *)task;

	asked->count = bf_data_runs(asked->fd, asked->offset, asked->end, asked->positions, asked->pairs_max);
}

static napi_value runs_array(napi_env env, const struct runs_task *asked)
{
	napi_value array, position;

	napi_create_array_with_length(env, (size_t)asked->count * 2, &array);
	for (int at = 0; at < asked->count * 2; at++) {
		napi_create_double(env, (double)asked->positions[at], &position);
		napi_set_element(env, array, (uint32_t)at, position);
	}
	return array;
}

static void settle_runs(napi_env env, struct bf_task *task, napi_deferred promise)
{
	struct runs_task *asked = (struct runs_task *)task;

	if (env != NULL && asked->count >= 0)
		napi_resolve_deferred(env, promise, runs_array(env, asked));
	else if (env != NULL)
		napi_reject_deferred(env, promise, bf_errno_error(env, -asked->count, "lseek", ""));
	free(asked);
}

/* NULL with an exception pending. */
static struct runs_task *read_runs_task(napi_env env, napi_callback_info info)
{
	struct runs_task *asked;
	int64_t given[4];

	if (bf_read_integers(env, info, 4, 1, given) != 0)
		return NULL;
	asked = malloc(sizeof(*asked));
	if (asked == NULL) {
		bf_throw_errno(env, ENOMEM, "malloc");
		return NULL;
	}
	asked->task = (struct bf_task){ .work = find_runs, .settle = settle_runs };
	asked->fd = (int)given[0];
	asked->offset = given[1];
	asked->end = given[2];
	asked->pairs_max = given[3] < PAIRS_MAX ? (int)given[3] : PAIRS_MAX;
	return asked;
}

static napi_value call_data_runs(napi_env env, napi_callback_info info)
{
	struct runs_task *asked = read_runs_task(env, info);
	napi_value result;

	if (asked == NULL)
		return NULL;
	find_runs(&asked->task);
	result = asked->count < 0 ? bf_throw_errno(env, -asked->count, "lseek") : runs_array(env, asked);
	free(asked);
	return result;
}

static napi_value call_data_runs_away(napi_env env, napi_callback_info info)
{
	struct runs_task *asked = read_runs_task(env, info);
	napi_value promise;

	if (asked == NULL)
		return NULL;
	promise = bf_start_task(env, "dataRunsAway", &asked->task);
	if (promise == NULL)
		free(asked);
	return promise;
}

static napi_value call_lock_exclusive(napi_env env, napi_callback_info info)
{
	int64_t given[1];
	napi_value result;
	int error;

	if (bf_read_integers(env, info, 1, 1, given) != 0)
		return NULL;
	error = bf_lock_exclusive((int)given[0]);
	if (error < 0 && error != -EWOULDBLOCK)
		return bf_throw_errno(env, -error, "flock");
	napi_get_boolean(env, error == 0, &result);
	return result;
}

static napi_value call_exchange_names(napi_env env, napi_callback_info info)
{
	napi_value arguments[ARGUMENTS_MAX];
	char first[PATH_MAX], second[PATH_MAX];
	int result;

	if (bf_take_arguments(env, info, 2, 2, arguments) != 0 || bf_read_path(env, arguments[0], first) != 0 ||
	    bf_read_path(env, arguments[1], second) != 0)
		return NULL;
	result = bf_exchange_names(first, second);
	return result < 0 ? bf_throw_errno(env, -result, "renameat2") : NULL;
}

/* Into all of the buffer, which is a view of what is wanted. -1: a disk would have to be waited for. */
static napi_value call_read_cached(napi_env env, napi_callback_info info)
{
	napi_value arguments[ARGUMENTS_MAX], result;
	int64_t fd, offset, count;
	void *data;
	size_t length;

	if (bf_take_arguments(env, info, 3, 3, arguments) != 0 ||
	    bf_read_integer(env, arguments[0], "a file descriptor", INT_MAX, &fd) != 0 ||
	    bf_read_buffer(env, arguments[1], "a buffer", &data, &length) != 0 ||
	    bf_read_integer(env, arguments[2], "an offset", SAFE_INTEGER_MAX, &offset) != 0)
		return NULL;
	count = bf_read_cached((int)fd, data, length, offset);
	if (count < 0 && count != -EAGAIN)
		return bf_throw_errno(env, (int)-count, "preadv2");
	napi_create_double(env, count < 0 ? -1.0 : (double)count, &result);
	return result;
}

void bf_export_files(napi_env env, napi_value exports)
{
	bf_export_function(env, exports, "fallocate", call_fallocate);
	bf_export_function(env, exports, "fallocateAway", call_fallocate_away);
	bf_export_function(env, exports, "seekData", call_seek_data);
	bf_export_function(env, exports, "seekHole", call_seek_hole);
	bf_export_function(env, exports, "dataRuns", call_data_runs);
	bf_export_function(env, exports, "dataRunsAway", call_data_runs_away);
	bf_export_function(env, exports, "readCached", call_read_cached);
	bf_export_function(env, exports, "lockExclusive", call_lock_exclusive);
	bf_export_function(env, exports, "exchangeNames", call_exchange_names);
	bf_export_integer(env, exports, "FALLOC_FL_KEEP_SIZE", FALLOC_FL_KEEP_SIZE);
	bf_export_integer(env, exports, "FALLOC_FL_PUNCH_HOLE", FALLOC_FL_PUNCH_HOLE);
	bf_export_integer(env, exports, "FALLOC_FL_ZERO_RANGE", FALLOC_FL_ZERO_RANGE);
}
