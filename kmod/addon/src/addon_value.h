/*
 * Values between JavaScript and C: arguments are checked on their way in, failures become Errors with `code`,
 * `errno` and `syscall`, as Node's own have.
 */
#ifndef BLKFERRY_ADDON_VALUE_H
#define BLKFERRY_ADDON_VALUE_H

#define NAPI_VERSION 8

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include <node_api.h>

#define ARGUMENTS_MAX 4

/* Offsets and lengths: 2^53 - 1. */
#define SAFE_INTEGER_MAX 9007199254740991LL

/* An Error. `words` are added to its message; may be empty. */
napi_value bf_errno_error(napi_env env, int error, const char *syscall, const char *words);
/* Throws it; returns NULL, so that it can end a call. */
napi_value bf_throw_errno(napi_env env, int error, const char *syscall);

/* The following return 0, or -1 with an exception pending. */

/* Between `least` and `most` arguments; those that are missing become undefined. */
int bf_take_arguments(napi_env env, napi_callback_info info, size_t least, size_t most, napi_value *arguments);
/* A non-negative integer. `name` is for the message. */
int bf_read_integer(napi_env env, napi_value value, const char *name, int64_t max, int64_t *integer);
/*
 * `count` arguments, all non-negative safe integers, the first `ints` of them within a C int: file
 * descriptors and modes. Cut to an int, a larger one would name another file.
 */
int bf_read_integers(napi_env env, napi_callback_info info, size_t count, size_t ints, int64_t *integers);
/* 1 to size - 1 bytes without a zero byte. */
int bf_read_text(napi_env env, napi_value value, const char *name, char *text, size_t size);
int bf_read_path(napi_env env, napi_value value, char path[PATH_MAX]);
/* A Buffer or another view of bytes; the bytes live as long as the call. */
int bf_read_buffer(napi_env env, napi_value value, const char *name, void **data, size_t *length);
/* An array of at most `max` members. */
int bf_read_array(napi_env env, napi_value value, const char *name, uint32_t max, uint32_t *length);

bool bf_is_undefined(napi_env env, napi_value value);

void bf_export_function(napi_env env, napi_value exports, const char *name, napi_callback function);
void bf_export_integer(napi_env env, napi_value exports, const char *name, int32_t integer);

#endif
