/* The Node-API face of nbd_calls.h: requests are read into C, the calls made by tasks. */
#define _GNU_SOURCE

#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/nbd-netlink.h>
#include <linux/nbd.h>

#include "addon_task.h"
#include "nbd_calls.h"

/* The kernel counts in its ticks, of which there are up to 1000 in a second, and keeps them in 32 bits. */
#define TIMEOUT_SECONDS_MAX 4294967

struct nbd_task {
	struct bf_task task;
	uint8_t command;
	struct bf_nbd_settings settings;
	int outcome;
	struct bf_nbd_result result;
	struct bf_failure failure;
};

/*
 * One property. Returns 0, or -1 with an exception pending; `*is_given` is false if it is undefined, which is an
 * exception too if the property is needed.
 */
static int get(napi_env env, napi_value object, const char *name, bool is_needed, napi_value *value, bool *is_given)
{
	char text[64];

	if (napi_get_named_property(env, object, name, value) != napi_ok)
		return -1;
	*is_given = !bf_is_undefined(env, *value);
	if (*is_given || !is_needed)
		return 0;
	snprintf(text, sizeof(text), "%s is missing", name);
	napi_throw_type_error(env, "ERR_INVALID_ARG_VALUE", text);
	return -1;
}

struct number {
	const char *name;
	int64_t max;
	enum bf_nbd_given bit;
	size_t place;
};

#define NUMBER(name, max, bit, field) { name, max, bit, offsetof(struct bf_nbd_settings, field) }

static const struct number NUMBERS[] = {
	NUMBER("sizeBytes", SAFE_INTEGER_MAX, BF_NBD_SIZE, size),
	NUMBER("blockBytes", SAFE_INTEGER_MAX, BF_NBD_BLOCK_SIZE, block_size),
	NUMBER("serverFlags", SAFE_INTEGER_MAX, BF_NBD_SERVER_FLAGS, server_flags),
	NUMBER("clientFlags", SAFE_INTEGER_MAX, BF_NBD_CLIENT_FLAGS, client_flags),
	NUMBER("requestTimeoutSeconds", TIMEOUT_SECONDS_MAX, BF_NBD_TIMEOUT, timeout),
	NUMBER("deadConnectionTimeoutSeconds", TIMEOUT_SECONDS_MAX, BF_NBD_DEAD_TIMEOUT, dead_timeout),
};

static int read_numbers(napi_env env, napi_value object, unsigned int needed, struct bf_nbd_settings *settings)
{
	for (size_t place = 0; place < sizeof(NUMBERS) / sizeof(NUMBERS[0]); place++) {
		const struct number *number = &NUMBERS[place];
		napi_value value;
		int64_t integer;
		bool is_given;

		if (get(env, object, number->name, (needed & number->bit) != 0, &value, &is_given) != 0)
			return -1;
		if (!is_given)
			continue;
		if (bf_read_integer(env, value, number->name, number->max, &integer) != 0)
			return -1;
		*(uint64_t *)((char *)settings + number->place) = (uint64_t)integer;
		settings->given |= number->bit;
	}
	return 0;
}

static int read_index(napi_env env, napi_value value, struct bf_nbd_settings *settings)
{
	int64_t index;

	/* The kernel reads it as an int, and takes a negative one for none. */
	if (bf_read_integer(env, value, "index", INT_MAX, &index) != 0)
		return -1;
	settings->index = (uint32_t)index;
	settings->given |= BF_NBD_INDEX;
	return 0;
}

static void close_sockets(struct bf_nbd_settings *settings)
{
	while (settings->socket_count > 0)
		close(settings->sockets[--settings->socket_count]);
}

/* Duplicates: should the caller close one too early, its number may be another file's when the kernel looks. */
static int read_sockets(napi_env env, napi_value array, struct bf_nbd_settings *settings)
{
	uint32_t count;

	if (bf_read_array(env, array, "socketFds", BF_NBD_SOCKETS_MAX, &count) != 0)
		return -1;
	for (uint32_t place = 0; place < count; place++) {
		napi_value element;
		int64_t fd;
		int copy;

		if (napi_get_element(env, array, place, &element) != napi_ok ||
		    bf_read_integer(env, element, "a socket's file descriptor", INT_MAX, &fd) != 0)
			return -1;
		copy = fcntl((int)fd, F_DUPFD_CLOEXEC, 0);
		if (copy < 0) {
			bf_throw_errno(env, errno, "fcntl");
			return -1;
		}
		settings->sockets[settings->socket_count++] = copy;
	}
	return 0;
}

/* All settings of a request object; those in `needed` and the identifier must be there. */
static int read_request(napi_env env, napi_value object, unsigned int needed, bool needs_sockets,
			struct bf_nbd_settings *settings)
{
	napi_valuetype type;
	napi_value value;
	bool is_given;

	if (napi_typeof(env, object, &type) != napi_ok || type != napi_object) {
		napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "the request must be an object");
		return -1;
	}
	if (get(env, object, "index", (needed & BF_NBD_INDEX) != 0, &value, &is_given) != 0 ||
	    (is_given && read_index(env, value, settings) != 0))
		return -1;
	if (read_numbers(env, object, needed, settings) != 0)
		return -1;
	if (get(env, object, "backendIdentifier", true, &value, &is_given) != 0 ||
	    bf_read_text(env, value, "backendIdentifier", settings->identifier, sizeof(settings->identifier)) != 0)
		return -1;
	if (get(env, object, "socketFds", needs_sockets, &value, &is_given) != 0)
		return -1;
	return is_given ? read_sockets(env, value, settings) : 0;
}

