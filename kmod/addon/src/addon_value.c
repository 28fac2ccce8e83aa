#include "addon_value.h"

#include <stdio.h>
#include <string.h>

#include "errno_name.h"

/* Longer than the longest words of the kernel with what stands before them. */
#define MESSAGE_SIZE 512

napi_value bf_errno_error(napi_env env, int error, const char *syscall, const char *words)
{
	napi_value code, message, object, number, name;
	char text[MESSAGE_SIZE];
	const char *errno_name = bf_errno_name(error);

	snprintf(text, sizeof(text), "%s: %s, %s%s%s", errno_name, strerror(error), syscall,
		 words[0] == '\0' ? "" : ": ", words);
	napi_create_string_utf8(env, errno_name, NAPI_AUTO_LENGTH, &code);
	napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message);
	napi_create_error(env, code, message, &object);
	napi_create_int32(env, -error, &number);
	napi_set_named_property(env, object, "errno", number);
	napi_create_string_utf8(env, syscall, NAPI_AUTO_LENGTH, &name);
	napi_set_named_property(env, object, "syscall", name);
	return object;
}

napi_value bf_throw_errno(napi_env env, int error, const char *syscall)
{
	napi_throw(env, bf_errno_error(env, error, syscall, ""));
	return NULL;
}

static int refuse_type(napi_env env, const char *name, const char *expected)
{
	char text[MESSAGE_SIZE];

	snprintf(text, sizeof(text), "%s must be %s", name, expected);
	napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", text);
	return -1;
}

static int refuse_range(napi_env env, const char *name, const char *expected)
{
	char text[MESSAGE_SIZE];

	snprintf(text, sizeof(text), "%s must be %s", name, expected);
	napi_throw_range_error(env, "ERR_OUT_OF_RANGE", text);
	return -1;
}

int bf_take_arguments(napi_env env, napi_callback_info info, size_t least, size_t most, napi_value *arguments)
{
	size_t given = most;

	/* It tells how many were given, and fills in no more than asked for. */
	if (napi_get_cb_info(env, info, &given, arguments, NULL, NULL) == napi_ok && given >= least && given <= most)
		return 0;
	napi_throw_type_error(env, "ERR_INVALID_ARG_VALUE", "wrong number of arguments");
	return -1;
}

int bf_read_integer(napi_env env, napi_value value, const char *name, int64_t max, int64_t *integer)
{
	double number;
	char expected[64];

	if (napi_get_value_double(env, value, &number) != napi_ok)
		return refuse_type(env, name, "a number");
	if (!(number >= 0 && number <= (double)max) || number != (double)(int64_t)number) {
		snprintf(expected, sizeof(expected), "an integer from 0 to %lld", (long long)max);
		return refuse_range(env, name, expected);
	}
	*integer = (int64_t)number;
	return 0;
}

int bf_read_integers(napi_env env, napi_callback_info info, size_t count, size_t ints, int64_t *integers)
{
	napi_value arguments[ARGUMENTS_MAX];

	if (bf_take_arguments(env, info, count, count, arguments) != 0)
		return -1;
	for (size_t index = 0; index < count; index++) {
		const char *name = index < ints ? "a file descriptor or mode" : "an offset or length";
		const int64_t max = index < ints ? INT_MAX : SAFE_INTEGER_MAX;

		if (bf_read_integer(env, arguments[index], name, max, &integers[index]) != 0)
			return -1;
	}
	return 0;
}

int bf_read_text(napi_env env, napi_value value, const char *name, char *text, size_t size)
{
	size_t length;
	char expected[64];

	/* Without a buffer it tells the length; with one it cuts what is too long, in silence. */
	if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok)
		return refuse_type(env, name, "a string");
	if (length > 0 && length < size && napi_get_value_string_utf8(env, value, text, size, &length) == napi_ok &&
	    strlen(text) == length)
		return 0;
	snprintf(expected, sizeof(expected), "1 to %zu bytes long, none of them zero", size - 1);
	return refuse_range(env, name, expected);
}

int bf_read_path(napi_env env, napi_value value, char path[PATH_MAX])
{
	return bf_read_text(env, value, "a path", path, PATH_MAX);
}

int bf_read_buffer(napi_env env, napi_value value, const char *name, void **data, size_t *length)
{
	bool is_buffer;

	if (napi_is_buffer(env, value, &is_buffer) != napi_ok || !is_buffer ||
	    napi_get_buffer_info(env, value, data, length) != napi_ok)
		return refuse_type(env, name, "a Buffer");
	return 0;
}

int bf_read_array(napi_env env, napi_value value, const char *name, uint32_t max, uint32_t *length)
{
	bool is_array;
	char expected[64];

	if (napi_is_array(env, value, &is_array) != napi_ok || !is_array ||
	    napi_get_array_length(env, value, length) != napi_ok)
		return refuse_type(env, name, "an array");
	if (*length <= max)
		return 0;
	snprintf(expected, sizeof(expected), "of at most %u members", max);
	return refuse_range(env, name, expected);
}

bool bf_is_undefined(napi_env env, napi_value value)
{
	napi_valuetype type;

	return napi_typeof(env, value, &type) == napi_ok && type == napi_undefined;
}

void bf_export_function(napi_env env, napi_value exports, const char *name, napi_callback function)
{
	napi_value value;

	napi_create_function(env, name, NAPI_AUTO_LENGTH, function, NULL, &value);
	napi_set_named_property(env, exports, name, value);
}

void bf_export_integer(napi_env env, napi_value exports, const char *name, int32_t integer)
{
	napi_value value;

	napi_create_int32(env, integer, &value);
	napi_set_named_property(env, exports, name, value);
}
