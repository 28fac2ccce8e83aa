/* The Node-API face of process_calls.h. */
#include "addon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "process_calls.h"

/* The kernel takes no longer argument (MAX_ARG_STRLEN); its limit for all of them together it checks itself. */
#define WORD_SIZE 131072
/* Command lines and environments have tens or hundreds; the kernel would take a quarter of the stack's limit. */
#define WORDS_MAX 65536

static napi_value call_set_io_flusher(napi_env env, napi_callback_info info)
{
	napi_value arguments[ARGUMENTS_MAX];
	bool on;
	int error;

	if (bf_take_arguments(env, info, 1, 1, arguments) != 0)
		return NULL;
	if (napi_get_value_bool(env, arguments[0], &on) != napi_ok) {
		napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "the argument must be a boolean");
		return NULL;
	}
	error = bf_set_io_flusher(on);
	return error < 0 ? bf_throw_errno(env, -error, "prctl") : NULL;
}

static napi_value call_is_io_flusher(napi_env env, napi_callback_info info)
{
	napi_value unused[ARGUMENTS_MAX], result;
	int answer;

	if (bf_take_arguments(env, info, 0, 0, unused) != 0)
		return NULL;
	answer = bf_is_io_flusher();
	if (answer < 0 && answer != -EPERM && answer != -EINVAL)
		return bf_throw_errno(env, -answer, "prctl");
	napi_get_boolean(env, answer == 1, &result);
	return result;
}

static napi_value call_forbid_core_dumps(napi_env env, napi_callback_info info)
{
	napi_value unused[ARGUMENTS_MAX];
	int error;

	if (bf_take_arguments(env, info, 0, 0, unused) != 0)
		return NULL;
	error = bf_forbid_core_dumps();
	return error < 0 ? bf_throw_errno(env, -error, "prctl") : NULL;
}

static napi_value call_times_slept(napi_env env, napi_callback_info info)
{
	napi_value unused[ARGUMENTS_MAX], result;
	int64_t times;

	if (bf_take_arguments(env, info, 0, 0, unused) != 0)
		return NULL;
	times = bf_times_slept();
	if (times < 0)
		return bf_throw_errno(env, (int)-times, "getrusage");
	napi_create_double(env, (double)times, &result);
	return result;
}

static napi_value call_lock_pages(napi_env env, napi_callback_info info)
{
	int64_t given[2];
	int error;

	if (bf_read_integers(env, info, 2, 0, given) != 0)
		return NULL;
	error = bf_lock_pages((uintptr_t)given[0], (uint64_t)given[1]);
	return error < 0 ? bf_throw_errno(env, -error, "mlock2") : NULL;
}

static void free_words(char **words)
{
	for (char **word = words; word != NULL && *word != NULL; word++)
		free(*word);
	free(words);
}

/* A string of its own, for free(3); NULL with an exception pending. */
static char *copy_word(napi_env env, napi_value value, const char *name, char scratch[WORD_SIZE])
{
	size_t length;
	char *word;

	/* Arguments may be empty, which texts may not. */
	if (napi_get_value_string_utf8(env, value, NULL, 0, &length) == napi_ok && length == 0)
		scratch[0] = '\0';
	else if (bf_read_text(env, value, name, scratch, WORD_SIZE) != 0)
		return NULL;
	word = strdup(scratch);
	if (word == NULL)
		bf_throw_errno(env, ENOMEM, "malloc");
	return word;
}

/* An array of strings, ended by NULL as execve(2) wants it; NULL with an exception pending. */
static char **copy_words(napi_env env, napi_value array, const char *name)
{
	char *scratch = malloc(WORD_SIZE);
	char **words = NULL;
	napi_value element;
	uint32_t count = 0;

	if (bf_read_array(env, array, name, WORDS_MAX, &count) != 0) {
		free(scratch);
		return NULL;
	}
	words = calloc((size_t)count + 1, sizeof(*words));
	if (scratch == NULL || words == NULL) {
		bf_throw_errno(env, ENOMEM, "malloc");
		free(scratch);
		free(words);
		return NULL;
	}
	for (uint32_t index = 0; index < count; index++) {
		if (napi_get_element(env, array, index, &element) == napi_ok)
			words[index] = copy_word(env, element, name, scratch);
		if (words[index] != NULL)
			continue;
		free_words(words);
		words = NULL;
		break;
	}
	free(scratch);
	return words;
}

static napi_value call_replace_process(napi_env env, napi_callback_info info)
{
	napi_value taken[ARGUMENTS_MAX];
	char path[PATH_MAX], **arguments = NULL, **environment = NULL;
	int error = 0;

	if (bf_take_arguments(env, info, 3, 3, taken) != 0 || bf_read_path(env, taken[0], path) != 0)
		return NULL;
	arguments = copy_words(env, taken[1], "a program's argument");
	if (arguments != NULL)
		environment = copy_words(env, taken[2], "an environment's entry");
	if (environment != NULL)
		error = bf_replace_process(path, arguments, environment);
	free_words(arguments);
	free_words(environment);
	return error < 0 ? bf_throw_errno(env, -error, "execve") : NULL;
}

void bf_export_process(napi_env env, napi_value exports)
{
	bf_export_function(env, exports, "setIoFlusher", call_set_io_flusher);
	bf_export_function(env, exports, "isIoFlusher", call_is_io_flusher);
	bf_export_function(env, exports, "forbidCoreDumps", call_forbid_core_dumps);
	bf_export_function(env, exports, "timesSlept", call_times_slept);
	bf_export_function(env, exports, "lockPages", call_lock_pages);
	bf_export_function(env, exports, "replaceProcess", call_replace_process);
}
