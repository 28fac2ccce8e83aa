/* The Node-API face of socket_calls.h. */
#include "addon.h"

#include <stdlib.h>

#include "socket_calls.h"

/* Service managers take 4 KiB at a time; what is longer than this is a mistake. */
#define DATAGRAM_BYTES_MAX 65536

static napi_value call_socket_pair(napi_env env, napi_callback_info info)
{
	napi_value unused[ARGUMENTS_MAX], pair, fd;
	int ends[2], error;

	if (bf_take_arguments(env, info, 0, 0, unused) != 0)
		return NULL;
	error = bf_socket_pair(ends);
	if (error < 0)
		return bf_throw_errno(env, -error, "socketpair");
	napi_create_array_with_length(env, 2, &pair);
	for (uint32_t index = 0; index < 2; index++) {
		napi_create_int32(env, ends[index], &fd);
		napi_set_element(env, pair, index, fd);
	}
	return pair;
}

static napi_value call_send_datagram(napi_env env, napi_callback_info info)
{
	napi_value arguments[ARGUMENTS_MAX];
	char path[BF_SOCKET_PATH_SIZE], *message;
	const char *call;
	size_t length;
	int error;

	if (bf_take_arguments(env, info, 2, 2, arguments) != 0 ||
	    bf_read_text(env, arguments[0], "the path of a socket", path, sizeof(path)) != 0)
		return NULL;
	if (napi_get_value_string_utf8(env, arguments[1], NULL, 0, &length) != napi_ok) {
		napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "the message must be a string");
		return NULL;
	}
	if (length > DATAGRAM_BYTES_MAX) {
		napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "the message must be at most 65536 bytes long");
		return NULL;
	}
	message = malloc(length + 1);
	if (message == NULL || napi_get_value_string_utf8(env, arguments[1], message, length + 1, &length) != napi_ok) {
		free(message);
		napi_throw_error(env, "ENOMEM", "no memory for the message");
		return NULL;
	}
	error = bf_send_datagram(path, message, length, &call);
	free(message);
	return error < 0 ? bf_throw_errno(env, -error, call) : NULL;
}

static napi_value call_has_hung_up(napi_env env, napi_callback_info info)
{
	int64_t given[1];
	napi_value result;
	int answer;

	if (bf_read_integers(env, info, 1, 1, given) != 0)
		return NULL;
	answer = bf_has_hung_up((int)given[0]);
	if (answer < 0)
		return bf_throw_errno(env, -answer, "poll");
	napi_get_boolean(env, answer > 0, &result);
	return result;
}

static napi_value call_duplicate_fd(napi_env env, napi_callback_info info)
{
	int64_t given[1];
	napi_value result;
	int copy;

	if (bf_read_integers(env, info, 1, 1, given) != 0)
		return NULL;
	copy = bf_duplicate((int)given[0]);
	if (copy < 0)
		return bf_throw_errno(env, -copy, "fcntl");
	napi_create_int32(env, copy, &result);
	return result;
}

void bf_export_sockets(napi_env env, napi_value exports)
{
	bf_export_function(env, exports, "socketPair", call_socket_pair);
	bf_export_function(env, exports, "sendDatagram", call_send_datagram);
	bf_export_function(env, exports, "hasHungUp", call_has_hung_up);
	bf_export_function(env, exports, "duplicateFd", call_duplicate_fd);
}