static void make_call(struct bf_task *task)
{
	struct nbd_task *nbd = (struct nbd_task *)task;

	nbd->outcome = bf_nbd_call(nbd->command, &nbd->settings, &nbd->result, &nbd->failure);
	close_sockets(&nbd->settings);
}

static napi_value to_list(napi_env env, const struct bf_nbd_devices *devices)
{
	napi_value list, entry, value;

	napi_create_array_with_length(env, devices->count, &list);
	for (size_t place = 0; place < devices->count; place++) {
		napi_create_object(env, &entry);
		napi_create_uint32(env, devices->list[place].index, &value);
		napi_set_named_property(env, entry, "index", value);
		napi_get_boolean(env, devices->list[place].is_connected, &value);
		napi_set_named_property(env, entry, "connected", value);
		napi_set_element(env, list, (uint32_t)place, entry);
	}
	return list;
}

static napi_value to_result(napi_env env, const struct nbd_task *nbd)
{
	napi_value value;

	if (nbd->command == NBD_CMD_STATUS)
		return to_list(env, &nbd->result.devices);
	if (nbd->command == NBD_CMD_CONNECT)
		napi_create_uint32(env, nbd->result.index, &value);
	else
		napi_get_undefined(env, &value);
	return value;
}

static void free_task(struct nbd_task *nbd)
{
	close_sockets(&nbd->settings);
	free(nbd->result.devices.list);
	free(nbd);
}

static void settle(napi_env env, struct bf_task *task, napi_deferred promise)
{
	struct nbd_task *nbd = (struct nbd_task *)task;
	const struct bf_failure *failure = &nbd->failure;

	if (env != NULL && nbd->outcome == 0)
		napi_resolve_deferred(env, promise, to_result(env, nbd));
	else if (env != NULL)
		napi_reject_deferred(env, promise,
				     bf_errno_error(env, failure->error, failure->call, failure->words));
	free_task(nbd);
}

static struct nbd_task *new_task(napi_env env, uint8_t command)
{
	struct nbd_task *nbd = calloc(1, sizeof(*nbd));

	if (nbd == NULL) {
		bf_throw_errno(env, ENOMEM, "malloc");
		return NULL;
	}
	nbd->task = (struct bf_task){ .work = make_call, .settle = settle };
	nbd->command = command;
	return nbd;
}

/* Starts the task if its arguments could be read. */
static napi_value start(napi_env env, const char *name, struct nbd_task *nbd, int read)
{
	napi_value promise = read == 0 ? bf_start_task(env, name, &nbd->task) : NULL;

	if (promise == NULL)
		free_task(nbd);
	return promise;
}

static napi_value call_connect(napi_env env, napi_callback_info info)
{
	const unsigned int needed = BF_NBD_SIZE | BF_NBD_BLOCK_SIZE | BF_NBD_SERVER_FLAGS | BF_NBD_CLIENT_FLAGS |
				    BF_NBD_TIMEOUT | BF_NBD_DEAD_TIMEOUT;
	napi_value arguments[ARGUMENTS_MAX];
	struct nbd_task *nbd = new_task(env, NBD_CMD_CONNECT);

	if (nbd == NULL)
		return NULL;
	return start(env, "nbdConnect", nbd,
		     bf_take_arguments(env, info, 1, 1, arguments) != 0 ||
			     read_request(env, arguments[0], needed, true, &nbd->settings) != 0);
}

static napi_value call_reconfigure(napi_env env, napi_callback_info info)
{
	napi_value arguments[ARGUMENTS_MAX];
	struct nbd_task *nbd = new_task(env, NBD_CMD_RECONFIGURE);

	if (nbd == NULL)
		return NULL;
	return start(env, "nbdReconfigure", nbd,
		     bf_take_arguments(env, info, 1, 1, arguments) != 0 ||
			     read_request(env, arguments[0], BF_NBD_INDEX, false, &nbd->settings) != 0);
}

static napi_value call_disconnect(napi_env env, napi_callback_info info)
{
	napi_value arguments[ARGUMENTS_MAX];
	struct nbd_task *nbd = new_task(env, NBD_CMD_DISCONNECT);

	if (nbd == NULL)
		return NULL;
	return start(env, "nbdDisconnect", nbd,
		     bf_take_arguments(env, info, 1, 1, arguments) != 0 ||
			     read_index(env, arguments[0], &nbd->settings) != 0);
}

static napi_value call_status(napi_env env, napi_callback_info info)
{
	napi_value arguments[ARGUMENTS_MAX];
	struct nbd_task *nbd = new_task(env, NBD_CMD_STATUS);

	if (nbd == NULL)
		return NULL;
	return start(env, "nbdStatus", nbd,
		     bf_take_arguments(env, info, 0, 1, arguments) != 0 ||
			     (!bf_is_undefined(env, arguments[0]) &&
			      read_index(env, arguments[0], &nbd->settings) != 0));
}

void bf_export_nbd(napi_env env, napi_value exports)
{
	bf_export_function(env, exports, "nbdConnect", call_connect);
	bf_export_function(env, exports, "nbdReconfigure", call_reconfigure);
	bf_export_function(env, exports, "nbdDisconnect", call_disconnect);
	bf_export_function(env, exports, "nbdStatus", call_status);
	bf_export_integer(env, exports, "NBD_CFLAG_DESTROY_ON_DISCONNECT", NBD_CFLAG_DESTROY_ON_DISCONNECT);
	bf_export_integer(env, exports, "NBD_CFLAG_DISCONNECT_ON_CLOSE", NBD_CFLAG_DISCONNECT_ON_CLOSE);
}
