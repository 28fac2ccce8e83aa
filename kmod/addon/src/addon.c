/*
 * The Node-API face of the system calls: takes values out of JavaScript, calls, and turns -errno into an
 * Error with `code`, `errno` and `syscall`, as Node's own have. No policy lives here.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <node_api.h>

#include "errno_name.h"
#include "file_calls.h"

#define ARGUMENTS_MAX 4

/* Offsets and lengths are safe integers: at most 2^53 - 1. */
#define SAFE_INTEGER_MAX 9007199254740991.0

static napi_value throw_errno(napi_env env, int error, const char *syscall)
{
	napi_value code, message, object, number, name;
	char text[160];
	const char *errno_name = bf_errno_name(error);

	snprintf(text, sizeof(text), "%s: %s, %s", errno_name, strerror(error), syscall);
	napi_create_string_utf8(env, errno_name, NAPI_AUTO_LENGTH, &code);
	napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message);
	napi_create_error(env, code, message, &object);
	napi_create_int32(env, -error, &number);
	napi_set_named_property(env, object, "errno", number);
	napi_create_string_utf8(env, syscall, NAPI_AUTO_LENGTH, &name);
	napi_set_named_property(env, object, "syscall", name);
	napi_throw(env, object);
	return NULL;
}

/* Takes exactly `count` arguments; otherwise an exception is pending. */
static int take_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *arguments)
{
	size_t given = ARGUMENTS_MAX;

	if (napi_get_cb_info(env, info, &given, arguments, NULL, NULL) == napi_ok && given == count)
		return 0;
	napi_throw_type_error(env, "ERR_INVALID_ARG_VALUE", "wrong number of arguments");
	return -1;
}

/*
 * Reads `count` arguments, all non-negative safe integers, the first `ints` of them within a C int: file
 * descriptors and modes. Cut to an int, a larger one would name another file. On failure an exception is
 * pending.
 */
static int read_integers(napi_env env, napi_callback_info info, size_t count, size_t ints, int64_t *integers)
{
	napi_value arguments[ARGUMENTS_MAX];

	if (take_arguments(env, info, count, arguments) != 0)
		return -1;
	for (size_t index = 0; index < count; index++) {
		double value;

		if (napi_get_value_double(env, arguments[index], &value) != napi_ok) {
			napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "arguments must be numbers");
			return -1;
		}
		if (!(value >= 0 && value <= SAFE_INTEGER_MAX) || value != (double)(int64_t)value) {
			napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "arguments must be integers from 0 to 2^53 - 1");
			return -1;
		}
		integers[index] = (int64_t)value;
		if (index < ints && integers[index] > INT_MAX) {
			napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "a file descriptor or mode is at most 2^31 - 1");
			return -1;
		}
	}
	return 0;
}

/* Reads a path of at most PATH_MAX - 1 bytes without a zero byte in it; on failure an exception is pending. */
static int read_path(napi_env env, napi_value argument, char path[PATH_MAX])
{
	size_t length;

	/* Without a buffer it tells the length; with one it cuts what is too long, in silence. */
	if (napi_get_value_string_utf8(env, argument, NULL, 0, &length) != napi_ok) {
		napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "a path must be a string");
		return -1;
	}
	if (length == 0 || length >= PATH_MAX ||
	    napi_get_value_string_utf8(env, argument, path, PATH_MAX, &length) != napi_ok ||
	    strlen(path) != length) {
		napi_throw_range_error(env, "ERR_INVALID_ARG_VALUE", "this cannot be a path");
		return -1;
	}
	return 0;
}

static napi_value call_fallocate(napi_env env, napi_callback_info info)
{
	int64_t given[4];
	int result;

	if (read_integers(env, info, 4, 2, given) != 0)
		return NULL;
	result = bf_fallocate((int)given[0], (int)given[1], given[2], given[3]);
	return result < 0 ? throw_errno(env, -result, "fallocate") : NULL;
}

static napi_value seek(napi_env env, napi_callback_info info, int whence)
{
	int64_t given[2], position;
	napi_value result;

	if (read_integers(env, info, 2, 1, given) != 0)
		return NULL;
	position = bf_seek((int)given[0], given[1], whence);
	if (position < 0 && position != -ENXIO)
		return throw_errno(env, (int)-position, "lseek");
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

static napi_value call_lock_exclusive(napi_env env, napi_callback_info info)
{
	int64_t given[1];
	napi_value result;
	int error;

	if (read_integers(env, info, 1, 1, given) != 0)
		return NULL;
	error = bf_lock_exclusive((int)given[0]);
	if (error < 0 && error != -EWOULDBLOCK)
		return throw_errno(env, -error, "flock");
	napi_get_boolean(env, error == 0, &result);
	return result;
}

static napi_value call_exchange_names(napi_env env, napi_callback_info info)
{
	napi_value arguments[ARGUMENTS_MAX];
	char first[PATH_MAX], second[PATH_MAX];
	int result;

	if (take_arguments(env, info, 2, arguments) != 0 || read_path(env, arguments[0], first) != 0 ||
	    read_path(env, arguments[1], second) != 0)
		return NULL;
	result = bf_exchange_names(first, second);
	return result < 0 ? throw_errno(env, -result, "renameat2") : NULL;
}

static void export_function(napi_env env, napi_value exports, const char *name, napi_callback function)
{
	napi_value value;

	napi_create_function(env, name, NAPI_AUTO_LENGTH, function, NULL, &value);
	napi_set_named_property(env, exports, name, value);
}

static void export_integer(napi_env env, napi_value exports, const char *name, int32_t integer)
{
	napi_value value;

	napi_create_int32(env, integer, &value);
	napi_set_named_property(env, exports, name, value);
}

NAPI_MODULE_INIT()
{
	export_function(env, exports, "fallocate", call_fallocate);
	export_function(env, exports, "seekData", call_seek_data);
	export_function(env, exports, "seekHole", call_seek_hole);
	export_function(env, exports, "lockExclusive", call_lock_exclusive);
	export_function(env, exports, "exchangeNames", call_exchange_names);
	export_integer(env, exports, "FALLOC_FL_KEEP_SIZE", FALLOC_FL_KEEP_SIZE);
	export_integer(env, exports, "FALLOC_FL_PUNCH_HOLE", FALLOC_FL_PUNCH_HOLE);
	export_integer(env, exports, "FALLOC_FL_ZERO_RANGE", FALLOC_FL_ZERO_RANGE);
	return exports;
}
