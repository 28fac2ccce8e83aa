#include "nbd_calls.h"

#include <errno.h>
#include <stdio.h>

#include <linux/nbd-netlink.h>

struct answers {
	uint8_t command;
	bool has_index;
	struct bf_nbd_result *result;
};

static const char *name_of(uint8_t command)
{
	switch (command) {
	case NBD_CMD_CONNECT:
		return "NBD_CMD_CONNECT";
	case NBD_CMD_RECONFIGURE:
		return "NBD_CMD_RECONFIGURE";
	case NBD_CMD_DISCONNECT:
		return "NBD_CMD_DISCONNECT";
	default:
		return "NBD_CMD_STATUS";
	}
}

static int take(void *context, uint8_t command, struct bf_reader attributes)
{
	struct answers *answers = context;
	int error;

	if (command != answers->command)
		return 0;
	if (command == NBD_CMD_STATUS)
		return bf_parse_nbd_devices(attributes, &answers->result->devices);
	if (command != NBD_CMD_CONNECT)
		return 0;
	error = bf_parse_nbd_index(attributes, &answers->result->index);
	answers->has_index = error == 0;
	return error;
}

/* The kernel sends the index in an answer of its own, for which it may have no memory. */
static int settle_index(const struct answers *answers, const struct bf_nbd_settings *settings,
			struct bf_failure *failure)
{
	if (answers->command != NBD_CMD_CONNECT || answers->has_index)
		return 0;
	if (settings->given & BF_NBD_INDEX) {
		answers->result->index = settings->index;
		return 0;
	}
	failure->error = ENODATA;
	failure->call = name_of(answers->command);
	snprintf(failure->words, sizeof(failure->words), "the device was made, but the kernel did not say which");
	return -1;
}

int bf_nbd_call(uint8_t command, const struct bf_nbd_settings *settings, struct bf_nbd_result *result,
		struct bf_failure *failure)
{
	struct answers answers = { .command = command, .result = result };
	unsigned char request[BF_NBD_REQUEST_SIZE];
	struct bf_family family;
	struct bf_genl genl;
	size_t length;
	int outcome;

	*result = (struct bf_nbd_result){ 0 };
	if (bf_genl_open(&genl, failure) != 0)
		return -1;
	outcome = bf_genl_find(&genl, NBD_GENL_FAMILY_NAME, NBD_GENL_MCAST_GROUP_NAME, &family, failure);
	if (outcome == 0) {
		length = bf_build_nbd_request(request, sizeof(request), family.id, command, settings);
		outcome = bf_genl_ask(&genl, name_of(command), request, length, take, &answers, failure);
	}
	if (outcome == 0)
		outcome = settle_index(&answers, settings, failure);
	bf_genl_close(&genl);
	return outcome;
}
